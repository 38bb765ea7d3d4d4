"""Texts put together from what stays of them and what replaces the rest, with spaces where a reader expects them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from xlstance.augmentation.code_points import BODY, Numbers, ranges, strings_between
from xlstance.augmentation.switching.segmentation import Words

Flags = npt.NDArray[np.bool_]

_EMPTY, _SPACE = 0, 1  # where these two stand in what can be put into a text


@dataclass(frozen=True, eq=False)
class Joins:
    """How replacements are joined to what stands around them.

    Attributes:
        before: ``[replacements] bool``, whether a space is put before it.
        after: ``[replacements] bool``, whether one is put behind it.
        closed: ``[replacements] bool``, whether the white space between it and the one before it is dropped.
    """

    before: Flags
    after: Flags
    closed: Flags


def find_joins(words: Words, firsts: Numbers, lasts: Numbers, lang: Numbers, unspaced: Flags) -> Joins:
    """How each replacement is to be joined to its neighbours.

    Args:
        words: the words of the texts.
        firsts: ``[replacements] int64``, the first word that is replaced, in order.
        lasts: ``[replacements] int64``, the last one.
        lang: ``[replacements] int64``, the target languages.
        unspaced: ``[replacements] bool``, whether these are written without spaces.
    """
    starts, ends = words.starts[firsts], words.ends[lasts]
    before, after = (words.kinds[starts - 1] & BODY) != 0, (words.kinds[ends] & BODY) != 0
    if not (before.any() or after.any() or unspaced.any()):
        return Joins(before, after, unspaced)
    spaced = ~unspaced
    follows = np.append(False, firsts[1:] == lasts[:-1] + 1)[: len(firsts)]
    touches = follows & (starts == np.append(0, ends[:-1])[: len(firsts)])
    # Words of languages with spaces need one where they would touch a letter or a digit.
    before &= spaced | (touches & np.append(False, spaced[:-1])[: len(firsts)])
    after &= spaced & ~np.append(touches[1:], False)[: len(firsts)]
    closed = follows & unspaced & (lang == np.append(-1, lang[:-1])[: len(firsts)])
    rows = np.flatnonzero(closed)
    begin, end = words.folded_ends[firsts[rows] - 1], words.folded_starts[firsts[rows]]
    filled = np.flatnonzero(words.folded[ranges(begin, end - begin)] != ord(" "))
    closed[rows[np.searchsorted(np.cumsum(end - begin), filled, side="right")]] = False
    return Joins(before, after, closed)


def assemble(
    words: Words, firsts: Numbers, lasts: Numbers, strings: pa.StringArray, rows: Numbers, joins: Joins
) -> pa.StringArray:
    """The texts with runs of words replaced.

    Args:
        words: the words of the texts.
        firsts: ``[replacements] int64``, the first word of each run, in order.
        lasts: ``[replacements] int64``, its last word.
        strings: what can stand there instead; the first is empty and the second a space.
        rows: ``[replacements] int64``, which of them.
        joins: how each is joined to what stands around it.

    Returns:
        ``[texts]``.
    """
    ends = words.ends[lasts]
    cuts = np.where(joins.closed, np.append(0, ends)[: len(ends)], words.starts[firsts])
    # The block is a row of pieces: what is kept, then what is new instead of what goes. The end of a text is a piece
    # too, at which the character between two texts goes, and nothing is new.
    numbers = np.arange(len(words.bounds) - 1)
    at_end = np.searchsorted(cuts, words.bounds[1:]) + numbers
    new = np.full(len(cuts) + len(numbers), _EMPTY)
    replaced = np.ones(len(new), bool)
    replaced[at_end] = False
    borders = np.empty(2 * len(new) + 1, np.int64)  # of what is kept, what goes, what is kept, and so on
    borders[0] = words.bounds[0]
    kept, gone = borders[1::2], borders[2::2]
    kept[replaced], gone[replaced], new[replaced] = cuts, ends, rows
    kept[at_end], gone[at_end] = words.bounds[1:] - 1, words.bounds[1:]
    pieces = words.whole.pieces(borders)
    parts = pa.concat_arrays([pieces, strings.take(pa.array(np.append(new, [_EMPTY, _SPACE])))])
    # What is kept, what is new, and so on; with a space or nothing on either side of what is new where there are any.
    spaced = bool(joins.before.any() or joins.after.any())
    order = np.full((len(new), 4 if spaced else 2), len(parts) - 2)
    order[:, 0], order[:, 2 if spaced else 1] = np.arange(len(new)) * 2, np.arange(len(new)) + len(pieces)
    if spaced:
        order[replaced, 1] += joins.before
        order[replaced, 3] += joins.after
    whole = parts.take(pa.array(order.ravel()))
    _, offsets, data = whole.buffers()
    places = np.frombuffer(offsets, np.int32)[np.append(0, at_end + 1) * order.shape[1]]
    return strings_between(places, data)
