"""One model on one benchmark: exact figures from the published vectors, and FAISS's ranked lists beside them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.evaluation.language_share import top_languages
from xlstance.evaluation.per_query import WithoutAnswer, figures_by_query, query_table
from xlstance.evaluation.protocol import summarise
from xlstance.evaluation.units import units_of
from xlstance.ranking import matrix_of, relevant_ranks
from xlstance.retrieval.search import build_index, search
from xlstance.storage import Folder, fingerprint, read_manifest, read_table, write_table

_TABLES = ("queries", "passages", "qrels")


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """What is scored.

    Attributes:
        benchmark: folder of its queries, passages and qrels.
        vectors: folder of the vectors of its queries and passages.
        run: folder for the table ``runs``.
        figures: folder for the table ``query_figures``.
        index: FAISS factory string.
        top_k: passages per query in the run.
        without_answer: what becomes of a query in a pool that holds no relevant passage of it.
    """

    benchmark: Folder
    vectors: Folder
    run: Folder
    figures: Folder
    index: str
    top_k: int
    without_answer: WithoutAnswer

    @property
    def vectors_stamp(self) -> str:
        """Fingerprint of the vectors."""
        return fingerprint([read_manifest(self.vectors / name).fingerprint for name in ("queries", "passages")])

    @property
    def benchmark_stamp(self) -> str:
        """Fingerprint of the benchmark's tables."""
        return fingerprint([read_manifest(self.benchmark / name).fingerprint for name in _TABLES])


def score(scoring: Scoring) -> dict[str, Any]:
    """Measures one model on one benchmark, and publishes its ranked lists and the figures of every query.

    Returns:
        What ``protocol.summarise`` returns, and ``search``: the index, and the share of the exact ten best relevant
        hits that its run has among its ten best.
    """
    queries, passages, qrels = (read_table(scoring.benchmark / name, name) for name in _TABLES)
    query_vectors = matrix_of(read_table(scoring.vectors / "queries", "vectors"), queries["query_id"])
    passage_vectors = matrix_of(read_table(scoring.vectors / "passages", "vectors"), passages["passage_id"])
    ranks = relevant_ranks(queries, passages, qrels, query_vectors, passage_vectors)
    info = read_manifest(scoring.benchmark / "queries").info
    argument = None
    if info.get("by_argument"):
        argument = pd.factorize(passages["group_id"].to_pandas())[0][ranks.passage_index]
    relevant_from = info.get("relevant_from", 1)
    by_query = figures_by_query(
        queries, ranks, relevant_from=relevant_from, argument=argument, without_answer=scoring.without_answer
    )
    figures = summarise(
        by_query,
        queries,
        ranks.where(ranks.gain >= relevant_from),
        info.get("notes", ()),
        top=top_languages(passages, query_vectors, passage_vectors),
    )
    write_table(
        scoring.figures,
        "query_figures",
        query_table(by_query, queries, units_of(queries, passages, qrels, info.get("units"))),
        fingerprint(scoring.vectors_stamp, scoring.benchmark_stamp, scoring.without_answer),
    )
    run = search(
        build_index(passage_vectors, scoring.index),
        queries["query_id"].combine_chunks(),
        query_vectors,
        passages["passage_id"].combine_chunks(),
        scoring.top_k,
    )
    write_table(scoring.run, "runs", run, fingerprint(scoring.vectors_stamp, scoring.index, scoring.top_k))
    exact = pa.table(
        {
            "query_id": queries["query_id"].take(pa.array(ranks.query_index)),
            "passage_id": passages["passage_id"].take(pa.array(ranks.passage_index)),
            "rank": ranks.in_all,
        }
    )
    return {
        **figures,
        "search": {"index": scoring.index, "top_k": scoring.top_k, "agreement@10": _agreement(exact, run)},
    }


def _agreement(exact: pa.Table, run: pa.Table) -> float | None:
    """Share of the relevant passages with an exact rank up to 10 that the run ranks up to 10 too."""
    wanted = exact.filter(pc.less_equal(exact["rank"], 10)).select(["query_id", "passage_id"])
    if not wanted.num_rows:
        return None
    found = run.filter(pc.less_equal(run["rank"], 10)).select(["query_id", "passage_id"])
    both = wanted.join(found, keys=["query_id", "passage_id"], join_type="inner")
    return float(np.float64(both.num_rows) / wanted.num_rows)
