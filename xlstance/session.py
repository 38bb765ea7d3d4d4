"""Joining Ray: the cluster a job was submitted to, or a private one on this machine."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from xlstance.errors import UserError


@contextmanager
def ray_session(cpus: int) -> Iterator[None]:
    """Connects to Ray for as long as the block runs.

    ``RAY_ADDRESS``, which ``ray job submit`` sets, names the cluster; without it a private one is started on this
    machine, without a dashboard, and stopped at the end. A session that stands already is used as it is.

    Args:
        cpus: processors that the job's largest stage asks for; a private cluster has at least so many slots.

    Raises:
        UserError: if there is no cluster at ``RAY_ADDRESS``.
    """
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


def require(resource: str, amount: float, wanted_by: str) -> None:
    """Checks that the cluster has a resource, since Ray would wait for it for ever.

    Raises:
        UserError: saying what is missing.
    """
    found = ray.cluster_resources().get(resource, 0)
    if found < amount:
        raise UserError(
            f"{wanted_by} needs {amount:g} {resource}, the cluster has {found:g}; ask for less under `cluster`, "
            "or add nodes"
        )
