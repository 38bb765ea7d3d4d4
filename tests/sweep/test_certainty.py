"""Effects, intervals and where the best point lies: against SciPy, plain means and simulations."""

import numpy as np
import pytest

from xlstance.sweep.certainty import best_interval, fit_effects, is_found, mean_intervals, t_quantile
from xlstance.sweep.settings import Axis

ALPHAS = [round(0.1 * n, 1) for n in range(11)]
AXIS = Axis(setting="alpha", grid=ALPHAS)


def runs(true, seeds=3, noise=0.002, luck=0.02, seed=0):
    """(label, seed, value) of every run: a point's merit, its seed's luck, and noise."""
    generator = np.random.default_rng(seed)
    of_seed = generator.normal(0, luck, seeds)
    return [
        (str(alpha), number, value + of_seed[number] + generator.normal(0, noise))
        for number in range(seeds)
        for alpha, value in true.items()
    ]


def fit(rows):
    return fit_effects(*(list(column) for column in zip(*rows, strict=True)))


@pytest.mark.parametrize("freedom", [1, 2, 3, 7, 22, 200])
@pytest.mark.parametrize("probability", [0.6, 0.9, 0.975, 0.995])
def test_quantiles_of_t_are_scipys(probability, freedom):
    stats = pytest.importorskip("scipy.stats")
    assert t_quantile(probability, freedom) == pytest.approx(stats.t.ppf(probability, freedom), rel=1e-5)


def test_intervals_of_one_point_are_students():
    stats = pytest.importorskip("scipy.stats")
    values = [0.31, 0.35, 0.36, 0.30]
    (found,) = mean_intervals([values])
    low, high = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert found == pytest.approx((np.mean(values), low, high), rel=1e-5)


def test_intervals_share_their_spread_and_follow_the_number_of_seeds():
    wide, narrow = mean_intervals([[0.1, 0.3], [0.2, 0.2, 0.2, 0.2]])
    assert wide[2] - wide[1] == pytest.approx((narrow[2] - narrow[1]) * 2**0.5)
    assert mean_intervals([[0.1], [0.4]]) == [(0.1, 0.1, 0.1), (0.4, 0.4, 0.4)]


def test_effects_of_a_whole_table_are_its_means_and_errors_those_of_the_two_way_layout():
    rows = runs({alpha: alpha for alpha in ALPHAS})
    effects = fit(rows)
    table = np.array([value for _, _, value in rows]).reshape(3, 11)
    np.testing.assert_allclose(effects.means, table.mean(axis=0))
    left = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
    assert effects.freedom == 20
    variance = np.square(left).sum() / 20
    # Between two points a seed's luck cancels out.
    difference = effects.covariance[0, 0] + effects.covariance[1, 1] - 2 * effects.covariance[0, 1]
    assert difference == pytest.approx(2 * variance / 3)


def test_a_point_without_a_lucky_seed_is_not_at_a_disadvantage():
    rows = [(str(a), s, a + (1.0 if s == 1 else 0.0)) for a in ALPHAS for s in (0, 1) if (a, s) != (1.0, 1)]
    effects = fit(rows)
    assert effects.points[int(np.argmax(effects.means))] == "1.0"
    np.testing.assert_allclose(effects.means, np.array(ALPHAS) + 0.5)


def test_the_interval_of_the_best_is_as_wide_as_the_noise_asks():
    values = {str(alpha): alpha for alpha in ALPHAS}
    peak = {alpha: 0.5 - (alpha - 0.4) ** 2 for alpha in ALPHAS}
    sharp = best_interval(fit(runs(peak, noise=0.0005)), AXIS, values)
    blurred = best_interval(fit(runs(peak, noise=0.3)), AXIS, values)
    assert sharp == (0.4, 0.4)
    assert is_found(AXIS, sharp)
    assert blurred[1] - blurred[0] > 0.3
    assert not is_found(AXIS, blurred)
    assert best_interval(fit(runs(peak, seeds=1)), AXIS, values) is None
    assert not is_found(AXIS, None)


def test_the_interval_covers_the_best_as_often_as_it_says():
    values = {str(alpha): alpha for alpha in ALPHAS}
    peak = {alpha: 0.5 - 0.1 * (alpha - 0.6) ** 2 for alpha in ALPHAS}
    covered = 0
    for seed in range(60):
        low, high = best_interval(fit(runs(peak, noise=0.004, seed=seed)), AXIS, values)
        covered += low <= 0.6 <= high
    assert covered >= 54  # of 57 expected


def test_found_is_measured_on_the_axis_s_own_scale():
    axis = Axis(setting="rate", loguniform=[1e-4, 1e-2])
    assert is_found(axis, (1e-4, 3e-4))
    assert not is_found(axis, (1e-4, 2e-3))
    assert is_found(AXIS, (0.2, 0.5))
    assert not is_found(AXIS, (0.2, 0.6))


def test_what_was_not_tried_beside_the_best_may_be_the_best():
    tried = {alpha: 0.5 - (alpha - 0.5) ** 2 for alpha in (0.0, 0.2, 0.5, 0.8, 1.0)}
    values = {str(alpha): alpha for alpha in tried}
    effects = fit(runs(tried, noise=0.0001))
    assert best_interval(effects, AXIS, values) == (0.3, 0.7)
    assert best_interval(effects, Axis(setting="alpha", uniform=[0, 1]), values) == pytest.approx((0.35, 0.65))
    ends = {alpha: alpha for alpha in (0.2, 0.5)}
    found = best_interval(fit(runs(ends, noise=0.0001)), AXIS, {str(alpha): alpha for alpha in ends})
    assert found == (0.3, 1.0)
