"""How certain a sweep's figures are: effects of points beside those of seeds, intervals, and where the best one lies.

The same seeds at every point let a seed's luck be told from a point's merit: a figure is the sum of an effect of its
point, one of its seed and noise (the additive model of a two-way layout, by least squares), and what is left over says
how large the noise is. Where the best point lies follows from draws of all effects together.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xlstance.sweep.settings import Axis

CONFIDENCE = 0.95
WIDEST = 0.3
"""Share of an axis: where the interval of the best value is wider, the value counts as not found."""

_DRAWS = 20_000
_INTEGRATION = 4000

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Effects:
    """The figures of points at an average seed.

    Attributes:
        points: labels, in the order in which they came first.
        means: ``[points]``.
        covariance: ``[points, points]`` of the means' errors; not a number without degrees of freedom.
        freedom: degrees of freedom of the noise; 0 where every point has one seed.
    """

    points: list[str]
    means: Floats
    covariance: Floats
    freedom: int

    def best_draws(self, seed: int = 0) -> npt.NDArray[np.int64] | None:
        """The best point's place in each of many draws of all means; None without degrees of freedom."""
        if not self.freedom:
            return None
        generator = np.random.default_rng(seed)
        values, vectors = np.linalg.eigh(self.covariance)
        root = vectors * np.sqrt(np.clip(values, 0, None))
        noise = generator.standard_normal((_DRAWS, len(self.points))) @ root.T
        scale = np.sqrt(generator.chisquare(self.freedom, size=(_DRAWS, 1)) / self.freedom)
        best: npt.NDArray[np.int64] = np.argmax(self.means + noise / scale, axis=1)
        return best


def fit_effects(points: Sequence[str], seeds: Sequence[int], values: Sequence[float]) -> Effects:
    """Estimates what points reach, runs being given row by row; a point may lack seeds.

    Args:
        points: label of each run's point.
        seeds: its seed.
        values: its figure.
    """
    labels, numbers = list(dict.fromkeys(points)), sorted(set(seeds))
    design = np.zeros((len(values), len(labels) + len(numbers) - 1))
    for row, (point, seed) in enumerate(zip(points, seeds, strict=True)):
        design[row, labels.index(point)] = 1
        # The seeds' effects sum to 0, so that a point's own is its figure at an average seed.
        if seed == numbers[-1]:
            design[row, len(labels) :] = -1
        else:
            design[row, len(labels) + numbers.index(seed)] = 1
    found = np.asarray(values, dtype=np.float64)
    inverse = np.linalg.pinv(design)
    effects = inverse @ found
    freedom = len(found) - int(np.linalg.matrix_rank(design))
    noise = float(np.square(found - design @ effects).sum()) / freedom if freedom else math.nan
    own = slice(0, len(labels))
    return Effects(labels, effects[own], noise * (inverse @ inverse.T)[own, own], freedom)


def best_interval(
    effects: Effects, axis: Axis, values: Mapping[str, float], confidence: float = CONFIDENCE
) -> tuple[float, float] | None:
    """Between which values of an axis the best one lies.

    Args:
        effects: of the points.
        axis: a numeric one.
        values: each point's value on it.
        confidence: share of the draws that lie in the interval, at least.

    Returns:
        The tried values at the ends, moved out over listed values that nobody tried, or over half the gap to the next
        tried one on a range: the best one may lie there too. None where nothing tells chance.
    """
    drawn = effects.best_draws()
    if drawn is None:
        return None
    found = np.array([values[label] for label in effects.points], dtype=np.float64)[drawn]
    rest = (1 - confidence) / 2
    low, high = (
        float(np.quantile(found, rest, method="lower")),
        float(np.quantile(found, 1 - rest, method="higher")),
    )
    tried = sorted(set(values.values()))
    below = max((value for value in tried if value < low), default=None)
    above = min((value for value in tried if value > high), default=None)
    if axis.grid:
        lower = [value for value in axis.grid if value < low and (below is None or value > below)]
        upper = [value for value in axis.grid if value > high and (above is None or value < above)]
        return float(min([low, *lower])), float(max([high, *upper]))
    ends = axis.bounds
    return (ends[0] if below is None else (below + low) / 2), (ends[1] if above is None else (above + high) / 2)


def is_found(axis: Axis, interval: tuple[float, float] | None) -> bool:
    """Whether an interval is narrow enough, on the axis's own scale, for its best value to count as found."""
    return interval is not None and axis.place(interval[1]) - axis.place(interval[0]) <= WIDEST + 1e-9


def mean_intervals(
    values: Sequence[Sequence[float]], confidence: float = CONFIDENCE
) -> list[tuple[float, float, float]]:
    """Mean and t-interval over the seeds of each point, the spread over seeds taken to be the same at all points.

    Args:
        values: for each point its figures by seed, at least one.
        confidence: of the intervals.

    Returns:
        For each point mean, low and high; low and high are the mean where no point has two seeds.
    """
    arrays = [np.asarray(own, dtype=np.float64) for own in values]
    freedom = sum(len(own) - 1 for own in arrays)
    squares = sum(float(np.square(own - own.mean()).sum()) for own in arrays)
    half = t_quantile((1 + confidence) / 2, freedom) * math.sqrt(squares / freedom) if freedom else 0.0
    return [
        (mean := float(own.mean()), mean - half / math.sqrt(len(own)), mean + half / math.sqrt(len(own)))
        for own in arrays
    ]


def t_quantile(probability: float, freedom: int) -> float:
    """The quantile of Student's t, for probabilities above one half, to about six digits."""
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)

    def mass(end: float) -> float:  # between 0 and end; the substitution makes a heavy tail no longer than others
        angles = np.linspace(0.0, math.atan(end / math.sqrt(freedom)), _INTEGRATION + 1)
        return float(np.trapezoid(scale * math.sqrt(freedom) * np.cos(angles) ** (freedom - 1), angles))

    low, high = 0.0, 1.0
    while 0.5 + mass(high) < probability:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if 0.5 + mass(middle) < probability else (low, middle)
    return (low + high) / 2
