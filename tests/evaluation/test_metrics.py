"""Metrics against plain Python on a judged list, the way the definitions are written down."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, ndcg_score

from xlstance.evaluation import bias, metrics


def ranked_list(ranks_and_gains, length):
    """The gains in rank order."""
    gains = [0] * length
    for rank, gain in ranks_and_gains:
        gains[rank - 1] = gain
    return gains


def plain_average_precision(gains):
    hits, total = 0, 0.0
    for rank, gain in enumerate(gains, start=1):
        if gain > 0:
            hits += 1
            total += hits / rank
    return total / hits


def plain_dcg(gains, k):
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains[:k], start=1))


judged = st.lists(
    st.integers(1, 25).flatmap(
        lambda length: st.lists(st.integers(0, 3), min_size=length, max_size=length).filter(any)
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=150, deadline=None)
@given(judged, st.integers(1, 12), st.randoms(use_true_random=False))
def test_every_metric_equals_its_definition(lists, k, random):
    rows = [(q, rank, gain) for q, gains in enumerate(lists) for rank, gain in enumerate(gains, 1) if gain]
    random.shuffle(rows)  # the order of rows must not matter
    query, rank, gain = (np.array(column) for column in zip(*rows, strict=True))
    count = len(lists)
    relevant = [sum(gain > 0 for gain in gains) for gains in lists]
    top = [sum(gain > 0 for gain in gains[:k]) for gains in lists]
    first = [next(rank for rank, gain in enumerate(gains, 1) if gain) for gains in lists]
    last = [max(rank for rank, gain in enumerate(gains, 1) if gain) for gains in lists]
    close = np.testing.assert_allclose
    close(metrics.average_precision(query, rank, count), [plain_average_precision(gains) for gains in lists])
    close(metrics.recall(query, rank, count, k), np.divide(top, relevant))
    close(metrics.success(query, rank, count, k), [float(hits > 0) for hits in top])
    close(metrics.reciprocal_rank(query, rank, count, k), [1 / value if value <= k else 0 for value in first])
    ideal = [plain_dcg(sorted(gains, reverse=True), k) for gains in lists]
    close(metrics.ndcg(query, rank, gain, count, k), [plain_dcg(g, k) / i for g, i in zip(lists, ideal, strict=True)])
    several = np.array(relevant) >= 2
    close(bias.rank_distance(query, rank, count), np.where(several, np.subtract(last, first), np.nan))
    close(bias.max_rank(query, rank, count), last)


def test_against_scikit_learn():
    rng = np.random.default_rng(3)
    gains = rng.integers(0, 3, 60)
    ranks = np.flatnonzero(gains) + 1
    zero = np.zeros(len(ranks), np.int64)
    scores = -np.arange(60.0)
    ours = metrics.average_precision(zero, ranks, 1)[0]
    assert ours == pytest.approx(average_precision_score(gains > 0, scores))
    assert metrics.ndcg(zero, ranks, gains[gains > 0], 1, 10)[0] == pytest.approx(ndcg_score([gains], [scores], k=10))


def test_by_hand():
    query, rank = np.array([0, 0, 0]), np.array([6, 1, 3])
    assert metrics.average_precision(query, rank, 1)[0] == pytest.approx((1 + 2 / 3 + 3 / 6) / 3)
    assert metrics.recall(query, rank, 1, 3)[0] == pytest.approx(2 / 3)
    gain = np.array([2, 1, 1])
    expected = (1 + 1 / 2 + 2 / math.log2(7)) / (2 + 1 / math.log2(3) + 1 / 2)
    assert metrics.ndcg(query, rank, gain, 1, 10)[0] == pytest.approx(expected)
    assert bias.rank_distance(query, rank, 1)[0] == 5


def test_all_relevant_is_perfect():
    query, rank = np.zeros(7, np.int64), np.arange(7, 0, -1)
    assert metrics.average_precision(query, rank, 1)[0] == pytest.approx(1)
    assert metrics.recall(query, rank, 1, 7)[0] == 1
    assert metrics.recall(query, rank, 1, 1)[0] == pytest.approx(1 / 7)
    assert metrics.ndcg(query, rank, np.full(7, 2), 1, 3)[0] == pytest.approx(1)
    assert bias.rank_distance(query, rank, 1)[0] == 6


def test_cutoffs_and_gains_by_hand():
    query, rank, gain = np.zeros(3, np.int64), np.array([1, 3, 6]), np.array([1, 3, 2])
    assert metrics.average_precision(query, rank, 1, 5)[0] == pytest.approx((1 + 2 / 3) / 3)
    assert metrics.average_precision(query, rank, 1, 6) == metrics.average_precision(query, rank, 1)
    expected = (1 + 7 / 2 + 3 / math.log2(7)) / (7 + 3 / math.log2(3) + 1 / 2)
    assert metrics.ndcg(query, rank, gain, 1, 10, exponential=True)[0] == pytest.approx(expected)
    assert metrics.recall_ceiling(query, 2, 2) == pytest.approx([2 / 3, math.nan], nan_ok=True)
    assert metrics.recall_ceiling(query, 1, 3)[0] == 1


def test_a_query_without_relevant_passages_has_no_figure():
    query, rank = np.array([1]), np.array([4])
    figures = [
        metrics.average_precision(query, rank, 3),
        metrics.recall(query, rank, 3, 10),
        metrics.success(query, rank, 3, 10),
        metrics.reciprocal_rank(query, rank, 3, 10),
        metrics.ndcg(query, rank, np.array([1]), 3, 10),
        bias.max_rank(query, rank, 3),
    ]
    for values in figures:
        assert np.isnan(values).tolist() == [True, False, True]
    assert np.isnan(bias.rank_distance(query, rank, 3)).all()
