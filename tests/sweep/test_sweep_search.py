"""The search: which trials it asks for, that it needs nothing but the trials before, and that it finds a peak."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweep_world import ALPHA, alpha_sweep, at_alpha, ended

from xlstance.sweep.journal import Trial
from xlstance.sweep.search import Proposal, propose, size
from xlstance.sweep.settings import Axis, SearchSettings, goal

ALPHAS = [round(0.1 * n, 1) for n in range(11)]
SPACE = [
    Axis(setting="x.a", uniform=[0, 1]),
    Axis(setting="x.b", loguniform=[0.001, 1]),
    Axis(setting="x.c", choice=["u", "v"]),
    Axis(setting="x.d", uniform=[0, 1], step=0.25),
]


def adaptive(**search):
    return alpha_sweep(*ALPHAS, seeds=[0, 1, 2], search=SearchSettings(kind="optuna", **search))


def value_of(proposal: Proposal) -> float:
    """A curve with its peak at alpha .3, and a little of each seed's luck."""
    return 0.5 - (proposal.point[ALPHA] - 0.3) ** 2 + 0.01 * np.random.default_rng(proposal.seed).random()


def follow(settings, trials=(), limit=200, value=value_of):
    """All trials of a search, each ended before the next is begun."""
    trials = list(trials)
    while (proposal := propose(settings, trials)) != "over":
        assert proposal != "wait"
        trials.append(at_alpha(proposal.point[ALPHA], value(proposal), proposal.seed))
        assert len(trials) <= limit
    return trials


def test_a_grid_runs_every_point_with_every_seed_once_seed_by_seed():
    settings = alpha_sweep(*ALPHAS, seeds=[3, 1])
    found = [(trial.point[ALPHA], trial.seed) for trial in follow(settings)]
    assert found == [(alpha, seed) for seed in (3, 1) for alpha in ALPHAS]
    assert size(settings) == 22


def test_a_grid_goes_on_with_what_is_missing():
    settings = alpha_sweep(0.0, 0.5, 1.0, seeds=[0, 1])
    before = [at_alpha(0.5, 0.1, 1), Trial(name="alpha-0-0", point={ALPHA: 0.0}, seed=0)]
    proposal = propose(settings, before)
    assert (proposal.point, proposal.seed, proposal.name) == ({ALPHA: 0.5}, 0, "alpha-0.5-0")


def test_random_points_differ_lie_in_the_space_and_are_the_same_again():
    settings = alpha_sweep(space=SPACE, seeds=[0, 1], search=SearchSettings(kind="random", trials=61, seed=5))

    def drawn(settings):
        trials = []
        while (found := propose(settings, trials)) != "over":
            trials.append(ended(dict(found.point), found.seed, mono=0.1))
        return trials

    trials = drawn(settings)
    assert [t.name for t in trials] == [t.name for t in drawn(settings)]
    assert len(trials) == len({t.name for t in trials}) == size(settings) == 60
    for trial in trials:
        point = trial.point
        assert 0 <= point["x.a"] <= 1
        assert 0.001 <= point["x.b"] <= 1
        assert point["x.c"] in ("u", "v")
        assert point["x.d"] * 4 == int(point["x.d"] * 4)
    assert {t.point["x.d"] for t in trials} > {0.0, 1.0}  # the step's ends too
    logs = np.log10([t.point["x.b"] for t in trials])
    assert (logs < -2).any()
    assert (logs > -1).any()
    other = replace(settings, search=replace(settings.search, seed=6))
    assert not {t.name for t in trials} & {t.name for t in drawn(other)}


def test_the_first_points_are_spread_over_the_whole_axis():
    for seed in range(3):
        trials = follow(adaptive(trials=11, first=5, seed=seed))[:5]
        assert sorted(trial.point[ALPHA] for trial in trials) == [0.0, 0.2, 0.5, 0.8, 1.0]
        assert {trial.seed for trial in trials} == {0}


@pytest.mark.parametrize("seed", range(5))
def test_the_estimator_finds_the_peak_for_a_third_of_the_grid(seed):
    trials = follow(adaptive(trials=11, first=5, confirm=2, seed=seed))
    assert len(trials) <= 11
    seeds = {alpha: {t.seed for t in trials if t.point[ALPHA] == alpha} for alpha in ALPHAS}
    whole = [alpha for alpha, own in seeds.items() if own == {0, 1, 2}]
    assert len(whole) >= 2
    best = max(whole, key=lambda alpha: np.mean([t.figures["mono"] for t in trials if t.point[ALPHA] == alpha]))
    assert abs(best - 0.3) <= 0.1 + 1e-9


def test_the_values_beside_the_best_are_tried():
    def sharp(proposal):  # a peak that the first points miss, beside the best of them
        return {0.4: 0.9, 0.5: 0.6, 0.6: 0.55}.get(proposal.point[ALPHA], 0.1)

    trials = follow(adaptive(trials=11, first=5, confirm=2), value=sharp)
    assert [trial.point[ALPHA] for trial in trials[5:7]] == [0.4, 0.3]  # .4 is the best now
    assert {trial.seed for trial in trials if trial.point[ALPHA] == 0.4} == {0, 1, 2}


def test_a_search_needs_only_the_trials_before_and_repeats_none():
    settings = adaptive(trials=9, seed=1)
    whole = follow(settings)
    for cut in range(len(whole)):
        found = propose(settings, whole[:cut])
        assert found.name == whole[cut].name
    assert len({trial.name for trial in whole}) == len(whole)


def test_what_is_not_known_yet_is_waited_for():
    settings = adaptive(trials=6, first=2, confirm=1)
    whole = follow(settings)
    running = [replace(trial, state="begun", figures={}) for trial in whole]
    assert isinstance(propose(settings, running[:3]), Proposal)  # the estimator goes on beside running trials
    assert propose(settings, [*whole[:3], running[3]]) == "wait"  # which points are the best, nobody knows yet
    assert propose(settings, running) == "over"


def test_failed_and_stopped_trials_teach_and_end_nothing():
    settings = adaptive(trials=8, first=4, confirm=1)
    trials = [
        ended({ALPHA: 0.0}, state="failed"),
        replace(ended({ALPHA: 1.0}, state="stopped"), scores={2: 0.1, 4: 0.2}),
        at_alpha(0.3, 0.9),
        at_alpha(0.7, 0.4),
    ]
    names = [trial.name for trial in follow(settings, trials)]
    assert len(names) == len(set(names)) <= 8
    assert {"alpha-0.3-1", "alpha-0.3-2"} <= set(names)  # the best finished one is confirmed
    lost = [ended({ALPHA: alpha}, state="failed") for alpha in ALPHAS[:8]]
    assert propose(settings, lost) == "over"


def test_several_objectives_are_searched_together():
    settings = replace(adaptive(trials=10, first=3), objectives=["mono", "rank_distance"])
    trials = follow(settings)
    assert len({trial.name for trial in trials}) == len(trials)
    assert goal("rank_distance", trials[0].figures) < 0


@given(st.data())
def test_whatever_became_of_trials_no_search_asks_for_one_twice(data):
    kind = data.draw(st.sampled_from(["grid", "random"]))
    settings = alpha_sweep(0.0, 0.5, 1.0, seeds=[0, 1], search=SearchSettings(kind=kind, trials=6))
    trials = []
    while (found := propose(settings, trials)) != "over":
        state = data.draw(st.sampled_from(["finished", "stopped", "failed", "lost", "begun"]))
        trials.append(Trial(name=found.name, point=found.point, seed=found.seed, state=state))
    assert len({trial.name for trial in trials}) == len(trials) == size(settings)
