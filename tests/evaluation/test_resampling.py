"""Resampling against scipy, against loops that rebuild every mean, and against what is known of it."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from xlstance.evaluation import resampling
from xlstance.evaluation.resampling import (
    UnitSums,
    bootstrap,
    bootstrap_p,
    holm,
    percentile_interval,
    randomisation,
)


def one_cell(values):
    """Runs of one query a unit in one cell; ``values`` is ``[runs, units]``."""
    values = np.asarray(values, dtype=float)
    return UnitSums(sums=values[:, :, None], counts=np.ones((values.shape[1], 1)), minus=np.zeros(1, bool))


def queries(rng, units=7, cells=4, runs=2):
    """Single queries: (unit, cell, value of each run); not every unit is in every cell."""
    return [
        (unit, cell, rng.random(runs))
        for unit, cell in product(range(units), range(cells))
        for _ in range(rng.integers(0, 4))
    ]


def summed(rows, units=7, cells=4, runs=2, minus=()):
    sums, counts = np.zeros((runs, units, cells)), np.zeros((units, cells))
    for unit, cell, values in rows:
        sums[:, unit, cell] += values
        counts[unit, cell] += 1
    return UnitSums(sums=sums, counts=counts, minus=np.isin(np.arange(cells), minus))


def mean_by_loops(rows, weight, run, cells, minus):
    """The queries written out as often as their unit was drawn, means over cells of means over queries."""
    lists = [[v[run] for unit, own, v in rows for _ in range(weight[unit]) if own == cell] for cell in range(cells)]
    plus = [np.mean(values) for cell, values in enumerate(lists) if values and cell not in minus]
    taken = [np.mean(values) for cell, values in enumerate(lists) if values and cell in minus]
    return (np.mean(plus) if plus else 0) - (np.mean(taken) if taken else 0)


@pytest.mark.parametrize("minus", [(), (1, 3)])
@pytest.mark.parametrize("seed", range(3))
def test_every_resample_is_the_mean_of_means_taken_anew(seed, minus):
    rng = np.random.default_rng(seed)
    rows = queries(rng)
    weights = rng.integers(0, 3, (20, 7))
    weights[0] = np.eye(7)[0]  # one unit alone, which leaves cells empty
    weights[1] = 0
    figures = summed(rows, minus=minus).figures(weights.astype(float))
    assert np.isnan(figures[1]).all()
    for number in [0, *range(2, 20)]:
        if not any(weights[number][unit] for unit, _, _ in rows):
            continue
        expected = [mean_by_loops(rows, weights[number], run, 4, minus) for run in (0, 1)]
        assert figures[number] == pytest.approx(expected, abs=1e-12)


def test_contributions_add_up_to_the_figure():
    sample = summed(queries(np.random.default_rng(5)), minus=(2,))
    assert sample.contributions().sum(axis=1) == pytest.approx(sample.figures(np.ones((1, 7)))[0])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-3, 5), min_size=2, max_size=9))
def test_all_sign_patterns_give_scipys_exact_p_value(differences):
    values = np.array(differences, float)
    expected = stats.permutation_test(
        (values, np.zeros_like(values)), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=np.inf
    ).pvalue
    # scipy doubles the smaller tail; over sign patterns, whose sums are symmetric, that is both tails.
    assert randomisation(values[None], 1000, 0)[0] == pytest.approx(min(1, expected))


def test_random_sign_patterns_come_near_scipys_p_value():
    values = np.random.default_rng(1).normal(0.3, 1, (3, 40))
    found = randomisation(values, 20_000, 0)
    for row, p in zip(values, found, strict=True):
        expected = stats.permutation_test(
            (row, np.zeros(40)), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=20_000, rng=7
        ).pvalue
        assert p == pytest.approx(expected, abs=0.015)


def test_known_p_values():
    assert randomisation(np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]), 100, 0) == pytest.approx([2 / 8, 1])
    assert randomisation(np.ones((1, 60)), 999, 0)[0] == pytest.approx(1 / 1000)  # no random pattern is as far


def test_patterns_count_from_the_wanted_distance_on():
    values = np.array([[1.0, 2.0, 3.0]])  # sums of size 0, 2, 4 and 6, two patterns each
    assert [randomisation(values, 100, 0, np.array([far]))[0] for far in (0, 1, 4, 7)] == [1, 6 / 8, 4 / 8, 0]


def test_exact_patterns_may_be_cut_too(monkeypatch):
    values = np.random.default_rng(9).normal(0.2, 1, (3, 9))
    whole = randomisation(values, 1000, 0)
    monkeypatch.setattr(resampling, "_BLOCK_BYTES", 8 * 9 * 7)
    assert np.array_equal(randomisation(values, 1000, 0), whole)


def test_bootstrap_intervals_come_near_scipys():
    values = np.random.default_rng(2).exponential(1, (1, 300))
    draws = bootstrap([one_cell(values)], 1, 10_000, 0)[0, 0]
    expected = stats.bootstrap((values[0],), np.mean, n_resamples=10_000, method="percentile", rng=3)
    assert draws.std() == pytest.approx(expected.standard_error, rel=0.03)
    low, high = percentile_interval(draws, 0.95)
    assert (low, high) == pytest.approx(tuple(expected.confidence_interval), abs=0.01)


def test_few_units_and_few_seeds_give_the_unbiased_variance():
    rng = np.random.default_rng(3)
    units = rng.normal(size=6)
    draws = bootstrap([one_cell(units[None])], 1, 40_000, 0)[0, 0]
    assert draws.var() == pytest.approx(units.var(ddof=1) / 6, rel=0.03)
    # Seeds alone: all units alike within a seed.
    seeds = rng.normal(size=4)
    draws = bootstrap([one_cell(np.tile(seeds[:, None], 6))], 4, 40_000, 0)[0, 0]
    assert draws.var() == pytest.approx(seeds.var(ddof=1) / 4, rel=0.03)


def test_seeds_and_units_are_drawn_alike_in_every_arm():
    rng = np.random.default_rng(4)
    common = rng.normal(size=(3, 20)) * 10  # seeds x units
    arms = np.concatenate([common, common + 1])
    draws = bootstrap([one_cell(arms)], 3, 500, 0)[0]
    assert draws[1] - draws[0] == pytest.approx(np.ones(500))
    assert draws[0].std() > 1


def test_the_same_seed_gives_the_same_draws_however_they_are_cut(monkeypatch):
    rng = np.random.default_rng(5)
    sample, parts = one_cell(rng.normal(size=(4, 33))), rng.normal(size=(2, 33))

    def drawn(seed):
        return bootstrap([sample], 2, 500, seed), randomisation(parts, 500, seed)

    whole, other = drawn(11), drawn(12)
    monkeypatch.setattr(resampling, "_BLOCK_BYTES", 8 * 33 * 7)  # blocks of seven resamples
    again = drawn(11)
    assert again[0] == pytest.approx(whole[0], abs=1e-12)
    assert np.array_equal(again[1], whole[1])
    assert not np.array_equal(other[0], whole[0])
    assert not np.array_equal(other[1], whole[1])
    one, two = (bootstrap([sample], 1, 9, seed) for seed in (11, 12))  # units alone
    assert not np.array_equal(one, two)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.2, 0.35])
def test_an_interval_without_zero_is_a_small_p_value(shift):
    draws = np.random.default_rng(6).normal(shift, 0.1, 2000)
    for confidence in (0.8, 0.95, 0.99):
        low, high = percentile_interval(draws, confidence)
        assert (low > 0 or high < 0) == (bootstrap_p(draws) < 1 - confidence)


def test_draws_without_any_query_do_not_count():
    draws = np.array([np.nan, 1.0, 2.0, 3.0, np.nan])
    assert percentile_interval(draws, 0.99) == pytest.approx((1.01, 2.99))
    assert bootstrap_p(draws) == pytest.approx(2 / 4)
    assert bootstrap_p(np.zeros(9)) == 1


def test_holm():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # Holm's procedure by hand
    assert holm([0.6, 0.9]) == [1, 1]
    assert holm([]) == []


def null_tests(rng, worlds, units):
    """Differences of two like arms: heavy-tailed units of unequal size, three languages that share their unit."""
    for _ in range(worlds):
        size = rng.integers(1, 12, units)
        effect = rng.standard_t(4, units)
        counts = np.tile(size[:, None], (1, 3)).astype(float)
        sums = (effect[:, None] + rng.normal(0, 1, (units, 3))) * counts
        yield UnitSums(sums=np.stack([sums, np.zeros_like(sums)]), counts=counts, minus=np.zeros(3, bool))


def test_under_the_null_p_values_keep_their_level():
    rng = np.random.default_rng(8)
    by_signs, by_bootstrap = [], []
    for number, sample in enumerate(null_tests(rng, 400, 30)):
        parts = sample.contributions()
        by_signs.append(randomisation((parts[0] - parts[1])[None], 400, number)[0])
        draws = bootstrap([sample], 1, 400, number)[0]
        by_bootstrap.append(bootstrap_p(draws[0] - draws[1]))
    for values, most in ((by_signs, 0.085), (by_bootstrap, 0.11), (np.maximum(by_signs, by_bootstrap), 0.08)):
        assert np.mean(np.array(values) <= 0.05) <= most
    # Uniform: a wrong unit, such as the single query, would pile p-values up near 0.
    assert stats.kstest(by_signs, "uniform").pvalue > 0.001
    assert np.mean(np.array(by_signs) <= 0.05) >= 0.02
