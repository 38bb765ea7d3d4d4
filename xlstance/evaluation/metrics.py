"""Retrieval metrics from the ranks of the relevant passages, for all queries at once.

Every function takes the relevant passages as parallel arrays, in any order: ``query`` ``[R]`` numbers each one's query
from 0 to ``queries - 1``, ``rank`` ``[R]`` is its rank from 1. It returns ``[queries] float64``; a query without a
relevant passage has no such figure and gets NaN, so that no mean counts it unseen.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def average_precision(query: Integers, rank: Integers, queries: int, k: int | None = None) -> Floats:
    """Average precision: the sum of (hits so far / rank) at the relevant passages, over their number.

    With a cutoff, relevant passages beyond rank k add nothing, while the number of them all stays below: where a query
    has more than k, 1 is out of reach.

    Source: Manning, Raghavan and Schütze, Introduction to Information Retrieval, section 8.4; as used by LAReQA
    (arXiv 2004.05484, section 3). The cutoff is that of ``map_cut`` of trec_eval; XTREME-R (arXiv 2104.07412) has k 20.

    Args:
        query: ``[R]`` the query's number.
        rank: ``[R]`` ranks from 1.
        queries: number of queries.
        k: the cutoff; None for the whole pool.
    """
    order = np.lexsort((rank, query))
    query, rank = query[order], rank[order]
    precision = _position(query, queries) / rank
    return _mean(query, precision if k is None else np.where(rank <= k, precision, 0), queries)


def recall(query: Integers, rank: Integers, queries: int, k: int) -> Floats:
    """Recall at k: relevant passages in the top k / relevant passages.

    Source: Manning, Raghavan and Schütze, Introduction to Information Retrieval, section 8.3.
    """
    return _mean(query, rank <= k, queries)


def recall_ceiling(query: Integers, queries: int, k: int) -> Floats:
    """The highest ``recall`` at k that any ranking reaches: min(k, R) / R of R relevant passages."""
    relevant = np.bincount(query, minlength=queries)
    return _divide(np.minimum(relevant, k), relevant)


def success(query: Integers, rank: Integers, queries: int, k: int) -> Floats:
    """Success at k: 1 if a relevant passage is in the top k, else 0.

    Source: ``success`` of trec_eval.
    """
    first = _first(query, rank, queries)
    return np.where(np.isnan(first), np.nan, first <= k)


def reciprocal_rank(query: Integers, rank: Integers, queries: int, k: int) -> Floats:
    """Reciprocal rank at k, whose mean is MRR@k: 1 / rank of the first relevant passage, 0 if that rank is above k.

    Source: Voorhees, The TREC-8 Question Answering Track Report, section 3; the cutoff as in MS MARCO
    (arXiv 1611.09268).
    """
    first = _first(query, rank, queries)
    return np.where(np.isnan(first), np.nan, np.where(first <= k, 1 / first, 0))


def ndcg(query: Integers, rank: Integers, gain: Integers, queries: int, k: int, *, exponential: bool = False) -> Floats:
    """Normalised discounted cumulative gain at k, discount log2(rank + 1).

    Source: Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques (TOIS 2002), with the discount
    of ``ndcg_cut`` of trec_eval; MIRACL (arXiv 2210.09984) is measured with it. Exponential gains are those of Burges
    et al., Learning to Rank using Gradient Descent (ICML 2005); gains of 0 and 1 are the same either way.

    Args:
        query: ``[R]`` the query's number.
        rank: ``[R]`` ranks from 1.
        gain: ``[R]`` gains, above 0.
        queries: number of queries.
        k: the cutoff.
        exponential: whether a gain g counts as 2^g - 1, so that high grades weigh more, and not as it is (linear).
    """
    worth = 2.0**gain - 1 if exponential else gain
    best = np.lexsort((-gain, query))
    ideal = _discounted(query[best], _position(query[best], queries), worth[best], queries, k)
    reached = _discounted(query, rank, worth, queries, k)
    return _divide(reached, ideal)


def ndcg_blind_to_grades(query: Integers, gain: Integers, queries: int, k: int) -> Floats:
    """The ``ndcg`` expected of a ranking that has all judged passages at the top, in random order among themselves.

    What a retriever reaches that finds the topic and cannot tell the grades, such as the sides of a question. Of two
    passages of gain 2 and two of gain 1 it is .916 at k = 10.

    Args:
        query: ``[R]`` the query's number.
        gain: ``[R]`` gains, above 0.
        queries: number of queries.
        k: the cutoff.
    """
    best = np.lexsort((-gain, query))
    place = _position(query[best], queries)
    ideal = _discounted(query[best], place, gain[best], queries, k)
    expected = _mean(query, gain, queries)[query[best]]
    return _divide(_discounted(query[best], place, expected, queries, k), ideal)


def auc(query: Integers, rank: Integers, positive: npt.NDArray[np.bool_], queries: int) -> Floats:
    """Area under the ROC curve: the share of (positive, other) judged passages that rank in this order.

    Source: Hanley and McNeil, The meaning and use of the area under a receiver operating characteristic curve
    (Radiology 1982): it is the Wilcoxon statistic. Ranks have no ties.

    Args:
        query: ``[R]`` the query's number.
        rank: ``[R]`` ranks from 1.
        positive: ``[R]`` whether a passage is one of those to come first.
        queries: number of queries.

    Returns:
        ``[queries] float64``; .5 for a random order, NaN for a query that lacks one of the two kinds.
    """
    order = np.lexsort((rank, query))
    query, positive = query[order], positive[order]
    others = np.bincount(query, ~positive, queries)
    before = np.cumsum(~positive)
    starts = np.cumsum(others) - others
    behind = others[query] - (before - starts[query])
    right = np.bincount(query, np.where(positive, behind, 0), queries)
    return _divide(right, others * np.bincount(query, positive, queries))


def _discounted(query: Integers, rank: Integers, gain: npt.NDArray[Any], queries: int, k: int) -> Floats:
    return np.bincount(query, np.where(rank <= k, gain / np.log2(rank + 1.0), 0), queries).astype(np.float64)


def _position(query: Integers, queries: int) -> Integers:
    """``[R]`` how many-th of its query each row is, from 1; rows sorted by query."""
    counts = np.bincount(query, minlength=queries)
    starts = np.cumsum(counts) - counts
    position: Integers = 1 + np.arange(len(query)) - starts[query]
    return position


def _mean(query: Integers, values: npt.NDArray[Any], queries: int) -> Floats:
    return _divide(np.bincount(query, values, queries), np.bincount(query, minlength=queries))


def _divide(above: npt.NDArray[Any], below: npt.NDArray[Any]) -> Floats:
    quotient: Floats = np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0)
    return quotient


def _first(query: Integers, rank: Integers, queries: int) -> Floats:
    first = np.full(queries, np.inf)
    np.minimum.at(first, query, rank)
    return np.where(np.isinf(first), np.nan, first)
