"""A real autoscaling cluster on this machine: nodes come with work and go without it, and one may be lost."""

import hashlib
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from local_cluster import Local, figures, tables, wait_until

from xlstance.cluster.processes import members

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
ALONE = ("--cluster.stream_workers", "1")


@contextmanager
def counted(local: Local) -> Iterator[list[int]]:
    """The numbers of nodes alive while the block runs."""
    seen, done = [local.alive()], threading.Event()

    def look() -> None:
        while not done.wait(0.5):
            seen.append(local.alive())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def weights(output: Path) -> dict[str, str]:
    folder = output / "models" / "x-x-mono-0"
    files = [path for path in folder.rglob("*.safetensors") if not {"checkpoints", "best"} & set(path.parts)]
    assert files
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def undisturbed(local) -> Path:
    """The same experiment on one machine, without the cluster."""
    output = local.home / "undisturbed"
    done = local.run("experiment", "--config", "tiny.yaml", "--output", str(output), *ALONE)
    assert done.returncode == 0, done.stderr
    return output


def same_as(output: Path, undisturbed: Path) -> None:
    assert tables(output) == tables(undisturbed)
    assert weights(output) == weights(undisturbed)
    assert figures(output) == figures(undisturbed)


def test_nodes_come_with_work_and_go_without_it(local, undisturbed):
    assert local.alive() == 1
    with counted(local) as seen:
        done = local.run("submit", "experiment", "--config", "tiny.yaml", "--output", "scaled")
    assert done.returncode == 0, done.stdout + done.stderr
    assert max(seen) >= 3, seen
    same_as(local.home / "scaled", undisturbed)
    assert wait_until(lambda: local.alive() == 1, 120)
    assert len(local.folder.nodes()) == 1


def test_what_no_node_can_hold_is_said_and_not_waited_for(local):
    done = local.run("submit", "experiment", "--config", "tiny.yaml", "--output", "large", "--cluster.stream_gpus", "2")
    assert done.returncode == 2, done.stdout + done.stderr
    assert (
        "error: encoding needs nodes with 1 CPU and 2 GPU, and the cluster has none nor can it add any" in done.stdout
    )


def test_work_goes_to_the_nodes_that_the_settings_name(local):
    """Encoders ask for a GPU, and readers are sent to the group for processors."""
    with watched_actors(local) as seen:
        done = local.run(
            *("submit", "experiment", "--config", "tiny.yaml", "--output", "placed", "--cluster.stream_gpus", "1"),
            *("--cluster.cpu_nodes", "{xlstance-pool: cpu}", "--cluster.gpu_nodes", "{xlstance-pool: gpu}"),
        )
    assert done.returncode == 0, done.stdout + done.stderr
    pools = {group for _, group in seen}
    assert pools == {"cpu", "gpu"}, seen
    assert {pool for name, pool in seen if "Train" in name} == {"cpu"}


@contextmanager
def watched_actors(local: Local) -> Iterator[set[tuple[str, str]]]:
    """(class, pool of its node) of the workers that lived while the block ran."""
    seen, done = set(), threading.Event()

    def look() -> None:
        while not done.wait(1):
            seen.update((name, pool) for name, pool, _ in workers(local))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def workers(local: Local) -> list[tuple[str, str, str]]:
    """(class, pool, name of the node) of the workers of stages and of training that live."""
    nodes = local.get("/api/v0/nodes?detail=true")["data"]["result"]["result"]
    pools = {node["node_id"]: node["labels"].get("xlstance-pool", "") for node in nodes}
    actors = local.get("/api/v0/actors?detail=true")["data"]["result"]["result"]
    return [
        (actor["class_name"], pools.get(actor["node_id"], ""), actor["node_id"])
        for actor in actors
        if actor["state"] == "ALIVE" and re.search("MapWorker|TrainWorker", actor["class_name"])
    ]


def kill_a_node_at_work(local: Local, kind: str) -> bool:
    """Kills all processes of a node, the head's aside, that has a worker of this kind."""
    nodes = local.get("/api/v0/nodes?detail=true")["data"]["result"]["result"]
    names = {node["node_id"]: node["node_name"] for node in nodes if node["state"] == "ALIVE"}
    at_work = {names.get(node) for name, _, node in workers(local) if kind in name}
    for name, node in local.folder.nodes().items():
        if name in at_work:
            for pid in members([node.leader], f"{local.folder.read().identity}/{name}"):
                with_signal(pid)
            return True
    return False


def with_signal(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("label", "kind"), [("switched", "MapWorker"), ("encoding", "MapWorker"), ("training", "TrainWorker")]
)
def test_a_lost_node_costs_time_and_nothing_else(local, label, kind):
    """One is killed in the middle of augmentation, of encoding and of training."""
    longer = ("--training.steps", "400", "--training.checkpoint_every", "20", "--cluster.shards", "150")
    reference = local.home / "longer"
    if not reference.exists():
        done = local.run("experiment", "--config", "tiny.yaml", "--output", str(reference), *longer, *ALONE)
        assert done.returncode == 0, done.stderr
    output = local.home / f"lost-in-{label}"
    job = local.start("submit", "experiment", "--config", "tiny.yaml", "--output", str(output), *longer)
    try:
        text, killed, killed_at = "", False, ""
        for line in job.stdout:
            text += line
            if label in line and not killed:
                killed = wait_until(partial(kill_a_node_at_work, local, kind), 60)
                killed_at = line
        assert job.wait() == 0, text
    finally:
        job.kill()
    assert killed, f"no node was at {label}: {text}"
    assert "100%" not in killed_at, killed_at  # the stage was not over
    same_as(output, reference)


def test_down_leaves_nothing_and_touches_nobody_else(local):
    """Last: a process of another kind and another session stays."""
    bystander = subprocess.Popen(["sleep", "300"])
    try:
        own = local.processes()
        assert len(own) > 5
        sockets = Path(local.folder.read().sockets)
        done = local.run("cluster", "down")
        assert done.returncode == 0
        assert not {pid for pid in own if Path(f"/proc/{pid}").exists() and not zombie(pid)}
        assert bystander.poll() is None
        assert not sockets.exists()
        assert not local.folder.path.exists()
        assert "no local cluster is up" in local.run("cluster", "down").stdout
    finally:
        bystander.kill()
        bystander.wait()


def zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
