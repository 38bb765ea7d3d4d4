"""Shares of items over an endless sequence of places: exact counts by rounding, and stretches of constant shares."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

_SCALE = 62  # bits of a ratio


@dataclass(frozen=True)
class Stretch:
    """Places that share one distribution: from ``start`` to the next stretch, the last one without end."""

    start: int
    shares: tuple[float, ...]


class Shares(Protocol):
    """Of how many places each item takes how many."""

    def through(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """How many of the first ``places`` [n] each item takes, ``[n, items]``.

        Whole numbers that add up to the places, near their shares (to one half for the first item and about one for
        the others), and never falling from one number of places to a larger one.
        """
        ...

    def stretches(self, block: int) -> list[Stretch]:
        """The shares at each place; where they change at every place, steadied over at least ``block`` places."""
        ...


class ConstantShares:
    """The same shares everywhere.

    Args:
        weights: relative share of each item, not negative, not all 0; an item of weight 0 takes nothing.
    """

    def __init__(self, weights: Sequence[float]) -> None:
        given = np.asarray(weights, dtype=np.float64)
        self._shares = given / given.sum()
        # Largest first: the small ones, which take what is left, then have little rounding to make up for.
        self._order = [int(item) for item in np.argsort(-given, kind="stable") if given[item] > 0]
        self._equal = len(self._order) == len(given) and given.min() == given.max()
        left = np.cumsum(self._shares[self._order][::-1])[::-1]
        # Whole numbers, since floating-point products are too coarse after some 10**12 places.
        self._ratios = [round(Fraction(float(r)) * 2**_SCALE) for r in self._shares[self._order][:-1] / left[:-1]]
        self._rounded = lru_cache(maxsize=64)(self._round)

    def through(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """See ``Shares``."""
        if self._equal and not (places % len(self._shares)).any():  # nothing to round
            return np.repeat(places[:, None] // len(self._shares), len(self._shares), axis=1)
        return np.array([self._rounded(int(n)) for n in places])

    def _round(self, places: int) -> npt.NDArray[np.int64]:
        # Each item takes its rounded part of what the items before it left: never falling as the places grow, and
        # never growing faster than they do, so that the last item, which takes the rest, does not fall either.
        counts, rest = np.zeros(len(self._shares), dtype=np.int64), places
        for item, ratio in zip(self._order, self._ratios, strict=False):
            taken = (ratio * rest + (1 << (_SCALE - 1))) >> _SCALE
            counts[item] = taken
            rest -= taken
        counts[self._order[-1]] = rest
        return counts

    def stretches(self, block: int) -> list[Stretch]:
        """See ``Shares``."""
        return [Stretch(0, tuple(self._shares.tolist()))]
