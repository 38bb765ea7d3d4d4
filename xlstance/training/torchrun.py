"""Training runs under plain ``torchrun``: no Ray, the same loop, and checkpoints that it goes on from.

xlstance prepare --config FILE
torchrun --nproc-per-node 2 jobs/train.py OUTPUT/training-runs.json
"""

import json
import os
import sys
from collections.abc import Sequence

from xlstance.disk_folder import on_this_node
from xlstance.errors import SettingsError, StorageError, UserError
from xlstance.settings import from_plain
from xlstance.training.loop import train
from xlstance.training.run import TrainingRun


def main(arguments: Sequence[str]) -> int:
    """Trains the runs of a file in turn; every process calls it. Returns the exit code."""
    try:
        if len(arguments) != 1:
            raise UserError("give one argument, the training-runs.json that `xlstance prepare` wrote")
        train_in_turn(read_runs(arguments[0]))
    except (UserError, OSError) as error:
        # Every process meets the same mistake; a file system may fail in one alone.
        if os.environ.get("RANK", "0") == "0" or isinstance(error, OSError):
            print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def read_runs(path: str) -> list[TrainingRun]:
    """The runs that ``xlstance prepare`` listed, in a file on a disk or in a bucket.

    Raises:
        StorageError: if the file is missing or is no such list.
    """
    try:
        folder, name = os.path.split(path)
        rows = json.loads((on_this_node(folder, name) / name).read_text())
        if not isinstance(rows, list):
            raise TypeError("it holds no list")
        return [from_plain(TrainingRun, row) for row in rows]
    except (OSError, ValueError, TypeError, SettingsError) as error:
        raise StorageError(f"{path} is no list of training runs ({error}); make it with `xlstance prepare`") from error


def train_in_turn(runs: Sequence[TrainingRun]) -> None:
    """Trains what is not trained yet, going on from the last checkpoint of a run that was stopped."""
    for run in runs:
        if not run.trained:
            train(run)
