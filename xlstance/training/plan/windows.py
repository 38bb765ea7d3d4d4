"""Permutations that stay near: pieces in any order, rows shuffled inside a window of pieces.

A reader then needs a window's pieces at a time, where a permutation of all rows touches every piece in every batch.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from xlstance.training.plan.permutation import permute
from xlstance.training.plan.splitmix import Words, words

Array = npt.NDArray[np.int64]


class Windows:
    """The order of every epoch of several pools.

    In one epoch all pools of the same number of pieces go through them in the same order: pools that hold the same
    content in several languages, and come equally often, then need the same pieces at the same time.

    Args:
        pieces: of each pool, rows of each of its pieces, ``[pieces] int64``.
        window: pieces that are shuffled together. A batch at the seam of two windows needs both.
        keys: ``[pools]``, what fixes the order of each one's rows.
        key: fixes the order of pieces.
    """

    def __init__(self, pieces: Sequence[Array], window: int, keys: Words, key: np.uint64) -> None:
        self._pieces, self._window, self._keys, self._key = pieces, window, keys, key
        # An epoch takes memory by its number of pieces: what the present batches need is kept.
        self._order = lru_cache(maxsize=8)(self._piece_order)
        self._epoch = lru_cache(maxsize=2 * len(pieces))(self._read_epoch)
        self._joined = lru_cache(maxsize=2)(self._join)

    def permute(self, pools: Array, epochs: Array, within: Array) -> Array:
        """Which row of the pool comes at each place ``within`` an epoch of each pool; all ``[n] int64``."""
        present, which = np.unique(epochs * len(self._pieces) + pools, return_inverse=True)
        starts, firsts, ends, shifts = self._joined(tuple(present.tolist()))
        first, past = firsts[which], firsts[which + 1]
        place = starts[which] + within
        window = (np.searchsorted(ends, place, side="right") - first) // self._window
        first_piece = first + window * self._window
        last_piece = np.minimum(first_piece + self._window, past) - 1
        start = np.where(first_piece > first, ends[first_piece - 1], starts[which])
        keys = words(words(self._keys[pools], epochs), window)
        moved = start + permute(place - start, ends[last_piece] - start, keys)
        return moved + shifts[np.searchsorted(ends, moved, side="right")]

    def _join(self, present: tuple[int, ...]) -> tuple[Array, Array, Array, Array]:
        """Epochs of pools on one line: where each starts, its first piece, and the ends and shifts of all pieces."""
        parts = [self._epoch(*divmod(one, len(self._pieces))) for one in present]
        sizes = np.array([ends[-1] for ends, _ in parts], dtype=np.int64)
        counts = np.array([len(ends) for ends, _ in parts], dtype=np.int64)
        starts = np.cumsum(sizes) - sizes
        ends = np.concatenate([ends for ends, _ in parts]) + np.repeat(starts, counts)
        shifts = np.concatenate([shifts for _, shifts in parts]) - np.repeat(starts, counts)
        return starts, np.append(0, np.cumsum(counts)), ends, shifts

    def _read_epoch(self, epoch: int, pool: int) -> tuple[Array, Array]:
        """In the epoch's order of pieces, where each ends, and what leads from there to its place in the pool."""
        pieces = self._pieces[pool]
        order = self._order(len(pieces), epoch)
        ends = np.cumsum(pieces[order])
        in_pool = (np.cumsum(pieces) - pieces)[order]
        return ends, in_pool - (ends - pieces[order])

    def _piece_order(self, count: int, epoch: int) -> Array:
        return permute(np.arange(count), np.full(count, count), np.repeat(words(self._key, np.array([epoch])), count))
