"""The experiment as a real job: ``ray job submit`` to a cluster of its own that asks for a token."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RAY = Path(sys.executable).with_name("ray")
CONFIG = """\
# A world of a few minutes' words: no download.
miniature: {languages: 2, concepts: 30, names: 10, train_passages: 60, dev_passages: 8, test_passages: 12, issues: 2,
            arguments: 1}
sources: [{name: world, format: miniature, split: train}]
encoder: {kind: static, vocabulary_size: 400, dimension: 16}
training: {steps: 4, batch_size: 8, validation: {every: 0}, checkpoint_every: 0, log_every: 2}
arms: [{name: x-x-mono, sampler: x-x-mono}]
benchmarks: [{name: miniature, format: miniature}]
cluster: {workers: 2, stream_workers: 1, shards: 1}
"""


@dataclass(frozen=True)
class Cluster:
    """A running head node, the environment in which it is reached, and the working directory of its jobs."""

    url: str
    environment: dict[str, str]
    token: str
    working_dir: Path

    def get(self, path: str, token: str | None) -> dict:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        with urllib.request.urlopen(urllib.request.Request(self.url + path, headers=headers), timeout=10) as answer:
            return json.loads(answer.read())

    def submit(self, *entrypoint: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Submits a job and follows it to its end; its exit code is 0 if the job succeeds."""
        return subprocess.run(
            [RAY, "job", "submit", "--address", self.url, "--working-dir", self.working_dir, "--", *entrypoint],
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    home = tmp_path_factory.mktemp("head")
    working_dir = home / "checkout"
    for name in ("xlstance", "jobs"):
        shutil.copytree(ROOT / name, working_dir / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".gitignore", working_dir)
    (working_dir / "tiny.yaml").write_text(CONFIG)
    for name in (".git", ".venv", "runs"):
        (working_dir / name).mkdir()
        (working_dir / name / "large").write_text("not for the cluster")
    (home / "token").write_text(secrets.token_hex(32))
    # Nothing of the surroundings: no other cluster's address, no user's token, no path to this checkout.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "PYTHONPATH"))}
    environment |= {
        "HOME": str(home),
        "PATH": f"{RAY.parent}{os.pathsep}{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(home / "token"),
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }
    names = ["port", "dashboard-port", "dashboard-agent-listen-port", "ray-client-server-port"]
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    sockets = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # a socket's path may have 107 characters
    command = [
        RAY,
        "start",
        "--head",
        "--block",
        "--node-ip-address=127.0.0.1",
        "--num-cpus=2",
        "--disable-usage-stats",
    ]
    command += ["--include-dashboard=true", "--dashboard-host=127.0.0.1", f"--temp-dir={sockets}"]
    command += [f"--{name}={port}" for name, port in ports.items()]
    log = (home / "head.log").open("w")
    head = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    token = (home / "token").read_text()
    made = Cluster(f"http://127.0.0.1:{ports['dashboard-port']}", environment, token, working_dir)
    try:
        wait_for(made, head, home / "head.log")
        yield made
    finally:
        head.terminate()  # it stops what it started, or hangs once jobs have run
        try:
            head.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(head.pid, signal.SIGKILL)
            head.wait()
        log.close()
        shutil.rmtree(sockets, ignore_errors=True)


def wait_for(cluster: Cluster, head: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(120):
        assert head.poll() is None, log.read_text()
        try:
            cluster.get("/api/version", cluster.token)
            return
        except OSError:  # not there yet
            time.sleep(1)
    raise AssertionError(f"the head node does not answer:\n{log.read_text()}")


def test_a_submitted_experiment_runs_on_the_cluster(cluster, tmp_path):
    output = tmp_path / "output"
    done = cluster.submit("python", "jobs/experiment.py", "--config", "tiny.yaml", "--output", str(output))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "succeeded" in done.stdout
    results = json.loads((output / "results.json").read_text())
    assert [arm["name"] for arm in results["arms"]] == ["x-x-mono"]
    assert results["arms"][0]["train"]["steps"] == 4
    assert "x-x-mono" in (output / "report.html").read_text()
    # The head's own list of actors: the job joined this cluster and started none of its own.
    actors = cluster.get("/api/v0/actors?detail=True", cluster.token)["data"]["result"]["result"]
    classes = [actor["class_name"] for actor in actors]
    assert sum("RayTrainWorker" in name or "TrainWorker" in name for name in classes) == 2, classes
    assert any("MapWorker" in name for name in classes), classes


def test_a_bad_setting_is_one_line_in_the_job_s_log(cluster):
    command = "ls -A . .git .venv runs; exec python jobs/experiment.py --config tiny.yaml --training.steps -3"
    done = cluster.submit("sh", "-c", command)
    assert done.returncode != 0
    lines = done.stdout.splitlines()
    # The client shows the log, and its end once more when the job has failed.
    assert {line for line in lines if "error: " in line} == {"error: training.steps is -3; it may not be negative"}
    assert "exit code 2" in done.stdout
    assert "Traceback" not in done.stdout
    # What a checkout holds besides code is not uploaded with it.
    assert {"jobs", "tiny.yaml", "xlstance"} <= set(lines)
    assert not {".git", ".venv", "runs", "large"} & set(lines)


def test_without_the_token_nothing_is_answered(cluster):
    for token in (None, "0" * 64):
        with pytest.raises(urllib.error.HTTPError) as refused:
            cluster.get("/api/jobs/", token)
        assert refused.value.code in (401, 403)
    assert isinstance(cluster.get("/api/jobs/", cluster.token), list)


@pytest.mark.parametrize(
    "environment", [{"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_TOKEN": "0" * 64}], ids=["none", "wrong"]
)
def test_without_the_token_no_job_is_taken(cluster, environment):
    before = cluster.get("/api/jobs/", cluster.token)
    done = cluster.submit("python", "jobs/experiment.py", "--config", "tiny.yaml", **environment)
    assert done.returncode != 0
    assert "uthentication" in done.stdout + done.stderr
    assert cluster.get("/api/jobs/", cluster.token) == before
