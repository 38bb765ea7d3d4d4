"""Random words by random access: word c of a stream is a function of the stream's key and c, whole arrays at a time.

The generator is splitmix64 (Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators, 2014, section 4),
whose state is a counter, so that any word costs what the first one does. A stream of streams is had by taking the words
of one as keys.
"""

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # the step of the state


def stream_key(*key: int) -> np.uint64:
    """The key of a stream, from integers such as seed and purpose."""
    return np.uint64(np.random.SeedSequence(key).generate_state(1, np.uint64)[0])


def words(keys: np.uint64 | Words, counters: npt.NDArray[np.int64]) -> Words:
    """Word ``counters`` of each stream ``keys``, broadcast against each other, ``uint64``."""
    with np.errstate(over="ignore"):  # arithmetic modulo 2**64 is meant
        return mix(keys + (counters.astype(np.uint64) + np.uint64(1)) * GOLDEN)


def mix(values: Words) -> Words:
    """The finalizer of splitmix64: a bijection whose every output bit depends on every input bit."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


_ITEM_BITS = np.uint64(24)  # below the 40 random ones of a word; ties are too rare to tell


def shuffle_rows(items: npt.NDArray[np.int64], keys: Words) -> npt.NDArray[np.int64]:
    """Each row in an order of its own.

    Args:
        items: ``[rows, columns]``, from 0 to 2**24 - 1.
        keys: ``[rows]``, what fixes each row's order.

    Returns:
        ``[rows, columns] int64``.
    """
    drawn = words(keys[:, None], np.arange(items.shape[1]))
    # Sorting words that carry the items is several times faster than sorting places by their words.
    carried = np.sort(drawn << _ITEM_BITS | items.astype(np.uint64), axis=1)
    return (carried & ((np.uint64(1) << _ITEM_BITS) - np.uint64(1))).astype(np.int64)
