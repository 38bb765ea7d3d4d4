"""Settings of the evaluation."""

from dataclasses import dataclass

from xlstance.errors import SettingsError
from xlstance.evaluation.per_query import WithoutAnswer


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """What counts, and how differences between arms are tested.

    Attributes:
        without_answer: a query in a pool that holds no relevant passage of it is ``excluded``, or counts as ``zero``.
        resamples: draws of the tests; the smallest p-value is about 1 / resamples.
        confidence: of intervals; a p-value below 1 - confidence is called significant.
        margin: a lead in a figure from 0 to 1 that is certainly below this is no lead; .003 are 0.3 mAP points.
        seed: of the draws.
    """

    without_answer: WithoutAnswer = "excluded"
    resamples: int = 10_000
    confidence: float = 0.95
    margin: float = 0.003
    seed: int = 0

    def __post_init__(self) -> None:
        if self.resamples < 100:
            raise SettingsError(f"evaluation.resamples is {self.resamples}; it must be at least 100, 10000 is usual")
        if not 0.5 < self.confidence < 1:
            raise SettingsError(f"evaluation.confidence is {self.confidence}; it must lie between 0.5 and 1, as 0.95")
        if not 0 <= self.margin < 1:
            raise SettingsError(f"evaluation.margin is {self.margin}; it must lie from 0 to below 1, as 0.003")
        if self.seed < 0:
            raise SettingsError(f"evaluation.seed is {self.seed}; it must not be negative")
