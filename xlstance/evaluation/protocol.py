"""Monolingual, cross-lingual and multilingual retrieval from one set of ranks.

The pools of LAReQA (arXiv 2004.05484) and the averages of hybrid batch training (arXiv 2408.10536, section 4): mono
searches the pool of the query's language, cross the pool of each other language, multi the pool of all languages. A
query counts in a pool of one language if it has a relevant passage there, or by a setting with zero. The macro mean is
over languages, or ordered pairs of them, of the mean over queries; the micro mean is over all queries.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from xlstance.evaluation import bias
from xlstance.evaluation.by_language import by_language
from xlstance.evaluation.peer import peer_note
from xlstance.evaluation.per_query import (
    BIAS,
    CEILINGS,
    GRADED,
    RETRIEVAL,
    FiguresByQuery,
    WithoutAnswer,
    figures_by_query,
)
from xlstance.ranking import RelevantRanks

_FIGURES = (*RETRIEVAL, *CEILINGS, *GRADED, *BIAS)


def evaluate(
    queries: pa.Table,
    ranks: RelevantRanks,
    notes: Sequence[str] = (),
    *,
    relevant_from: int = 1,
    argument: npt.NDArray[np.int64] | None = None,
    top: npt.NDArray[np.int64] | None = None,
    without_answer: WithoutAnswer = "excluded",
) -> dict[str, Any]:
    """All figures of one benchmark: ``figures_by_query`` and ``summarise`` in one.

    Args:
        queries: table ``queries``.
        ranks: the ranks of the relevant passages.
        notes: what a reader of the figures must know, from the benchmark.
        relevant_from: as in ``figures_by_query``.
        argument: as in ``figures_by_query``.
        top: as in ``summarise``.
        without_answer: as in ``figures_by_query``.
    """
    figures = figures_by_query(
        queries, ranks, relevant_from=relevant_from, argument=argument, without_answer=without_answer
    )
    return summarise(figures, queries, ranks.where(ranks.gain >= relevant_from), notes, top=top)


def summarise(
    figures: FiguresByQuery,
    queries: pa.Table,
    ranks: RelevantRanks,
    notes: Sequence[str] = (),
    *,
    top: npt.NDArray[np.int64] | None = None,
) -> dict[str, Any]:
    """The means of one benchmark; ``docs/metrics.md`` has the formula, range and source of each.

    Args:
        figures: of every query.
        queries: table ``queries``.
        ranks: the ranks of the relevant passages, without those of a gain that does not count as relevant.
        notes: what a reader of the figures must know, from the benchmark.
        top: ``[queries, languages]`` passages of each language among the best of each query, from
            ``language_share.top_languages``. None: the shares of languages have no value.

    Returns:
        What stands in ``results.json`` under the benchmark's name: the settings ``mono``, ``cross`` and ``multi``,
        each with macro means and, as ``map_micro`` and so on, micro means; its number of ``queries``, of ``runs`` (a
        query in a pool), and of further ``runs_without_answer``, which ``without_answer`` says are ``excluded`` or
        count as ``zero``; ``recall@10_ceiling`` where less than 1 can be reached. ``per_language``; ``per_pair``, the
        heat map of one-target pools with its diagonal; ``per_pair_multi``, the same of the passages of each language in
        the pool of all languages; ``passages``, the pool size per language; ``ties``, the relevant passages that share
        their score with another; ``queries_without_relevant``, which have none in any language; ``notes``, and what to
        know of PEER. A figure that nothing gives, such as cross with one language, is None.
    """
    single, multi = figures.one_target, figures.multi
    asked = pd.Series(queries["lang"].to_pylist(), dtype=object)
    languages = by_language(asked.to_numpy(), ranks, top)
    about_peer = peer_note(multi.loc[multi["answered"], "peer@20"].to_numpy())
    own = single["query_lang"] == single["passage_lang"]
    pairs = single.groupby(["query_lang", "passage_lang"], sort=True, as_index=False).agg(
        {"map": "mean", "recall@1": "mean", "query_index": "size"}
    )
    asking, pools = asked.value_counts().to_dict(), set(ranks.languages)
    chance, distance = (_macro(multi)[name] for name in ("rank_distance_chance", "rank_distance"))
    return {
        "mono": _means(single[own], sum(count for lang, count in asking.items() if lang in pools)),
        "cross": _means(single[~own], sum(count * len(pools - {lang}) for lang, count in asking.items())),
        "multi": {
            **_means(multi, len(asked)),
            **languages.multi,
            "rank_distance_share": _number(distance / chance) if chance else None,
            "diagonal_gap": bias.diagonal_gap(pairs.pivot(index="query_lang", columns="passage_lang", values="map")),
        },
        "per_language": {
            lang: {
                "mono": _means(single[own & (single["query_lang"] == lang)], asking[lang] if lang in pools else 0),
                "multi": {
                    **_means(multi[multi["query_lang"] == lang], asking[lang]),
                    **languages.per_language.get(lang, {}),
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
        "without_answer": figures.without_answer,
        "queries_without_relevant": len(asked) - int(multi["answered"].sum()),
        "notes": [*notes, *([about_peer] if about_peer else [])],
    }


def _means(frame: pd.DataFrame, runs: int) -> dict[str, Any]:
    """Macro and micro means of a setting and its counts.

    Args:
        frame: the figures of its runs.
        runs: how many queries in a pool there are, with and without an answer.
    """
    macro = _macro(frame)
    # A ceiling of 1 goes without saying.
    figures = {str(name): _number(value) for name, value in macro.items() if name not in CEILINGS or value < 1}
    micro = {f"{name}_micro": _number(frame[name].mean()) for name in RETRIEVAL}
    return {
        **figures,
        **micro,
        "queries": int(frame["query_index"].nunique()),
        "runs": len(frame),
        "runs_without_answer": runs - int(frame["answered"].sum()),
    }


def _macro(frame: pd.DataFrame) -> "pd.Series[float]":
    """Means over (query language, passage language) of the means over queries."""
    groups = [column for column in ("query_lang", "passage_lang") if column in frame]
    return frame.groupby(groups, sort=True)[[name for name in _FIGURES if name in frame]].mean().mean()


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
