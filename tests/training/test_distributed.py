"""Ray Train: a worker, a node or the driver may die, and the end is that of the undisturbed run."""

import os
import random
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray
from kills import Scene, descendants, kill, metrics, reaches, steps, training_workers, wait_for, weights
from ray.cluster_utils import Cluster
from ray.exceptions import RayActorError
from ray.train import ControllerError, WorkerGroupError
from ray.train.v2._internal.exceptions import WorkerGroupStartupTimeoutError

from xlstance.errors import UserError
from xlstance.session import missing_resources
from xlstance.training import distributed
from xlstance.training.distributed import fit

WORKERS = {"workers": 2, "cpus_per_worker": 1, "gpus_per_worker": 0}

needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds what to kill under /proc")


class Killer(threading.Thread):
    """Kills a worker when a run has got to a step, and notes what it leaves behind."""

    def __init__(self, run, seed):
        super().__init__(daemon=True)
        self._run, self._seed, self.scene = run, seed, None

    def run(self):
        chance = random.Random(self._seed)
        reaches(self._run, chance.randrange(10, 45))
        kill([chance.choice(training_workers())])
        self.scene = Scene.of(self._run)


@needs_proc
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))])
def test_two_runs_in_turn_survive_the_death_of_a_worker(ray_session, world, undisturbed, tmp_path, seed):
    runs = world.runs_in_turn(tmp_path)
    killer = Killer(runs[seed % 2], seed)
    killer.start()
    fit(runs, tmp_path / "ray", **WORKERS)
    assert killer.scene is not None
    killer.scene.assert_resumed(undisturbed[seed % 2], every=5, last=120)
    other = 1 - seed % 2
    assert weights(runs[other]) == weights(undisturbed[other])
    before = Path(runs[1].output, "training.json").stat().st_mtime_ns
    fit(runs, tmp_path / "ray", **WORKERS)  # nothing is left to do
    assert before == Path(runs[1].output, "training.json").stat().st_mtime_ns


def test_a_mistake_found_by_a_worker_is_one_line(ray_session, world, tmp_path):
    run = world.run(tmp_path / "run", batch_size=15)
    with pytest.raises(UserError, match=r"^training.batch_size 15 is no multiple of the 2 workers$"):
        fit([run], tmp_path / "ray", **WORKERS)
    assert not run.trained


def test_workers_that_one_machine_cannot_hold_are_refused_at_once(ray_session, world, tmp_path):
    run = world.run(tmp_path / "run")
    began = time.monotonic()
    with pytest.raises(UserError, match=r"training needs 6 CPU \(3 workers of 2\), the cluster has 2; ask for less"):
        fit([run], tmp_path / "ray", workers=3, cpus_per_worker=2, gpus_per_worker=0)
    with pytest.raises(UserError, match=r"training needs 2 GPU"):
        fit([run], tmp_path / "ray", workers=2, cpus_per_worker=1, gpus_per_worker=1)
    assert time.monotonic() - began < 5


def test_workers_that_fit_on_no_node_are_told_from_too_few_processors(monkeypatch):
    nodes = [{"Alive": alive, "Resources": {"CPU": 3.0}} for alive in (True, True, False)]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 6.0})
    assert missing_resources({"CPU": 3}, 2, "training") == ""
    assert missing_resources({"CPU": 2}, 3, "training") == (
        "training needs 3 workers of 2 CPU each, and the 2 nodes of the cluster have room for 2; "
        "ask for less under `cluster`, or add nodes"
    )


@pytest.mark.slow
def test_paths_may_be_relative(ray_session, world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = world.run(tmp_path / "run")
    fit([replace(run, output="run")], Path("ray"), **WORKERS)
    assert run.trained


@pytest.mark.slow
def test_metrics_that_can_no_longer_be_written_are_one_line(ray_session, world, tmp_path):
    """The first process alone meets it; the others are ended, and all meet it when they are started again."""
    run = world.run(tmp_path / "run", steps=400, checkpoint_every=0)
    file = tmp_path / "run" / "metrics.jsonl"

    def take_away():
        wait_for(lambda: steps(metrics(run))[-1:] >= [3])
        file.unlink()
        file.mkdir()

    threading.Thread(target=take_away, daemon=True).start()
    with pytest.raises(UserError, match=rf"^the metrics cannot be written to .* Is a directory: '{file}'$"):
        fit([run], tmp_path / "ray", **WORKERS)


class Trainer:
    """Stands for Ray Train: each ``fit`` does what comes next."""

    def __init__(self, *acts):
        self.acts, self.waits = list(acts), []

    def __call__(self, *arguments, **options):
        return self

    def fit(self):
        self.waits.append(os.environ["RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"])
        act = self.acts.pop(0)
        outcome = act() if callable(act) else act
        if isinstance(outcome, Exception):
            raise outcome
        return SimpleNamespace(return_value=outcome)


@pytest.fixture
def faulty(monkeypatch, world, tmp_path):
    """``fit`` of a run with a trainer that does as it is told, on a cluster that has what is needed."""
    run = world.run(tmp_path / "run")

    def fit_with(*acts, missing=""):
        trainer = Trainer(*acts)
        monkeypatch.setattr(distributed, "TorchTrainer", trainer)
        monkeypatch.setattr(distributed, "on_one_machine", lambda: False)
        monkeypatch.setattr(distributed, "missing_resources", lambda *_: missing)
        fit([run], tmp_path / "ray", **WORKERS, wait_seconds=7)
        return trainer

    fit_with.run = run
    return fit_with


def died(error=None):
    return WorkerGroupError("a worker died", {0: error or RuntimeError("lost")})


def gets_to(run, step, outcome=None):
    """A worker group that writes a checkpoint, or the model, and then ends."""

    def act():
        folder = run.checkpoints.path / f"step-{step:08d}" if step else run.folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ("checkpoint.json" if step else "training.json")).write_text("")
        return outcome

    return act


def test_faults_without_progress_end_training(faulty):
    with pytest.raises(WorkerGroupError):
        faulty(died(), died(), died())


def test_faults_with_progress_between_them_do_not(faulty):
    run = faulty.run
    acts = [died(), died(), *(gets_to(run, step, died()) for step in (2, 4, 6)), died(), gets_to(run, 0)]
    trainer = faulty(*acts)
    assert trainer.acts == []
    assert trainer.waits == ["7"] * len(acts)
    assert "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S" not in os.environ


def test_the_death_of_ray_s_controller_is_a_fault_like_another(faulty):
    assert faulty(RayActorError(), gets_to(faulty.run, 0)).acts == []


def test_a_full_disk_that_one_worker_meets_is_one_line(faulty):
    full = died(OSError(28, "No space left on device", "/data/metrics.jsonl"))
    with pytest.raises(UserError, match=r"^training cannot go on: No space left on device: /data/metrics.jsonl$"):
        faulty(full, full, full)


@pytest.mark.parametrize(
    ("missing", "told"),
    [("training needs 2 CPU", "training needs 2 CPU"), ("", "other work holds what training needs")],
)
def test_a_start_that_times_out_says_what_is_missing(faulty, missing, told):
    with pytest.raises(UserError, match=rf"^{told} \(waited 7 seconds\)$"):
        faulty(ControllerError(WorkerGroupStartupTimeoutError(2)), missing=missing)


def drive(runs, folder, world, seconds=60, address=None):
    """The command of a driver of its own, for ``subprocess``."""
    world.torchrun(runs, folder)  # writes the file of runs
    script = str(Path(__file__).with_name("drive.py"))
    environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "LOCAL_RANK")}
    return {
        "args": [sys.executable, script, str(folder / "training-runs.json"), str(folder / "ray"), str(seconds)],
        "env": environment | ({"RAY_ADDRESS": address} if address else {}),
    }


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_command_goes_on_after_the_death_of_the_driver(world, undisturbed, tmp_path, seed):
    run = world.runs_in_turn(tmp_path)[0]
    command = drive([run], tmp_path, world)
    with subprocess.Popen(**command, stderr=subprocess.DEVNULL) as driver:
        reaches(run, random.Random(seed).randrange(10, 40))
        kill([driver.pid])
    deadline = time.monotonic() + 60
    while training_workers() and time.monotonic() < deadline:  # a private Ray ends with its driver
        time.sleep(0.1)
    scene = Scene.of(run)
    done = subprocess.run(**command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    scene.assert_resumed(undisturbed[0], every=5, last=120)


@pytest.fixture
def cluster():
    """A head without processors for workers; tests add nodes."""
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    yield made
    made.shutdown()


def working(cluster):
    """Nodes that hold a training worker."""
    workers = set(training_workers())
    raylets = {node: node.all_processes["raylet"][0].process.pid for node in cluster.worker_nodes}
    return [node for node, pid in raylets.items() if workers & set(descendants(pid))]


@needs_proc
@pytest.mark.slow
def test_training_goes_on_by_itself_after_the_death_of_a_node(cluster, world, undisturbed, tmp_path):
    for _ in range(3):  # one of them takes the dead one's place
        cluster.add_node(num_cpus=1)
    run = world.runs_in_turn(tmp_path)[0]
    with subprocess.Popen(**drive([run], tmp_path, world, address=cluster.address), stderr=subprocess.PIPE) as driver:
        reaches(run, 15)
        cluster.remove_node(working(cluster)[0], allow_graceful=False)
        scene = Scene.of(run)
        assert driver.wait(240) == 0, driver.stderr.read()
    scene.assert_resumed(undisturbed[0], every=5, last=120)


@needs_proc
@pytest.mark.slow
def test_the_loss_of_a_node_for_good_is_said_within_a_set_time(cluster, world, tmp_path):
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    run = world.runs_in_turn(tmp_path)[0]
    command = drive([run], tmp_path, world, seconds=5, address=cluster.address)
    with subprocess.Popen(**command, stderr=subprocess.PIPE, text=True) as driver:
        reaches(run, 15)
        cluster.remove_node(working(cluster)[0], allow_graceful=False)
        began = time.monotonic()
        told = driver.communicate(timeout=240)[1]
    assert driver.returncode == 1
    assert time.monotonic() - began < 90
    assert told.strip().splitlines()[-1] == (
        "error: training needs 2 CPU (2 workers of 1), the cluster has 1; ask for less under `cluster`, or add nodes "
        "(waited 5 seconds)"
    )
    assert Scene.of(run).kept >= 10  # and what was done is not lost


@pytest.mark.slow
def test_a_cluster_that_is_too_small_is_waited_for_and_then_named(cluster, world, tmp_path):
    cluster.add_node(num_cpus=1)
    run = world.run(tmp_path / "run")
    done = subprocess.run(**drive([run], tmp_path, world, seconds=5, address=cluster.address), capture_output=True)
    assert done.returncode == 1
    last = done.stderr.decode().strip().splitlines()[-1]
    assert last.startswith("error: training needs 2 CPU (2 workers of 1), the cluster has 1; ask for less")


@pytest.mark.slow
def test_a_node_that_comes_late_is_used(cluster, world, tmp_path):
    run = world.run(tmp_path / "run")
    command = drive([run], tmp_path, world, seconds=120, address=cluster.address)
    with subprocess.Popen(**command, stderr=subprocess.PIPE) as driver:
        time.sleep(10)
        cluster.add_node(num_cpus=2)
        assert driver.wait(240) == 0, driver.stderr.read()
    assert run.trained
