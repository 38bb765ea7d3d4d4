"""Training runs under Ray Train: one worker group does them in turn, and goes on after a fault where it stood."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray.train
from ray.train import Checkpoint, CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer

from xlstance.errors import UserError
from xlstance.session import require
from xlstance.storage import fingerprint
from xlstance.training.checkpoint import read_state
from xlstance.training.loop import TrainingRun, train


def fit(
    runs: Sequence[TrainingRun], folder: Path, *, workers: int, cpus_per_worker: float, gpus_per_worker: float
) -> None:
    """Trains what is not trained yet.

    Args:
        runs: in an order in which a run comes after the one whose model it starts from.
        folder: where Ray Train keeps checkpoints; every node must see it, and the runs' own folders.
        workers: size of the worker group.
        cpus_per_worker: processors of a worker; also its threads.
        gpus_per_worker: GPUs of a worker.

    Raises:
        UserError: if the cluster lacks what the workers need, or the settings do not fit the data.
    """
    if all(run.trained for run in runs):
        return
    require("CPU", workers * cpus_per_worker, "training")
    if gpus_per_worker:
        require("GPU", workers * gpus_per_worker, "training")
    trainer = TorchTrainer(
        _train_in_turn,
        train_loop_config={"runs": [_absolute(run) for run in runs], "threads": int(cpus_per_worker) or 1},
        torch_config=TorchConfig(backend="nccl" if gpus_per_worker else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=workers,
            use_gpu=bool(gpus_per_worker),
            resources_per_worker={"CPU": cpus_per_worker, **({"GPU": gpus_per_worker} if gpus_per_worker else {})},
        ),
        run_config=RunConfig(
            # The same name resumes; other runs must not meet it.
            name=f"train-{fingerprint(list(runs), workers)}",
            storage_path=str(folder.resolve()),
            failure_config=FailureConfig(max_failures=3),
            checkpoint_config=CheckpointConfig(num_to_keep=1),
        ),
    )
    error = trainer.fit().return_value
    if error:
        raise UserError(error)


def _absolute(run: TrainingRun) -> TrainingRun:
    """Workers have another working directory than the driver."""
    names = ("start", "tokenizer", "store", "validation_store", "output")
    paths: dict[str, Any] = {name: getattr(run, name) and str(Path(getattr(run, name)).resolve()) for name in names}
    return replace(run, **paths)


def _train_in_turn(config: dict[str, Any]) -> str | None:
    import torch

    torch.set_num_threads(config["threads"])
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for run in config["runs"]:
        if run.trained:
            continue
        checkpoint = ray.train.get_checkpoint()
        try:
            if checkpoint is None:
                train(run, _report)
                continue
            with checkpoint.as_directory() as folder:
                own = read_state(Path(folder))["run"] == run.name
                train(run, _report, Path(folder) if own else None)
        except UserError as error:  # no fault of a worker: not retried, and said in one line by the driver
            return str(error)
    return None


def _report(metrics: dict[str, Any], folder: Path | None) -> None:
    ray.train.report(metrics, checkpoint=Checkpoint.from_directory(str(folder)) if folder else None)
