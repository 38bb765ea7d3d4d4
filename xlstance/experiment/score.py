"""One model on one benchmark: exact figures from the scores of all passages, and its ranked lists beside them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.collection import Benchmark
from xlstance.errors import DataError
from xlstance.evaluation.language_share import TOP, top_languages
from xlstance.evaluation.per_query import FIGURES_VERSION, WithoutAnswer, figures_by_query, query_table
from xlstance.evaluation.protocol import summarise
from xlstance.evaluation.units import units_of
from xlstance.experiment.rankers import Ranker
from xlstance.experiment.trec_files import write_trec_run
from xlstance.ranking import Best, RelevantRanks, rank_passages
from xlstance.retrieval.search import overlap
from xlstance.storage import Folder, fingerprint, is_published, read_manifest, read_table, write_table
from xlstance.tables import make_table

_TABLES = ("queries", "passages", "qrels")
_OVERLAP = 100


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """What is scored.

    Attributes:
        name: of the model.
        ranker: ranks the benchmark's passages.
        benchmark: folder of its queries, passages and qrels.
        run: folder for the table ``runs``.
        figures: folder for the table ``query_figures``.
        trec: folder for the run in TREC's columns.
        top_k: passages per query in the run.
        without_answer: what becomes of a query in a pool that holds no relevant passage of it.
    """

    name: str
    ranker: Ranker
    benchmark: Folder
    run: Folder
    figures: Folder
    trec: Folder
    top_k: int
    without_answer: WithoutAnswer

    @property
    def benchmark_stamp(self) -> str:
        """Fingerprint of the benchmark's tables."""
        return fingerprint([read_manifest(self.benchmark / name).fingerprint for name in _TABLES])


def score(scoring: Scoring) -> dict[str, Any]:
    """Measures one model on one benchmark, and publishes its ranked lists and the figures of every query.

    Returns:
        What ``protocol.summarise`` returns. Where the lists come from FAISS also ``search``: the index;
        ``agreement@10``, the share of the exact ten best relevant hits that its run has among its ten best; and
        ``overlap@100`` (``retrieval.search.overlap``), None if the run is shorter.
    """
    queries, passages, qrels = (read_table(scoring.benchmark / name, name) for name in _TABLES)
    info = read_manifest(scoring.benchmark / "queries").info
    benchmark = Benchmark(passages=passages, queries=queries, qrels=qrels)
    ranked = scoring.ranker.rank(benchmark, scoring.top_k)
    ranks, best = rank_passages(
        queries,
        passages,
        qrels,
        ranked.scores,
        in_own_pools=ranked.in_own_pools,
        top_k=max(TOP, _OVERLAP, scoring.top_k),
    )
    run = _lists(best, benchmark) if ranked.run is None else ranked.run
    run = run.filter(pc.less_equal(run["rank"], scoring.top_k))
    notes = [*info.get("notes", ()), *ranked.notes, *_publish_run(scoring, run, ranked.index)]
    argument = None
    if info.get("by_argument"):
        argument = pd.factorize(passages["group_id"].to_pandas())[0][ranks.passage_index]
    relevant_from = info.get("relevant_from", 1)
    by_query = figures_by_query(
        queries, ranks, relevant_from=relevant_from, argument=argument, without_answer=scoring.without_answer
    )
    write_table(
        scoring.figures,
        "query_figures",
        query_table(by_query, queries, units_of(queries, passages, qrels, info.get("units"))),
        fingerprint(scoring.ranker.stamp, scoring.benchmark_stamp, scoring.without_answer, FIGURES_VERSION),
    )
    relevant = ranks.where(ranks.gain >= relevant_from)
    figures = summarise(by_query, queries, relevant, notes, top=top_languages(best, passages))
    if not ranked.index:
        return figures
    searched = {
        "index": ranked.index,
        "top_k": scoring.top_k,
        "agreement@10": _agreement(ranks, benchmark, run),
        f"overlap@{_OVERLAP}": None,
    }
    if scoring.top_k >= min(_OVERLAP, passages.num_rows):
        exact = best.passage_index[:, :_OVERLAP]
        searched[f"overlap@{_OVERLAP}"] = overlap(run, exact, queries["query_id"], passages["passage_id"])
    return {**figures, "search": searched}


def _publish_run(scoring: Scoring, run: pa.Table, index: str) -> list[str]:
    """Publishes the lists as a table and in TREC's columns; returns what hindered the latter."""
    stamp, notes = fingerprint(scoring.ranker.stamp, index, scoring.top_k), list[str]()
    if not (is_published(scoring.run, stamp) and scoring.trec.exists(f"{scoring.name}.run.gz")):
        try:
            write_trec_run(scoring.trec, scoring.name, run)
        except DataError as error:
            notes.append(str(error))
    write_table(scoring.run, "runs", run, stamp)  # after the file: what is published is whole
    return notes


def _lists(best: Best, benchmark: Benchmark) -> pa.Table:
    """The best passages as a table ``runs``."""
    count, k = best.passage_index.shape
    return make_table(
        "runs",
        {
            "query_id": benchmark.queries["query_id"].take(pa.array(np.repeat(np.arange(count), k))),
            "passage_id": benchmark.passages["passage_id"].take(pa.array(best.passage_index.ravel())),
            "rank": np.tile(np.arange(1, k + 1, dtype=np.int32), count),
            "score": best.scores.ravel().astype(np.float32),
        },
    )


def _agreement(ranks: RelevantRanks, benchmark: Benchmark, run: pa.Table) -> float | None:
    """Share of the relevant passages with an exact rank up to 10 that the run ranks up to 10 too."""
    first = ranks.where(ranks.in_all <= 10)
    if not len(first.query_index):
        return None
    wanted = pa.table(
        {
            "query_id": benchmark.queries["query_id"].take(pa.array(first.query_index)),
            "passage_id": benchmark.passages["passage_id"].take(pa.array(first.passage_index)),
        }
    )
    found = run.filter(pc.less_equal(run["rank"], 10)).select(["query_id", "passage_id"])
    both = wanted.join(found, keys=["query_id", "passage_id"], join_type="inner")
    return float(np.float64(both.num_rows) / wanted.num_rows)
