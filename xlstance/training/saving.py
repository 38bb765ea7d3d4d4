"""Saving an encoder in mid-training: the model itself, and the best weights so far."""

import shutil
from collections.abc import Collection
from pathlib import Path

import torch
from safetensors import SafetensorError

from xlstance.disk_folder import DiskFolder
from xlstance.errors import StorageError
from xlstance.training.agreement import together
from xlstance.training.engine import Engine, whole_parameters


def weights_are_finite(engine: Engine) -> bool:
    """Whether the weights that this process holds are numbers all."""
    held = (getattr(parameter, "ds_tensor", parameter) for parameter in engine.module.parameters())  # ZeRO 3's share
    return all(bool(torch.isfinite(values).all()) for values in held)


def save_model(engine: Engine, folder: Path, rank: int) -> None:
    """Writes the encoder as a model folder; every rank calls it, the first writes.

    Raises:
        StorageError: on every rank, if it cannot be written.
    """
    what = f"the model cannot be written to {folder}"
    with whole_parameters(engine) as encoder, together(what):
        if rank == 0:
            try:
                encoder.save(folder)
            except SafetensorError as error:  # its own error for a full disk
                raise StorageError(f"{what}: {error}") from error


class BestWeights:
    """The weights of the best validations, a folder for each step, which stands whole or not at all.

    A run that goes on from a checkpoint needs the best weights of that moment: a folder stays as long as a checkpoint
    may ask for it.

    Args:
        folder: where they lie.
        rank: this process's number.
    """

    def __init__(self, folder: DiskFolder, rank: int) -> None:
        self.folder, self._rank = folder, rank

    def at(self, step: int) -> DiskFolder:
        """The folder of a step's weights."""
        return self.folder / f"step-{step:08d}"

    def save(self, engine: Engine, step: int) -> None:
        """Keeps the present weights; every rank calls it.

        Raises:
            StorageError: on every rank, if they cannot be written; those before are still there.
        """
        place = self.at(step)
        part = self.folder.path / "part"  # stands for a folder that is not whole, whoever ends this process
        save_model(engine, part, self._rank)
        with together(f"the best weights cannot be written to {self.folder}"):
            if self._rank == 0:
                shutil.rmtree(place.path, ignore_errors=True)
                part.rename(place.path)
                place.keep()

    def drop(self, best: int, checkpoints: Collection[int]) -> None:
        """Drops what was the best once, but for what a checkpoint would ask for.

        Args:
            best: step of the present best.
            checkpoints: steps of the checkpoints that are kept; each wants the newest best at its time.
        """
        wanted = {max((other for other in self._steps() if other <= step), default=0) for step in checkpoints}
        self._remove_but({best, *wanted})

    def drop_after(self, step: int) -> None:
        """Drops the weights of steps that will be done again."""
        self._remove_but({other for other in self._steps() if other <= step})

    def remove(self) -> None:
        """Drops all."""
        self.folder.remove()

    def _steps(self) -> list[int]:
        return [int(path.name.removeprefix("step-")) for path in self.folder.path.glob("step-*")]

    def _remove_but(self, steps: Collection[int]) -> None:
        if self._rank == 0:
            for other in set(self._steps()) - set(steps):
                self.at(other).remove()
