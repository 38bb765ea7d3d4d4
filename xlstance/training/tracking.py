"""Where the figures of a run go: always a file of JSON lines, TensorBoard by a setting, and whatever a caller adds."""

import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from xlstance.disk_folder import DiskFolder
from xlstance.errors import UserError
from xlstance.files import write_whole

METRICS = "metrics.jsonl"
TENSORBOARD = "tensorboard"
_KEEP_SECONDS = 10

Figures = Mapping[str, Any]


class Tracker(Protocol):
    """Takes the figures of a run; only the first rank has one, and a resumed run repeats no step of its checkpoint."""

    def log(self, step: int, metrics: Figures) -> None:
        """Takes the figures of a step: numbers, and strings such as the kind of batch."""

    def close(self) -> None:
        """Called once, when the run ends, well or not."""


class MetricsFile:
    """``metrics.jsonl``: one line per step that is logged, whole lines only.

    Args:
        place: of the run. A bucket gets the file a few times a minute, for those who follow it.
        facts: what stands in every line.
    """

    def __init__(self, place: DiskFolder, facts: Figures) -> None:
        self._place, self._path, self._facts = place, place.path / METRICS, facts
        self._kept = time.monotonic()

    def keep_until(self, step: int) -> list[dict[str, Any]]:
        """Drops the lines of later steps, which will be done again; returns those that stay."""
        if not self._path.exists():
            return []
        whole = [line for line in self._path.read_text().splitlines() if line.endswith("}")]
        kept = [line for line in whole if json.loads(line)["step"] <= step]
        write_whole(self._path, "".join(line + "\n" for line in kept))
        return [json.loads(line) for line in kept]

    def log(self, step: int, metrics: Figures) -> None:
        """Adds a line."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps({**self._facts, "step": step, **metrics}) + "\n")
        if time.monotonic() - self._kept > _KEEP_SECONDS:
            self._place.keep(METRICS)
            self._kept = time.monotonic()

    def close(self) -> None:
        """Nothing is open."""


class TensorBoard:
    """The numbers of a run as TensorBoard shows them, in the folder ``tensorboard``.

    Args:
        folder: of the run.
        lines: what the run has logged before; the folder is made anew from these.

    Raises:
        UserError: if the package that writes the files is not there.
    """

    def __init__(self, folder: Path, lines: list[dict[str, Any]]) -> None:
        try:
            from tensorboardX import SummaryWriter  # type: ignore[import-untyped]
        except ImportError as error:
            raise UserError(
                "training.tensorboard needs the package tensorboardX: pip install tensorboardX, or leave it out"
            ) from error
        shutil.rmtree(folder / TENSORBOARD, ignore_errors=True)
        self._writer = SummaryWriter(str(folder / TENSORBOARD))
        for line in lines:
            self.log(line["step"], line)

    def log(self, step: int, metrics: Figures) -> None:
        """Adds a point to the curve of every number; losses and rates of each kind of batch have one of their own."""
        for name, value in metrics.items():
            if isinstance(value, float):
                kind = metrics.get("kind", "") if name == "loss" else ""
                self._writer.add_scalar(f"{name}/{kind}" if kind else name, value, step)

    def close(self) -> None:
        """Ends the file."""
        self._writer.close()
