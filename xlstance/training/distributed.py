"""Training runs under Ray Train: one worker group does them in turn, and goes on after a fault where it stood.

Ray Train starts the workers and joins them in a process group. Checkpoints are the loop's own and lie beside the
models, so that a new worker group goes on from the newest, whether a worker, a node or the driver had died.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray.exceptions import RayActorError
from ray.train import ControllerError, FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.v2._internal.exceptions import InsufficientClusterResourcesError, WorkerGroupStartupTimeoutError

from xlstance.errors import UserError
from xlstance.placement import node_labels
from xlstance.session import missing_resources, on_one_machine
from xlstance.storage import Folder, fingerprint
from xlstance.training.checkpoint import finished_steps
from xlstance.training.loop import train
from xlstance.training.run import TrainingRun

_FAULTS = 3  # worker groups that may die in a row without getting further
_START_TIMEOUT = "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"

_log = logging.getLogger(__name__)


def fit(
    runs: Sequence[TrainingRun],
    folder: str | Path,
    *,
    workers: int,
    cpus_per_worker: float,
    gpus_per_worker: float,
    wait_seconds: float = 300,
) -> None:
    """Trains what is not trained yet.

    When a worker or its node dies, a new worker group goes on, as long as training gets further between such faults.

    Args:
        runs: in an order in which a run comes after the one whose model it starts from.
        folder: where Ray Train keeps its notes. On a disk every node must see it, and the runs' own folders.
        workers: size of the worker group.
        cpus_per_worker: processors of a worker; also its threads.
        gpus_per_worker: GPUs of a worker.
        wait_seconds: how long workers wait for their processors, at the start and after a node is lost.

    Raises:
        UserError: if the cluster lacks what the workers need, the settings do not fit the data, training diverged, or
            a folder cannot be written.
    """
    bundle = {"CPU": cpus_per_worker, **({"GPU": gpus_per_worker} if gpus_per_worker else {})}
    faults = 0
    while not all(run.trained for run in runs):
        missing = on_one_machine() and missing_resources(bundle, workers, "training")
        if missing:
            raise UserError(missing)
        trainer = TorchTrainer(
            _train_in_turn,
            train_loop_config={"runs": [_absolute(run) for run in runs], "threads": int(cpus_per_worker) or 1},
            torch_config=TorchConfig(backend="nccl" if gpus_per_worker else "gloo"),
            scaling_config=ScalingConfig(
                num_workers=workers,
                use_gpu=bool(gpus_per_worker),
                resources_per_worker=bundle,
                label_selector=node_labels(gpus_per_worker) or None,
            ),
            run_config=RunConfig(
                name=f"train-{fingerprint(list(runs), workers)}",
                storage_path=Folder(folder).uri,
                # Ray's own limits count all faults of a run's life, or none.
                failure_config=FailureConfig(max_failures=0, controller_failure_limit=0),
            ),
        )
        reached = _reached(runs)
        try:
            with _start_within(wait_seconds):
                error = trainer.fit().return_value
        except (TrainingFailedError, RayActorError) as failure:
            cause = failure.controller_failure if isinstance(failure, ControllerError) else None
            if isinstance(cause, WorkerGroupStartupTimeoutError | InsufficientClusterResourcesError):
                missing = missing_resources(bundle, workers, "training") or "other work holds what training needs"
                raise UserError(f"{missing} (waited {wait_seconds:g} seconds)") from failure
            faults = 1 if _reached(runs) != reached else faults + 1
            if faults >= _FAULTS:
                _explain(failure)
                raise
            _log.warning("training lost its workers and goes on from the last checkpoint")
            continue
        if error:
            raise UserError(error)


def _reached(runs: Sequence[TrainingRun]) -> list[tuple[bool, list[int]]]:
    return [(run.trained, finished_steps(run.checkpoints)) for run in runs]


def _explain(failure: Exception) -> None:
    """Says in one line what a worker's file system said.

    Raises:
        UserError: if that was the failure.
    """
    for fault in getattr(failure, "worker_failures", {}).values():
        origin = getattr(fault, "_base_exc", fault)
        if isinstance(origin, OSError) and origin.filename:
            raise UserError(f"training cannot go on: {origin.strerror}: {origin.filename}") from failure


@contextmanager
def _start_within(seconds: float) -> Iterator[None]:
    """Sets how long Ray Train waits for a worker group to start, which it reads from the environment."""
    before = os.environ.get(_START_TIMEOUT)
    os.environ[_START_TIMEOUT] = str(seconds)
    try:
        yield
    finally:
        os.environ.pop(_START_TIMEOUT)
        if before is not None:
            os.environ[_START_TIMEOUT] = before


def _absolute(run: TrainingRun) -> TrainingRun:
    """Workers have another working directory than the driver."""
    names = ("start", "tokenizer", "store", "validation_store", "output", "node_folder")
    given = {name: getattr(run, name) for name in names}
    paths: dict[str, Any] = {
        name: str(Path(path).resolve()) for name, path in given.items() if path and "://" not in path
    }
    return replace(run, **paths)


def _train_in_turn(config: dict[str, Any]) -> str | None:
    import torch

    torch.set_num_threads(config["threads"])
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for run in config["runs"]:
        try:
            if not run.trained:
                train(run)
        except UserError as error:  # no fault of a worker, and met by all alike: the driver says it in one line
            return str(error)
    return None
