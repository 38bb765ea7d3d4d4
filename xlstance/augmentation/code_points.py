"""Texts as code points: what each of them is, how it is compared, and hashes of runs of them."""

import unicodedata
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Hashes = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int64]
Codes = npt.NDArray[np.uint32]
Kinds = npt.NDArray[np.uint8]

# What a code point is; several may hold.
LETTER = 1  # a word may begin with it
WORD = 2  # letter, digit or underscore
BODY = 4  # these, marks, and the joiners of Persian and Hindi: what a word may go on with
CHARACTER = 8  # a letter of a script without spaces
ALPHABETIC = 16  # the same, of an alphabet: alone it says little, as an ideogram does not
UPPER = 32
LOWER = 64  # lower or title case
WIDE = 128  # folding makes several of it

_JOINERS = (0x200C, 0x200D)
APOSTROPHES = (ord("'"), ord("’"))

# Written without spaces between words; first and last code of each run of blocks. A run of katakana is a word.
_IDEOGRAPHS = (
    *((0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3021, 0x3029), (0x3400, 0x4DBF), (0x4E00, 0x9FFF)),
    *((0xF900, 0xFAFF), (0x20000, 0x3FFFF)),
)
_ALPHABETS = (
    *((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x1950, 0x19DF), (0x1A20, 0x1AAF)),  # Thai to Tai Tham
    *((0xA9E0, 0xA9FF), (0xAA60, 0xAADF), (0x11700, 0x1174F)),  # Myanmar's extensions, Tai Viet, Ahom
    *((0x3041, 0x309F), (0x3105, 0x312F), (0x31A0, 0x31BF)),  # hiragana, bopomofo
)


class LongText:
    """Many texts in one, as code points, and pieces of it as Arrow strings.

    Args:
        text: the text.

    Attributes:
        codes: its code points; ``[characters] uint32``.
    """

    def __init__(self, text: str) -> None:
        self._text, self.codes = text, np.frombuffer(text.encode("utf-32-le"), np.uint32)

    def pieces(self, borders: Numbers) -> pa.StringArray:
        """What stands between each border and the next, without a copy.

        Args:
            borders: ``[pieces + 1] int64``, in their order.
        """
        return strings_between(moved(borders, *self._longer), self._utf8)

    @cached_property
    def _utf8(self) -> pa.Buffer:
        return pa.py_buffer(self._text.encode())

    @cached_property
    def _longer(self) -> tuple[Numbers, Numbers]:
        """The characters of more than one byte, and how many more each has."""
        places = np.flatnonzero(self.codes >= 0x80)
        codes = self.codes[places]
        return places, 1 + (codes >= 0x800) + (codes >= 0x10000)


def strings_between(borders: npt.NDArray[np.integer], utf8: pa.Buffer) -> pa.StringArray:
    """The strings between each border and the next, in bytes, without a copy; ``[borders - 1]``."""
    return pa.StringArray.from_buffers(len(borders) - 1, pa.py_buffer(borders.astype(np.int32)), utf8)


def fold(text: str) -> str:
    """A text as words are compared: case folded, white space as spaces, apostrophes straight."""
    return text.casefold() if text.isascii() and text.isprintable() else text.casefold().translate(_plain())


@cache
def _plain() -> dict[int, str]:
    """White space and apostrophes as they are folded."""
    return {code: _fold_character(chr(code)) for code in range(0x110000) if chr(code).isspace() or code in APOSTROPHES}


def ranges(starts: Numbers, lengths: Numbers) -> Numbers:
    """The numbers of runs, one run after the other: ``starts[0], starts[0] + 1, ..., starts[1], ...``."""
    filled = lengths > 0
    if not filled.all():
        starts, lengths = starts[filled], lengths[filled]
    if not len(starts):
        return np.empty(0, np.int64)
    ends = np.cumsum(lengths)
    # One step from number to number, and a jump where a run begins.
    steps = np.ones(ends[-1], np.int64)
    steps[0] = starts[0]
    steps[ends[:-1]] = starts[1:] - (starts[:-1] + lengths[:-1] - 1)
    return np.cumsum(steps, out=steps)


def mix(values: Hashes) -> Hashes:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators")."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def moved(places: Numbers, longer: Numbers, more: Numbers) -> Numbers:
    """Where sorted places come to lie when some of the characters before them take ``more`` than one place."""
    behind = np.searchsorted(places, longer, side="right")
    shifts = np.concatenate([[0], np.cumsum(more)])
    shifted: Numbers = places + np.repeat(shifts, np.diff(behind, prepend=0, append=len(places)))
    return shifted


class RunHashes:
    """Hashes of runs of code points ``[start, end)``, start above 0, from one sum over all; 0 for an empty run.

    The rolling hash of Karp and Rabin (1987, "Efficient randomized pattern-matching algorithms") modulo 2 ** 64 over a
    random-looking number for every code point.

    Args:
        codes: ``[characters] uint32``.
    """

    def __init__(self, codes: Codes) -> None:
        powers, self._inverses = _powers(1 << len(codes).bit_length())
        self._sums = _values(0).take(codes)
        self._sums *= powers[: len(codes)]
        np.cumsum(self._sums, out=self._sums)

    def __call__(self, starts: Numbers, ends: Numbers) -> Hashes:
        """The hash of each run, ``[runs] uint64``; mix them before use: the lower bits are poor."""
        return (self._sums[ends - 1] - self._sums[starts - 1]) * self._inverses[starts]


class RunSums:
    """The sum of another random-looking number for every code point of a run; what a hash says is checked by it."""

    def __init__(self, codes: Codes) -> None:
        self._sums = np.cumsum(_values(1).take(codes))

    def __call__(self, starts: Numbers, ends: Numbers) -> Hashes:
        """The sum of each run, ``[runs] uint64``."""
        sums: Hashes = self._sums[ends - 1] - self._sums[starts - 1]
        return sums


@cache
def _powers(count: int) -> tuple[Hashes, Hashes]:
    base = 0x9E3779B97F4A7C15  # odd, so it has an inverse; 5 modulo 8, so its powers differ longest
    inverse = pow(base, -1, 1 << 64)
    rising, falling = np.ones(count, np.uint64), np.ones(count, np.uint64)
    rising[1:], falling[1:] = base, inverse
    return np.cumprod(rising), np.cumprod(falling)


@cache
def _values(which: int) -> Hashes:
    first = 1 + 0x110000 * which
    return mix(np.arange(first, first + 0x110000, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))


def _fold_character(character: str) -> str:
    if character.isspace():
        return " "
    return chr(APOSTROPHES[0]) if ord(character) in APOSTROPHES else character.casefold()


@cache
def folding() -> tuple[Codes, dict[int, list[int]]]:
    """The first code point of every fold, and the others of those that are longer."""
    first, rest = np.arange(0x110000, dtype=np.uint32), {}
    for code, character in enumerate(map(chr, range(0x110000))):
        folded = _fold_character(character)
        if folded != character:
            first[code] = ord(folded[0])
        if len(folded) > 1:
            rest[code] = [ord(part) for part in folded[1:]]
    return first, rest


def kinds_of(codes: Codes) -> Kinds:
    """What each code point is; ``[characters] uint8``."""
    return _kinds().take(codes)


@cache
def _kinds() -> Kinds:
    """What every code point is."""
    kinds = np.zeros(0x110000, np.uint8)
    for code, character in enumerate(map(chr, range(0x110000))):
        kind = 0
        if character.isalnum() or character == "_":
            kind = WORD | BODY | (0 if character.isdecimal() or character == "_" else LETTER)
            kind |= UPPER if character.isupper() else 0
            kind |= LOWER if character.islower() or unicodedata.category(character) == "Lt" else 0
        elif code in _JOINERS or unicodedata.category(character)[0] == "M":
            kind = BODY
        kinds[code] = kind
    for character_kind, blocks in ((CHARACTER, _IDEOGRAPHS), (CHARACTER | ALPHABETIC, _ALPHABETS)):
        for begin, end in blocks:
            block = kinds[begin : end + 1]
            block[(block & LETTER) != 0] |= np.uint8(character_kind)
    kinds[list(folding()[1])] |= np.uint8(WIDE)
    return kinds
