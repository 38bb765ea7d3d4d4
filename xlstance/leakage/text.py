"""Texts as units and 8-grams of units, hashed: what two texts share when case and punctuation are set aside.

A unit is a word; in scripts that put no spaces between words it is a character with its marks. The characters
themselves decide, not a language label, so mixed texts work. A Han character or a kana tells about as much as a word;
a letter of Thai, Lao, Khmer or Myanmar tells less, and eight of them are two words that stand everywhere, so three of
them count as one: a gram is the shortest run of units that is worth eight words.

All characters of a block of texts go through NumPy together: no Python object is made for a word.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

GRAM = 8  # words, or their worth, in an n-gram
NEAR = (6, 40)  # units of the texts that are compared with one unit set aside: fewer say too little, longer have grams

Hashes = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int64]

# Kinds of code points. A letter and an ideogram are units of their own; a mark belongs to the unit before it.
_BREAK, _WORD, _MARK, _LETTER, _IDEOGRAM, _NOTHING = range(6)
_WORTH = np.array([0, 3, 1, 1, 3, 0])  # of a unit that begins with this kind, in thirds of a word
_END = "\0"  # stands between the texts of a block; no unit holds it

# Written without spaces between words: the classes "complex context" and "ideographic" of Unicode's line breaking
# (UAX #14), Yi aside, whose modern spelling has spaces. First and last code of each run of blocks.
_LETTERS = (
    *((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x1950, 0x19DF), (0x1A20, 0x1AAF)),  # Thai to Tai Tham
    *((0xA9E0, 0xA9FF), (0xAA60, 0xAADF), (0x11700, 0x1174F)),  # Myanmar's extensions, Tai Viet, Ahom
)
_IDEOGRAMS = (
    *((0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3021, 0x3029), (0x3400, 0x4DBF), (0x4E00, 0x9FFF)),  # Han
    *((0xF900, 0xFAFF), (0x20000, 0x3FFFF)),
    *((0x3031, 0x3035), (0x3041, 0x312F), (0x31A0, 0x31BF), (0x31F0, 0x31FF), (0x1AFF0, 0x1B16F)),  # kana, bopomofo
)
_SELECTORS = ((0xFE00, 0xFE0F), (0xE0100, 0xE01EF))  # variation selectors


@dataclass(frozen=True)
class Hashed:
    """What a block of texts is compared by.

    Attributes:
        texts: ``[texts] uint64``, of each normalised text; 0 for a text without units.
        units: ``[texts] int64``, their number.
        grams: ``[grams] uint64``, of every 8-gram within one text, in their order.
        gram_rows: ``[grams] int64``, the text that each of them stands in.
        without: ``[...] uint64``, of each normalised text of 6 to 40 units without one of its units, for each of them.
        without_rows: ``[...] int64``, the text that each of them was made from.
    """

    texts: Hashes
    units: Numbers
    grams: Hashes
    gram_rows: Numbers
    without: Hashes
    without_rows: Numbers


def normalise(text: str) -> str:
    """The units of a text with spaces between: compatibility forms and case folded, punctuation and symbols dropped.

    Characters of the Unicode categories P, S, Z and C separate, except that format characters (soft hyphen, joiners,
    direction and byte-order marks) and variation selectors are as if they were not there. Combining marks belong to
    their letters.
    """
    codes, starts, *_ = _units([text])
    ends = np.append(starts, len(codes))[1:]
    return " ".join("".join(map(chr, codes[first:end])) for first, end in zip(starts, ends, strict=True))


def hash_texts(texts: Sequence[str]) -> Hashed:
    """Hashes of normalised texts and of their 8-grams.

    Args:
        texts: a block of texts; the work takes about fifty bytes of memory for a character.

    Returns:
        The hashes: the same on every machine whose Python knows the same version of Unicode.
    """
    codes, starts, counts, worth = _units(texts)
    units = _Runs(_values()[codes]).hash(starts, np.append(starts, len(codes))[1:])
    runs, ends = _Runs(units), np.cumsum(counts)
    rows = np.repeat(np.arange(len(texts)), counts)
    # A gram ends where the worth of all units so far has grown by eight words since its start.
    reach = np.cumsum(worth)
    last = np.searchsorted(reach, reach - worth + GRAM * _WORTH[_WORD])
    first = np.flatnonzero(last < len(units))
    first = first[rows[first] == rows[last[first]]]
    dropped = np.flatnonzero(((counts >= NEAR[0]) & (counts <= NEAR[1]))[rows])
    near = rows[dropped]
    return Hashed(
        texts=np.where(counts > 0, runs.hash(ends - counts, ends), np.uint64(0)),
        units=counts,
        grams=runs.hash(first, last[first] + 1),
        gram_rows=rows[first],
        without=runs.hash((ends - counts)[near], ends[near], dropped),
        without_rows=near,
    )


def _units(texts: Sequence[str]) -> tuple[npt.NDArray[np.uint32], Numbers, Numbers, Numbers]:
    """The characters of all units, where each unit starts among them, the units of each text, the worth of each."""
    codes, kinds = _look_up([_fold(text) for text in texts])
    if (kinds == _NOTHING).any():  # without it, what stands on either side may compose
        kept = codes[kinds != _NOTHING].tobytes().decode("utf-32-le", "surrogatepass")
        codes, kinds = _look_up([_fold(text) for text in kept.split(_END)])
    before = np.empty_like(kinds)
    before[:1], before[1:] = _BREAK, kinds[:-1]
    inside = kinds != _BREAK
    starting = (kinds >= _LETTER) | (inside & (before == _BREAK)) | ((kinds == _WORD) & (before != _WORD))
    starts = np.flatnonzero(starting)
    ends = np.append(np.flatnonzero(codes == ord(_END)), len(codes))
    counts = np.diff(np.searchsorted(starts, ends), prepend=0)[: len(texts)]
    return codes[inside], (np.cumsum(inside) - 1)[starts], counts, _WORTH[kinds[starts]]


def _look_up(texts: list[str]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint8]]:
    """The code points of texts, with an end between two, and the kind of each."""
    codes = np.frombuffer(_END.join(texts).encode("utf-32-le", "surrogatepass"), np.uint32)
    return codes, _kinds()[codes]


def _fold(text: str) -> str:
    text = text.replace(_END, " ")
    if text.isascii():
        return text.lower()
    # Text by text, since most texts need nothing and that is seen at a glance. Case tells the dotted and the dotless i
    # of Turkish apart no more than "I" does. Folding can undo a composition, so compose again.
    text = unicodedata.normalize("NFKC", text).casefold().replace("i\u0307", "i").replace("ı", "i")
    return unicodedata.normalize("NFKC", text)


class _Runs:
    """Hashes of runs of values ``[start, end)``, overlapping or not, from one sum over all values.

    The rolling hash of Karp and Rabin (1987, "Efficient randomized pattern-matching algorithms") modulo 2 ** 64: the
    values are 64 random-looking bits, so what a power of two lacks in distribution they make good.
    """

    def __init__(self, values: Hashes) -> None:
        powers, self._inverses = _powers(1 << max(len(values) - 1, 1).bit_length())
        self._sums = np.zeros(len(values) + 1, np.uint64)
        np.cumsum(values * powers[: len(values)], out=self._sums[1:])

    def hash(self, starts: Numbers, ends: Numbers, dropped: Numbers | None = None) -> Hashes:
        """The hash of each run, ``[runs] uint64``; with ``dropped`` as if that value of it were not there."""
        total = self._sums[ends] - self._sums[starts]
        if dropped is not None:  # what follows moves up by one place
            after = self._sums[ends] - self._sums[dropped + 1]
            total = self._sums[dropped] - self._sums[starts] + after * self._inverses[1]
        return _mix(total * self._inverses[starts])


@cache
def _powers(count: int) -> tuple[Hashes, Hashes]:
    base = 0x9E3779B97F4A7C15  # odd, so it has an inverse; 5 modulo 8, so its powers differ longest
    inverse = pow(base, -1, 1 << 64)
    first = np.ones(count + 1, np.uint64), np.ones(count + 1, np.uint64)
    first[0][1:], first[1][1:] = base, inverse
    return np.cumprod(first[0]), np.cumprod(first[1])


def _mix(values: Hashes) -> Hashes:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators")."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


@cache
def _values() -> Hashes:
    """A random-looking number for every code point."""
    return _mix(np.arange(1, 0x110001, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))


@cache
def _kinds() -> npt.NDArray[np.uint8]:
    """The kind of every code point."""
    categories = [unicodedata.category(chr(code)) for code in range(0x110000)]
    kinds = np.array([_WORD if name[0] in "LMN" else _BREAK for name in categories], np.uint8)
    kinds[[name == "Cf" for name in categories]] = _NOTHING
    for kind, blocks in ((_LETTER, _LETTERS), (_IDEOGRAM, _IDEOGRAMS)):
        for first, last in blocks:
            marks = [name[0] == "M" for name in categories[first : last + 1]]
            block = kinds[first : last + 1]
            block[:] = np.where(block == _WORD, np.where(marks, _MARK, kind), block)
    for first, last in _SELECTORS:
        kinds[first : last + 1] = _NOTHING
    return kinds
