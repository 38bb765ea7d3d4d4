"""Languages at the top of the multilingual pool, against sorting everything and counting by hand."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy

from xlstance.evaluation.language_share import kl_divergence, top_languages
from xlstance.ranking import rank_passages, vector_scores
from xlstance.tables import hash_ids, make_table


def table(kind, langs):
    key = "query_id" if kind == "queries" else "passage_id"
    ids = [f"{kind[0]}{row}" for row in range(len(langs))]
    return make_table(kind, {key: ids, "lang": langs, "text": ids, "group_id": ids})


def ranked(langs, asking, answering, k, qrels=()):
    """Ranks of what is judged, and the languages at the top."""
    queries, passages = table("queries", ["de"] * len(asking)), table("passages", langs)
    rows = {
        "query_id": [f"q{q}" for q, _ in qrels],
        "passage_id": [f"p{p}" for _, p in qrels],
        "gain": [1] * len(qrels),
    }
    scores = vector_scores(queries, passages, asking, answering)
    ranks, best = rank_passages(queries, passages, make_table("qrels", rows), scores, top_k=k)
    return ranks, top_languages(best, passages, k)


# Halves and small whole numbers make many exact ties.
@settings(max_examples=100, deadline=None)
@given(st.data())
def test_the_top_is_that_of_a_full_sort(data):
    langs = data.draw(st.lists(st.sampled_from(["de", "en", "fi"]), min_size=1, max_size=12))
    number = st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0])
    draw = lambda rows: np.array(  # noqa: E731
        data.draw(st.lists(st.lists(number, min_size=2, max_size=2), min_size=rows, max_size=rows)), dtype=np.float32
    )
    asking, answering = draw(3), draw(len(langs))
    k = data.draw(st.integers(1, 14))
    ids = [f"p{row}" for row in range(len(langs))]
    expected = []
    for vector in asking:
        scores = [
            sum(Fraction(float(a)) * Fraction(float(b)) for a, b in zip(vector, p, strict=True)) for p in answering
        ]
        order = sorted(range(len(ids)), key=lambda row: (-scores[row], int(hash_ids([ids[row]])[0]), ids[row]))
        expected.append([sum(langs[row] == lang for row in order[:k]) for lang in sorted(set(langs))])
    assert ranked(langs, asking, answering, k)[1].tolist() == expected


@pytest.mark.parametrize("collapse", [0, 3, 1], ids=["apart", "every third alike", "all alike"])
def test_the_top_is_where_the_exact_ranks_say(collapse):
    rng = np.random.default_rng(0)
    langs = [["ar", "de", "zh-Hant"][choice] for choice in rng.integers(0, 3, 200)]
    asking, answering = (rng.normal(size=(rows, 384)).astype(np.float32) for rows in (25, 200))
    if collapse:
        answering[::collapse] = answering[0]
    pairs = [(q, p) for q in range(25) for p in range(200)]
    for k in (1, 10, 150, 200, 999):
        ranks, top = ranked(langs, asking, answering, k, pairs)
        first = ranks.where(ranks.in_all <= k)
        expected = np.zeros((25, 3), np.int64)
        np.add.at(expected, (first.query_index, first.language), 1)
        np.testing.assert_array_equal(top, expected)


def test_nothing_to_rank():
    nothing = np.zeros((0, 4), np.float32)
    assert ranked([], np.ones((2, 4), np.float32), nothing, 10)[1].shape == (2, 0)
    assert ranked(["en"], nothing, np.ones((1, 4), np.float32), 10)[1].shape == (0, 1)


@given(
    st.lists(st.integers(0, 50), min_size=4, max_size=4).filter(any),
    st.lists(st.integers(1, 50), min_size=4, max_size=4),
)
def test_divergence_is_scipys_entropy(counts, pool):
    share, of_pool = np.array(counts) / sum(counts), np.array(pool) / sum(pool)
    found = kl_divergence(share, of_pool)
    assert found == pytest.approx(entropy(share, of_pool), abs=1e-14)
    assert 0 <= found <= -np.log(of_pool.min()) + 1e-12


def test_divergence_at_its_ends():
    pool = np.array([0.5, 0.3, 0.2])
    found = kl_divergence(np.array([pool, [0, 0, 1], [np.nan] * 3]), pool)
    assert found == pytest.approx([0, -np.log(0.2), np.nan], nan_ok=True)
