"""Independent draws at every place, by random access in logarithmic time.

To know how often an item came before place 10**12 without counting, the counts are drawn from above: those of a long
span of places are multinomial, those of its halves follow by drawing without replacement, and so on down to a leaf,
whose places are a shuffle of its counts. This is exactly the law of independent draws, read in another order.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from xlstance.training.plan.shares import Stretch
from xlstance.training.plan.splitmix import shuffle_rows, words

Counts = npt.NDArray[np.int64]

_LEAF = 1024  # places that are drawn at once, at most
_END = 1 << 52  # places altogether: beyond, binomial draws would be too coarse
_KEPT = 4096  # nodes whose split is remembered
_SMALL = 10**9  # elements below which NumPy draws hypergeometric numbers
_FEW = 2000  # elements that are chosen one by one


class CoinMixture:
    """The sequence; see ``xlstance.training.plan.mixture.Mixture``.

    Args:
        stretches: the shares of the items.
        key: fixes the draws.
    """

    def __init__(self, stretches: Sequence[Stretch], key: np.uint64) -> None:
        self._key = key
        starts = [stretch.start for stretch in stretches]
        shares = [stretch.shares for stretch in stretches]
        while starts[-1] < _END // 2:  # the last stretch, without end, in spans that double
            starts.append(starts[-1] + max(_LEAF, starts[-1] - stretches[-1].start))
            shares.append(shares[-1])
        self._starts = np.array(starts, dtype=np.int64)
        self._sizes = np.diff(self._starts, append=_END)
        totals = _multinomial(self._sizes, np.array(shares), _Draws(key).at(len(starts), 0))
        self._before = np.cumsum(totals, axis=0) - totals
        self._totals = totals
        self._halves: dict[tuple[int, int], Counts] = {}
        self._leaf = lru_cache(maxsize=8)(self._read_leaf)

    def draw(self, start: int, count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """See ``Mixture``."""
        found, place = [], start
        while place < start + count:
            first, items, occurrences = self._leaf(*self._leaf_of(place))
            window = slice(place - first, start + count - first)
            found.append((items[window], occurrences[window]))
            place = first + len(items)
        items, occurrences = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return items, occurrences

    def _leaf_of(self, place: int) -> tuple[int, int]:
        """The span of a place and, there, its leaf: 1 is the root, and node n has the halves 2 n and 2 n + 1."""
        span = int(np.searchsorted(self._starts, place, side="right")) - 1
        place, size, node = place - int(self._starts[span]), int(self._sizes[span]), 1
        while size > _LEAF:
            half = size // 2
            right = place >= half
            place, size, node = (place - half, size - half, 2 * node + 1) if right else (place, half, 2 * node)
        return span, node

    def _read_leaf(self, span: int, leaf: int) -> tuple[int, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """First place, items and occurrences of a leaf."""
        draws = _Draws(self._key)
        start, size = int(self._starts[span]), int(self._sizes[span])
        before, counts = self._before[span], self._totals[span]
        for level in range(leaf.bit_length() - 2, -1, -1):
            left = self._split(span, leaf >> (level + 1), counts, size // 2, draws)
            if leaf >> level & 1:
                start, size, before, counts = start + size // 2, size - size // 2, before + left, counts - left
            else:
                size, counts = size // 2, left
        key = words(words(self._key, np.array([span])), np.array([leaf]))
        items = shuffle_rows(np.repeat(np.arange(len(counts)), counts)[None], key)[0]
        return start, items, before[items] + count_earlier(items)

    def _split(self, span: int, node: int, counts: Counts, size: int, draws: "_Draws") -> Counts:
        """Counts of the first ``size`` places of a node."""
        left = self._halves.get((span, node))
        if left is None:
            if len(self._halves) >= _KEPT:
                self._halves.clear()
            left = self._halves[span, node] = choose(counts, size, draws.at(span, node))
        return left


class _Draws:
    """One generator, set to another stretch of its sequence for every node: cheaper than a new one."""

    def __init__(self, key: np.uint64) -> None:
        self._bits = np.random.Philox(key=int(key))
        self._state = self._bits.state
        self._generator = np.random.Generator(self._bits)

    def at(self, span: int, node: int) -> np.random.Generator:
        self._state["state"]["counter"][:] = (0, 0, span, node)
        self._bits.state = self._state
        return self._generator


def choose(counts: Counts, size: int, random: np.random.Generator) -> Counts:
    """Chooses elements of several kinds without replacement.

    Args:
        counts: ``[kinds]``, how many elements of each there are.
        size: how many to choose.
        random: where chance comes from.

    Returns:
        ``[kinds]``, how many of each were chosen: multivariate hypergeometric.
    """
    total = int(counts.sum())
    if total < _SMALL:
        return random.multivariate_hypergeometric(counts, size, method="marginals")
    if size <= _FEW:
        elements = random.choice(total, size, replace=False, shuffle=False)
        return np.bincount(np.searchsorted(np.cumsum(counts), elements, side="right"), minlength=len(counts))
    # NumPy knows no such numbers of this size. Every element on its own with probability size / total gives a uniform
    # choice of nearly the right size; what is too much, or lacks, is a uniform choice again, of about the square root.
    chosen = random.binomial(counts, size / total)
    surplus = int(chosen.sum()) - size
    if surplus > 0:
        return chosen - choose(chosen, surplus, random)
    return chosen + choose(counts - chosen, -surplus, random)


def _multinomial(sizes: Counts, shares: npt.NDArray[np.float64], random: np.random.Generator) -> Counts:
    """``[spans, items]`` draws; the largest share takes what the others leave, so that a share of 0 stays at 0."""
    order = np.argsort(shares, axis=1, kind="stable")
    drawn = random.multinomial(sizes, np.take_along_axis(shares, order, axis=1))
    totals = np.empty_like(drawn)
    np.put_along_axis(totals, order, drawn, axis=1)
    return totals


def count_earlier(items: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How often each item of a sequence came before in it, ``[n]``."""
    # Of narrow integers, a stable sort is a radix sort.
    narrow = items.astype(np.uint16) if items.max(initial=0) < 1 << 16 else items
    order = np.argsort(narrow, kind="stable")
    counts = np.bincount(items)
    earlier = np.empty(len(items), dtype=np.int64)
    earlier[order] = np.arange(len(items)) - np.repeat(np.cumsum(counts) - counts, counts)
    return earlier
