"""Which nodes a stage's workers go to, and whether the cluster has such nodes or can get them."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from xlstance.errors import UserError

_Nodes = Mapping[str, str]  # labels that a node must carry
_NODES: ContextVar[tuple[_Nodes, _Nodes]] = ContextVar("nodes", default=({}, {}))
_PATIENCE = 15  # seconds that an autoscaler may call something infeasible before it is taken at its word


@contextmanager
def placed(cpu_nodes: _Nodes, gpu_nodes: _Nodes) -> Iterator[None]:
    """Sends the workers of the stages in this block to certain nodes.

    Args:
        cpu_nodes: labels of the nodes for workers that ask for no GPU; empty: any.
        gpu_nodes: the same for those that do.
    """
    before = _NODES.set((cpu_nodes, gpu_nodes))
    try:
        yield
    finally:
        _NODES.reset(before)


def node_labels(gpus: float) -> dict[str, str]:
    """Labels of the nodes for workers that ask for so many GPUs each."""
    cpu_nodes, gpu_nodes = _NODES.get()
    return dict(gpu_nodes if gpus else cpu_nodes)


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
            if lasting or (now - began > wait_seconds and not _fits_somewhere(asked, labels)):
                raise UserError(
                    f"{wanted_by} needs nodes with {_words(asked, labels)}, and the cluster has none"
                    + (" nor can it add any" if lasting else f" (waited {wait_seconds:g} seconds)")
                    + "; ask for less under `cluster`, or change its node types"
                )
    finally:
        remove_placement_group(group)


def _refused_by_autoscaler() -> bool:
    """Whether the autoscaler says that some request of one node's size can never be met."""
    import ray
    from ray._raylet import GcsClient  # type: ignore[attr-defined]
    from ray.core.generated.autoscaler_pb2 import GetClusterStatusReply

    reply = GetClusterStatusReply()
    reply.ParseFromString(GcsClient(ray.get_runtime_context().gcs_address).get_cluster_status())
    return bool(reply.autoscaling_state.infeasible_gang_resource_requests)


def _fits_somewhere(asked: Mapping[str, float], labels: Mapping[str, str]) -> bool:
    import ray

    return any(
        node["Alive"]
        and all(node["Resources"].get(name, 0) >= amount for name, amount in asked.items())
        and all(node.get("Labels", {}).get(name) == value for name, value in labels.items())
        for node in ray.nodes()
    )


def _words(asked: Mapping[str, float], labels: Mapping[str, str]) -> str:
    parts = [f"{amount:g} {name}" for name, amount in asked.items()]
    return " and ".join(parts) + (f" and the labels {dict(labels)}" if labels else "")
