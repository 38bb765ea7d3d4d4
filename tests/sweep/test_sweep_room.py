"""How many trials are begun at a time: as many as can run, and more only where a node may be added for those."""

from types import SimpleNamespace

import pytest
from sweep_world import alpha_sweep

from xlstance.errors import UserError
from xlstance.experiment.settings import ClusterSettings
from xlstance.sweep import tuning
from xlstance.sweep.settings import Axis, SearchSettings

BUNDLE = {"CPU": 2.0}
GRID = alpha_sweep(0.0, 0.25, 0.5, 0.75, 1.0)
ASKED = alpha_sweep(0.0, 1.0, concurrency=7)
ADAPTIVE = alpha_sweep(
    space=[Axis(setting="training.sampler.alpha", uniform=[0, 1])],
    search=SearchSettings(kind="optuna", trials=30, first=4),
)


@pytest.fixture
def cluster(monkeypatch):
    """Says what kind of cluster there is; returns what room was asked for."""

    def make(*, room: int, grows: bool = False, alone: bool = False, cores: int = 64) -> list[tuple]:
        asked = []
        monkeypatch.setattr(tuning, "on_one_machine", lambda: alone)
        monkeypatch.setattr(tuning, "missing_resources", lambda *_: "")
        monkeypatch.setattr(tuning, "await_room", lambda *given: asked.append(given))
        monkeypatch.setattr(tuning, "room", lambda bundle, labels: room)
        monkeypatch.setattr(tuning, "autoscales", lambda: grows)
        monkeypatch.setattr(tuning, "os", SimpleNamespace(cpu_count=lambda: cores))
        return asked

    return make


def at_once(sweep, workers: int = 1, **settings) -> int:
    return tuning._at_once(sweep, ClusterSettings(workers=workers, cpus_per_worker=2, **settings), BUNDLE)


@pytest.mark.parametrize(("sweep", "workers", "expected"), [(GRID, 1, 4), (GRID, 2, 2), (ASKED, 1, 4), (ASKED, 3, 1)])
def test_a_cluster_of_fixed_size_is_never_asked_for_more_than_it_holds(cluster, sweep, workers, expected):
    cluster(room=4)
    assert at_once(sweep, workers) == expected


@pytest.mark.parametrize(("sweep", "workers", "expected"), [(GRID, 1, 5), (ASKED, 1, 7), (ASKED, 3, 7), (GRID, 2, 1)])
def test_an_autoscaling_one_grows_for_trials_that_wait(cluster, sweep, workers, expected):
    cluster(room=1, grows=True)
    assert at_once(sweep, workers) == expected


def test_an_adaptive_search_does_not_choose_ahead_of_what_it_learns(cluster):
    cluster(room=1, grows=True)
    assert at_once(ADAPTIVE) == 4
    cluster(room=6, grows=True)
    assert at_once(ADAPTIVE) == 6


def test_one_machine_has_no_more_processors_than_it_has_unless_asked(cluster):
    cluster(room=50, alone=True, cores=8)
    assert (at_once(GRID), at_once(GRID, workers=2), at_once(ASKED)) == (4, 2, 7)


def test_one_trial_runs_where_nothing_is_known_of_room(cluster):
    cluster(room=0)
    assert at_once(GRID) == 1


def test_room_for_one_is_awaited_on_the_nodes_that_the_settings_name(cluster):
    asked = cluster(room=1)
    at_once(GRID, cpu_nodes={"pool": "cpu"}, gpu_nodes={"pool": "gpu"}, wait_seconds=7)
    assert asked == [(BUNDLE, {"pool": "cpu"}, "a trial of the sweep", 7)]
    asked = cluster(room=1)
    at_once(GRID, cpu_nodes={"pool": "cpu"}, gpu_nodes={"pool": "gpu"}, gpus_per_worker=1)
    assert asked[0][1] == {"pool": "gpu"}


def test_one_machine_that_is_too_small_says_so(cluster, monkeypatch):
    cluster(room=1, alone=True)
    monkeypatch.setattr(tuning, "missing_resources", lambda *_: "a trial needs more")
    with pytest.raises(UserError, match="a trial needs more"):
        at_once(GRID)
