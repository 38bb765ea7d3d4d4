import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlstance.training.permutation import permutation_key, permute


def permuted(size, *key):
    keys = np.tile(permutation_key(*key), (size, 1))
    return permute(np.arange(size), np.full(size, size), keys)


@given(size=st.integers(1, 3000), key=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4))
def test_every_element_comes_once(size, key):
    assert np.array_equal(np.sort(permuted(size, *key)), np.arange(size))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 2**10 - 1, 2**10, 2**10 + 1, 4**6 + 1])
def test_sizes_around_powers_of_two(size):
    assert np.array_equal(np.sort(permuted(size, 0)), np.arange(size))


def test_positions_of_a_huge_range_stay_apart_and_inside():
    size = 10**12
    positions = np.arange(0, size, size // 5000)
    values = permute(positions, np.full_like(positions, size), np.tile(permutation_key(7), (len(positions), 1)))
    assert values.min() >= 0
    assert values.max() < size
    assert len(np.unique(values)) == len(positions)
    assert abs(values.mean() / size - 0.5) < 0.05


def test_other_keys_give_other_orders():
    orders = [permuted(100, *key) for key in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0)]]
    for i, one in enumerate(orders):
        for other in orders[:i]:
            assert (one == other).mean() < 0.15


def test_small_ranges_see_many_of_their_orders():
    assert len({tuple(permuted(4, seed)) for seed in range(500)}) == 24


def test_elements_land_everywhere_equally_often():
    landed = np.array([permuted(8, seed)[0] for seed in range(4000)])
    counts = np.bincount(landed, minlength=8)
    assert (np.abs(counts - 500) < 5 * np.sqrt(500)).all()


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(0, 50)), min_size=1, max_size=40))
def test_one_call_serves_many_sizes_and_keys(requests):
    positions = np.array([size // 2 for size, _ in requests])
    sizes = np.array([size for size, _ in requests])
    keys = np.stack([permutation_key(key) for _, key in requests])
    alone = [permuted(size, key)[size // 2] for size, key in requests]
    assert permute(positions, sizes, keys).tolist() == alone
