"""Scores of all passages for a block of queries, and those that dense vectors give."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.errors import DataError

_SCORES_BYTES = 32 << 20  # of one block; ranking copies it a few times
_PASSAGES_PER_PRODUCT = 8192

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

Scores = Callable[[Integers], Doubles]
"""Rows of the table ``queries`` to the scores of all passages for them: ``[rows]`` to ``[rows, N] float64``, the
passages in the order of their table. Higher is better. What is returned is for reading, until the next call."""


def score_blocks(scores: Scores, rows: Integers, passages: int) -> Iterator[tuple[Integers, Doubles]]:
    """The scores of queries, in blocks that memory holds: (some of the rows, their scores)."""
    step = max(1, _SCORES_BYTES // (8 * max(1, passages)))
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        yield block, scores(block)


def vector_scores(queries: pa.Table, passages: pa.Table, query_vectors: Floats, passage_vectors: Floats) -> Scores:
    """Dot products of vectors, in float64.

    Args:
        queries: table ``queries`` (Q rows).
        passages: table ``passages`` (N rows).
        query_vectors: ``[Q, D] float32``, in the order of ``queries``.
        passage_vectors: ``[N, D] float32``, in the order of ``passages``.

    Raises:
        DataError: if a vector is missing or not finite, or lengths differ.
    """
    _check_vectors(query_vectors, queries, "queries")
    _check_vectors(passage_vectors, passages, "passages")
    if query_vectors.shape[1] != passage_vectors.shape[1]:
        raise DataError(
            f"query vectors have {query_vectors.shape[1]} numbers, passage vectors {passage_vectors.shape[1]}: "
            "encode both with one model"
        )
    buffer = np.empty((0, len(passage_vectors)))

    def product(rows: Integers) -> Doubles:
        nonlocal buffer
        if len(buffer) < len(rows):  # the memory of one block serves all
            buffer = np.empty((len(rows), len(passage_vectors)))
        left = query_vectors[rows].astype(np.float64)
        for first in range(0, len(passage_vectors), _PASSAGES_PER_PRODUCT):
            columns = slice(first, first + _PASSAGES_PER_PRODUCT)
            np.matmul(left, passage_vectors[columns].astype(np.float64).T, out=buffer[: len(rows), columns])
        return buffer[: len(rows)]

    return product


def matrix_of(vectors: pa.Table, ids: pa.ChunkedArray) -> Floats:
    """The vectors of the given ids, in their order.

    Args:
        vectors: table ``vectors``; rows in any order, further ids are left out.
        ids: ids of queries or passages.

    Returns:
        ``[ids, D] float32``.

    Raises:
        DataError: if an id has no vector, or vectors differ in length.
    """
    rows = rows_of(ids, vectors.column("id"), "vector")
    column = vectors.column("vector").combine_chunks()
    lengths = pc.unique(pc.list_value_length(column)).to_pylist()
    if len(lengths) > 1:
        raise DataError(f"the vectors have several lengths ({sorted(lengths)[:3]}): encode all with one model")
    values = np.asarray(pc.list_flatten(column), dtype=np.float32)
    return values.reshape(len(column), -1)[rows]


def rows_of(wanted: pa.ChunkedArray, ids: pa.ChunkedArray, what: str) -> Integers:
    """Rows in which the wanted ids stand; ``[wanted] int64``.

    Args:
        wanted: the ids to look for.
        ids: the ids of a table.
        what: what an id names there, for messages.

    Raises:
        DataError: if one is not there, or stands twice.
    """
    if pc.count_distinct(ids).as_py() != len(ids):
        counts = pc.value_counts(ids)
        twice = counts.filter(pc.greater(counts.field("counts"), 1))[0]["values"]
        raise DataError(f"the id {str(twice)!r} has more than one {what}; ids must be unique")
    found = pc.index_in(wanted, value_set=ids)
    if found.null_count:
        missing = wanted.filter(pc.is_null(found))
        raise DataError(f"{len(missing)} of {len(wanted)} ids have no {what}, among them {str(missing[0])!r}")
    return np.asarray(found, dtype=np.int64)


def _check_vectors(vectors: Floats, table: pa.Table, what: str) -> None:
    if vectors.ndim != 2 or len(vectors) != table.num_rows:
        raise DataError(
            f"{what}: {table.num_rows} rows but vectors of shape {vectors.shape}; each row needs one vector"
        )
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        row = int(np.flatnonzero(~finite)[0])
        raise DataError(
            f"{what}: the vector of {str(table.column(0)[row])!r} (row {row}) holds a value that is not finite"
        )
