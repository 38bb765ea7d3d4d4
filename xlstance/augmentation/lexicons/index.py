"""Lexicons made ready for whole blocks of words: hashed look-up, longest match, translations as code points.

The entries of all target languages lie in one hash table, and with them the beginnings of entries of several words. A
match grows word by word as long as what it has is the beginning of an entry. What was found is then confirmed by a
second hash of 64 bits, of its letters whatever their order: that ten million words which are not in a lexicon of a
million entries hold one that passes for an entry has a chance of less than one in 10 ** 20.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from xlstance.augmentation.code_points import ALPHABETIC, BODY, Hashes, Numbers, mix
from xlstance.augmentation.lexicons.lexicon import Lexicon
from xlstance.augmentation.switching.segmentation import Words, split_words

Unit = Literal["word", "phrase"]
Translation = Literal["first", "uniform", "weighted"]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

CHOICES = 3  # "uniform" draws among so many first translations: rarer ones are mostly other senses of the word
AS_IT_IS, CAPITALISED, CAPITALS = range(3)  # how a translation can be spelt
_NONE = -1
_BASE, _ODD = 0x9E3779B97F4A7C15, np.uint64(0xD1342543DE82EF95)
_MEANING, _MEANINGS = np.uint64(28), np.uint64((1 << 28) - 1)  # lower bits of a slot, for what a hash stands for
_SPARE = 4  # slots for each key
_DOTTED = frozenset({"az", "crh", "tr"})  # languages whose capital of i keeps its dot


class LexiconIndex:
    """The lexicons of all target languages, for look-ups by whole blocks.

    Args:
        lexicons: the lexicon of each target language.
        unit: ``word`` for single words, ``phrase`` for entries of several words too.
        translation: which translations are drawn, and how often; see ``CodeSwitching``.

    Attributes:
        languages: the target languages; in arrays a language is its number in this order.
        grows: whether a match can take more than one word. Characters of scripts without spaces count as words.
        spellings: all translations as they can be spelt; the first is empty and the second a space.
        chooses: whether an entry has more than one translation to choose from.
    """

    def __init__(self, lexicons: Mapping[str, Lexicon], *, unit: Unit, translation: Translation) -> None:
        self.languages = tuple(lexicons)
        self._salts = mix(np.arange(1, len(lexicons) + 1, dtype=np.uint64))
        keys: list[tuple[Hashes, Numbers]] = []
        checks = [np.empty(0, np.uint64)]
        shares: list[list[float]] = []
        translations: list[str] = []
        raised: list[str] = []  # the same, ready for capitals
        for salt, (lang, lexicon) in zip(self._salts, lexicons.items(), strict=True):
            own = _usable(list(lexicon), unit)
            split = split_words(own)
            keys += [(mix(h + salt), np.where(e < 0, _NONE, e + len(shares))) for h, e in _beginnings(split)]
            checks.append(split.checks(split.firsts, split.firsts + split.counts - 1))
            for word in own:
                shares.append(shares_of(list(lexicon[word].values()), translation))
                translations += islice(lexicon[word], len(shares[-1]))
            added = islice(translations, len(raised), None)
            raised += (text.replace("i", "İ") for text in added) if lang.partition("-")[0] in _DOTTED else added
        self._table = _HashTable(keys)
        self.grows = self._table.grows
        self.chooses = len(translations) > len(shares)
        self._checks = np.concatenate(checks)
        # All as they are before all in capitals: what is asked for most often lies close together.
        spelt = [
            translations,
            [big[:1].upper() + text[1:] for text, big in zip(translations, raised, strict=True)],
            [text.upper() for text in raised],
        ]
        places = {text: place for place, text in enumerate(dict.fromkeys(chain(["", " "], *spelt)))}
        self.spellings = pa.array(list(places), pa.string())
        self._spelt = np.array([[places[text] for text in texts] for texts in spelt], np.int64)
        self._firsts = np.cumsum([0, *map(len, shares)])[:-1]
        self._shares = np.array([share for own in shares for share in own])

    def match(self, words: Words, rows: Numbers, languages: Numbers) -> tuple[Numbers, Numbers]:
        """The longest entry that begins at each of some words, within its text.

        Args:
            words: the words of a block of texts.
            rows: ``[rows] int64``, the words to look for.
            languages: ``[rows] int64``, the target language for each.

        Returns:
            ``[rows] int64``, the entries, -1 for none; ``[rows] int64``, the words that each takes, 1 for none. They
            were found by hashes alone; see ``confirm``.
        """
        values, salts = words.hashes[rows], self._salts[languages]
        entries, more = self._table.find(mix(values + salts))
        lengths, length = np.ones(len(rows), np.int64), 1
        left = np.flatnonzero(more) if self.grows else rows[:0]
        while len(left := left[rows[left] + length < len(words.texts)]):
            left = left[words.texts[rows[left]] == words.texts[rows[left] + length]]
            values[left] = _grown(values[left], words, rows[left] + length, length)
            length += 1
            found, more = self._table.find(mix(values[left] + salts[left]))
            hit = found >= 0
            entries[left[hit]], lengths[left[hit]] = found[hit], length
            left = left[more]
        return entries, lengths

    def confirm(self, entries: Numbers, words: Words, firsts: Numbers, lasts: Numbers) -> Flags:
        """Whether matches are what they seem: equal by a second hash, and no single letter that is part of a word.

        Args:
            entries: ``[matches] int64``.
            words: the words of a block of texts.
            firsts: ``[matches] int64``, the first word of each match.
            lasts: ``[matches] int64``, the last.

        Returns:
            ``[matches] bool``.
        """
        right: Flags = self._checks[entries] == words.checks(firsts, lasts)
        begin, end = words.starts[firsts], words.ends[lasts]
        single = np.flatnonzero((words.kinds[begin] & ALPHABETIC) != 0)
        single = single[firsts[single] == lasts[single]]
        right[single] &= ((words.kinds[begin[single] - 1] | words.kinds[end[single]]) & BODY) == 0
        return right

    def choose(self, entries: Numbers, draws: Floats) -> Numbers:
        """One translation of each entry.

        Args:
            entries: ``[rows] int64``.
            draws: ``[rows] float64``, from [0, 1).

        Returns:
            ``[rows] int64``, the numbers of the translations.
        """
        chosen = self._firsts[entries]
        left = np.flatnonzero(draws >= self._shares[chosen])
        while len(left):
            chosen[left] += 1
            left = left[draws[left] >= self._shares[chosen[left]]]
        return chosen

    def spell(self, translations: Numbers, spellings: Numbers) -> Numbers:
        """Where in ``spellings`` the translations stand, spelt as asked for; ``[rows] int64``."""
        rows: Numbers = self._spelt[spellings, translations]
        return rows


def shares_of(weights: Sequence[float], translation: Translation) -> list[float]:
    """Up to which draw from [0, 1) each translation is taken: the last is 1; those left out are never taken.

    Args:
        weights: of a word's translations, the usual one first.
        translation: the first one, the first three alike, or all by their weights.
    """
    if translation == "first":
        return [1.0]
    if translation == "uniform":
        count = min(len(weights), CHOICES)
        return [(rank + 1) / count for rank in range(count)]
    sums = np.cumsum(weights)
    return [*(sums[:-1] / sums[-1]).tolist(), 1.0]


def _usable(words: list[str], unit: Unit) -> list[str]:
    """The entries that begin and end with a word, and for single words those that hold no second."""
    split = split_words(words)
    some = np.flatnonzero(split.counts)
    lasts = (split.firsts + split.counts - 1)[some]
    begins = split.starts[split.firsts[some]] == split.bounds[some]
    usable = np.zeros(len(words), bool)
    usable[some] = begins & (split.ends[lasts] == split.bounds[some + 1] - 1)
    if unit == "word":
        apart = np.flatnonzero((split.texts[1:] == split.texts[:-1]) & (split.starts[1:] != split.ends[:-1])) + 1
        usable[split.texts[apart]] = False
    return [words[row] for row in np.flatnonzero(usable).tolist()]


def _beginnings(split: Words) -> Iterator[tuple[Hashes, Numbers]]:
    """Hashes of the first word of each entry, of the first two, and so on; the entry that it is whole, or -1."""
    counts, firsts = split.counts, split.firsts
    rows, values, length = np.arange(len(counts)), split.hashes[firsts], 1
    while len(rows):
        whole = counts[rows] == length
        yield values, np.where(whole, rows, _NONE)
        rows, values = rows[~whole], values[~whole]
        values = _grown(values, split, firsts[rows] + length, length)
        length += 1


def _grown(values: Hashes, words: Words, rows: Numbers, length: int) -> Hashes:
    """Hashes of runs of ``length`` words when one more word is taken in."""
    added = mix(words.hashes[rows] + words.links(rows) * _ODD)
    return values + added * np.uint64(pow(_BASE, length, 1 << 64))


class _HashTable:
    """Entries by the hashes of their words, and beginnings of entries: open addressing in one array.

    A slot holds the lower bits of a hash and what it stands for, so that most look-ups take one look into memory; the
    upper bits say where to look first.

    Args:
        keys: hashes, and what they stand for: an entry, or -1 for the beginning of one. Of several entries with the
            same hash the first is taken.

    Attributes:
        grows: whether there are beginnings of entries.
    """

    def __init__(self, keys: Sequence[tuple[Hashes, Numbers]]) -> None:
        hashes = np.concatenate([np.empty(0, np.uint64), *(own for own, _ in keys)])
        entries = np.concatenate([np.empty(0, np.int64), *(own for _, own in keys)])
        self.grows = bool((entries < 0).any())
        order = np.lexsort((np.where(entries < 0, len(entries), entries), hashes))
        hashes, entries = hashes[order], entries[order]
        firsts = np.flatnonzero(np.append(True, hashes[1:] != hashes[:-1])[: len(hashes)])
        begins = np.add.reduceat(entries < 0, firsts) > 0 if len(firsts) else np.empty(0, bool)
        hashes, means = hashes[firsts], (entries[firsts] + 1) * 2 + begins
        bits = max(2, (_SPARE * len(hashes)).bit_length())
        self._shift = np.uint64(64 - bits)
        # In the order of their first slots each takes the first slot that is free.
        numbers = np.arange(len(hashes))
        places = np.maximum.accumulate((hashes >> self._shift).astype(np.int64) - numbers) + numbers
        self._slots = np.zeros(max((1 << bits) + 1, int(places[-1]) + 2 if len(places) else 0), np.uint64)
        self._slots[places] = hashes << _MEANING | means.astype(np.uint64)

    def find(self, hashes: Hashes) -> tuple[Numbers, Flags]:
        """What each hash stands for, -1 for nothing; whether it is the beginning of an entry."""
        at = (hashes >> self._shift).astype(np.int64)
        slots = self._slots[at]
        means = slots ^ (hashes << _MEANING)
        left = np.flatnonzero((means > _MEANINGS) & (slots != 0))
        while len(left):
            at[left] += 1
            slots[left] = self._slots[at[left]]
            means[left] = slots[left] ^ (hashes[left] << _MEANING)
            left = left[(means[left] > _MEANINGS) & (slots[left] != 0)]
        found = np.where((means <= _MEANINGS) & (slots != 0), means, np.uint64(0)).astype(np.int64)
        return (found >> 1) - 1, (found & 1) != 0
