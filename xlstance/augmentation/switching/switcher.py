"""Words of texts replaced by their translations, whole blocks of texts at a time."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from xlstance.augmentation.code_points import LOWER, UPPER, Hashes, Numbers, mix, ranges
from xlstance.augmentation.lexicons.index import (
    AS_IT_IS,
    CAPITALISED,
    CAPITALS,
    LexiconIndex,
    Translation,
    Unit,
)
from xlstance.augmentation.lexicons.lexicon import Lexicon
from xlstance.augmentation.switching.assembly import assemble, find_joins
from xlstance.augmentation.switching.segmentation import Words, split_words
from xlstance.tables import hash_ids

_UNSPACED = frozenset({"ja", "km", "lo", "my", "th", "zh"})
_BLOCK = 1 << 18  # characters that are worked on together: enough that NumPy's calls cost little
_DRAWN, _LANGUAGE, _CHOICE, _DRAWS = range(4)
_STEP = 0x9E3779B97F4A7C15  # from one place to the next
_WORD = np.uint64(_DRAWS * _STEP % (1 << 64))  # from one word to the next
_DRAW = 2.0**53  # a draw has as many values as a float from [0, 1) can tell apart


class Switcher:
    """Replaces words of texts by their translations.

    What happens to a text follows from the seed and its id alone, whatever else is in the batch; the words replaced
    at a smaller p are among those replaced at a larger one.

    Args:
        lexicons: translations by target language.
        p: probability that a word, or a phrase, is drawn.
        seed: of the draws.
        unit: see ``CodeSwitching``.
        translation: see ``CodeSwitching``.
    """

    def __init__(
        self,
        lexicons: Mapping[str, Lexicon],
        *,
        p: float,
        seed: int,
        unit: Unit = "word",
        translation: Translation = "first",
    ) -> None:
        self._index = LexiconIndex(lexicons, unit=unit, translation=translation)
        self._below = np.uint64(math.ceil(p * _DRAW))  # a word is drawn by whole numbers: they take less time
        self._seed = mix(np.array([seed % (1 << 64)], np.uint64))
        self._unspaced = np.array([lang.partition("-")[0] in _UNSPACED for lang in self._index.languages], bool)

    def switch(
        self, texts: Sequence[str], copies: Sequence[tuple[Sequence[str], Sequence[str]]]
    ) -> list[tuple[pa.ChunkedArray, dict[str, int]]]:
        """Switches texts, once or into several copies.

        Args:
            texts: the texts.
            copies: for each copy the ids of its texts, and its target languages: one for BL-CS; several for ML-CS,
                drawn uniformly for each word.

        Returns:
            For each copy the switched texts, and the counts: ``tokens``, the words or phrases seen, ``drawn/de``,
            those drawn for replacement into German, and ``replaced/de``, those of them that had a translation.

            Punctuation, digits and spacing stay. A capital first letter and words in capitals are carried over. Two
            neighbouring words replaced in a language that is written without spaces (such as zh, ja, th) lose the
            space between them; a word of another language gets one where it would touch a letter or a digit.
        """
        keys = [mix(hash_ids(list(ids)) ^ self._seed) for ids, _ in copies]
        targets = [np.array([self._index.languages.index(lang) for lang in langs]) for _, langs in copies]
        made: list[tuple[list[pa.StringArray], Counter[str]]] = [([], Counter()) for _ in copies]
        for begin, end in _blocks(texts):
            words = split_words(texts[begin:end])
            ramp = np.arange(len(words.starts), dtype=np.uint64) * _WORD
            back = words.firsts.astype(np.uint64) * _WORD  # in each text the words count from 0
            for (switched, counts), key, languages in zip(made, keys, targets, strict=True):
                states = np.repeat(key[begin:end] - back, words.counts) + ramp
                switched.append(self._switch_block(words, states, languages, counts))
        return [(pa.chunked_array(switched, pa.string()), dict(counts)) for switched, counts in made]

    def _switch_block(self, words: Words, states: Hashes, languages: Numbers, counts: Counter[str]) -> pa.StringArray:
        is_drawn = _draw(states, _DRAWN) < self._below
        # Where a match takes one word, those that are not drawn need no look-up.
        rows = np.arange(len(is_drawn)) if self._index.grows else np.flatnonzero(is_drawn)
        lang = np.repeat(languages[:1], len(rows))
        if len(languages) > 1:
            which = _draw(states[rows], _LANGUAGE) / _DRAW
            lang = languages[(which * len(languages)).astype(np.int64)]
        entries, lengths = self._index.match(words, rows, lang)
        counts["tokens"] += len(is_drawn)
        if self._index.grows:
            kept = _not_overlapping(lengths)
            counts["tokens"] -= len(rows) - len(kept)
            kept = kept[is_drawn[kept]]
            rows, lang, entries, lengths = rows[kept], lang[kept], entries[kept], lengths[kept]
        self._count(counts, "drawn", lang)
        lasts = rows + lengths - 1
        found = np.flatnonzero(entries >= 0)
        confirmed = self._index.confirm(entries[found], words, rows[found], lasts[found])
        if not confirmed.all():
            found = found[confirmed]
        rows, lasts, lang, entries = rows[found], lasts[found], lang[found], entries[found]
        self._count(counts, "replaced", lang)
        chosen = entries
        if self._index.chooses:
            chosen = self._index.choose(entries, _draw(states[rows], _CHOICE) / _DRAW)
        spelt = self._index.spell(chosen, _spellings(words, words.starts[rows], words.ends[lasts]))
        joins = find_joins(words, rows, lasts, lang, self._unspaced[lang])
        return assemble(words, rows, lasts, self._index.spellings, spelt, joins)

    def _count(self, counts: Counter[str], what: str, lang: Numbers) -> None:
        for number, count in enumerate(np.bincount(lang).tolist()):
            if count:
                counts[f"{what}/{self._index.languages[number]}"] += count


def _blocks(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Where to cut a sequence of texts, so that the parts have few characters but a text or more."""
    begin, size = 0, 0
    for row, text in enumerate(texts):
        size += len(text)
        if size >= _BLOCK:
            yield begin, row + 1
            begin, size = row + 1, 0
    if begin < len(texts):
        yield begin, len(texts)


def _draw(states: Hashes, which: int) -> Hashes:
    """Draws from [0, ``_DRAW``) for words, from their places in the sequence of SplitMix64 that a text's key begins."""
    return mix(states + np.uint64(which * _STEP % (1 << 64))) >> np.uint64(11)


def _not_overlapping(lengths: Numbers) -> Numbers:
    """The words at which a match or a single word begins when matches are taken from left to right."""
    free = np.ones(len(lengths), bool)
    longer, end = np.flatnonzero(lengths > 1), 0
    for row, length in zip(longer.tolist(), lengths[longer].tolist(), strict=True):
        if row >= end:
            end = row + length
            free[row + 1 : end] = False
    return np.flatnonzero(free)


def _spellings(words: Words, starts: Numbers, ends: Numbers) -> Numbers:
    """How the translation of each word is spelt, from the capitals of the word."""
    first, sizes = words.kinds[starts], ends - starts
    spellings = np.where((first & UPPER) != 0, CAPITALISED, AS_IT_IS)
    rows = np.flatnonzero(((first & LOWER) == 0) & (sizes > 1))
    if len(rows):
        letters = words.kinds[ranges(starts[rows], sizes[rows])]
        have = np.bitwise_or.reduceat(letters, np.cumsum(sizes[rows]) - sizes[rows])
        spellings[rows[(have & (UPPER | LOWER)) == UPPER]] = CAPITALS
    return spellings
