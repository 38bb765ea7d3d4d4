"""Differences between arms, and what draws of their figures say of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xlstance.evaluation.resampling import bootstrap_p, percentile_interval, randomisation
from xlstance.evaluation.results import Column
from xlstance.evaluation.settings import EvaluationSettings

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The difference between two arms in one figure.

    ``diagonal_gap`` is best at 0: there the difference is that of the figures without their signs.

    Attributes:
        setting: ``mono``, ``cross`` or ``multi``.
        figure: its name in a benchmark's figures.
        arm: the one arm.
        other: the arm that it is compared with.
        difference: mean over seeds of the arm's figure minus that of the other.
        low: lower end of the difference's bootstrap interval.
        high: upper end.
        low_corrected: the same with (1 - confidence) shared out among all comparisons (Bonferroni), so that all
            intervals hold together.
        high_corrected: upper end.
        effect: the difference over the standard deviation of the units' differences; None where that is 0.
        p_randomisation: of exchanging the arms within units; the models are taken as they are.
        p_bootstrap: of drawing units, and seeds where there are several.
        p: the larger of the two.
        p_holm: the same corrected for all comparisons of the benchmark.
        better: the arm that is significantly better after correction; empty if that is not certain.
    """

    setting: str
    figure: str
    arm: str
    other: str
    difference: float
    low: float
    high: float
    low_corrected: float
    high_corrected: float
    effect: float | None
    p_randomisation: float
    p_bootstrap: float
    p: float
    p_holm: float = 1.0
    better: str = ""


@dataclass(frozen=True, kw_only=True)
class Resampled:
    """The figures of a benchmark as they are and in every resample: what all its tests and intervals are read from.

    Attributes:
        columns: the figures; those that no query has are left out.
        arms: names of the arms.
        seeds: those of every arm.
        units: number of units.
        settings: of the draws.
        values: ``[columns, arms]`` means over seeds.
        draws: ``[columns, arms, resamples]``.
        contributions: ``[columns, arms, units]`` what each unit adds to a value.
    """

    columns: tuple[Column, ...]
    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    units: int
    settings: EvaluationSettings
    values: Floats
    draws: Floats
    contributions: Floats

    def compare(self, asked: Sequence[tuple[Column, str, str]], tests: int) -> list[Comparison]:
        """Compares arms.

        Args:
            asked: (figure, arm, other arm).
            tests: over how many tests the corrected intervals share out 1 - confidence.
        """
        if not asked:
            return []
        exchanged, seen = zip(*(self._exchange(*one) for one in asked), strict=True)
        p_values = randomisation(np.array(exchanged), self.settings.resamples, self.settings.seed, np.array(seen))
        return [self._comparison(*one, float(p), tests) for one, p in zip(asked, p_values, strict=True)]

    def leader(self, column: Column) -> str:
        """The arm with the best value of a figure."""
        values = dict(zip(self.arms, self.values[self.columns.index(column)].tolist(), strict=True))
        return max(values, key=lambda arm: column.worth(values[arm]))

    def _place(self, column: Column, arm: str) -> tuple[int, int]:
        return self.columns.index(column), self.arms.index(arm)

    def _exchange(self, column: Column, arm: str, other: str) -> tuple[Floats, float]:
        """``[units]`` what changes its sign where a unit's arms are exchanged, and how far its sum is to count."""
        one, two = self._place(column, arm), self._place(column, other)
        difference, total = self.values[one] - self.values[two], self.values[one] + self.values[two]
        # The sum of both figures stays as it is, so their sizes differ by the smaller of it and the difference.
        seen = min(abs(difference), abs(total)) if column.best == "zero" else abs(difference)
        return self.contributions[one] - self.contributions[two], float(seen)

    def _comparison(self, column: Column, arm: str, other: str, p_randomisation: float, tests: int) -> Comparison:
        value, draws, parts = (
            one - two for one, two in zip(self._measured(column, arm), self._measured(column, other), strict=True)
        )
        low, high = percentile_interval(draws, self.settings.confidence)
        low_corrected, high_corrected = percentile_interval(draws, 1 - (1 - self.settings.confidence) / tests)
        p_bootstrap = bootstrap_p(draws)
        return Comparison(
            setting=column.setting,
            figure=column.figure,
            arm=arm,
            other=other,
            difference=float(value),
            low=low,
            high=high,
            low_corrected=low_corrected,
            high_corrected=high_corrected,
            effect=_effect(parts),
            p_randomisation=p_randomisation,
            p_bootstrap=p_bootstrap,
            p=max(p_randomisation, p_bootstrap),
        )

    def _measured(self, column: Column, arm: str) -> tuple[Floats, Floats, Floats]:
        """A figure, ``[resamples]`` its draws and ``[units]`` what each unit adds; its size where it is best at 0."""
        place = self._place(column, arm)
        value, draws, parts = self.values[place], self.draws[place], self.contributions[place]
        if column.best == "zero":
            return np.abs(value), np.abs(draws), np.copysign(1, value) * parts
        return value, draws, parts


def _effect(part: Floats) -> float | None:
    """The mean over units of their differences, each as if all units were like it, over its standard deviation."""
    spread = part.std(ddof=1) * len(part)
    return float(part.sum() / spread) if spread > 0 else None
