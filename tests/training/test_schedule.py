from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlstance.training.plan.schedule import AlphaSchedule, KindShares

alphas = st.sampled_from([0.0, 0.1, 0.25, 0.35, 0.5, 2 / 3, 0.9, 1.0])
schedules = st.dictionaries(st.integers(0, 400), alphas, min_size=1, max_size=6)
shapes = st.sampled_from(["linear", "steps"])


def alpha_at(points, shape, step):
    """Naively, alpha at a step."""
    before, after = [s for s in points if s <= step], [s for s in points if s > step]
    if not before:
        return points[min(points)]
    last = max(before)
    if shape == "steps" or not after:
        return points[last]
    return points[last] + (points[min(after)] - points[last]) * (step - last) / (min(after) - last)


@settings(deadline=None)
@given(points=schedules, shape=shapes, steps=st.lists(st.integers(0, 500), min_size=1, max_size=8))
def test_the_integral_in_closed_form_is_the_sum(points, shape, steps):
    schedule = AlphaSchedule(points, shape)
    # Half a step in, since a line's mean over a step is its value there.
    values = [alpha_at(points, shape, step + 0.5) for step in range(500)]
    for step in steps:
        assert float(schedule.total(Fraction(step))) == pytest.approx(sum(values[:step]), abs=1e-6)


def test_a_schedule_holds_before_its_first_and_after_its_last_step():
    schedule = AlphaSchedule({100: 0.5, 200: 1.0}, "linear")
    assert schedule.total(Fraction(100)) == 50
    assert schedule.total(Fraction(200)) == 125
    assert schedule.total(Fraction(10**12)) == 125 + 10**12 - 200
    assert AlphaSchedule({100: 0.5, 200: 1.0}, "steps").total(Fraction(300)) == 50 + 50 + 100


@settings(deadline=None)
@given(points=schedules, shape=shapes, block=st.sampled_from([1, 7, 20]))
def test_stairs_have_the_mean_of_their_slope(points, shape, block):
    schedule = AlphaSchedule(points, shape)
    stairs = schedule.stairs(block)
    assert stairs[0][0] == 0
    for (start, alpha), (end, _) in pairwise(stairs):
        assert end > start
        mean = (schedule.total(Fraction(end)) - schedule.total(Fraction(start))) / (end - start)
        assert alpha == pytest.approx(float(mean), abs=1e-9)


def test_a_long_slope_has_few_stairs():
    stairs = AlphaSchedule({0: 0.0, 10**9: 1.0}, "linear").stairs(20)
    assert len(stairs) < 5000
    assert max(b - a for (_, a), (_, b) in pairwise(stairs)) < 1 / 4000


@settings(deadline=None)
@given(
    bitext=st.sampled_from([0.0, 0.1, 0.25, 1 / 3, 0.4, 1.0]),
    points=schedules,
    shape=shapes,
    block=st.sampled_from([1, 7, 20]),
)
def test_kinds_keep_their_shares_through_every_block(bitext, points, shape, block):
    schedule = AlphaSchedule(points, shape)
    places = np.arange(0, 600, block)
    counts = KindShares(bitext, schedule).through(places)
    assert (counts.sum(axis=1) == places).all()
    assert (np.diff(counts, axis=0) >= 0).all()
    assert np.abs(counts[:, 0] - bitext * places).max() <= 0.5 + 1e-9
    integral = np.array([float(schedule.total(Fraction(int(n)))) for n in places])
    assert np.abs(counts[:, 1] - (1 - bitext) * integral).max() <= 1 + 1e-9


def test_alpha_counts_decimal_fractions_as_they_are_written():
    counts = KindShares(0.0, AlphaSchedule({0: 0.35}, "linear")).through(np.array([20, 10**12 * 20]))
    assert counts[:, 1].tolist() == [7, 7 * 10**12]
