"""Noticing that training has gone wrong for good: a loss that is no number, or that climbs and stays up."""

import math
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

from xlstance.errors import UserError

_MEMORY = 0.9  # share of the running mean that stays at each batch: about the last ten of a kind
_LANGUAGES_SHOWN = 6


class DivergenceError(UserError):
    """Training has diverged; the message says where, and what to try.

    Args:
        run: the run's name.
        step: the step at which it was seen, from 1.
        kind: of the step's batch.
        rows: pairs of that batch by ``query language->passage language``.
        problem: what was seen.
        kept: what can be said of the last good checkpoint.
    """

    def __init__(self, run: str, step: int, kind: str, rows: Mapping[str, int], problem: str, kept: str) -> None:
        most = sorted(rows.items(), key=lambda row: (-row[1], row[0]))
        languages = ", ".join(f"{count} {pair}" for pair, count in most[:_LANGUAGES_SHOWN])
        more = f" and {len(rows) - _LANGUAGES_SHOWN} more" if len(rows) > _LANGUAGES_SHOWN else ""
        super().__init__(
            f"training {run} diverged at step {step} ({kind} batch of {languages}{more}): {problem}; {kept}; "
            "try a lower training.learning_rate, a longer training.warmup or another training.deepspeed.precision"
        )


@dataclass
class DivergenceWatch:
    """Follows the loss per kind of batch, since kinds differ in difficulty and a schedule shifts between them.

    A contrastive loss is bounded, so that an explosion is a climb back to chance. It is seen in a running mean over
    about ten batches: one unlucky batch moves it little, and nothing else lifts it by some nats.

    Attributes:
        limit: nats that the running mean of a kind may lie above its lowest value so far; 0: any.
        means: running mean by kind of batch; updated in place.
        lowest: its lowest value so far by kind of batch; updated in place.
    """

    limit: float
    means: MutableMapping[str, float]
    lowest: MutableMapping[str, float]

    def problem(self, kind: str, loss: float, gradient_norm: float | None) -> str:
        """Takes note of a step; what is wrong, or nothing.

        Args:
            kind: of the batch.
            loss: of the global batch.
            gradient_norm: of the global batch; None where it is not known, or may be infinite without harm.
        """
        if not math.isfinite(loss):
            return f"the loss is {loss}"
        if gradient_norm is not None and not math.isfinite(gradient_norm):
            return f"the norm of the gradient is {gradient_norm}"
        mean = _MEMORY * self.means.get(kind, loss) + (1 - _MEMORY) * loss
        lowest = min(self.lowest.get(kind, mean), mean)
        self.means[kind], self.lowest[kind] = mean, lowest
        if self.limit and mean > lowest + self.limit:
            return f"the loss of {kind} batches has risen from {lowest:.3g} to {mean:.3g} (running mean)"
        return ""
