"""PEER against SciPy's Kruskal-Wallis test, query by query."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, kruskal

from xlstance.evaluation.peer import _chi_squared_tail, peer, peer_note


def second_implementation(query, language, rank, gain, queries, k):
    """Loops over queries and gains; what is beyond k ties at k + 1, and SciPy ranks the rest."""
    values = []
    for number in range(queries):
        tests = []
        for level in sorted({g for q, g in zip(query, gain, strict=True) if q == number}):
            own = (query == number) & (gain == level)
            cut = np.minimum(rank[own], k + 1)
            groups = [cut[language[own] == lang] for lang in set(language[own].tolist())]
            if len(groups) < 2 or max(map(len, groups)) < 2:
                continue
            tests.append(1.0 if len(set(cut.tolist())) == 1 else kruskal(*groups).pvalue)
        values.append(np.mean(tests) if tests else np.nan)
    return np.array(values)


def arrays(rows):
    """(query, language, rank, gain) as arrays; ranks are drawn apart."""
    columns = np.array(rows, np.int64).reshape(-1, 4).T
    return tuple(columns)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(1, 3)), max_size=60),
    st.sampled_from([1, 3, 10, 40, 1000]),
    st.randoms(use_true_random=False),
)
def test_peer_is_the_mean_p_of_scipys_test(rows, k, random):
    ranks = random.sample(range(1, 90), len(rows))
    query, language, rank, gain = arrays([(q, lang, r, g) for (q, lang, g), r in zip(rows, ranks, strict=True)])
    found = peer(query, language, rank, gain, 5, k)
    expected = second_implementation(query, language, rank, gain, 5, k)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-14)


def test_many_languages_and_many_passages():
    rng = np.random.default_rng(0)
    query = np.repeat(np.arange(6), 400)
    language = rng.integers(0, 40, len(query))
    rank = np.concatenate([rng.permutation(5000)[:400] + 1 for _ in range(6)])
    rank[query == 5] = np.argsort(np.argsort(language[query == 5], kind="stable")) + 1  # sorted by language
    gain = rng.integers(1, 3, len(query))
    for k in (20, 1000, 10**6):
        expected = second_implementation(query, language, rank, gain, 6, k)
        np.testing.assert_allclose(peer(query, language, rank, gain, 6, k), expected, rtol=1e-9, atol=1e-13)
    assert peer(query, language, rank, gain, 6, 10**6)[5] < 1e-9


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 12, 13, 60, 61])
def test_chi_squared_tail(freedom):
    statistic = np.concatenate([[0.0], np.geomspace(1e-12, 1200, 200)])
    found = _chi_squared_tail(statistic, np.full(len(statistic), freedom))
    np.testing.assert_allclose(found, chi2.sf(statistic, freedom), rtol=1e-12, atol=1e-300)
    mixed = np.arange(len(statistic)) % 7 + 1
    np.testing.assert_allclose(_chi_squared_tail(statistic, mixed), chi2.sf(statistic, mixed), rtol=1e-12, atol=1e-300)


def test_one_passage_per_language_is_the_same_for_every_ranking_and_not_given():
    statistics = {round(kruskal(*[[r] for r in order]).statistic, 9) for order in itertools.permutations((1, 5, 9, 20))}
    assert len(statistics) == 1
    query, language, gain = np.zeros(4, np.int64), np.arange(4), np.ones(4, np.int64)
    assert np.isnan(peer(query, language, np.array([1, 5, 9, 20]), gain, 1, 1000)).all()


def test_what_cannot_tell_rankings_apart_has_no_value():
    #                 one language; one passage; one per language at each gain; a test at gain 2 alone; nothing
    query = np.array([0, 0, 0, 1, 2, 2, 2, 2, 3, 3, 3, 3])
    language = np.array([1, 1, 1, 0, 0, 1, 0, 1, 0, 1, 0, 0])
    gain = np.array([1, 1, 1, 1, 1, 1, 2, 2, 1, 2, 2, 2])
    rank = np.array([1, 2, 3, 1, 1, 2, 3, 4, 1, 2, 5, 7])
    found = peer(query, language, rank, gain, 5, 100)
    assert np.isnan(found[[0, 1, 2, 4]]).all()
    assert found[3] == pytest.approx(kruskal([2], [5, 7]).pvalue)
    assert peer(query[:0], language[:0], rank[:0], gain[:0], 2, 10).tolist() == pytest.approx([np.nan] * 2, nan_ok=True)


def test_all_beyond_the_cutoff_is_no_difference():
    query, language, gain = np.zeros(4, np.int64), np.array([0, 0, 1, 1]), np.ones(4, np.int64)
    rank = np.array([11, 12, 500, 600])
    assert peer(query, language, rank, gain, 1, 10)[0] == 1
    assert peer(query, language, rank, gain, 1, 11)[0] < 1


def test_a_ranking_blind_to_language_gets_about_a_half_and_a_biased_one_about_nothing():
    rng = np.random.default_rng(1)
    count, size = 400, 30
    query, language = np.repeat(np.arange(count), size), np.tile(np.repeat(np.arange(3), 10), count)
    gain = np.ones(count * size, np.int64)
    blind = np.concatenate([rng.permutation(size) + 1 for _ in range(count)])
    assert np.mean(peer(query, language, blind, gain, count, 1000)) == pytest.approx(0.5, abs=0.05)
    assert np.max(peer(query, language, np.tile(np.arange(1, size + 1), count), gain, count, 1000)) < 1e-5


def test_note():
    assert peer_note(np.array([0.1, 1.0])) is None
    assert "1,000 of 1,001 queries" in peer_note(np.array([np.nan, *[0.5] * 1000]))
    assert "same number for every ranking" in peer_note(np.array([np.nan]))
    assert "not given" in peer_note(np.array([]))
