"""An endless sequence of items in set shares: which item comes at place t, and how often it came before.

``block`` keeps the shares exact: through every whole block of places, each item has come as often as its share says,
to within rounding, and the order inside a block is shuffled. ``coin`` draws every place on its own, as published work
does. Both are read by random access.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

Draw = Literal["block", "coin"]
_COINS = 4096  # places per random stream of the coin


class Mixture:
    """The sequence.

    Args:
        weights: share of each item, not negative, not all 0; an item of weight 0 never comes.
        block: places per block; with uniform weights a multiple of their number keeps every block exactly uniform.
        draw: ``block`` or ``coin``.
        key: integers that fix the order, for example seed and purpose.
    """

    def __init__(self, weights: Sequence[float], block: int, draw: Draw, *key: int) -> None:
        given = np.asarray(weights, dtype=np.float64)
        # Largest first: the small ones, which take what is left, then have little rounding to make up for.
        order = np.argsort(-given, kind="stable")
        self._items = order[given[order] > 0]
        shares = given[self._items]
        self._shares = shares / shares.sum()
        self._block = block if draw == "block" else _COINS
        self._draw = draw
        self._key = key
        self._coin_counts = np.zeros((1, len(shares)), dtype=np.int64)  # before each block of coins, grown on demand

    def draw(self, start: int, count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Places ``start`` to ``start + count`` of the sequence.

        Returns:
            The items, ``[count] int64`` indexes into the weights, and for each how often that item came before,
            ``[count] int64``.
        """
        first, last = start // self._block, (start + count - 1) // self._block
        before = self._before(np.arange(first, last + 2))
        items, occurrences = [], []
        for index, block in enumerate(range(first, last + 1)):
            slots = self._slots(block, before[index + 1] - before[index])
            order = np.argsort(slots, kind="stable")
            run_start = np.searchsorted(slots[order], slots[order])
            earlier = np.empty(len(slots), dtype=np.int64)
            earlier[order] = np.arange(len(slots)) - run_start
            items.append(slots)
            occurrences.append(before[index][slots] + earlier)
        window = slice(start - first * self._block, start - first * self._block + count)
        return self._items[np.concatenate(items)[window]], np.concatenate(occurrences)[window]

    def _slots(self, block: int, quotas: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        random = np.random.default_rng([*self._key, block])
        if self._draw == "coin":
            return np.minimum(
                np.searchsorted(np.cumsum(self._shares), random.random(self._block), side="right"),
                len(self._shares) - 1,
            )
        slots = np.repeat(np.arange(len(quotas)), quotas)
        random.shuffle(slots)
        return slots

    def _before(self, blocks: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """How often each item came before each block, ``[blocks, items]``."""
        if self._draw == "coin":
            while len(self._coin_counts) <= blocks[-1]:
                slots = self._slots(len(self._coin_counts) - 1, self._coin_counts[-1])
                counts = self._coin_counts[-1] + np.bincount(slots, minlength=len(self._shares))
                self._coin_counts = np.vstack([self._coin_counts, counts])
            return self._coin_counts[blocks]
        # Each item takes its rounded part of what the items before it left: never decreasing in the number of places,
        # hence no negative quota, and the last item takes the rest.
        rest = blocks * self._block
        weight = 1.0
        counts = np.empty((len(blocks), len(self._shares)), dtype=np.int64)
        for item, share in enumerate(self._shares[:-1]):
            counts[:, item] = np.floor(min(1.0, share / weight) * rest + 0.5).astype(np.int64)
            rest = rest - counts[:, item]
            weight -= share
        counts[:, -1] = rest
        return counts
