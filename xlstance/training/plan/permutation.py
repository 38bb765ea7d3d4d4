"""Keyed permutations of ``range(n)`` by random access: no shuffled index is ever held in memory.

A Feistel network over pairs of digits (left below a, right below b, a times b just above n) permutes a range that is
hardly larger than n; values outside ``range(n)`` are fed back until they fall inside (cycle walking: Black and Rogaway,
Ciphers with Arbitrary Finite Domains, 2002, sections 3 and 4).
"""

import numpy as np
import numpy.typing as npt

from xlstance.training.plan.splitmix import GOLDEN, Words, mix

_ROUNDS = 8
_HALF = np.uint64(32)


def permute(positions: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64], keys: Words) -> npt.NDArray[np.int64]:
    """Where each position goes under its own permutation.

    Args:
        positions: ``[n]``, each in ``range(size)``.
        sizes: ``[n]``, the number of elements of each one's permutation, from 1 to 2**60.
        keys: ``[n]``, what fixes each one's permutation: random words.

    Returns:
        ``[n] int64``; under one size and key, different positions give different values in ``range(size)``.
    """
    bounds = sizes.astype(np.uint64)
    left_base = np.ceil(np.sqrt(sizes)).astype(np.uint64)
    right_base = (bounds + left_base - np.uint64(1)) // left_base
    values = _network(positions.astype(np.uint64), left_base, right_base, keys)
    outside = np.flatnonzero(values >= bounds)
    while len(outside):
        again = _network(values[outside], left_base[outside], right_base[outside], keys[outside])
        values[outside] = again
        outside = outside[again >= bounds[outside]]
    return values.astype(np.int64)


def _network(values: Words, left_base: Words, right_base: Words, keys: Words) -> Words:
    left, right = np.divmod(values, right_base)
    with np.errstate(over="ignore"):  # arithmetic modulo 2**64 is meant
        for _ in range(_ROUNDS // 2):
            keys = keys + GOLDEN
            left = _shift(left, left_base, mix(keys + right))
            keys = keys + GOLDEN
            right = _shift(right, right_base, mix(keys + left))
        return left * right_base + right


def _shift(digits: Words, base: Words, drawn: Words) -> Words:
    """Digits plus a random number below their base, modulo the base."""
    digits = digits + ((drawn >> _HALF) * base >> _HALF)  # a base is below 2**31
    less: Words = np.minimum(digits, digits - base)  # where nothing is to be taken off, the difference wraps around
    return less
