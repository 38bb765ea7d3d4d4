"""Joining Ray: the cluster a job was submitted to, or a private one on this machine."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import ray

from xlstance.errors import UserError
from xlstance.placement import placed


@contextmanager
def ray_session(
    cpus: int, cpu_nodes: Mapping[str, str] | None = None, gpu_nodes: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Connects to Ray for as long as the block runs.

    ``RAY_ADDRESS``, which ``ray job submit`` sets, names the cluster; without it a private one is started on this
    machine, without a dashboard, and stopped at the end. A session that stands already is used as it is.

    Args:
        cpus: processors that the job's largest stage asks for; a private cluster has at least so many slots.
        cpu_nodes: labels of the nodes that workers without a GPU go to; none: any.
        gpu_nodes: the same for workers with one.

    Raises:
        UserError: if there is no cluster at ``RAY_ADDRESS``.
    """
    with placed(cpu_nodes or {}, gpu_nodes or {}), _joined(cpus):
        yield


@contextmanager
def _joined(cpus: int) -> Iterator[None]:
    if ray.is_initialized():
        yield
        return
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if os.environ.get("RAY_ADDRESS"):
        try:
            ray.init(**quiet)
        except ConnectionError as error:
            raise UserError(
                f"RAY_ADDRESS is {os.environ['RAY_ADDRESS']!r}, but no Ray cluster answers there"
            ) from error
    else:
        ray.init(address="local", num_cpus=max(cpus, os.cpu_count() or 1), include_dashboard=False, **quiet)
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        yield
    finally:
        ray.shutdown()


def on_one_machine() -> bool:
    """Whether this is a Ray of one machine alone, to which no node will be added."""
    return not os.environ.get("RAY_ADDRESS") and len(ray.nodes()) == 1


def missing_resources(bundle: Mapping[str, float], workers: int, wanted_by: str) -> str:
    """What the cluster lacks for a stage's workers, since Ray would wait for it for ever.

    Args:
        bundle: what each worker needs, by resource.
        workers: number of workers.
        wanted_by: the stage.

    Returns:
        What to tell the user, or nothing if the cluster is large enough.
    """
    what_to_do = "ask for less under `cluster`, or add nodes"
    for resource, each in bundle.items():
        found = ray.cluster_resources().get(resource, 0)
        if found < workers * each:
            return (
                f"{wanted_by} needs {workers * each:g} {resource} ({workers} workers of {each:g}), "
                f"the cluster has {found:g}; {what_to_do}"
            )
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    room = sum(min(int(node.get(name, 0) // each) for name, each in bundle.items()) for node in nodes)
    if room < workers:
        each_needs = " and ".join(f"{each:g} {resource}" for resource, each in bundle.items())
        return (
            f"{wanted_by} needs {workers} workers of {each_needs} each, and the {len(nodes)} nodes of the cluster "
            f"have room for {room}; {what_to_do}"
        )
    return ""
