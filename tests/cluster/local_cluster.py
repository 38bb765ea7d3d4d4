"""A local cluster of the tests' own, and jobs on it through the command line."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import requests

from xlstance.cluster.folder import ClusterFolder
from xlstance.cluster.processes import members

ROOT = Path(__file__).resolve().parents[2]
XLSTANCE = (sys.executable, "-c", "from xlstance.cli import entry; entry()")
# A world of a few minutes' words; shards enough for several nodes to work on.
CONFIG = """\
miniature: {languages: 2, concepts: 30, names: 10, train_passages: 60, dev_passages: 8, test_passages: 12, issues: 2,
            arguments: 1}
sources: [{name: world, format: miniature, split: train}]
augmentations:
  - {of: [world], code_switching: {name: switched, lexicons: [miniature]}}
encoder: {kind: static, vocabulary_size: 400, dimension: 16}
training: {steps: 4, batch_size: 8, validation: {every: 0}, checkpoint_every: 0, log_every: 2}
arms: [{name: x-x-mono, sampler: x-x-mono}]
benchmarks: [{name: miniature, format: miniature}]
cluster: {workers: 2, stream_workers: 3, shards: 8, wait_seconds: 300}
"""


@dataclass(frozen=True)
class Local:
    """A running local cluster and its environment."""

    home: Path
    environment: dict[str, str]

    @property
    def folder(self) -> ClusterFolder:
        return ClusterFolder(self.home / "state" / "xlstance" / "local-cluster")

    def run(self, *arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*XLSTANCE, *arguments],
            env={**self.environment, **more},
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*XLSTANCE, *arguments],
            env=self.environment,
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def get(self, path: str) -> dict:
        headers = {"Authorization": f"Bearer {self.folder.token.read_text()}"}
        return requests.get(self.folder.read().dashboard + path, headers=headers, timeout=30).json()

    def alive(self) -> int:
        """Nodes that Ray says are alive."""
        nodes = self.get("/api/v0/nodes?detail=true")["data"]["result"]["result"]
        return sum(node["state"] == "ALIVE" for node in nodes)

    def processes(self) -> set[int]:
        """The cluster's processes, by the same rule as ``down``; those found so far stay found."""
        cluster = self.folder.read()
        return set(members([node.leader for node in self.folder.nodes().values()], f"{cluster.identity}/"))


def surroundings(home: Path) -> dict[str, str]:
    """Nothing of another cluster or token."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return {**kept, "HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "PYTHONPATH": str(ROOT)}


def wait_until(holds: Callable[[], bool], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if holds():
            return True
        time.sleep(0.5)
    return holds()


def figures(output: Path) -> dict:
    """What a run found out, without times and places."""
    results = json.loads((output / "results.json").read_text())
    return {arm["name"]: arm["measures"] if "measures" in arm else arm["benchmarks"] for arm in results["arms"]}


def tables(output: Path) -> dict[str, list[str]]:
    """The hashes of every published table's files, by folder."""
    return {
        path.parent.relative_to(output).as_posix(): [file["sha256"] for file in json.loads(path.read_text())["files"]]
        for path in sorted(output.rglob("manifest.json"))
        if "files" in json.loads(path.read_text())
    }
