from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlstance.training.plan.mixture import RoundRobin, make_mixture
from xlstance.training.plan.shares import ConstantShares

weight_lists = st.lists(st.one_of(st.just(0.0), st.floats(0.01, 100)), min_size=1, max_size=12).filter(any)
draws = st.sampled_from(["block", "coin"])


def mixture(weights, block, draw, *key):
    return make_mixture(ConstantShares(weights), block, draw, *key)


def counted(items):
    """Naively, how often each item of a sequence came before."""
    seen = Counter()
    occurrences = []
    for item in items.tolist():
        occurrences.append(seen[item])
        seen[item] += 1
    return occurrences


@pytest.mark.parametrize("alpha", [0.0, 0.25, 0.35, 0.5, 1.0])
def test_every_block_holds_the_share_exactly(alpha):
    items, _ = mixture([alpha, 1 - alpha], 20, "block", 0).draw(0, 20 * 50)
    ones = (items.reshape(-1, 20) == 0).sum(axis=1)
    assert (ones == round(alpha * 20)).all()


def test_a_share_that_does_not_divide_the_block_is_rounded_without_drift():
    items, _ = mixture([1, 2], 20, "block", 0).draw(0, 20 * 300)
    through = np.cumsum((items.reshape(-1, 20) == 0).sum(axis=1))
    assert np.abs(through - np.arange(1, 301) * 20 / 3).max() <= 0.5


@pytest.mark.parametrize("count", [3, 7, 110, 1000])
def test_uniform_weights_are_exact_in_every_block(count):
    items, _ = mixture([1.0] * count, count, "block", 5).draw(count * 1_000_000, count * 5)
    assert (np.sort(items.reshape(5, count), axis=1) == np.arange(count)).all()


def test_many_unequal_items_keep_their_shares():
    weights = np.random.default_rng(0).pareto(1.0, size=400) + 0.01
    items, _ = mixture(weights, 4000, "block", 0).draw(0, 4000 * 10)
    expected = weights / weights.sum() * 4000 * 10
    assert np.abs(np.bincount(items, minlength=400) - expected).max() < 1.5


def test_the_order_inside_a_block_varies():
    items, _ = mixture([1, 1], 20, "block", 0).draw(0, 20 * 50)
    assert len({tuple(block) for block in items.reshape(-1, 20)}) > 45


@settings(deadline=None)
@given(weights=weight_lists, block=st.integers(1, 50), draw=draws, key=st.integers(0, 9))
def test_items_without_weight_never_come_and_occurrences_count(weights, block, draw, key):
    items, occurrences = mixture(weights, block, draw, key).draw(0, 300)
    assert all(weights[item] > 0 for item in items)
    assert occurrences.tolist() == counted(items)


@settings(deadline=None)
@given(
    weights=weight_lists,
    block=st.integers(1, 50),
    draw=draws,
    windows=st.lists(st.tuples(st.integers(0, 400), st.integers(1, 100)), min_size=1, max_size=5),
)
def test_random_access_equals_reading_in_order(weights, block, draw, windows):
    items, occurrences = mixture(weights, block, draw, 1, 2).draw(0, 500)
    opened = mixture(weights, block, draw, 1, 2)
    for start, count in windows:
        found = opened.draw(start, count)
        assert np.array_equal(found[0], items[start : start + count])
        assert np.array_equal(found[1], occurrences[start : start + count])


@pytest.mark.parametrize("draw", ["block", "coin"])
def test_occurrences_go_on_without_a_gap_however_far_in(draw):
    opened = mixture([3, 1, 2, 5], 1000, draw, 4)
    for start in (10**9, 10**12 - 77, 3 * 2**39):
        items, occurrences = opened.draw(start, 5000)
        for item in range(4):
            own = occurrences[items == item]
            assert np.array_equal(own, own[0] + np.arange(len(own)))
        # Draws of the places in any other portions agree.
        again = [mixture([3, 1, 2, 5], 1000, draw, 4).draw(start + at, 500) for at in (2500, 0, 4500)]
        for (some_items, some_occurrences), at in zip(again, (2500, 0, 4500), strict=True):
            assert np.array_equal(some_items, items[at : at + 500])
            assert np.array_equal(some_occurrences, occurrences[at : at + 500])


def test_other_keys_give_other_sequences():
    for draw in ("block", "coin"):
        keys = [(0, 0), (0, 1), (1, 0), (2, 5)]
        assert len({tuple(mixture([1, 1], 20, draw, *key).draw(0, 60)[0]) for key in keys}) == 4


def test_round_robin_takes_items_in_turn():
    items, occurrences = RoundRobin(3).draw(4, 6)
    assert items.tolist() == [1, 2, 0, 1, 2, 0]
    assert occurrences.tolist() == [1, 1, 2, 2, 2, 3]
