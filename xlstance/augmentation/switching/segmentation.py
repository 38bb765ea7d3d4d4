"""Texts as words: where each word lies, and hashes of the words with case set aside.

A word is a run of letters, digits and marks that begins with a letter; an apostrophe joins two of them. In scripts that
put no spaces between words a word is not known before a lexicon is asked, so there each character with its marks
stands for itself. The characters decide, not a language label, so mixed texts work. All characters of a block of texts
go through NumPy together: no Python object is made for a word.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from xlstance.augmentation.code_points import (
    APOSTROPHES,
    BODY,
    CHARACTER,
    LETTER,
    WIDE,
    WORD,
    Codes,
    Hashes,
    Kinds,
    LongText,
    Numbers,
    RunHashes,
    RunSums,
    folding,
    kinds_of,
    moved,
)

_END = "\0"  # before, between and behind the texts of a block


@dataclass(frozen=True, eq=False)
class Words:
    """The words of a block of texts.

    Attributes:
        whole: all texts, with 0 before, between and behind them.
        kinds: ``[characters] uint8``, what each of them is.
        bounds: ``[texts + 1] int64``, where each text begins; its end is one character before the next one's beginning.
        counts: ``[texts] int64``, the words of each text.
        starts: ``[words] int64``, its first character.
        ends: ``[words] int64``, the character behind its last.
        folded: ``[folded characters] uint32``, the code points with case folded, white space as spaces and
            apostrophes straight.
        folded_starts: ``[words] int64``, as ``starts``, in ``folded``.
        folded_ends: ``[words] int64``.
        hashes: ``[words] uint64``, of each word, folded.
        run_hashes: gives the hashes of runs of the folded code points.
    """

    whole: LongText
    kinds: Kinds
    bounds: Numbers
    counts: Numbers
    starts: Numbers
    ends: Numbers
    folded: Codes
    folded_starts: Numbers
    folded_ends: Numbers
    hashes: Hashes
    run_hashes: RunHashes

    @cached_property
    def firsts(self) -> Numbers:
        """The first word of each text, or where it would stand; ``[texts] int64``."""
        return np.cumsum(self.counts) - self.counts

    @cached_property
    def texts(self) -> Numbers:
        """The text of each word; ``[words] int64``."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def checks(self, firsts: Numbers, lasts: Numbers) -> Hashes:
        """Sums over the letters of runs of words and over what stands between them, folded: a second kind of hash.

        Args:
            firsts: ``[runs] int64``, the first words.
            lasts: ``[runs] int64``, the last ones.

        Returns:
            ``[runs] uint64``.
        """
        return self._sums(self.folded_starts[firsts], self.folded_ends[lasts])

    @cached_property
    def _sums(self) -> RunSums:
        return RunSums(self.folded)

    def links(self, rows: Numbers) -> Hashes:
        """Hashes of what stands between words and the words before them, folded; 0 for nothing.

        Args:
            rows: ``[rows] int64``, words that are not the first of the block.

        Returns:
            ``[rows] uint64``.
        """
        return self.run_hashes(self.folded_ends[rows - 1], self.folded_starts[rows])


def split_words(texts: Sequence[str]) -> Words:
    """The words of a block of texts; the work takes about sixty bytes of memory for a character."""
    whole = LongText(f"{_END}{_END.join(texts)}{_END}")
    kinds = kinds_of(whole.codes)
    bounds = np.cumsum([1, *map(len, texts)]) + np.arange(len(texts) + 1)
    present = int(np.bitwise_or.reduce(kinds))
    starts, ends = _runs_of_words(whole.codes, kinds, present)
    folded, folded_starts, folded_ends = _fold(whole.codes, kinds, present, starts, ends)
    run_hashes = RunHashes(folded)
    return Words(
        whole=whole,
        kinds=kinds,
        bounds=bounds,
        counts=np.diff(np.searchsorted(starts, bounds)),
        starts=starts,
        ends=ends,
        folded=folded,
        folded_starts=folded_starts,
        folded_ends=folded_ends,
        hashes=run_hashes(folded_starts, folded_ends),
        run_hashes=run_hashes,
    )


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
    joined = (between == APOSTROPHES[0]) | (between == APOSTROPHES[1])
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
    first, rest = folding()
    folded = first.take(codes)
    if not present & WIDE:
        return folded, starts, ends
    wide = np.flatnonzero((kinds & WIDE) != 0)
    rests = [rest[code] for code in codes[wide].tolist()]
    more = np.array([len(codes) for codes in rests])
    folded = np.insert(folded, np.repeat(wide + 1, more), np.concatenate(rests))
    return folded, moved(starts, wide, more), moved(ends, wide, more)
