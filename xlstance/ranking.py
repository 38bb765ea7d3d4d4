"""Exact ranks of the relevant passages, from which every figure of the evaluation follows.

For each relevant (query, passage) the passages that rank before it are counted, per language of the pool. One pass
over the scores thus serves the pool of one language and the pool of all languages, with no cutoff.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.errors import DataError
from xlstance.tables import hash_ids

# Equal vectors give scores that differ in the last digits of float64, by their place in the matrix product.
TIE = 1e-12
_SCORES_BYTES = 128 << 20
_PASSAGES_PER_PRODUCT = 8192

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class RelevantRanks:
    """Where every relevant passage ranks; row by row for R relevant (query, passage), ordered by query.

    Attributes:
        languages: languages of the passages, sorted.
        pool_sizes: ``[languages]`` passages per language.
        query_index: ``[R]`` row of the query in the table ``queries``.
        passage_index: ``[R]`` row of the passage in the table ``passages``.
        language: ``[R]`` the passage's language, an index into ``languages``.
        gain: ``[R]`` the gain that the qrels give, above 0.
        before: ``[R, languages]`` passages of each language that rank before this one.
        ties: ``[R]`` other passages of any language with the same score.
    """

    languages: tuple[str, ...]
    pool_sizes: Integers
    query_index: Integers
    passage_index: Integers
    language: Integers
    gain: Integers
    before: Integers
    ties: Integers

    @property
    def in_own_pool(self) -> Integers:
        """``[R]`` rank, from 1, in the pool of the passage's language."""
        ranks: Integers = 1 + self.before[np.arange(len(self.before)), self.language]
        return ranks

    @property
    def in_all(self) -> Integers:
        """``[R]`` rank, from 1, in the pool of all languages together."""
        ranks: Integers = 1 + self.before.sum(axis=1)
        return ranks

    def where(self, keep: npt.NDArray[np.bool_]) -> "RelevantRanks":
        """The same ranks of some of the relevant passages; ``keep`` is ``[R] bool``."""
        rows = {field.name: getattr(self, field.name) for field in fields(self)}
        of_pool = {name: rows.pop(name) for name in ("languages", "pool_sizes")}
        return RelevantRanks(**of_pool, **{name: values[keep] for name, values in rows.items()})


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
    rows = _rows_of(ids, vectors.column("id"), "vector")
    column = vectors.column("vector").combine_chunks()
    lengths = pc.unique(pc.list_value_length(column)).to_pylist()
    if len(lengths) > 1:
        raise DataError(f"the vectors have several lengths ({sorted(lengths)[:3]}): encode all with one model")
    values = np.asarray(pc.list_flatten(column), dtype=np.float32)
    return values.reshape(len(column), -1)[rows]


def relevant_ranks(
    queries: pa.Table, passages: pa.Table, qrels: pa.Table, query_vectors: Floats, passage_vectors: Floats
) -> RelevantRanks:
    """Ranks all passages for every query and keeps what the relevant ones need.

    The rank of a passage is 1 + the passages scored higher + the equally scored ones (within 1e-12) that come earlier
    in a fixed order, by the hash of ``passage_id`` and then the id, which knows neither language nor relevance. An
    encoder that maps everything to one vector thus gets chance.

    Args:
        queries: table ``queries`` (Q rows).
        passages: table ``passages`` (N rows), the pool of all languages.
        qrels: table ``qrels``; gains above 0 are relevant.
        query_vectors: ``[Q, D] float32`` of unit length, in the order of ``queries``; the score is the dot product.
        passage_vectors: ``[N, D] float32`` of unit length, in the order of ``passages``.

    Returns:
        The ranks; queries without a relevant passage have no row.

    Raises:
        DataError: if a vector is missing or not finite, or the qrels name an unknown id or a pair twice.
    """
    _check_vectors(query_vectors, queries, "queries")
    _check_vectors(passage_vectors, passages, "passages")
    if query_vectors.shape[1] != passage_vectors.shape[1]:
        raise DataError(
            f"query vectors have {query_vectors.shape[1]} numbers, passage vectors {passage_vectors.shape[1]}: "
            "encode both with one model"
        )
    relevant = qrels.filter(pc.greater(qrels.column("gain"), 0))
    query = _rows_of(relevant.column("query_id"), queries.column("query_id"), "query")
    passage = _rows_of(relevant.column("passage_id"), passages.column("passage_id"), "passage")
    by_query = np.lexsort((passage, query))
    query, passage = query[by_query], passage[by_query]
    gain = relevant.column("gain").to_numpy().astype(np.int64)[by_query]
    twice = np.flatnonzero((np.diff(query) == 0) & (np.diff(passage) == 0))
    if len(twice):
        name = queries.column("query_id")[int(query[twice[0]])]
        raise DataError(f"qrels: query {str(name)!r} lists the same passage twice; a pair stands once")

    languages, of_passage = np.unique(passages.column("lang").to_numpy().astype(str), return_inverse=True)
    sizes = np.bincount(of_passage, minlength=len(languages)).astype(np.int64)
    segments = np.concatenate([[0], np.cumsum(sizes)])
    by_language = np.argsort(of_passage, kind="stable")
    place = np.empty(len(by_language), np.int64)
    place[by_language] = np.arange(len(by_language))
    order = _blind_order(passages.column("passage_id"))[by_language]

    before = np.zeros((len(query), len(languages)), np.int64)
    ties = np.zeros(len(query), np.int64)
    for rows, scores in _score_blocks(query, query_vectors, passage_vectors, by_language):
        items = np.searchsorted(query, [rows[0], rows[-1] + 1])
        _count(
            scores,
            np.searchsorted(rows, query[slice(*items)]),
            place[passage[slice(*items)]],
            segments,
            order,
            before[slice(*items)],
            ties[slice(*items)],
        )
    return RelevantRanks(
        languages=tuple(languages.tolist()),
        pool_sizes=sizes,
        query_index=query,
        passage_index=passage,
        language=of_passage[passage].astype(np.int64),
        gain=gain,
        before=before,
        ties=ties,
    )


def _score_blocks(
    query: Integers, query_vectors: Floats, passage_vectors: Floats, by_language: Integers
) -> Iterator[tuple[Integers, npt.NDArray[np.float64]]]:
    """Yields (rows of queries, ``[rows, N] float64`` scores with the passages ordered by language)."""
    judged = np.unique(query)
    passages = len(by_language)
    step = max(1, _SCORES_BYTES // (8 * max(1, passages)))
    scores = np.empty((min(step, len(judged)), passages))
    for start in range(0, len(judged), step):
        rows = judged[start : start + step]
        left = query_vectors[rows].astype(np.float64)
        for first in range(0, passages, _PASSAGES_PER_PRODUCT):
            columns = slice(first, first + _PASSAGES_PER_PRODUCT)
            right = passage_vectors[by_language[columns]].astype(np.float64)
            np.matmul(left, right.T, out=scores[: len(rows), columns])
        yield rows, scores[: len(rows)]


def _count(
    scores: npt.NDArray[np.float64],
    row: Integers,
    place: Integers,
    segments: Integers,
    order: Integers,
    before: Integers,
    ties: Integers,
) -> None:
    """Fills ``before`` and ``ties`` for the relevant passages of one block of queries.

    Args:
        scores: ``[queries, N]``, passages ordered by language.
        row: ``[R]`` row of the query in the block, ascending.
        place: ``[R]`` column of the relevant passage.
        segments: ``[languages + 1]`` first column of each language, and N.
        order: ``[N]`` place of each column in the order that breaks ties.
        before: ``[R, languages]`` to fill.
        ties: ``[R]`` to fill.
    """
    own = scores[row, place]
    bounds = np.searchsorted(row, np.arange(len(scores) + 1))
    for language, (first, last) in enumerate(pairwise(segments)):
        ascending = np.sort(scores[:, first:last], axis=1)
        for query, values in enumerate(ascending):
            items = slice(bounds[query], bounds[query + 1])
            not_higher = values.searchsorted(own[items] + TIE, side="right")
            lower = values.searchsorted(own[items] - TIE, side="left")
            before[items, language] = len(values) - not_higher
            ties[items] += not_higher - lower
    ties -= 1  # itself
    for item in np.flatnonzero(ties):
        equal = np.flatnonzero(np.abs(scores[row[item]] - own[item]) <= TIE)
        earlier = equal[order[equal] < order[place[item]]]
        before[item] += np.bincount(np.searchsorted(segments, earlier, side="right") - 1, minlength=len(segments) - 1)


def _blind_order(ids: pa.ChunkedArray) -> Integers:
    """``[ids]`` place of each id in the order by hash, then id."""
    sorted_rows = pc.sort_indices(
        pa.table({"hash": hash_ids(ids), "id": ids}), sort_keys=[("hash", "ascending"), ("id", "ascending")]
    ).to_numpy()
    place = np.empty(len(sorted_rows), np.int64)
    place[sorted_rows] = np.arange(len(sorted_rows))
    return place


def _rows_of(wanted: pa.ChunkedArray, ids: pa.ChunkedArray, what: str) -> Integers:
    """Rows in which the wanted ids stand."""
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
