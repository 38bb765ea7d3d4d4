"""Which nodes a stage's workers go to, and whether the cluster has such nodes or can get them."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from xlstance.errors import UserError

_Nodes = Mapping[str, str]  # labels that a node must carry
_NODES: dict[str, _Nodes] = {"cpu": {}, "gpu": {}}  # of this process: threads that drive training see it too
_PATIENCE = 15  # seconds that an autoscaler may call something infeasible before it is taken at its word


@contextmanager
def placed(cpu_nodes: _Nodes, gpu_nodes: _Nodes) -> Iterator[None]:
    """Sends the workers that this process asks for within the block to certain nodes.

    Args:
        cpu_nodes: labels of the nodes for workers that ask for no GPU; empty: any.
        gpu_nodes: the same for those that do.
    """
    before = dict(_NODES)
    _NODES.update(cpu=cpu_nodes, gpu=gpu_nodes)
    try:
        yield
    finally:
        _NODES.update(before)


def node_labels(gpus: float) -> dict[str, str]:
    """Labels of the nodes for workers that ask for so many GPUs each."""
    return dict(_NODES["gpu" if gpus else "cpu"])


def room(bundle: Mapping[str, float], labels: Mapping[str, str]) -> int:
    """How many workers the nodes that are there hold at once, other work aside.

    Args:
        bundle: what each worker needs, by resource.
        labels: of the nodes that it may go to.
    """
    import ray

    return sum(
        min(int(node["Resources"].get(name, 0) // amount) for name, amount in bundle.items() if amount)
        for node in ray.nodes()
        if node["Alive"] and all(node.get("Labels", {}).get(name) == value for name, value in labels.items())
    )


def autoscales() -> bool:
    """Whether an autoscaler adds nodes for what waits: then it reports, and every node is of a type that it knows."""
    status = _cluster_status()
    nodes = status.cluster_resource_state.node_states
    return status.autoscaling_state.autoscaler_state_version > 0 and any(node.ray_node_type_name for node in nodes)


def await_room(bundle: Mapping[str, float], labels: Mapping[str, str], wanted_by: str, wait_seconds: float) -> None:
    """Waits until one worker has room, so that a stage which never will says so, where Ray would wait for ever.

    Args:
        bundle: what the worker needs, by resource.
        labels: of the nodes that it may go to.
        wanted_by: the stage.
        wait_seconds: how long; time enough for an autoscaler to add a node. Where the nodes are large enough and only
            busy, it is waited for longer.

    Raises:
        UserError: if no node is large enough, or has these labels, and none comes.
    """
    from ray.util.placement_group import placement_group, remove_placement_group

    asked = {name: amount for name, amount in bundle.items() if amount}
    if not asked:
        return
    group = placement_group([asked], bundle_label_selector=[dict(labels)] if labels else None)
    began, refused_since = time.monotonic(), None
    try:
        while not group.wait(1):
            now = time.monotonic()
            refused_since = (refused_since or now) if _refused_by_autoscaler() else None
            lasting = refused_since is not None and now - refused_since > _PATIENCE
            if lasting or (now - began > wait_seconds and not room(asked, labels)):
                raise UserError(
                    f"{wanted_by} needs nodes with {_words(asked, labels)}, and the cluster has none"
                    + (" nor can it add any" if lasting else f" (waited {wait_seconds:g} seconds)")
                    + "; ask for less under `cluster`, or change its node types"
                )
    finally:
        remove_placement_group(group)


def _refused_by_autoscaler() -> bool:
    """Whether the autoscaler says that some request of one node's size can never be met."""
    return bool(_cluster_status().autoscaling_state.infeasible_gang_resource_requests)


def _cluster_status() -> Any:
    """What the autoscaler and the nodes last reported, a ``GetClusterStatusReply``."""
    import ray
    from ray._raylet import GcsClient  # type: ignore[attr-defined]
    from ray.core.generated.autoscaler_pb2 import GetClusterStatusReply

    reply = GetClusterStatusReply()
    reply.ParseFromString(GcsClient(ray.get_runtime_context().gcs_address).get_cluster_status())
    return reply


def _words(asked: Mapping[str, float], labels: Mapping[str, str]) -> str:
    parts = [f"{amount:g} {name}" for name, amount in asked.items()]
    return " and ".join(parts) + (f" and the labels {dict(labels)}" if labels else "")
