from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlstance.training.mixture import Mixture

weight_lists = st.lists(st.one_of(st.just(0.0), st.floats(0.01, 100)), min_size=1, max_size=12).filter(any)


def counted(items):
    """Naively, how often each item of a sequence came before."""
    seen = Counter()
    occurrences = []
    for item in items:
        occurrences.append(seen[item])
        seen[item] += 1
    return occurrences


@pytest.mark.parametrize("alpha", [0.0, 0.25, 0.35, 0.5, 1.0])
def test_every_block_holds_the_share_exactly(alpha):
    items, _ = Mixture([alpha, 1 - alpha], 20, "block", 0).draw(0, 20 * 50)
    ones = (items.reshape(-1, 20) == 0).sum(axis=1)
    assert (ones == round(alpha * 20)).all()


def test_a_share_that_does_not_divide_the_block_is_rounded_without_drift():
    items, _ = Mixture([1, 2], 20, "block", 0).draw(0, 20 * 300)
    through = np.cumsum((items.reshape(-1, 20) == 0).sum(axis=1))
    assert np.abs(through - np.arange(1, 301) * 20 / 3).max() <= 0.5


@pytest.mark.parametrize("count", [3, 7, 110, 1000])
def test_uniform_weights_are_exact_in_every_block(count):
    items, _ = Mixture([1.0] * count, count, "block", 5).draw(count * 1_000_000, count * 5)
    assert (np.sort(items.reshape(5, count), axis=1) == np.arange(count)).all()


def test_many_unequal_items_keep_their_shares():
    weights = np.random.default_rng(0).pareto(1.0, size=400) + 0.01
    items, _ = Mixture(weights, 4000, "block", 0).draw(0, 4000 * 10)
    expected = weights / weights.sum() * 4000 * 10
    assert np.abs(np.bincount(items, minlength=400) - expected).max() < 1.5


def test_the_order_inside_a_block_varies():
    items, _ = Mixture([1, 1], 20, "block", 0).draw(0, 20 * 50)
    assert len({tuple(block) for block in items.reshape(-1, 20)}) > 45


@given(weights=weight_lists, block=st.integers(1, 50), draw=st.sampled_from(["block", "coin"]), key=st.integers(0, 9))
def test_items_without_weight_never_come_and_occurrences_count(weights, block, draw, key):
    items, occurrences = Mixture(weights, block, draw, key).draw(0, 300)
    assert all(weights[item] > 0 for item in items)
    assert occurrences.tolist() == counted(items)


@given(
    weights=weight_lists,
    block=st.integers(1, 50),
    draw=st.sampled_from(["block", "coin"]),
    windows=st.lists(st.tuples(st.integers(0, 400), st.integers(1, 100)), min_size=1, max_size=5),
)
def test_random_access_equals_reading_in_order(weights, block, draw, windows):
    items, occurrences = Mixture(weights, block, draw, 1, 2).draw(0, 500)
    opened = Mixture(weights, block, draw, 1, 2)
    for start, count in windows:
        found = opened.draw(start, count)
        assert np.array_equal(found[0], items[start : start + count])
        assert np.array_equal(found[1], occurrences[start : start + count])


def test_a_coin_is_fair_to_its_share_but_not_exact():
    places, share = 40_000, 0.3
    items, occurrences = Mixture([share, 1 - share], 20, "coin", 4).draw(0, places)
    ones = (items == 0).sum()
    assert abs(ones - share * places) < 4 * np.sqrt(places * share * (1 - share))
    per_block = (items.reshape(-1, 20) == 0).sum(axis=1)
    # The variance of a binomial: an exact mixture would show none.
    assert abs(per_block.var() / (20 * share * (1 - share)) - 1) < 0.2
    assert occurrences.tolist() == counted(items)


def test_a_coin_read_far_in_agrees_with_one_read_from_the_start():
    items, occurrences = Mixture([1, 2, 3], 1, "coin", 8).draw(0, 20_000)
    for start in (19_000, 4095, 4096, 12_000):
        found = Mixture([1, 2, 3], 1, "coin", 8).draw(start, 200)
        assert np.array_equal(found[0], items[start : start + 200])
        assert np.array_equal(found[1], occurrences[start : start + 200])


def test_other_keys_give_other_sequences():
    sequences = {tuple(Mixture([1, 1], 20, "block", *key).draw(0, 60)[0]) for key in [(0, 0), (0, 1), (1, 0), (2, 5)]}
    assert len(sequences) == 4
