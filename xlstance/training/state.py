"""What a run knows of itself besides the engine's state: kept in every checkpoint, told in the summary."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from xlstance.training.batches import RankBatch


@dataclass
class RunState:
    """How far a run is.

    Attributes:
        step: steps done.
        seconds: since the run began, all told; what a killed process did after its last checkpoint does not count.
        step_seconds: of these, spent on steps alone: no validation, no checkpoint.
        wait_seconds: of the step seconds, spent waiting for a batch.
        best: the watched figure at the best validation, higher being better; None before the first.
        best_step: the step of that validation.
        best_figures: all its figures.
        worse: validations since.
        kinds: batches by kind.
        rows: pairs by ``query language->passage language``.
        means: running mean of the loss by kind of batch, for ``DivergenceWatch``.
        lowest: its lowest value so far.
    """

    step: int = 0
    seconds: float = 0.0
    step_seconds: float = 0.0
    wait_seconds: float = 0.0
    best: float | None = None
    best_step: int = 0
    best_figures: dict[str, float] = field(default_factory=dict)
    worse: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    means: dict[str, float] = field(default_factory=dict)
    lowest: dict[str, float] = field(default_factory=dict)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "RunState":
        """The state that ``to_json`` wrote."""
        counters = {name: Counter(values[name]) for name in ("kinds", "rows")}
        return cls(**{**{f.name: values[f.name] for f in fields(cls)}, **counters})

    def to_json(self) -> dict[str, Any]:
        """The state as plain values."""
        return dict(vars(self))

    def count(self, batch: RankBatch, seconds: float, waited: float) -> None:
        """Takes note of a step."""
        self.step += 1
        self.step_seconds += seconds
        self.wait_seconds += waited
        self.kinds[batch.kind] += 1
        self.rows.update(batch.rows)

    def rates(self, batch_size: int) -> dict[str, float | None]:
        """Pairs per second: over all, validations and checkpoints included, and of the steps alone."""
        pairs = self.step * batch_size
        return {
            "pairs_per_second": round(pairs / self.seconds, 1) if pairs else None,
            "step_pairs_per_second": round(pairs / self.step_seconds, 1) if pairs else None,
        }

    @property
    def wait_share(self) -> float | None:
        """Share of the step time that was spent waiting for a batch."""
        return round(self.wait_seconds / self.step_seconds, 4) if self.step else None

    def judge(self, score: float, figures: Mapping[str, float]) -> bool:
        """Takes note of a validation's watched figure, higher being better; whether it is the best so far."""
        if self.best is not None and score <= self.best:
            self.worse += 1
            return False
        self.best, self.best_step, self.best_figures, self.worse = score, self.step, dict(figures), 0
        return True
