"""A node of a local cluster, as a process that lives as long as the node: started by ``LocalNodes``.

``ray start`` takes no node on loopback: it replaces that address by the machine's outer one, and the servers then
listen to everyone.
"""

import json
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from ray._private.node import Node
from ray._private.parameter import RayParams


def run(address: str, folder: str, resources: dict[str, float], labels: dict[str, str]) -> NoReturn:
    """Runs a node until a signal, or until one of its processes ends.

    Args:
        address: of the cluster's control service, on loopback.
        folder: for the node's sockets, logs and unpacked code. Of its own: nodes that share one take a package that
            another is still unpacking for whole. The node is called as it is.
        resources: that the node claims.
        labels: that the node carries.
    """
    left = dict(resources)
    claims: dict[str, Any] = {name: left.pop(key) for key, name in _NAMES.items() if key in left}
    node = Node(
        RayParams(
            gcs_address=address,
            node_ip_address="127.0.0.1",
            temp_dir=folder,
            node_name=Path(folder).name,
            num_cpus=claims.pop("num_cpus", 0),
            num_gpus=claims.pop("num_gpus", 0),
            **claims,
            resources=left,
            labels=labels,
            min_worker_port=0,
            max_worker_port=0,
            dashboard_agent_listen_port=0,
        ),
        head=False,
        shutdown_at_exit=True,
        spawn_reaper=True,
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # what it started is stopped at exit
    while not node.dead_processes():
        time.sleep(1)
    sys.exit(1)


_NAMES = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory", "object_store_memory": "object_store_memory"}

if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), json.loads(sys.argv[4]))
