import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlstance.training.plan.permutation import permute
from xlstance.training.plan.splitmix import stream_key, words


def permuted(size, *key):
    return permute(np.arange(size), np.full(size, size), np.full(size, stream_key(*key)))


@settings(deadline=None)
@given(size=st.integers(1, 3000), key=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4))
def test_every_element_comes_once(size, key):
    assert np.array_equal(np.sort(permuted(size, *key)), np.arange(size))


@pytest.mark.parametrize("size", [*range(1, 40), 2**10 - 1, 2**10, 2**10 + 1, 4**6 + 1, 99_991])
def test_sizes_around_powers_squares_and_primes(size):
    assert np.array_equal(np.sort(permuted(size, 0)), np.arange(size))


@pytest.mark.parametrize("size", [10**9, 10**12, 2**60])
def test_positions_of_a_huge_range_stay_apart_and_inside(size):
    positions = np.arange(0, size, size // 5000)
    values = permute(positions, np.full_like(positions, size), np.full(len(positions), stream_key(7)))
    assert values.min() >= 0
    assert values.max() < size
    assert len(np.unique(values)) == len(positions)
    assert abs(values.mean() / size - 0.5) < 0.05
    assert abs(np.corrcoef(positions, values)[0, 1]) < 0.07


def test_other_keys_give_other_orders():
    orders = [permuted(100, *key) for key in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0)]]
    for i, one in enumerate(orders):
        for other in orders[:i]:
            assert (one == other).mean() < 0.15


def test_small_ranges_see_all_their_orders():
    assert len({tuple(permuted(4, seed)) for seed in range(500)}) == 24


@pytest.mark.parametrize("size", [8, 9, 1000])
def test_elements_land_everywhere_equally_often(size):
    keys = words(stream_key(3), np.arange(4000))
    for position in (0, 1, size - 1):
        landed = permute(np.full(4000, position), np.full(4000, size), keys)
        counts = np.bincount(landed * 8 // size, minlength=8)
        expected = 4000 * np.bincount(np.arange(size) * 8 // size) / size
        assert (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()


def test_neighbours_are_torn_apart():
    values = permuted(10_000, 1)
    assert (np.abs(np.diff(values)) == 1).mean() < 0.001


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 500), st.integers(0, 50)), min_size=1, max_size=40))
def test_one_call_serves_many_sizes_and_keys(requests):
    positions = np.array([size // 2 for size, _ in requests])
    sizes = np.array([size for size, _ in requests])
    keys = np.array([stream_key(key) for _, key in requests])
    alone = [permuted(size, key)[size // 2] for size, key in requests]
    assert permute(positions, sizes, keys).tolist() == alone
