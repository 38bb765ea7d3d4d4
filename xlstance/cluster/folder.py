"""The folder in which a local cluster keeps what it needs to be found again, and stopped."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from xlstance.cluster.processes import Leader
from xlstance.files import write_whole

_HEAD = "head"
_CLUSTER = "cluster.json"


@dataclass(frozen=True, kw_only=True)
class LocalCluster:
    """A running local cluster.

    Attributes:
        identity: random; begins the mark of all its processes.
        address: of its control service, ``127.0.0.1:PORT``: for ``ray status`` and ``ray.init``.
        dashboard: URL of its dashboard and job service.
        sockets: folder of Ray's sockets and logs.
    """

    identity: str
    address: str
    dashboard: str
    sockets: str


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node: its first process, and what the autoscaler noted about it."""

    leader: Leader
    tags: Mapping[str, str]


class ClusterFolder:
    """The folder of the user's local cluster.

    Args:
        path: where; None for the user's state folder (``XDG_STATE_HOME``).
    """

    def __init__(self, path: Path | None = None) -> None:
        states = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
        self.path = path or states / "xlstance" / "local-cluster"

    @property
    def token(self) -> Path:
        """File of the token, readable by its owner alone."""
        return self.path / "token"

    @property
    def config(self) -> Path:
        """File of the autoscaler's settings."""
        return self.path / "autoscaling.yaml"

    def log(self, node: str) -> Path:
        """File of what a node's first process says."""
        return self.path / f"{node}.log"

    def write(self, cluster: LocalCluster) -> None:
        """Notes a cluster."""
        write_whole(self.path / _CLUSTER, json.dumps(asdict(cluster), indent=1))

    def read(self) -> LocalCluster | None:
        """The cluster that was noted, or None."""
        with suppress(OSError, ValueError, TypeError):
            return LocalCluster(**json.loads((self.path / _CLUSTER).read_text()))
        return None

    def write_node(self, name: str, node: Node) -> None:
        """Notes a node."""
        write_whole(self.path / "nodes" / f"{name}.json", json.dumps(asdict(node)))

    def remove_node(self, name: str) -> None:
        """Forgets a node."""
        (self.path / "nodes" / f"{name}.json").unlink(missing_ok=True)

    def nodes(self) -> dict[str, Node]:
        """The nodes by name; the head's is ``head``."""
        return dict(self._nodes())

    def _nodes(self) -> Iterator[tuple[str, Node]]:
        for path in sorted((self.path / "nodes").glob("*.json")):
            with suppress(OSError, ValueError):  # removed meanwhile
                content = json.loads(path.read_text())
                yield path.stem, Node(leader=Leader(**content["leader"]), tags=content["tags"])
