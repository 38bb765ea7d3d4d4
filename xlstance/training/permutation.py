"""Keyed permutations of ``range(n)`` by random access: no shuffled index is ever held in memory.

A Feistel network over the next even number of bits permutes a range that is at most four times too large; values
outside ``range(n)`` are fed back until they fall inside (cycle walking: Black and Rogaway, Ciphers with Arbitrary
Finite Domains, 2002, section 3).
"""

import numpy as np
import numpy.typing as npt

_ROUNDS = 6


def permutation_key(*key: int) -> npt.NDArray[np.uint64]:
    """What fixes a permutation, ``[rounds] uint64``, from integers such as seed, pool and epoch."""
    return np.random.SeedSequence(key).generate_state(_ROUNDS, np.uint64).astype(np.uint64)


def permute(
    positions: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64], keys: npt.NDArray[np.uint64]
) -> npt.NDArray[np.int64]:
    """Where each position goes under its own permutation.

    Args:
        positions: ``[n]``, each in ``range(size)``.
        sizes: ``[n]``, the number of elements of each one's permutation, at least 1.
        keys: ``[n, rounds]``, each from ``permutation_key``.

    Returns:
        ``[n] int64``; under one size and key, different positions give different values in ``range(size)``.
    """
    bits = np.ceil(np.log2(np.maximum(sizes, 2))).astype(np.uint64)
    half = (bits + np.uint64(1)) >> np.uint64(1)
    values = _network(positions.astype(np.uint64), half, keys)
    while True:
        outside = np.flatnonzero(values >= sizes)
        if not len(outside):
            return values.astype(np.int64)
        values[outside] = _network(values[outside], half[outside], keys[outside])


def _network(
    values: npt.NDArray[np.uint64], half: npt.NDArray[np.uint64], keys: npt.NDArray[np.uint64]
) -> npt.NDArray[np.uint64]:
    low = (np.uint64(1) << half) - np.uint64(1)
    left, right = values >> half, values & low
    with np.errstate(over="ignore"):  # arithmetic modulo 2**64 is meant
        for key in keys.T:
            left, right = right, left ^ (_mix(right + key) & low)
    return (left << half) | right


def _mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finalizer of splitmix64 (Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators, 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
