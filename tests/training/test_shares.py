import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlstance.training.plan.shares import ConstantShares


@settings(deadline=None)
@given(
    weights=st.lists(st.one_of(st.just(0.0), st.floats(0.01, 100)), min_size=1, max_size=12).filter(any),
    places=st.lists(st.integers(0, 10**15), min_size=2, max_size=20),
)
def test_counts_add_up_and_never_fall(weights, places):
    places = np.array(sorted([0, 1, *places]))
    counts = ConstantShares(weights).through(places)
    assert (counts.sum(axis=1) == places).all()
    assert (np.diff(counts, axis=0) >= 0).all()
    assert counts.min() >= 0
    assert (counts[:, np.array(weights) == 0] == 0).all()


def test_counts_are_near_their_shares_however_far():
    weights = np.random.default_rng(0).pareto(1.0, size=400) + 0.01
    places = np.array([1000, 10**6, 10**12, 10**15])
    expected = weights / weights.sum() * places[:, None]
    error = np.abs(ConstantShares(weights).through(places) - expected)
    assert error[:3].max() < 1.5
    # Beyond, it is the shares that are no finer: floating-point numbers.
    assert (error[3] / places[3]).max() < 1e-15


@pytest.mark.parametrize("count", [2, 3, 7, 110])
def test_equal_shares_are_even_at_every_multiple(count):
    places = np.arange(0, 50 * count, count)
    assert (ConstantShares([0.1] * count).through(places) == np.arange(50)[:, None]).all()
