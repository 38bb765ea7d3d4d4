"""Monolingual, cross-lingual and multilingual retrieval from one set of ranks.

The pools of LAReQA (arXiv 2004.05484) and the averages of hybrid batch training (arXiv 2408.10536, section 4): mono
searches the pool of the query's language, cross the pool of each other language, multi the pool of all languages. A
query counts in a pool of one language if it has a relevant passage there. The macro mean is over languages, or ordered
pairs of them, of the mean over queries; the micro mean is over all queries.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from xlstance.evaluation import bias, metrics
from xlstance.evaluation.by_language import by_language
from xlstance.evaluation.peer import peer, peer_note
from xlstance.ranking import RelevantRanks

_ONE_TARGET = ("map", "recall@1", "recall@10")
_MULTI = (
    *("map", "recall@1", "recall@10", "ndcg@10", "mrr@10", "success@10", "max_rank"),
    *("rank_distance", "rank_distance_chance", "same_language_first", "same_language_first_chance"),
    *("peer@20", "peer@1000"),
)

_RUN = ["query_index", "query_lang", "passage_lang"]
_GRADED = ("auc", "ndcg@10", "ndcg@10_blind")


def evaluate(
    queries: pa.Table,
    ranks: RelevantRanks,
    notes: Sequence[str] = (),
    *,
    relevant_from: int = 1,
    argument: npt.NDArray[np.int64] | None = None,
    top: npt.NDArray[np.int64] | None = None,
) -> dict[str, Any]:
    """All figures of one benchmark; ``docs/metrics.md`` has the formula, range and source of each.

    Args:
        queries: table ``queries``.
        ranks: the ranks of the relevant passages.
        notes: what a reader of the figures must know, from the benchmark.
        relevant_from: the gain from which on a passage is relevant in figures without grades. Where it is above 1, as
            in stance retrieval, each setting also has ``auc`` of the relevant passages against the others with a gain,
            ``ndcg@10`` over all gains, and beside it ``ndcg@10_blind``, what a ranking reaches that is blind to them.
        argument: ``[R]`` the number of what each passage says in some language; rank distances are then over the
            languages of each of a query's arguments, and averaged over these. None: over all of a query's passages.
        top: ``[queries, languages]`` passages of each language among the best of each query, from
            ``language_share.top_languages``. None: the shares of languages have no value.

    Returns:
        What stands in ``results.json`` under the benchmark's name: the settings ``mono``, ``cross`` and ``multi``,
        each with macro means (``map_micro`` is the micro mean) and its number of ``queries``; ``per_language``;
        ``per_pair``, the heat map of one-target pools with its diagonal; ``per_pair_multi``, the same of the passages
        of each language in the pool of all languages; ``passages``, the pool size per language;
        ``ties``, the relevant passages that share their score with another; ``queries_without_relevant``, which no
        figure counts; ``notes``, and what to know of PEER. A figure that nothing gives, such as cross with one
        language, is None.
    """
    relevant = ranks.gain >= relevant_from
    judged, ranks = ranks, ranks.where(relevant)
    single = one_target(queries, ranks)
    multi = multilingual(queries, ranks, None if argument is None else argument[relevant])
    one_target_figures: Sequence[str] = _ONE_TARGET
    multi_names: Sequence[str] = _MULTI
    if relevant_from > 1:
        single = single.merge(_graded_one_target(queries, judged, relevant), on=_RUN, how="left")
        multi = multi.drop(columns="ndcg@10").merge(_graded(judged, relevant), on="query_index", how="left")
        one_target_figures, multi_names = (*_ONE_TARGET, *_GRADED), (*_MULTI, "auc", "ndcg@10_blind")
    languages = by_language(_query_languages(queries), ranks, top)
    about_peer = peer_note(multi["peer@20"].to_numpy())
    own = single["query_lang"] == single["passage_lang"]
    pairs = single.groupby(["query_lang", "passage_lang"], sort=True, as_index=False).agg(
        {"map": "mean", "recall@1": "mean", "query_index": "size"}
    )
    multi_figures = {**_figures(multi, multi_names), **languages.multi}
    chance, distance = multi_figures["rank_distance_chance"], multi_figures["rank_distance"]
    multi_figures["rank_distance_share"] = distance / chance if chance else None
    heat_map = pairs.pivot(index="query_lang", columns="passage_lang", values="map")
    multi_figures["diagonal_gap"] = bias.diagonal_gap(heat_map)
    return {
        "mono": _figures(single[own], one_target_figures),
        "cross": _figures(single[~own], one_target_figures),
        "multi": multi_figures,
        "per_language": {
            str(lang): {
                "mono": _figures(single[own & (single["query_lang"] == lang)], one_target_figures),
                "multi": {
                    **_figures(multi[multi["query_lang"] == lang], multi_names),
                    **languages.per_language[str(lang)],
                },
            }
            for lang in sorted(set(multi["query_lang"]))
        },
        "per_pair": {
            f"{source}->{target}": {"map": average_precision, "recall@1": recall, "queries": count}
            for source, target, average_precision, recall, count in zip(
                *(pairs[column].tolist() for column in pairs.columns), strict=True
            )
        },
        "per_pair_multi": languages.per_pair,
        "passages": dict(zip(ranks.languages, ranks.pool_sizes.tolist(), strict=True)),
        "ties": int(np.count_nonzero(ranks.ties)),
        "queries_without_relevant": queries.num_rows - len(multi),
        "notes": [*notes, *([about_peer] if about_peer else [])],
    }


def one_target(queries: pa.Table, ranks: RelevantRanks) -> pd.DataFrame:
    """Figures of every query in every pool of one language that holds a relevant passage of it.

    Returns:
        Columns ``query_index`` (row in ``queries``), ``query_lang``, ``passage_lang``, ``map`` (average precision of
        this query), ``recall@1``, ``recall@10``; ordered by query and passage language.
    """
    languages = len(ranks.languages)
    runs, run = np.unique(ranks.query_index * languages + ranks.language, return_inverse=True)
    rank = ranks.in_own_pool
    return pd.DataFrame(
        {
            "query_index": runs // languages,
            "query_lang": _query_languages(queries)[runs // languages],
            "passage_lang": np.array(ranks.languages, dtype=object)[runs % languages],
            "map": metrics.average_precision(run, rank, len(runs)),
            "recall@1": metrics.recall(run, rank, len(runs), 1),
            "recall@10": metrics.recall(run, rank, len(runs), 10),
        }
    )


def _graded_one_target(queries: pa.Table, ranks: RelevantRanks, relevant: npt.NDArray[np.bool_]) -> pd.DataFrame:
    """The graded figures of every query in every pool of one language."""
    languages = len(ranks.languages)
    runs, run = np.unique(ranks.query_index * languages + ranks.language, return_inverse=True)
    frame = pd.DataFrame(_graded_figures(run, ranks.in_own_pool, ranks.gain, relevant, len(runs)))
    names = np.array(ranks.languages, dtype=object)
    of_run = [runs // languages, _query_languages(queries)[runs // languages], names[runs % languages]]
    return frame.assign(**dict(zip(_RUN, of_run, strict=True)))


def _graded(ranks: RelevantRanks, relevant: npt.NDArray[np.bool_]) -> pd.DataFrame:
    """The graded figures of every query in the pool of all languages."""
    rows, query = np.unique(ranks.query_index, return_inverse=True)
    return pd.DataFrame(_graded_figures(query, ranks.in_all, ranks.gain, relevant, len(rows))).assign(query_index=rows)


def _graded_figures(
    query: npt.NDArray[np.int64],
    rank: npt.NDArray[np.int64],
    gain: npt.NDArray[np.int64],
    relevant: npt.NDArray[np.bool_],
    queries: int,
) -> dict[str, npt.NDArray[np.float64]]:
    return {
        "auc": metrics.auc(query, rank, relevant, queries),
        "ndcg@10": metrics.ndcg(query, rank, gain, queries, 10),
        "ndcg@10_blind": metrics.ndcg_blind_to_grades(query, gain, queries, 10),
    }


def multilingual(
    queries: pa.Table, ranks: RelevantRanks, argument: npt.NDArray[np.int64] | None = None
) -> pd.DataFrame:
    """Figures of every query in the pool of all languages.

    Args:
        queries: table ``queries``.
        ranks: the ranks of the relevant passages.
        argument: as in ``evaluate``.

    Returns:
        Columns ``query_index``, ``query_lang`` and the figures of ``multi``; one row per query that has a relevant
        passage. Rank distances are NaN for a query with one relevant passage.
    """
    rows, query = np.unique(ranks.query_index, return_inverse=True)
    rank, count = ranks.in_all, len(rows)
    languages = _query_languages(queries)
    same = np.array(ranks.languages, dtype=object)[ranks.language] == languages[ranks.query_index]
    first, first_chance = bias.same_language_first(query, rank, same, count)
    distance, by_chance = _distances(query, rank, argument, count, int(ranks.pool_sizes.sum()))
    return pd.DataFrame(
        {
            "query_index": rows,
            "query_lang": languages[rows],
            "map": metrics.average_precision(query, rank, count),
            "recall@1": metrics.recall(query, rank, count, 1),
            "recall@10": metrics.recall(query, rank, count, 10),
            "ndcg@10": metrics.ndcg(query, rank, ranks.gain, count, 10),
            "mrr@10": metrics.reciprocal_rank(query, rank, count, 10),
            "success@10": metrics.success(query, rank, count, 10),
            "max_rank": bias.max_rank(query, rank, count),
            "rank_distance": distance,
            "rank_distance_chance": by_chance,
            "same_language_first": first,
            "same_language_first_chance": first_chance,
            **{f"peer@{k}": peer(query, ranks.language, rank, ranks.gain, count, k) for k in (20, 1000)},
        }
    )


def _distances(
    query: npt.NDArray[np.int64],
    rank: npt.NDArray[np.int64],
    argument: npt.NDArray[np.int64] | None,
    queries: int,
    pool: int,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
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


def _figures(frame: pd.DataFrame, columns: Sequence[str]) -> dict[str, Any]:
    """Macro means of the columns over (query language, passage language), the micro mean of AP, and the count."""
    groups = [column for column in ("query_lang", "passage_lang") if column in frame]
    macro = frame.groupby(groups, sort=True)[list(columns)].mean().mean()
    micro = frame["map"].mean()
    figures: dict[str, Any] = {column: _number(macro[column]) for column in columns}
    return {**figures, "map_micro": _number(micro), "queries": int(frame["query_index"].nunique())}


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _query_languages(queries: pa.Table) -> "np.ndarray[Any, np.dtype[np.object_]]":
    return np.array(queries.column("lang").to_pylist(), dtype=object)
