"""``xlstance cluster``: an autoscaling cluster on this machine, up, down, and how it stands."""

import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from xlstance.cluster.folder import ClusterFolder, LocalCluster
from xlstance.cluster.local import DEFAULT_CONFIG, RAY, down, running, up, variables
from xlstance.errors import UserError
from xlstance.settings import LineParser

_ACTIONS = ("up", "status", "down")


def run_cluster(arguments: Sequence[str]) -> None:
    """Starts, shows or stops the local cluster.

    Args:
        arguments: the command line behind ``cluster``.

    Raises:
        UserError: if there is no such action, or the cluster does not start.
    """
    parser = LineParser(
        prog="xlstance cluster",
        description="An autoscaling Ray cluster on this machine: it listens on loopback alone, asks for a token, and "
        "is the place to try what a cloud will do. `ray up cluster.yaml` starts one on AWS.",
    )
    parser.add_argument("action", type=str, metavar="ACTION", help=", ".join(_ACTIONS))
    parser.add_argument("--local", action="store_true", help="on this machine")
    parser.add_argument(
        "--config", type=str, default=str(DEFAULT_CONFIG), metavar="FILE", help="its nodes: resources, numbers, labels"
    )
    given = parser.parse_args(list(arguments))
    if given.action not in _ACTIONS:
        raise UserError(f"xlstance cluster {given.action}: there is no such action; give {', '.join(_ACTIONS)}")
    folder = ClusterFolder()
    if given.action == "down":
        count = down(folder)
        print(f"stopped {count} processes" if count else "no local cluster is up")
        return
    if given.action == "up":
        if not given.local:
            raise UserError("xlstance cluster up starts a cluster on this machine: say --local; `ray up` starts others")
        _show(up(Path(given.config), folder), folder)
        return
    cluster = running(folder)
    if cluster is None:
        raise UserError("no local cluster is up; `xlstance cluster up --local` starts one")
    _show(cluster, folder)
    subprocess.run([RAY, "status"], env={**os.environ, **variables(cluster, folder)}, check=False)  # noqa: S603


def _show(cluster: LocalCluster, folder: ClusterFolder) -> None:
    exports = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables(cluster, folder).items())
    print(
        f"The local cluster is up; its dashboard: {cluster.dashboard} (token: {folder.token})\n"
        "  submit a job:       xlstance submit experiment --config jobs/configs/quickstart.yaml\n"
        f"  for Ray's commands: export {exports}\n"
        "  stop it:            xlstance cluster down"
    )
