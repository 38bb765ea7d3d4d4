"""An endless sequence of items in set shares: which item comes at place t, and how often it came before.

``block`` keeps the shares exact: through every whole block of places, each item has come as often as its share says,
to within rounding, and the order inside a block is shuffled. ``coin`` draws every place on its own, as published work
does. Both are read by random access, in time and memory that do not depend on the place (or, for the coin, grow with
its logarithm).
"""

from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from xlstance.training.plan.coin import CoinMixture, count_earlier
from xlstance.training.plan.shares import Shares
from xlstance.training.plan.splitmix import shuffle_rows, stream_key, words

Draw = Literal["block", "coin"]


class Mixture(Protocol):
    """The sequence."""

    def draw(self, start: int, count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Places ``start`` to ``start + count`` of the sequence.

        Returns:
            The items, ``[count] int64``, and for each how often that item came before, ``[count] int64``.
        """
        ...


def make_mixture(shares: Shares, block: int, draw: Draw, *key: int) -> Mixture:
    """A sequence.

    Args:
        shares: of the items.
        block: places per block; with equal shares a multiple of their number keeps every block exactly even.
        draw: ``block`` or ``coin``.
        key: integers that fix the order, for example seed and purpose.
    """
    if draw == "coin":
        return CoinMixture(shares.stretches(block), stream_key(*key))
    return BlockMixture(shares, block, stream_key(*key))


class BlockMixture:
    """Exact shares in every block of places, shuffled inside it.

    Args:
        shares: of the items.
        block: places per block.
        key: fixes the order.
    """

    def __init__(self, shares: Shares, block: int, key: np.uint64) -> None:
        self._shares, self._block, self._key = shares, block, key

    def draw(self, start: int, count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """See ``Mixture``."""
        blocks = np.arange(start // self._block, (start + count - 1) // self._block + 1)
        through = self._shares.through(np.append(blocks, blocks[-1] + 1) * self._block)
        quotas = np.diff(through, axis=0)
        sorted_items = np.repeat(np.tile(np.arange(quotas.shape[1]), len(blocks)), quotas.ravel())
        items = shuffle_rows(sorted_items.reshape(-1, self._block), words(self._key, blocks)).ravel()
        window = slice(start - int(blocks[0]) * self._block, start - int(blocks[0]) * self._block + count)
        return items[window], (through[0][items] + count_earlier(items))[window]


class RoundRobin:
    """Items in turn, in their order.

    Args:
        items: their number.
    """

    def __init__(self, items: int) -> None:
        self._items = items

    def draw(self, start: int, count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """See ``Mixture``."""
        occurrences, items = np.divmod(np.arange(start, start + count), self._items)
        return items, occurrences
