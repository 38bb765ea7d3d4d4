"""What Ray's autoscaler asks for nodes on one machine: each is a ``ray start`` in a session of its own, on loopback.

Ray has a provider of this kind for its own tests; its nodes listen on the machine's outer address, all at once is
stopped by name, and the newer autoscaler, which ``ray up`` and KubeRay use, does not work with it as installed.
"""

import json
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray.autoscaler.node_provider import NodeProvider

from xlstance.cluster.folder import ClusterFolder, Node
from xlstance.cluster.processes import start_leader, stop

SMALL = {"object_store_memory": 200 * 2**20}  # bytes; else every node takes its share of the machine's memory
_NODE = "xlstance.cluster.node_process"


class LocalNodes(NodeProvider):  # type: ignore[misc]
    """Starts and stops nodes; which there are stands in the cluster's folder, and outlives this process."""

    def __init__(self, provider_config: dict[str, Any], cluster_name: str) -> None:
        """Called by Ray with the ``provider`` part of the autoscaler's settings."""
        super().__init__(provider_config, cluster_name)
        self._folder = ClusterFolder(Path(provider_config["folder"]))

    def non_terminated_nodes(self, tag_filters: Mapping[str, str]) -> list[str]:
        """Names of the nodes that run and have these tags; one that died is forgotten."""
        found = []
        for name, node in self._folder.nodes().items():
            if not node.leader.alive:
                self.terminate_node(name)
            elif all(node.tags.get(key) == value for key, value in tag_filters.items()):
                found.append(name)
        return found

    def is_running(self, node_id: str) -> bool:
        """Whether a node runs."""
        node = self._folder.nodes().get(node_id)
        return node is not None and node.leader.alive

    def is_terminated(self, node_id: str) -> bool:
        """Whether a node does not run."""
        return not self.is_running(node_id)

    def node_tags(self, node_id: str) -> dict[str, str]:
        """The tags that a node was created with."""
        node = self._folder.nodes().get(node_id)
        return dict(node.tags) if node else {}

    def external_ip(self, node_id: str) -> str:
        """Loopback."""
        return "127.0.0.1"

    def internal_ip(self, node_id: str) -> str:
        """Loopback."""
        return "127.0.0.1"

    def create_node_with_resources_and_labels(
        self,
        node_config: dict[str, Any],
        tags: dict[str, str],
        count: int,
        resources: dict[str, float],
        labels: dict[str, str],
    ) -> None:
        """Starts nodes that claim these resources and labels."""
        cluster = self._folder.read()
        if cluster is None:
            return
        for _ in range(count):
            name = f"node-{secrets.token_hex(3)}"
            options = [f"{cluster.sockets}/{name}", json.dumps({**SMALL, **resources}), json.dumps(labels)]
            leader = start_leader(
                [sys.executable, "-m", _NODE, cluster.address, *options],
                {**os.environ, **identity(name, tags["ray-user-node-type"])},
                f"{cluster.identity}/{name}",
                self._folder.log(name),
            )
            self._folder.write_node(name, Node(leader=leader, tags=tags))

    def terminate_node(self, node_id: str) -> None:
        """Stops a node and all that it started."""
        cluster, node = self._folder.read(), self._folder.nodes().get(node_id)
        if cluster and node:
            stop([node.leader], f"{cluster.identity}/{node_id}")
        self._folder.remove_node(node_id)


def identity(name: str, node_type: str) -> dict[str, str]:
    """By which environment the autoscaler knows a started node again."""
    return {"RAY_CLOUD_INSTANCE_ID": name, "RAY_NODE_TYPE_NAME": node_type}
