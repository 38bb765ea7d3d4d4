"""Randomisation and bootstrap over units, as matrix products: no loop over resamples, every mean taken anew exactly.

A figure is a mean over cells (languages, or pairs of them) of means over queries. With the sums and counts of every
unit in every cell, a resample is a row of weights over units, and its figure follows from two matrix products.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_BLOCK_BYTES = 64 << 20
# Sums of the same numbers in another order differ in the last digits; such statistics are equal.
_EQUAL = 1e-12


@dataclass(frozen=True, kw_only=True)
class UnitSums:
    """A figure of several runs (an arm trained with a seed), summed within units and cells.

    Attributes:
        sums: ``[runs, units, cells]`` sums over queries.
        counts: ``[units, cells]`` queries that have the figure; the same in every run.
        minus: ``[cells]`` cells whose mean is taken off, as those off the diagonal in ``diagonal_gap``; in other
            figures none.
    """

    sums: Floats
    counts: Floats
    minus: npt.NDArray[np.bool_]

    def figures(self, weights: Floats) -> Floats:
        """The figure of every run with units weighted: the mean over cells, each the mean over its weighted queries.

        A cell that a resample leaves empty does not count in it.

        Args:
            weights: ``[resamples, units]``, not negative.

        Returns:
            ``[resamples, runs]``; NaN where every cell is empty.
        """
        runs, units, cells = self.sums.shape
        counts = weights @ self.counts
        sums = (weights @ self.sums.transpose(1, 0, 2).reshape(units, -1)).reshape(-1, runs, cells)
        figures: Floats = (sums @ self._per_query(counts)[:, :, None])[:, :, 0]
        empty = ~np.any(counts > 0, axis=1, keepdims=True)
        return np.where(empty, np.nan, figures)

    def contributions(self) -> Floats:
        """``[runs, units]`` what each unit adds to the figure of each run; the sum over units is the figure."""
        added: Floats = self.sums @ self._per_query(self.counts.sum(axis=0))
        return added

    def _per_query(self, counts: Floats) -> Floats:
        """``[..., cells]`` what a query's value counts in the figure, for ``[..., cells]`` queries in the cells."""
        plus, taken = (counts > 0) & ~self.minus, (counts > 0) & self.minus
        of_plus, of_taken = (np.maximum(part.sum(axis=-1, keepdims=True), 1) for part in (plus, taken))
        share = np.where(self.minus, -1 / of_taken, 1 / of_plus)
        each: Floats = np.divide(share, counts, out=np.zeros_like(counts), where=counts > 0)
        return each


def bootstrap(samples: Sequence[UnitSums], seeds: int, resamples: int, seed: int) -> Floats:
    """Figures of units and training seeds drawn again with replacement.

    Units and seeds are crossed: a resample draws both, and uses the same in every arm, language and setting (the
    two-way bootstrap of Owen, The pigeonhole bootstrap, Annals of Applied Statistics 2007). One fewer is drawn than
    there are, of each, since n draws out of n give a variance that is too small by 1 / n (Rao and Wu, Resampling
    inference with complex survey data, JASA 1988); a single seed is kept.

    Args:
        samples: the figures, over the same units; their runs are those of the first arm, by seed, then of the next.
        seeds: number of seeds of each arm.
        resamples: number of draws.
        seed: of the draws.

    Returns:
        ``[samples, arms, resamples]``: means over the drawn seeds.
    """
    units, runs = samples[0].counts.shape[0], samples[0].sums.shape[0]
    figures = np.empty((len(samples), runs // seeds, resamples))
    widest = max(units, *(sample.sums.shape[0] * sample.sums.shape[2] for sample in samples))
    of_seeds = _draws(seeds, resamples, np.random.default_rng([seed, 1]), resamples)
    drawn = next(of_seeds) / max(seeds - 1, 1)
    start = 0
    for weights in _draws(units, resamples, np.random.default_rng([seed, 0]), _rows(widest)):
        rows = slice(start, start + len(weights))
        for number, sample in enumerate(samples):
            by_seed = sample.figures(weights).reshape(len(weights), -1, seeds)
            figures[number, :, rows] = np.einsum("bas,bs->ab", by_seed, drawn[rows])
        start = rows.stop
    return figures


def _draws(size: int, resamples: int, rng: np.random.Generator, rows: int) -> Iterator[Floats]:
    """Blocks of ``[rows, size]``: how often each is drawn in ``size - 1`` draws, or once if it is alone."""
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        drawn = rng.integers(0, size, (count, max(size - 1, 1))) + size * np.arange(count)[:, None]
        yield np.bincount(drawn.ravel(), minlength=count * size).reshape(count, size).astype(np.float64)


def randomisation(contributions: Floats, resamples: int, seed: int, seen: Floats | None = None) -> Floats:
    """Two-sided p-values of differences, by exchanging the arms within units.

    If two arms are alike, each unit's difference might as well have the other sign. The p-value is the share of sign
    patterns whose sum is at least as far from 0 as the one seen: over all patterns where these are no more than
    ``resamples``, else over so many random ones and the one seen itself (Fisher 1935; Smucker et al., A comparison of
    statistical significance tests for information retrieval evaluation, CIKM 2007).

    Args:
        contributions: ``[tests, units]`` what each unit adds to each difference.
        resamples: number of random patterns.
        seed: of the patterns.
        seen: ``[tests]`` how far from 0 a pattern's sum must be to count; None: as far as the differences seen.

    Returns:
        ``[tests]``, above 0.
    """
    tests, units = contributions.shape
    seen = np.abs(contributions.sum(axis=1)) if seen is None else seen
    least = seen - _EQUAL * np.abs(contributions).sum(axis=1)
    as_far = np.zeros(tests, np.int64)
    exact = units < 63 and 2**units <= resamples
    rows = _rows(max(units, tests))
    rng = np.random.default_rng([seed, 2])
    patterns = _all_signs(units, rows) if exact else _random_signs(units, resamples, rows, rng)
    for signs in patterns:
        as_far += (np.abs(signs @ contributions.T) >= least).sum(axis=0)
    p: Floats = as_far / 2**units if exact else (1 + as_far) / (1 + resamples)
    return p


def _all_signs(units: int, rows: int) -> Iterator[Floats]:
    for start in range(0, 2**units, rows):
        patterns = np.arange(start, min(start + rows, 2**units))
        yield _signs(patterns[:, None] >> np.arange(units) & 1)


def _random_signs(units: int, resamples: int, rows: int, rng: np.random.Generator) -> Iterator[Floats]:
    for start in range(0, resamples, rows):
        yield _signs(rng.integers(0, 2, (min(rows, resamples - start), units)))


def _signs(bits: Integers) -> Floats:
    return np.where(bits == 1, 1.0, -1.0)


def _rows(width: int) -> int:
    return max(1, _BLOCK_BYTES // (8 * width))


def percentile_interval(draws: Floats, confidence: float) -> tuple[float, float]:
    """The percentile interval of a bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, chapter 13)."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws[~np.isnan(draws)], [tail, 1 - tail])
    return float(low), float(high)


def bootstrap_p(draws: Floats) -> float:
    """Two-sided p-value of a difference being 0: the smallest 1 - confidence whose percentile interval holds 0."""
    known = draws[~np.isnan(draws)]
    beyond = min(np.count_nonzero(known <= _EQUAL), np.count_nonzero(known >= -_EQUAL))
    return float(min(1.0, 2 * (1 + beyond) / (1 + len(known))))


def holm(p: Sequence[float]) -> list[float]:
    """P-values corrected for their number, so that the chance of any false finding stays below the level.

    Source: Holm, A simple sequentially rejective multiple test procedure (Scandinavian Journal of Statistics 1979).
    """
    values = np.array(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(stepped, 1)
    return [float(value) for value in corrected]
