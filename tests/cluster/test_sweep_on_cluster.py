"""Sweeps on a real autoscaling cluster: nodes come for trials that wait, and one that is lost costs time alone."""

import json
import os
import re
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGKILL

import pytest
import requests
from local_cluster import ROOT, Local, wait_until

from xlstance.cluster.local import RAY
from xlstance.cluster.packing import pack
from xlstance.cluster.processes import members
from xlstance.sweep.journal import JOURNAL
from xlstance.sweep.run import SWEEP

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
# Trials of some seconds, long enough to be met while they run.
CONFIG = """\
miniature: {languages: 2, concepts: 60, names: 20, train_passages: 80, dev_passages: 20, test_passages: 20, issues: 2,
            arguments: 1}
sources: [{name: world, format: miniature, split: train}, {name: world-dev, format: miniature, split: dev}]
augmentations: [{of: [world], pairing: {name: paired}}]
development: [world-dev]
encoder: {vocabulary_size: 400, dimension: 16, layers: 1, heads: 2, feed_forward: 32, dropout: 0}
vocabulary: {lines: 1000}
training: {steps: 300, batch_size: 8, learning_rate: 5e-3, log_every: 20, checkpoint_every: 20,
           validation: {every: 20, batches: 1, queries: 10}}
arms: [{name: hybrid, sampler: hybrid}]
cluster: {workers: 1, stream_workers: 1, shards: 1}
"""
SPACE = """\
space: [{setting: training.sampler.alpha, grid: [0, 0.25, 0.5, 0.75, 1]}]
seeds: [0]
"""
SWEEP_JOB = ("--config", "sweep.yaml", "--space", "alphas.yaml")
ON_CPU_NODES = ("--cluster.cpu_nodes", "{xlstance-pool: cpu}")
TRIAL = "ImplicitFunc"  # what Tune calls the process of a trial


@pytest.fixture(scope="module")
def undisturbed(local) -> Path:
    """The same sweep on one machine, without the cluster."""
    (local.home / "sweep.yaml").write_text(CONFIG)
    (local.home / "alphas.yaml").write_text(SPACE)
    output = local.home / "undisturbed"
    done = local.run("sweep", *SWEEP_JOB, "--output", str(output))
    assert done.returncode == 0, done.stderr
    return output / "sweeps" / "alphas"


def figures(root: Path) -> dict:
    """What became of each trial, and what was recommended, without times and places."""
    sweep = json.loads((root / SWEEP).read_text())
    trials = {trial["name"]: {**trial, "seconds": 0} for trial in sweep["trials"]}
    return {"trials": trials, "recommended": sweep["recommended"]["name"], "curves": sweep["curves"]}


def events(root: Path) -> list[dict]:
    path = root / JOURNAL
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def names(root: Path, event: str) -> Counter:
    """How often each trial met an event."""
    return Counter(one["trial"] for one in events(root) if one["event"] == event)


def at_work(local: Local, kind: str) -> list[tuple[str, str, int]]:
    """(name of the node, its pool, pid) of the actors of a class that live."""
    nodes = local.get("/api/v0/nodes?detail=true")["data"]["result"]["result"]
    places = {node["node_id"]: (node["node_name"], node["labels"].get("xlstance-pool", "")) for node in nodes}
    actors = local.get("/api/v0/actors?detail=true")["data"]["result"]["result"]
    return [
        (*places[actor["node_id"]], actor["pid"])
        for actor in actors
        if actor["state"] == "ALIVE" and actor["class_name"] == kind
    ]


@contextmanager
def watched(local: Local, *kinds: str) -> Iterator[tuple[list[int], set[tuple[str, str]]]]:
    """The numbers of nodes alive, and (class, pool) of the actors that lived, while the block runs."""
    counts, places, done = [local.alive()], set(), threading.Event()

    def look() -> None:
        while not done.wait(1):
            with suppress(requests.RequestException, KeyError):  # the dashboard of a loaded machine is late
                counts.append(local.alive())
                places.update((kind, pool) for kind in kinds for _, pool, _ in at_work(local, kind))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield counts, places
    finally:
        done.set()
        thread.join()


def test_nodes_come_for_waiting_trials_where_the_settings_send_them(local, undisturbed):
    assert local.alive() == 1
    with watched(local, TRIAL) as (counts, places):
        done = local.run("submit", "sweep", *SWEEP_JOB, *ON_CPU_NODES, "--output", "scaled")
    assert done.returncode == 0, done.stdout + done.stderr
    assert max(counts) >= 3, counts
    assert places == {(TRIAL, "cpu")}
    assert figures(local.home / "scaled" / "sweeps" / "alphas") == figures(undisturbed)
    assert wait_until(lambda: local.alive() == 1, 120)


def test_a_node_lost_under_trials_costs_time_and_no_finished_trial(local, undisturbed):
    """Submitted by Ray's own command, from a folder like a fresh checkout."""
    output = local.home / "lost"
    root = output / "sweeps" / "alphas"
    job = ray_job(local, "sweep", *SWEEP_JOB, *ON_CPU_NODES, "--output", str(output), "--cluster.wait_seconds", "600")
    killed, finished_before = [], Counter()
    try:
        # One trial has ended, and another is well on its way.
        def ready() -> bool:
            ended = set(names(root, "finished"))
            return bool(ended) and any(n > 2 for name, n in names(root, "score").items() if name not in ended)

        assert wait_until(lambda: ready() or job.poll() is not None, 500)
        assert job.poll() is None, job.stdout.read()
        finished_before = names(root, "finished")
        killed = kill_a_node_with_trials(local)
        text = job.communicate(timeout=600)[0]
        assert job.returncode == 0, text
    finally:
        job.kill()
    assert killed
    assert list(root.glob("ray/*/*/error.txt")), "no trial was met"  # Tune's note of a process that died
    begun = names(root, "begun")
    assert finished_before
    assert all(begun[name] == 1 for name in finished_before)
    assert set(names(root, "finished").values()) == {1}
    assert "lost" not in {event["event"] for event in events(root)}
    assert figures(root) == figures(undisturbed)


def kill_a_node_with_trials(local: Local) -> list[int]:
    """Kills all processes of a node that trials run on, with one stroke; returns their process ids."""
    nodes, identity = local.folder.nodes(), local.folder.read().identity
    name = next(name for name, _, _ in at_work(local, TRIAL) if name in nodes)
    pids = list(members([nodes[name].leader], f"{identity}/{name}"))
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, SIGKILL)
    return pids


def ray_job(local: Local, job: str, *arguments: str) -> "subprocess.Popen[str]":
    folder = local.home / "checkout"
    pack(ROOT, folder)
    for name in ("sweep.yaml", "alphas.yaml"):
        (folder / name).write_text((local.home / name).read_text())
    exports = {
        "RAY_API_SERVER_ADDRESS": local.folder.read().dashboard,
        "RAY_AUTH_TOKEN_PATH": str(local.folder.token),
        "RAY_AUTH_MODE": "token",
    }
    return subprocess.Popen(
        [RAY, "job", "submit", "--working-dir", str(folder), "--", "python", f"jobs/{job}.py", *arguments],
        env={**local.environment, **exports},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_workers_of_a_trial_s_own_go_where_the_settings_send_them_too(local, undisturbed):
    two = ("--cluster.workers", "2", "--training.steps", "40")
    (local.home / "one.yaml").write_text("space: [{setting: training.sampler.alpha, grid: [0.5]}]\nseeds: [0]\n")
    with watched(local, TRIAL, "RayTrainWorker") as (_, places):
        done = local.run(
            "submit", "sweep", "--config", "sweep.yaml", "--space", "one.yaml", *two, *ON_CPU_NODES, "--output", "two"
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert places == {(TRIAL, "cpu"), ("RayTrainWorker", "cpu")}
    trials = json.loads((local.home / "two" / "sweeps" / "one" / SWEEP).read_text())["trials"]
    assert [trial["state"] for trial in trials] == ["finished"]


def test_a_trial_that_no_node_can_hold_is_said_and_not_waited_for(local, undisturbed):
    done = local.run("submit", "sweep", *SWEEP_JOB, "--output", "large", "--cluster.cpus_per_worker", "9")
    assert done.returncode == 2, done.stdout + done.stderr
    assert re.search(r"error: a trial of the sweep needs nodes with 9 CPU, and the cluster has none", done.stdout)
