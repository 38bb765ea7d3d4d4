"""A keyed permutation of ``range(n)`` by random access: no shuffled index is ever held in memory.

A Feistel network over the next even number of bits permutes a range that is at most four times too large; values
outside ``range(n)`` are fed back until they fall inside (cycle walking: Black and Rogaway, Ciphers with Arbitrary
Finite Domains, 2002, section 3).
"""

import numpy as np
import numpy.typing as npt

_ROUNDS = 6


def _mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finalizer of splitmix64 (Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators, 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


class Permutation:
    """A bijection of ``range(size)`` fixed by its key.

    Args:
        size: number of elements, at least 1.
        key: integers, for example seed, partition and epoch; each other key gives an unrelated permutation.
    """

    def __init__(self, size: int, *key: int) -> None:
        self.size = size
        self._half = np.uint64(max(1, ((size - 1).bit_length() + 1) // 2))
        self._low = (np.uint64(1) << self._half) - np.uint64(1)
        self._keys = np.random.SeedSequence(key).generate_state(_ROUNDS, np.uint64)

    def __call__(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Where each position goes.

        Args:
            positions: ``[n] int64`` in ``range(size)``.

        Returns:
            ``[n] int64`` in ``range(size)``; different positions give different values.
        """
        values = self._network(positions.astype(np.uint64))
        while True:
            outside = values >= self.size
            if not outside.any():
                return values.astype(np.int64)
            values[outside] = self._network(values[outside])

    def _network(self, values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        left, right = values >> self._half, values & self._low
        with np.errstate(over="ignore"):  # arithmetic modulo 2**64 is meant
            for key in self._keys:
                left, right = right, left ^ (_mix(right + key) & self._low)
        return (left << self._half) | right
