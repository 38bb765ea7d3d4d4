"""Language bias against simulation and against counting by hand."""

import itertools

import numpy as np
import pandas as pd
import pytest

from xlstance.evaluation import bias


@pytest.mark.parametrize(("pool", "relevant"), [(5, 2), (6, 3), (7, 7)])
def test_chance_is_the_mean_over_all_orders(pool, relevant):
    distances = [max(ranks) - min(ranks) for ranks in itertools.combinations(range(1, pool + 1), relevant)]
    assert bias.rank_distance_of_chance(np.array([relevant]), pool)[0] == pytest.approx(np.mean(distances))


def test_chance_with_the_numbers_of_xquad_r():
    assert bias.rank_distance_of_chance(np.array([11]), 13014)[0] == pytest.approx(10845.83, abs=0.01)


def test_chance_needs_two_relevant_passages():
    assert np.isnan(bias.rank_distance_of_chance(np.array([0, 1]), 9)).all()


def test_diagonal_gap():
    heat_map = pd.DataFrame(
        [[0.9, 0.5, 0.4], [0.3, 0.7, np.nan], [0.1, 0.2, 0.3]], index=["de", "en", "it"], columns=["de", "en", "fi"]
    )
    # Only de and en are on both sides.
    assert bias.diagonal_gap(heat_map) == pytest.approx(0.8 - 0.4)
    assert bias.diagonal_gap(heat_map.loc[["de"], ["de"]]) is None
    assert bias.diagonal_gap(heat_map.loc[["it"], ["fi"]]) is None


@pytest.mark.parametrize("seed", range(6))
def test_same_language_first(seed):
    #                 own first, other first, only own, only other, no passage
    query = np.array([0, 0, 0, 1, 1, 2, 2, 3])
    rank = np.array([9, 3, 5, 7, 2, 1, 2, 1])
    same = np.array([False, True, False, True, False, True, True, False])
    mixed = np.random.default_rng(seed).permutation(len(query))  # the order of rows must not matter
    first, chance = bias.same_language_first(query[mixed], rank[mixed], same[mixed], 5)
    np.testing.assert_array_equal(first, [1, 0, np.nan, np.nan, np.nan])
    np.testing.assert_allclose(chance, [1 / 3, 1 / 2, np.nan, np.nan, np.nan])


def test_same_language_first_of_chance_is_what_random_ranks_give():
    rng = np.random.default_rng(0)
    count, relevant = 4000, 5
    query = np.repeat(np.arange(count), relevant)
    rank = np.concatenate([rng.choice(50, relevant, replace=False) + 1 for _ in range(count)])
    same = np.tile([True, True, False, False, False], count)
    first, chance = bias.same_language_first(query, rank, same, count)
    assert first.mean() == pytest.approx(chance.mean(), abs=0.03)  # four standard errors
