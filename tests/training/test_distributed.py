import json
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from xlstance.errors import UserError
from xlstance.training.distributed import fit

WORKERS = {"workers": 2, "cpus_per_worker": 1, "gpus_per_worker": 0}


def weights(run):
    return (Path(run.output) / "model.safetensors").read_bytes()


def metrics(run):
    path = Path(run.output) / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line for line in lines if line.endswith("}")]


def steps(lines):
    return [json.loads(line)["step"] for line in lines]


def training_workers():
    """Processes of Ray Train's workers under this test process, and under no other."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"TrainWorker" in (folder / "cmdline").read_bytes() and os.getpid() in ancestors(int(folder.name)):
                found.append(int(folder.name))
        except OSError:  # it ended meanwhile
            continue
    return found


def ancestors(pid):
    found = []
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        found.append(pid)
    return found


class Killer(threading.Thread):
    """Kills one worker as soon as Ray Train has noted a checkpoint of a run; keeps the metrics of that moment."""

    def __init__(self, run, folder):
        super().__init__(daemon=True)
        self._run, self._folder, self.seen = run, folder, None

    def run(self):
        while not any(self._run.name in path.read_text() for path in self._folder.glob("*/*snapshot*.json")):
            time.sleep(0.005)
        os.kill(training_workers()[0], signal.SIGKILL)
        self.seen = metrics(self._run)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the worker to kill under /proc")
def test_two_runs_in_turn_survive_the_death_of_a_worker(ray_session, world, undisturbed, tmp_path, monkeypatch):
    # Ray Train takes one checkpoint per look at its workers; at its own two seconds these runs would wait for it.
    monkeypatch.setenv("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    runs = world.runs_in_turn(tmp_path)
    killer = Killer(runs[1], tmp_path / "ray")
    killer.start()
    fit(runs, tmp_path / "ray", **WORKERS)
    assert killer.seen is not None
    assert 10 <= steps(killer.seen)[-1] < 60
    # Lines carry measured speeds: the same lines mean that the steps to the first checkpoint were not done again.
    assert metrics(runs[1])[:2] == killer.seen[:2]
    for run, expected in zip(runs, undisturbed, strict=True):
        assert steps(metrics(run)) == list(range(5, 61, 5))
        assert weights(run) == weights(expected)
    before = Path(runs[1].output, "training.json").stat().st_mtime_ns
    fit(runs, tmp_path / "ray", **WORKERS)  # nothing is left to do
    assert before == Path(runs[1].output, "training.json").stat().st_mtime_ns


def test_a_mistake_found_by_a_worker_is_one_line(ray_session, world, tmp_path):
    run = world.run(tmp_path / "run", batch_size=15)
    with pytest.raises(UserError, match=r"^training.batch_size 15 is no multiple of the 2 workers$"):
        fit([run], tmp_path / "ray", **WORKERS)
    assert not run.trained


def test_workers_that_the_cluster_cannot_hold_are_refused(ray_session, world, tmp_path):
    run = world.run(tmp_path / "run")
    with pytest.raises(UserError, match=r"training needs 6 CPU, the cluster has 2"):
        fit([run], tmp_path / "ray", workers=3, cpus_per_worker=2, gpus_per_worker=0)
    with pytest.raises(UserError, match=r"training needs 2 GPU"):
        fit([run], tmp_path / "ray", workers=2, cpus_per_worker=1, gpus_per_worker=1)


@pytest.mark.slow
def test_paths_may_be_relative(ray_session, world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = world.run(tmp_path / "run")
    fit([replace(run, output="run")], Path("ray"), **WORKERS)
    assert run.trained
