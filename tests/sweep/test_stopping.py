"""Early stopping: by a trial's own steps, and with the scores that an earlier start of the sweep knew."""

from types import SimpleNamespace

import pytest
from sweep_world import alpha_sweep

from xlstance.sweep.journal import Trial
from xlstance.sweep.settings import StoppingSettings
from xlstance.sweep.trial import quick_score
from xlstance.sweep.tuning import make_scheduler, tell_scores

SWEEP = alpha_sweep(0.0, 1.0, stopping=StoppingSettings(kind="asha", grace=2, reduction=2))
STEPS = 16


def report(scheduler, name, step, score):
    return scheduler.on_trial_result(None, SimpleNamespace(trial_id=name), {"step": step, "score": score})


def add(scheduler, *names):
    for name in names:
        scheduler.on_trial_add(None, SimpleNamespace(trial_id=name))


def test_a_trial_that_falls_behind_is_stopped_at_its_own_step():
    scheduler = make_scheduler(SWEEP, STEPS)
    add(scheduler, "good", "bad", "late")
    assert report(scheduler, "good", 2, 0.5) == "CONTINUE"
    assert report(scheduler, "bad", 1, 0.1) == "CONTINUE"  # within its grace
    assert report(scheduler, "bad", 2, 0.1) == "STOP"
    assert report(scheduler, "late", 3, 0.6) == "CONTINUE"


def test_the_last_report_never_stops_a_trial_that_led():
    scheduler = make_scheduler(SWEEP, STEPS)
    add(scheduler, "a")
    assert [report(scheduler, "a", step, 0.5) for step in (2, 4, 8, STEPS)] == ["CONTINUE"] * 4


def test_a_new_start_decides_as_if_there_had_been_none():
    scores = {"one": {2: 0.5, 4: 0.6, 8: 0.7}, "two": {2: 0.4}, "three": {2: 0.55, 4: 0.5}}
    whole = make_scheduler(SWEEP, STEPS)
    add(whole, *scores, "new")
    for name, own in scores.items():
        for step, score in own.items():
            report(whole, name, step, score)
    resumed = make_scheduler(SWEEP, STEPS)
    for name, own in scores.items():
        tell_scores(resumed, name, Trial(name=name, point={}, seed=0, scores=own))
    add(resumed, "new")
    for step in (2, 4, 8):
        score = 0.52
        assert report(resumed, "new", step, score) == report(whole, "new", step, score)
    fresh = make_scheduler(SWEEP, STEPS)
    add(fresh, "new")
    assert report(fresh, "new", 2, 0.1) == "CONTINUE"
    add(resumed, "newer")
    assert report(resumed, "newer", 2, 0.1) == "STOP"


def test_quick_scores_are_of_validations_alone():
    assert quick_score({"loss": 1.0}) is None
    assert quick_score({"validation_loss": 2.0}) == -2.0
    figures = {"validation_loss": 2.0, "validation_mono_map": 0.5, "validation_multi_map": 0.3}
    assert quick_score(figures) == pytest.approx(0.4)
