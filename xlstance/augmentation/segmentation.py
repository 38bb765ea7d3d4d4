"""Texts as words: where each word lies, and hashes of the words with case set aside.

A word is a run of letters, digits and marks that begins with a letter; an apostrophe joins two of them. In scripts that
put no spaces between words a word is not known before a lexicon is asked, so there each character with its marks
stands for itself. The characters decide, not a language label, so mixed texts work. All characters of a block of texts
go through NumPy together: no Python object is made for a word.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt

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

_END = "\0"  # before, between and behind the texts of a block
_JOINERS = (0x200C, 0x200D)
_APOSTROPHES = (ord("'"), ord("’"))

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


@dataclass(frozen=True, eq=False)
class Words:
    """The words of a block of texts.

    Attributes:
        utf8: all texts, with 0 before, between and behind them.
        codes: ``[characters] uint32``, their code points.
        kinds: ``[characters] uint8``, what each of them is.
        bounds: ``[texts + 1] int64``, where each text begins; its end is one character before the next one's beginning.
        texts: ``[words] int64``, the text of each word.
        numbers: ``[words] int64``, the place of each word in its text.
        starts: ``[words] int64``, its first character.
        ends: ``[words] int64``, the character behind its last.
        folded: ``[folded characters] uint32``, the code points with case folded, white space as spaces and
            apostrophes straight.
        folded_starts: ``[words] int64``, as ``starts``, among the folded ones.
        folded_ends: ``[words] int64``.
        hashes: ``[words] uint64``, of each word, folded.
        run_hashes: gives the hashes of runs of the folded code points.
    """

    utf8: bytes
    codes: Codes
    kinds: Kinds
    bounds: Numbers
    texts: Numbers
    numbers: Numbers
    starts: Numbers
    ends: Numbers
    folded: Codes
    folded_starts: Numbers
    folded_ends: Numbers
    hashes: Hashes
    run_hashes: "RunHashes"

    def bytes_before(self, places: Numbers) -> Numbers:
        """How many bytes of ``utf8`` lie before each of some characters, given in their order; ``[places] int64``."""
        return _moved(places, *self._longer)

    @cached_property
    def _longer(self) -> tuple[Numbers, Numbers]:
        """The characters of more than one byte, and how many more each has."""
        places = np.flatnonzero(self.codes >= 0x80)
        codes = self.codes[places]
        return places, 1 + (codes >= 0x800) + (codes >= 0x10000)

    def links(self, rows: Numbers) -> Hashes:
        """Hashes of what stands between words and the words before them, folded; 0 for nothing.

        Args:
            rows: ``[rows] int64``, words that are not the first of the block.

        Returns:
            ``[rows] uint64``.
        """
        return self.run_hashes(self.folded_ends[rows - 1], self.folded_starts[rows])


def fold(text: str) -> str:
    """A text as words are compared: case folded, white space as spaces, apostrophes straight."""
    return "".join(map(_fold_character, text))


def split_words(texts: Sequence[str]) -> Words:
    """The words of a block of texts; the work takes about sixty bytes of memory for a character."""
    whole = f"{_END}{_END.join(texts)}{_END}"
    codes = np.frombuffer(whole.encode("utf-32-le"), np.uint32)
    kinds = _kinds().take(codes)
    bounds = np.cumsum([1, *(len(text) + 1 for text in texts)])
    present = int(np.bitwise_or.reduce(kinds))
    starts, ends = _runs_of_words(codes, kinds, present)
    counts = np.diff(np.searchsorted(starts, bounds))
    firsts = np.cumsum(counts) - counts
    folded, folded_starts, folded_ends = _fold(codes, kinds, present, starts, ends)
    run_hashes = RunHashes(folded)
    return Words(
        utf8=whole.encode(),
        codes=codes,
        kinds=kinds,
        bounds=bounds,
        texts=np.repeat(np.arange(len(texts)), counts),
        numbers=np.arange(len(starts)) - np.repeat(firsts, counts),
        starts=starts,
        ends=ends,
        folded=folded,
        folded_starts=folded_starts,
        folded_ends=folded_ends,
        hashes=run_hashes(folded_starts, folded_ends),
        run_hashes=run_hashes,
    )


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


def _runs_of_words(codes: Codes, kinds: Kinds, present: int) -> tuple[Numbers, Numbers]:
    """Where each word begins, and the character behind its end."""
    inside = (kinds & BODY) != 0
    edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1
    starts, ends = edges[0::2], edges[1::2]
    mixed = bool(present & CHARACTER)
    if mixed:
        starts, ends = _split_characters(kinds, starts, ends)
    first = kinds[starts]
    begins = (first & LETTER) != 0
    between = codes[ends[:-1]]
    joined = (between == _APOSTROPHES[0]) | (between == _APOSTROPHES[1])
    joined &= (starts[1:] - ends[:-1] == 1) & begins[1:] & begins[:-1]
    if mixed:
        joined &= ((first[1:] | first[:-1]) & CHARACTER) == 0
    opens, closes = begins.copy(), begins
    opens[1:] &= ~joined
    closes[:-1] &= ~joined
    return starts[opens], ends[closes]


def _split_characters(kinds: Kinds, starts: Numbers, ends: Numbers) -> tuple[Numbers, Numbers]:
    """Parts runs before the characters that stand for themselves, and behind them and their marks."""
    single = np.flatnonzero((kinds & CHARACTER) != 0)
    behind = single + 1
    marked = np.flatnonzero((kinds[behind] & (BODY | WORD)) == BODY)
    while len(marked):
        behind[marked] += 1
        marked = marked[(kinds[behind[marked]] & (BODY | WORD)) == BODY]
    before = single[(kinds[single - 1] & BODY) != 0]
    behind = behind[(kinds[behind] & (WORD | CHARACTER)) == WORD]
    parts = np.sort(np.concatenate([before, behind]))
    return (
        np.insert(starts, np.searchsorted(starts, parts), parts),
        np.insert(ends, np.searchsorted(ends, parts), parts),
    )


def _fold(codes: Codes, kinds: Kinds, present: int, starts: Numbers, ends: Numbers) -> tuple[Codes, Numbers, Numbers]:
    """The folded code points, and where the words begin and end among them."""
    first, rest = _folding()
    folded = first.take(codes)
    if not present & WIDE:
        return folded, starts, ends
    wide = np.flatnonzero((kinds & WIDE) != 0)
    rests = [rest[code] for code in codes[wide].tolist()]
    more = np.array([len(codes) for codes in rests])
    folded = np.insert(folded, np.repeat(wide + 1, more), np.concatenate(rests))
    return folded, _moved(starts, wide, more), _moved(ends, wide, more)


def _moved(places: Numbers, longer: Numbers, more: Numbers) -> Numbers:
    """Where sorted places come to lie when some of the characters before them take ``more`` than one place."""
    behind = np.searchsorted(places, longer, side="right")
    shifts = np.concatenate([[0], np.cumsum(more)])
    moved: Numbers = places + np.repeat(shifts, np.diff(behind, prepend=0, append=len(places)))
    return moved


class RunHashes:
    """Hashes of runs of code points ``[start, end)``, start above 0, from one sum over all; 0 for an empty run.

    The rolling hash of Karp and Rabin (1987, "Efficient randomized pattern-matching algorithms") modulo 2 ** 64 over a
    random-looking number for every code point.
    """

    def __init__(self, codes: Codes) -> None:
        powers, self._inverses = _powers(1 << len(codes).bit_length())
        self._sums = _values().take(codes)
        self._sums *= powers[: len(codes)]
        np.cumsum(self._sums, out=self._sums)

    def __call__(self, starts: Numbers, ends: Numbers) -> Hashes:
        """The hash of each run, ``[runs] uint64``."""
        return mix((self._sums[ends - 1] - self._sums[starts - 1]) * self._inverses[starts])


@cache
def _powers(count: int) -> tuple[Hashes, Hashes]:
    base = 0x9E3779B97F4A7C15  # odd, so it has an inverse; 5 modulo 8, so its powers differ longest
    inverse = pow(base, -1, 1 << 64)
    rising, falling = np.ones(count, np.uint64), np.ones(count, np.uint64)
    rising[1:], falling[1:] = base, inverse
    return np.cumprod(rising), np.cumprod(falling)


@cache
def _values() -> Hashes:
    return mix(np.arange(1, 0x110001, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))


def _fold_character(character: str) -> str:
    if character.isspace():
        return " "
    return chr(_APOSTROPHES[0]) if ord(character) in _APOSTROPHES else character.casefold()


@cache
def _folding() -> tuple[Codes, dict[int, list[int]]]:
    """The first code point of every fold, and the others of those that are longer."""
    folds = [_fold_character(chr(code)) for code in range(0x110000)]
    rest = {code: [ord(part) for part in text[1:]] for code, text in enumerate(folds) if len(text) > 1}
    return np.array([ord(text[0]) for text in folds], np.uint32), rest


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
    kinds[list(_folding()[1])] |= np.uint8(WIDE)
    return kinds
