"""The figures of every query in every pool, from which means are taken and differences between arms are tested."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from xlstance.evaluation import bias, metrics
from xlstance.evaluation.peer import peer
from xlstance.ranking import RelevantRanks
from xlstance.tables import SCHEMAS

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
WithoutAnswer = Literal["excluded", "zero"]
"""What becomes of a query in a pool that holds no relevant passage of it."""

RECALL_AT = (1, 10, 100)
RETRIEVAL = (
    *("map", "map@20", *(f"recall@{k}" for k in RECALL_AT)),
    *("ndcg@10", "ndcg_exponential@10", "mrr@10", "success@10"),
)
"""How well the relevant passages are found; these count as 0 where ``without_answer`` is ``zero``."""
CEILINGS = tuple(f"recall@{k}_ceiling" for k in RECALL_AT)
GRADED = ("auc", "ndcg@10_blind")
BIAS = (
    *("max_rank", "rank_distance", "rank_distance_chance", "same_language_first", "same_language_first_chance"),
    *("peer@20", "peer@1000"),
)

SCHEMA = SCHEMAS["query_figures"]
"""What is published of every query: the figures whose means tables show and tests compare."""

FIGURES_VERSION = 1
"""Which code the figures of a query come from. One more with every change after which the same vectors give another
figure, or other rows or units: published figures of another version are stale, and are not compared with these."""

_VERSION_KEY = b"xlstance.figures"


@dataclass(frozen=True)
class FiguresByQuery:
    """Figures of every query in every pool.

    Attributes:
        one_target: pools of one language: columns ``query_index`` (row in ``queries``), ``query_lang``,
            ``passage_lang``, ``answered`` (whether the pool holds a relevant passage), those of ``RETRIEVAL`` and
            ``CEILINGS``, and where there are grades of ``GRADED``; a row for each query and pool, ordered by query
            and passage language.
        multi: the pool of all languages: the same without ``passage_lang``, and ``BIAS``; a row for each query.
            Rank distances are NaN for a query with one relevant passage.
        without_answer: whether queries without a relevant passage in a pool have no row there, or a row of zeros.
    """

    one_target: pd.DataFrame
    multi: pd.DataFrame
    without_answer: WithoutAnswer


def figures_by_query(
    queries: pa.Table,
    ranks: RelevantRanks,
    *,
    relevant_from: int = 1,
    argument: Integers | None = None,
    without_answer: WithoutAnswer = "excluded",
) -> FiguresByQuery:
    """Measures every query in the pool of each language and in the pool of all.

    Args:
        queries: table ``queries``.
        ranks: the ranks of the relevant passages.
        relevant_from: the gain from which on a passage is relevant; nDCG alone counts those below too. Where it is
            above 1, as in stance retrieval, there is also ``auc`` of the relevant passages against the others with a
            gain, and beside nDCG ``ndcg@10_blind``, what a ranking reaches that is blind to the grades.
        argument: ``[R]`` the number of what each passage says in some language; rank distances are then over the
            languages of each of a query's arguments, and averaged over these. None: over all of a query's passages.
        without_answer: whether a query counts in a pool that holds no relevant passage of it: ``excluded``, or as
            ``zero``. Figures of language bias always leave it out.
    """
    relevant = ranks.gain >= relevant_from
    languages = np.array(ranks.languages, dtype=object)
    asked = np.array(queries.column("lang").to_pylist(), dtype=object)
    zero, graded = without_answer == "zero", relevant_from > 1

    runs, figures = _measured(
        ranks.query_index * len(languages) + ranks.language,
        ranks.in_own_pool,
        ranks.gain,
        relevant,
        len(asked) * len(languages) if zero else None,
        graded,
    )
    row, column = np.divmod(runs, len(languages)) if len(languages) else (runs, runs)
    single = pd.DataFrame({"query_index": row, "query_lang": asked[row], "passage_lang": languages[column], **figures})
    rows, figures = _measured(
        ranks.query_index, ranks.in_all, ranks.gain, relevant, len(asked) if zero else None, graded
    )
    of_relevant = ranks.where(relevant)
    figures |= _bias(of_relevant, rows, asked, None if argument is None else argument[relevant])
    multi = pd.DataFrame({"query_index": rows, "query_lang": asked[rows], **figures})
    return FiguresByQuery(single, multi, without_answer)


def query_table(figures: FiguresByQuery, queries: pa.Table, units: Sequence[str]) -> pa.Table:
    """The figures of every query as a table to publish beside a run.

    Args:
        figures: as ``figures_by_query`` gives them.
        queries: table ``queries`` (Q rows).
        units: ``[Q]`` what each query is drawn with when a test draws again, from ``units.units_of``.

    Returns:
        A row for each query and pool, in the columns of ``SCHEMA``: ``setting`` is ``mono``, ``cross`` or ``multi``,
        ``passage_lang`` null in the last; a figure is null where the query has none. Its metadata hold
        ``FIGURES_VERSION``, for ``figures_version``.
    """
    single = figures.one_target
    own = single["query_lang"] == single["passage_lang"]
    rows = pd.concat([single.assign(setting=np.where(own, "mono", "cross")), figures.multi.assign(setting="multi")])
    index = rows["query_index"].to_numpy()
    ids, unit = queries["query_id"].to_numpy(), np.array(units, dtype=object)
    columns = {**{str(name): rows[name] for name in rows}, "query_id": ids[index], "unit": unit[index]}
    return pa.table(
        [
            pa.array(columns[field.name], field.type, from_pandas=True)
            if field.name in columns
            else pa.nulls(len(rows), field.type)
            for field in SCHEMA
        ],
        schema=SCHEMA.with_metadata({**(SCHEMA.metadata or {}), _VERSION_KEY: str(FIGURES_VERSION).encode()}),
    )


def figures_version(metadata: Mapping[bytes, bytes]) -> int:
    """The ``FIGURES_VERSION`` that a published table was made with; ``metadata`` are those of its file."""
    return int(metadata.get(_VERSION_KEY, b"1"))


def _measured(
    key: Integers,
    rank: Integers,
    gain: Integers,
    relevant: npt.NDArray[np.bool_],
    runs: int | None,
    graded: bool,
) -> tuple[Integers, dict[str, npt.NDArray[Any]]]:
    """The figures of each run, a query in a pool.

    Args:
        key: ``[R]`` each judged passage's run.
        rank: ``[R]`` its rank, from 1, in the run's pool.
        gain: ``[R]`` its gain.
        relevant: ``[R]`` whether it counts as relevant.
        runs: number of runs, all of which count; None: only those with a relevant passage do.
        graded: whether there are figures of grades.

    Returns:
        The runs that count, ascending, and their figures.
    """
    counted = np.unique(key[relevant]) if runs is None else np.arange(runs)
    kept = np.isin(key, counted)
    run, rank, gain, relevant = np.searchsorted(counted, key[kept]), rank[kept], gain[kept], relevant[kept]
    count, hit, place = len(counted), run[relevant], rank[relevant]
    figures: dict[str, npt.NDArray[Any]] = {
        "map": metrics.average_precision(hit, place, count),
        "map@20": metrics.average_precision(hit, place, count, 20),
        **{f"recall@{k}": metrics.recall(hit, place, count, k) for k in RECALL_AT},
        "ndcg@10": metrics.ndcg(run, rank, gain, count, 10),
        "ndcg_exponential@10": metrics.ndcg(run, rank, gain, count, 10, exponential=True),
        "mrr@10": metrics.reciprocal_rank(hit, place, count, 10),
        "success@10": metrics.success(hit, place, count, 10),
        **{name: metrics.recall_ceiling(hit, count, k) for name, k in zip(CEILINGS, RECALL_AT, strict=True)},
    }
    answered = np.bincount(hit, minlength=count) > 0
    figures = {"answered": answered, **{name: np.where(answered, values, 0.0) for name, values in figures.items()}}
    if graded:
        figures["auc"] = metrics.auc(run, rank, relevant, count)
        figures["ndcg@10_blind"] = metrics.ndcg_blind_to_grades(run, gain, count, 10)
    return counted, figures


def _bias(
    ranks: RelevantRanks, rows: Integers, asked: npt.NDArray[np.object_], argument: Integers | None
) -> dict[str, Floats]:
    """The figures of language bias of the queries in ``rows``; NaN for those that have none."""
    query, rank, count = np.searchsorted(rows, ranks.query_index), ranks.in_all, len(rows)
    same = np.array(ranks.languages, dtype=object)[ranks.language] == asked[ranks.query_index]
    first, first_chance = bias.same_language_first(query, rank, same, count)
    distance, by_chance = _distances(query, rank, argument, count, int(ranks.pool_sizes.sum()))
    return {
        "max_rank": bias.max_rank(query, rank, count),
        "rank_distance": distance,
        "rank_distance_chance": by_chance,
        "same_language_first": first,
        "same_language_first_chance": first_chance,
        **{f"peer@{k}": peer(query, ranks.language, rank, ranks.gain, count, k) for k in (20, 1000)},
    }


def _distances(
    query: Integers, rank: Integers, argument: Integers | None, queries: int, pool: int
) -> tuple[Floats, Floats]:
    """Rank distance and that of chance, ``[queries]`` each: means over a query's arguments, or of all its passages."""
    if argument is None:
        chance = bias.rank_distance_of_chance(np.bincount(query, minlength=queries), pool)
        return bias.rank_distance(query, rank, queries), chance
    asked, inverse = np.unique(np.stack([query, argument]), axis=1, return_inverse=True)
    part = inverse.ravel()
    counts = np.bincount(part, minlength=asked.shape[1])
    each = pd.DataFrame(
        {
            "query": asked[0],
            "distance": bias.rank_distance(part, rank, asked.shape[1]),
            "chance": bias.rank_distance_of_chance(counts, pool),
        }
    )
    means = each.groupby("query").mean().reindex(range(queries))
    return means["distance"].to_numpy(), means["chance"].to_numpy()
