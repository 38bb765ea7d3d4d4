"""What a sweep found: the recommended point, when it counts as found, the front, and curves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweep_world import ALPHA, alpha_sweep, at_alpha, ended

from xlstance.sweep.console import format_points
from xlstance.sweep.outcome import (
    FIGURES,
    complete,
    curves,
    development_figures,
    neighbours,
    pareto,
    points_of,
    recommend,
    trial_rows,
)
from xlstance.sweep.settings import Axis

ALPHAS = [0.0, 0.25, 0.5, 0.75, 1.0]
LUCK = (0.0, 0.02, -0.01)


def grid(noise=0.0005, peak=0.5, sweep=None):
    """Trials of a curve with a peak, all with three seeds."""
    generator = np.random.default_rng(0)
    sweep = sweep or alpha_sweep(*ALPHAS, seeds=[0, 1, 2])
    return sweep, [
        at_alpha(alpha, 0.5 - 0.2 * (alpha - peak) ** 2 + LUCK[seed] + generator.normal(0, noise), seed)
        for seed in (0, 1, 2)
        for alpha in reversed(ALPHAS)
    ]


def test_points_stand_in_the_order_of_the_axis_and_only_finished_trials_count():
    sweep, trials = grid()
    more = [ended({ALPHA: 0.25}, 3, state="failed"), ended({ALPHA: 0.6}, state="stopped")]
    points = points_of(sweep, [*trials, *more])
    assert [runs.point[ALPHA] for runs in points] == ALPHAS
    assert all(len(runs.trials) == 3 for runs in points)
    found = points[2].mean("mono")
    assert found == pytest.approx(np.mean([t.figures["mono"] for t in trials if t.point[ALPHA] == 0.5]))


def test_the_best_point_is_recommended_with_its_certainty():
    sweep, trials = grid()
    found = recommend(sweep, points_of(sweep, trials))
    assert (found["name"], found["point"], found["seeds"]) == ("alpha-0.5", {ALPHA: 0.5}, [0, 1, 2])
    assert found["found"]
    assert found["intervals"] == {ALPHA: [0.5, 0.5]}
    assert found["probability"] > 0.99
    assert found["text"].startswith("alpha 0.5: mean of mono, cross and multi mAP on the development pairs is 0.5")
    assert "not found" not in found["text"]


def test_a_wide_interval_is_not_found():
    sweep, trials = grid(noise=0.1)
    found = recommend(sweep, points_of(sweep, trials))
    assert not found["found"]
    assert "not found: the best alpha lies between" in found["text"]
    low, high = found["intervals"][ALPHA]
    assert high - low > 0.3


def test_one_seed_tells_nothing_of_chance():
    sweep, trials = grid(sweep=alpha_sweep(*ALPHAS, seeds=[0]))
    found = recommend(sweep, points_of(sweep, [trial for trial in trials if trial.seed == 0]))
    assert found["name"] == "alpha-0.5"
    assert not found["found"]
    assert found["probability"] is None
    assert "one seed per point does not tell chance" in found["text"]


def test_a_lucky_single_run_is_not_recommended_before_points_with_all_seeds():
    sweep, trials = grid()
    kept = [t for t in trials if t.point[ALPHA] in (0.5, 0.75)] + [at_alpha(0.0, 0.9, 0)]
    points = points_of(sweep, kept)
    assert [runs.label for runs in complete(sweep, points)] == ["alpha-0.5", "alpha-0.75"]
    assert recommend(sweep, points)["name"] == "alpha-0.5"


def test_rank_distance_reads_as_it_is():
    sweep, trials = grid(sweep=alpha_sweep(*ALPHAS, seeds=[0, 1, 2], objectives=["rank_distance"]))
    found = recommend(sweep, points_of(sweep, trials))
    assert found["name"] == "alpha-0.5"
    assert 0 < found["objective"]["rank_distance"] < 100
    assert "rank distance on the development pairs is 4" in found["text"]


def test_neighbours_are_next_along_each_axis():
    sweep, trials = grid()
    points = points_of(sweep, trials)
    assert [runs.point[ALPHA] for runs in neighbours(sweep, points, "alpha-0.5")] == [0.25, 0.5, 0.75]
    assert [runs.point[ALPHA] for runs in neighbours(sweep, points, "alpha-0")] == [0.0, 0.25]
    plane = alpha_sweep(space=[Axis(setting=name, grid=[1, 2, 3]) for name in ("x.a", "x.b")])
    trials = [ended({"x.a": a, "x.b": b}, mono=a * b / 10) for a in (1, 2, 3) for b in (1, 2, 3)]
    found = neighbours(plane, points_of(plane, trials), "a-2_b-3")
    assert [(runs.point["x.a"], runs.point["x.b"]) for runs in found] == [(1, 3), (2, 2), (2, 3), (3, 3)]


@given(st.lists(st.tuples(*[st.integers(0, 3)] * 4), min_size=1, max_size=8))
def test_the_front_holds_what_nothing_beats(rows):
    sweep = alpha_sweep(*range(8))
    trials = [ended({ALPHA: n}, **dict(zip(FIGURES, map(float, row), strict=True))) for n, row in enumerate(rows)]
    front = {row["trial"] for row in pareto(points_of(sweep, trials))}
    for n, row in enumerate(rows):
        goals = np.array(row) * [1, 1, 1, -1]
        others = [np.array(other) * [1, 1, 1, -1] for other in rows]
        beaten = any((other >= goals).all() and (other > goals).any() for other in others)
        assert (f"alpha-{n}" in front) == (not beaten)


def test_curves_have_means_and_intervals_along_the_axis():
    sweep, trials = grid()
    points = points_of(sweep, trials)
    (curve,) = curves(sweep, points, "development", development_figures(points))
    assert (curve["label"], curve["setting"], curve["x"]) == ("development", ALPHA, ALPHAS)
    for part in ("mean", "low", "high"):
        assert set(curve[part]) == set(FIGURES)
    assert curve["mean"]["cross"] == pytest.approx([runs.mean("cross") for runs in points])
    for mean, low, high in zip(*(curve[part]["mono"] for part in ("mean", "low", "high")), strict=True):
        assert low < mean < high


def test_each_combination_of_the_others_has_a_curve_of_its_own():
    space = [Axis(setting="x.a", grid=[0.0, 1.0]), Axis(setting="x.kind", choice=["u", "v"])]
    sweep = alpha_sweep(space=space)
    trials = [ended({"x.a": a, "x.kind": kind}, mono=a) for kind in "uv" for a in (0.0, 1.0)][:3]
    points = points_of(sweep, trials)
    (curve,) = curves(sweep, points, "test", development_figures(points))
    assert (curve["label"], curve["x"], curve["mean"]) == ("test, kind-u", [0.0, 1.0], {"mono": [0.0, 1.0]})


def test_trials_are_told_whatever_became_of_them():
    failed = ended({ALPHA: 0.5}, state="failed")
    failed.reason = "it diverged"
    rows = trial_rows([at_alpha(0.1, 0.3), failed])
    assert rows[0]["objective"] == pytest.approx(0.3)
    assert "reason" not in rows[0]
    assert (rows[1]["state"], rows[1]["reason"], rows[1]["mono"]) == ("failed", "it diverged", None)


def test_the_table_marks_what_is_recommended_and_says_what_failed():
    sweep, trials = grid()
    failed = ended({ALPHA: 0.3}, state="failed")
    failed.reason = "it diverged"
    points = points_of(sweep, trials)
    found = {"pareto": pareto(points), "recommended": recommend(sweep, points)}
    text = format_points(sweep, points, [*trials, failed], found)
    marked = [line for line in text.splitlines() if "recommended" in line]
    assert len(marked) == 1
    assert marked[0].startswith("alpha-0.5 ")
    assert "16 trials: 15 finished, 1 failed" in text
    assert "alpha-0.3-0 failed: it diverged" in text
