"""Search with FAISS: an index by factory string, the ranked lists it gives, and how far they are the exact ones."""

import re

import faiss
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.errors import SettingsError
from xlstance.tables import make_table


def build_index(vectors: npt.NDArray[np.float32], factory: str) -> faiss.Index:
    """Builds an index for the dot product of unit vectors, which is their cosine.

    Args:
        vectors: ``[N, D] float32``.
        factory: FAISS's own description, such as ``Flat``, ``IVF256,Flat`` or ``HNSW32``.

    Raises:
        SettingsError: if FAISS knows no such index, or the vectors are too few to train it.
    """
    try:
        index = faiss.index_factory(vectors.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
        if not index.is_trained:
            index.train(vectors)
        index.add(vectors)
    except RuntimeError as error:
        # Before the reason stand a place in FAISS's own source and the check that failed there.
        reason = re.sub(r"^.*(:\d+| failed): ", "", str(error).splitlines()[0])
        raise SettingsError(
            f"retrieval.index {factory!r} cannot be built from {len(vectors)} vectors of {vectors.shape[1]} numbers: "
            f"{reason}"
        ) from error
    return index


def search(
    index: faiss.Index, query_ids: pa.Array, queries: npt.NDArray[np.float32], passage_ids: pa.Array, top_k: int
) -> pa.Table:
    """The best passages of every query.

    Args:
        index: over the passages' vectors.
        query_ids: ``[Q]`` strings.
        queries: ``[Q, D] float32``.
        passage_ids: ``[N]`` strings, in the order in which the index was filled.
        top_k: passages per query.

    Returns:
        Table ``runs``, ordered by query and rank; ranks count from 1. An approximate index may find fewer than
        ``top_k``.

    Raises:
        SettingsError: if ``top_k`` is below 1.
    """
    if top_k < 1:
        raise SettingsError(f"retrieval.top_k is {top_k}; it must be at least 1")
    count = min(top_k, index.ntotal)
    scores, rows = index.search(queries, count)
    found = rows.ravel() >= 0
    query = np.repeat(np.arange(len(queries)), count)[found]
    return make_table(
        "runs",
        {
            "query_id": query_ids.take(pa.array(query)),
            "passage_id": passage_ids.take(pa.array(rows.ravel()[found])),
            "rank": np.tile(np.arange(1, count + 1, dtype=np.int32), len(queries))[found],
            "score": scores.ravel()[found],
        },
    )


def overlap(
    run: pa.Table, exact: npt.NDArray[np.int64], query_ids: pa.ChunkedArray, passage_ids: pa.ChunkedArray
) -> float:
    """How much of the exact lists a run holds: the mean over queries of |first k of the run & first k exact| / k.

    From 0 to 1; 1 for an exact index, up to passages that tie at the end of the list.

    Args:
        run: table ``runs``.
        exact: ``[Q, k]`` rows of the passages, the first k by their exact scores.
        query_ids: ``[Q]`` strings.
        passage_ids: ``[N]`` strings, those that the rows of ``exact`` stand for.
    """
    count, k = exact.shape
    first = run.filter(pc.less_equal(run["rank"], k))
    rows = np.asarray(pc.index_in(first["query_id"], value_set=query_ids), np.int64)
    found = rows * len(passage_ids) + np.asarray(pc.index_in(first["passage_id"], value_set=passage_ids), np.int64)
    wanted = np.repeat(np.arange(count), k) * len(passage_ids) + exact.ravel()
    return float(np.isin(wanted, found).mean())
