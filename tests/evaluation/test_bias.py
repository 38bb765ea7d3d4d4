"""Language bias against simulation and against counting by hand."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlstance.evaluation import bias
from xlstance.evaluation.per_query import figures_by_query
from xlstance.ranking import RelevantRanks
from xlstance.tables import make_table


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


relevant_passages = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.booleans()), max_size=30)


@given(relevant_passages, st.integers(1, 60), st.randoms(use_true_random=False))
def test_figures_of_a_query_are_those_of_its_own_ranks(rows, k, random):
    query, language, same = (np.array(column, kind) for column, kind in zip(
        list(zip(*rows, strict=True)) or [[], [], []], (np.int64, np.int64, bool), strict=True
    ))  # fmt: skip
    rank = np.array(random.sample(range(1, 80), len(rows)), np.int64)
    distance, last = bias.rank_distance(query, rank, 5), bias.max_rank(query, rank, 5)
    first, chance = bias.same_language_first(query, rank, same, 5)
    recall = bias.recall_by_language(query, language, rank, (5, 4), k)
    for number in range(5):
        own = query == number
        ranks = sorted(rank[own].tolist())
        assert distance[number] == pytest.approx(ranks[-1] - ranks[0] if len(ranks) > 1 else np.nan, nan_ok=True)
        assert last[number] == pytest.approx(ranks[-1] if ranks else np.nan, nan_ok=True)
        choice = 0 < same[own].sum() < own.sum()
        expected = (float(same[own][np.argmin(rank[own])]), same[own].mean()) if choice else (np.nan, np.nan)
        assert (first[number], chance[number]) == pytest.approx(expected, nan_ok=True)
        for lang in range(4):
            found = rank[own & (language == lang)] <= k
            assert recall[number, lang] == pytest.approx(found.mean() if len(found) else np.nan, nan_ok=True)


@settings(max_examples=60)
@given(relevant_passages.filter(bool), st.randoms(use_true_random=False))
def test_rank_distance_by_argument_is_the_mean_over_arguments_in_several_languages(rows, random):
    """Arguments may lack languages, and one may be asked for by several queries."""
    rows = sorted(rows)
    query, argument = (np.array([row[n] for row in rows], np.int64) for n in (0, 1))
    before = np.array(random.sample(range(80), len(rows)), np.int64)
    none = np.zeros(len(rows), np.int64)
    ranks = RelevantRanks(
        **{"languages": ("en",), "pool_sizes": np.array([81]), "before": before[:, None], "query_index": query},
        **dict.fromkeys(("passage_index", "language", "ties"), none), gain=none + 1,
    )  # fmt: skip
    ids = [f"q{number}" for number in range(4)]
    queries = make_table("queries", {"query_id": ids, "lang": ["en"] * 4, "text": ids, "group_id": ids})
    for _, found in figures_by_query(queries, ranks, argument=argument).multi.iterrows():
        own = query == found["query_index"]
        parts = [before[own & (argument == number)] for number in set(argument[own].tolist())]
        several = [part for part in parts if len(part) > 1]
        distance = np.mean([part.max() - part.min() for part in several]) if several else np.nan
        chance = np.mean([82 * (len(part) - 1) / (len(part) + 1) for part in several]) if several else np.nan
        assert found["rank_distance"] == pytest.approx(distance, nan_ok=True)
        assert found["rank_distance_chance"] == pytest.approx(chance, nan_ok=True)
