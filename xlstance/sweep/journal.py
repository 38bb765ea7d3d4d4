"""The sweep's journal: what became of every trial, a line for each event, written by the driver alone.

It is what a sweep goes on from: nothing of Ray's own state is read back.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from xlstance.disk_folder import DiskFolder
from xlstance.files import write_whole
from xlstance.storage import Folder
from xlstance.sweep.points import Point

JOURNAL = "trials.jsonl"
State = Literal["begun", "finished", "stopped", "failed", "lost"]


@dataclass
class Trial:
    """A training run of a sweep: a point with one seed.

    Attributes:
        name: the point's label and the seed.
        point: the values of what is varied.
        seed: of the training run.
        state: ``begun``; ``finished``; ``stopped``, since it fell behind; ``failed``, by a mistake that would come
            again; ``lost``, to faults, so that it is taken up again when the sweep is.
        reason: why it failed or was lost.
        scores: quick retrieval scores by step.
        figures: what it reached at its end, and what it took.
    """

    name: str
    point: Point
    seed: int
    state: State = "begun"
    reason: str = ""
    scores: dict[int, float] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether it runs no more, and will not in this start of the sweep."""
        return self.state != "begun"

    @property
    def steps(self) -> int:
        """Training steps that it took, as far as is known."""
        return int(self.figures.get("steps", max(self.scores, default=0)))


class Journal:
    """The trials of a sweep, and the file that they are known from.

    Args:
        folder: of the sweep; there may be no journal yet. A line that a kill cut off is dropped.

    Attributes:
        trials: by name, in the order in which they were begun.
    """

    def __init__(self, folder: Folder) -> None:
        self._place, self.trials = DiskFolder(folder.uri), dict[str, Trial]()
        self._path = self._place.fetch(JOURNAL) / JOURNAL
        text = self._path.read_text() if self._path.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            write_whole(self._path, whole)
        for line in whole.splitlines():
            self._apply(json.loads(line))

    def begin(self, name: str, point: Point, seed: int) -> Trial:
        """Notes that a trial begins, or is taken up again."""
        self._note({"trial": name, "event": "begun", "point": dict(point), "seed": seed})
        return self.trials[name]

    def score(self, name: str, step: int, score: float) -> None:
        """Notes a quick score; the steps after a checkpoint are done again and score the same."""
        if step not in self.trials[name].scores:
            self._note({"trial": name, "event": "score", "step": step, "score": score})

    def finish(self, name: str, figures: Mapping[str, Any]) -> None:
        """Notes that a trial came to its end."""
        self._note({"trial": name, "event": "finished", "figures": dict(figures)})

    def end(self, name: str, state: State, reason: str = "") -> None:
        """Notes that a trial ended in another way."""
        self._note({"trial": name, "event": state, "reason": reason})

    def _note(self, event: Mapping[str, Any]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps(event) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._place.keep(JOURNAL)
        self._apply(event)

    def _apply(self, event: Mapping[str, Any]) -> None:
        name = event["trial"]
        match event["event"]:
            case "begun":
                known = self.trials.setdefault(name, Trial(name=name, point=event["point"], seed=event["seed"]))
                known.state, known.reason = "begun", ""
            case "score":
                self.trials[name].scores[event["step"]] = event["score"]
            case "finished":
                self.trials[name].state, self.trials[name].figures = "finished", event["figures"]
            case state:
                self.trials[name].state, self.trials[name].reason = state, event["reason"]
