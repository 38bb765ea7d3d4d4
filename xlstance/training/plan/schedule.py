"""Alpha as a schedule over the steps, and the shares of kinds of batches that follow it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from xlstance.training.plan.shares import Stretch

AlphaShape = Literal["linear", "steps"]
_STAIRS = 4096  # of constant alpha, at most, in which a coin climbs one segment of a schedule


@dataclass(frozen=True)
class _Segment:
    """From ``start`` on, alpha is ``alpha + slope * (step - start)``; ``before`` is its sum until then."""

    start: Fraction
    alpha: Fraction
    slope: Fraction
    before: Fraction


class AlphaSchedule:
    """Alpha over the steps, piece by piece in closed form.

    Args:
        points: alpha at steps; constant before the first and after the last.
        shape: ``linear``: along straight lines between the points; ``steps``: each alpha holds until the next point.

    Attributes:
        lowest: the least alpha of all.
        highest: the largest.
    """

    def __init__(self, points: Mapping[int, float], shape: AlphaShape) -> None:
        # Decimal fractions as they were written: .35 of 20 batches are then exactly 7.
        known = [(Fraction(step), Fraction(str(alpha))) for step, alpha in sorted(points.items())]
        known = [(Fraction(0), known[0][1]), *[point for point in known if point[0] > 0]]
        self._segments: list[_Segment] = []
        before = Fraction(0)
        for (step, alpha), (end, to) in pairwise(known):
            slope = (to - alpha) / (end - step) if shape == "linear" else Fraction(0)
            self._segments.append(_Segment(step, alpha, slope, before))
            before += (end - step) * (alpha + slope * (end - step) / 2)
        self._segments.append(_Segment(*known[-1], Fraction(0), before))
        self.lowest, self.highest = min(points.values()), max(points.values())

    def total(self, steps: Fraction) -> Fraction:
        """The integral of alpha from step 0 to ``steps``."""
        low, high = 0, len(self._segments)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._segments[middle].start <= steps else (low, middle)
        segment = self._segments[low]
        past = steps - segment.start
        return segment.before + past * (segment.alpha + segment.slope * past / 2)

    def stairs(self, block: int) -> list[tuple[int, float]]:
        """(step, alpha from there on); a slope is cut into even stairs of ``block`` steps or more, each at its mean."""
        found: list[tuple[int, float]] = []
        ends = [int(segment.start) for segment in self._segments[1:]]
        for segment, end in zip(self._segments, [*ends, None], strict=True):
            start, alpha, slope = int(segment.start), float(segment.alpha), float(segment.slope)
            if end is None or slope == 0:
                # Stretches of one alpha are one, so that how a schedule is written does not change the draws.
                found += [(start, alpha)] if not found or found[-1][1] != alpha else []
                continue
            count = min(_STAIRS, max(1, (end - start) // block))
            edges = [start + (end - start) * stair // count for stair in range(count + 1)]
            found += [(a, min(1.0, max(0.0, alpha + slope * ((a + b) / 2 - start)))) for a, b in pairwise(edges)]
        return found


class KindShares:
    """Shares of three kinds of batches: bitext, and of the others a first kind with share alpha and a second one.

    Args:
        bitext: share of bitext batches among all.
        alpha: share of the first kind among the other batches, over the steps among all batches.
    """

    def __init__(self, bitext: float, alpha: AlphaSchedule) -> None:
        self._bitext, self._alpha = Fraction(str(bitext)), alpha
        self._rounded = lru_cache(maxsize=64)(self._round)

    def through(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """See ``Shares``."""
        return np.array([self._rounded(int(n)) for n in places])

    def _round(self, places: int) -> list[int]:
        bitext = _nearest(self._bitext * places)
        others, share = places - bitext, 1 - self._bitext
        # The sum over the batches that are no bitext, thinned evenly out of all. As a function of their number it never
        # grows faster than they do, so that no kind's count falls.
        first = _nearest(share * self._alpha.total(others / share)) if others else 0
        return [bitext, first, others - first]

    def stretches(self, block: int) -> list[Stretch]:
        """See ``Shares``."""
        bitext = float(self._bitext)
        return [
            Stretch(start, (bitext, (1 - bitext) * alpha, (1 - bitext) * (1 - alpha)))
            for start, alpha in self._alpha.stairs(block)
        ]


def _nearest(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))
