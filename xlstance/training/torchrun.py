"""Training runs under plain ``torchrun``: no Ray, the same loop, and checkpoints that it goes on from.

xlstance prepare --config FILE
torchrun --nproc-per-node 2 jobs/train.py OUTPUT/training-runs.json
"""

import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch.distributed as dist

from xlstance.errors import SettingsError, StorageError, UserError
from xlstance.settings import from_plain
from xlstance.training.engine import join_process_group
from xlstance.training.loop import TrainingRun, train

_LATEST = "latest.json"


def main(arguments: Sequence[str]) -> int:
    """Trains the runs of a file in turn; every process calls it. Returns the exit code."""
    try:
        if len(arguments) != 1:
            raise UserError("give one argument, the training-runs.json that `xlstance prepare` wrote")
        train_in_turn(read_runs(Path(arguments[0])))
    except UserError as error:
        if os.environ.get("RANK", "0") == "0":  # every process meets the same mistake
            print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def read_runs(path: Path) -> list[TrainingRun]:
    """The runs that ``xlstance prepare`` listed.

    Raises:
        StorageError: if the file is missing or is no such list.
    """
    try:
        rows = json.loads(path.read_text())
        if not isinstance(rows, list):
            raise TypeError("it holds no list")
        return [from_plain(TrainingRun, row) for row in rows]
    except (OSError, ValueError, TypeError, SettingsError) as error:
        raise StorageError(f"{path} is no list of training runs ({error}); make it with `xlstance prepare`") from error


def train_in_turn(runs: Sequence[TrainingRun]) -> None:
    """Trains what is not trained yet, going on from the last checkpoint of a run that was stopped."""
    rank, _ = join_process_group()
    for run in runs:
        if not run.trained:
            keeper = _Keeper(Path(run.output) / "checkpoints", rank)
            train(run, keeper.keep, keeper.latest())
            dist.barrier()
            if rank == 0:
                shutil.rmtree(keeper.folder, ignore_errors=True)


class _Keeper:
    """Merges the ranks' parts of a checkpoint in one folder, and keeps the last."""

    def __init__(self, folder: Path, rank: int) -> None:
        self.folder, self._rank = folder, rank

    def latest(self) -> Path | None:
        marker = self.folder / _LATEST
        return self.folder / json.loads(marker.read_text())["folder"] if marker.exists() else None

    def keep(self, metrics: dict[str, Any], part: Path | None) -> None:
        if part is None:
            return
        name = f"step-{metrics['step']}"
        shutil.copytree(part, self.folder / name, dirs_exist_ok=True)
        dist.barrier()  # the marker is written when every rank's part is there
        if self._rank == 0:
            before = self.latest()
            (self.folder / f"{name}.json").write_text(json.dumps({"folder": name}))
            (self.folder / f"{name}.json").replace(self.folder / _LATEST)  # whole at any moment, whoever kills us
            if before is not None and before.name != name:
                shutil.rmtree(before)
        dist.barrier()
