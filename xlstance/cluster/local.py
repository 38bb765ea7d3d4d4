"""An autoscaling Ray cluster on one machine: loopback only, a token, ports of its own; only its own is stopped."""

import json
import os
import secrets
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests
import yaml

from xlstance.cluster.folder import ClusterFolder, LocalCluster, Node
from xlstance.cluster.nodes import SMALL, identity
from xlstance.cluster.processes import members, start_leader, stop
from xlstance.errors import SettingsError, UserError
from xlstance.files import write_whole

RAY = str(Path(sys.executable).with_name("ray"))
DEFAULT_CONFIG = Path(__file__).resolve().parents[2] / "cluster" / "local-autoscaling.yaml"
# Token on. Ray's servers listen on loopback alone where it is told that the machine is not for clusters; what connects
# to them must be told so too, or it looks for them at the machine's outer address.
_REACHED = {"RAY_AUTH_MODE": "token", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
# What Ray fills in for a cloud's settings, and not for a provider of one's own: nodes here need no set-up.
_NO_SET_UP: dict[str, Any] = {
    **{"file_mounts": {}, "auth": {}, "docker": {}, "cluster_synced_files": [], "upscaling_speed": 1.0},
    **{f"{name}setup_commands": [] for name in ("", "head_", "worker_")},
    **{f"{name}_start_ray_commands": [] for name in ("head", "worker")},
    "initialization_commands": [],
}
_PORTS = (
    *("port", "dashboard-port", "dashboard-agent-listen-port", "dashboard-agent-grpc-port"),
    *("metrics-export-port", "ray-client-server-port"),
)


def up(config: Path, folder: ClusterFolder, wait_seconds: float = 120) -> LocalCluster:
    """Starts the local cluster, or returns it if it is up.

    Args:
        config: the autoscaler's settings, a YAML file as ``cluster/local-autoscaling.yaml``.
        folder: where the cluster is noted.
        wait_seconds: how long its head may take.

    Returns:
        How it is reached.

    Raises:
        UserError: if the file does not fit, or the head does not start.
    """
    found = running(folder)
    if found:
        return found
    content = _read(config)
    down(folder)  # what a machine that went down left of an earlier one
    folder.path.mkdir(parents=True, mode=0o700, exist_ok=True)
    folder.path.chmod(0o700)
    ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
    cluster = LocalCluster(
        identity=secrets.token_hex(8),
        address=f"127.0.0.1:{ports['port']}",
        dashboard=f"http://127.0.0.1:{ports['dashboard-port']}",
        sockets=tempfile.mkdtemp(prefix="xlstance-", dir="/tmp"),
    )
    folder.token.touch(mode=0o600)
    folder.token.write_text(secrets.token_hex(32))
    provider = {**content["provider"], "folder": str(folder.path)}
    write_whole(folder.config, yaml.safe_dump({**content, "provider": provider}))
    folder.write(cluster)
    head = content["available_node_types"][content["head_node_type"]]
    command = [RAY, "start", "--head", "--block", f"--autoscaling-config={folder.config}"]
    command += [
        "--include-dashboard=true",
        "--dashboard-host=127.0.0.1",
        "--disable-usage-stats",
        f"--temp-dir={cluster.sockets}",
    ]
    command += [f"--{name}={port}" for name, port in ports.items()]
    leader = start_leader(
        [*command, *_claims({**SMALL, **head["resources"]}, head.get("labels", {}))],
        {**_surroundings(folder), **identity("head", content["head_node_type"])},
        f"{cluster.identity}/head",
        folder.log("head"),
    )
    tags = {"ray-node-type": "head", "ray-user-node-type": content["head_node_type"], "ray-node-name": "head"}
    folder.write_node("head", Node(leader=leader, tags=tags))
    try:
        _wait(cluster, folder, wait_seconds)
    except BaseException:
        down(folder)
        raise
    return cluster


def running(folder: ClusterFolder) -> LocalCluster | None:
    """The local cluster, if its head runs."""
    head = folder.nodes().get("head")
    return folder.read() if head and head.leader.alive else None


def down(folder: ClusterFolder) -> int:
    """Stops the local cluster, and nothing else.

    Returns:
        The number of its processes that were stopped.
    """
    cluster = folder.read()
    if cluster is None:
        return 0
    mark = f"{cluster.identity}/"
    nodes = folder.nodes()
    count = len(members([node.leader for node in nodes.values()], mark))
    # The head first: its autoscaler would put new nodes in the place of others.
    if "head" in nodes:
        stop([nodes["head"].leader], f"{mark}head")
    stop([node.leader for node in folder.nodes().values()], mark)
    shutil.rmtree(cluster.sockets, ignore_errors=True)
    shutil.rmtree(folder.path, ignore_errors=True)
    return count


def variables(cluster: LocalCluster, folder: ClusterFolder) -> dict[str, str]:
    """The environment in which Ray's own commands reach the cluster."""
    return {
        "RAY_ADDRESS": cluster.address,
        "RAY_API_SERVER_ADDRESS": cluster.dashboard,
        **_REACHED,
        "RAY_AUTH_TOKEN_PATH": str(folder.token),
    }


def _surroundings(folder: ClusterFolder) -> dict[str, str]:
    """The head's environment: this one's, without another cluster's address or token."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    library = str(Path(__file__).resolve().parents[2])  # the autoscaler imports our provider
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join([library, *filter(None, [kept.get("PYTHONPATH")])]),
        "PATH": f"{Path(RAY).parent}{os.pathsep}{kept.get('PATH', '')}",
        **_REACHED,
        "RAY_AUTH_TOKEN_PATH": str(folder.token),
        "RAY_enable_autoscaler_v2": "1",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        "AUTOSCALER_METRIC_PORT": "0",
    }


def _claims(resources: Mapping[str, float], labels: Mapping[str, str]) -> list[str]:
    """Options of ``ray start`` for a head that claims resources and labels."""
    left = dict(resources)
    options = [f"--num-cpus={left.pop('CPU', 0)}", f"--num-gpus={left.pop('GPU', 0)}"]
    options += [f"--object-store-memory={left.pop('object_store_memory')}", f"--resources={json.dumps(left)}"]
    return [*options, "--labels=" + ",".join(f"{name}={value}" for name, value in labels.items())]


def _read(config: Path) -> dict[str, Any]:
    """The settings of an autoscaler for one machine.

    Raises:
        SettingsError: if the file is missing or does not fit.
    """
    from ray.autoscaler._private.util import prepare_config, validate_config

    if not config.is_file():
        raise SettingsError(f"--config {config}: there is no such file; cluster/local-autoscaling.yaml is one")
    try:
        content = {**_NO_SET_UP, **yaml.safe_load(config.read_text())}
        validate_config(prepare_config(content))
    except Exception as error:
        raise SettingsError(f"{config} is no cluster's settings: {str(error).splitlines()[0]}") from error
    if content["provider"].get("module") != "xlstance.cluster.nodes.LocalNodes":
        raise SettingsError(
            f"{config} is not for one machine (provider.module is not xlstance.cluster.nodes.LocalNodes); "
            f"start it with `ray up {config}`"
        )
    return content


def _wait(cluster: LocalCluster, folder: ClusterFolder, seconds: float) -> None:
    headers = {"Authorization": f"Bearer {folder.token.read_text()}"}
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if running(folder) is None:
            break
        try:
            if requests.get(f"{cluster.dashboard}/api/version", headers=headers, timeout=5).ok:
                return
        except requests.RequestException:
            pass
        time.sleep(0.3)
    said = folder.log("head").read_text(errors="replace").strip().splitlines()[-1:] or ["nothing"]
    raise UserError(f"the head of the local cluster did not start within {seconds:g} seconds; it said: {said[0]}")


def _free_ports(count: int) -> list[int]:
    """Ports on loopback that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()
