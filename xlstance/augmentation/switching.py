"""Words of a text replaced by their translations, with the counts of what was replaced."""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from xlstance.augmentation.lexicon import Lexicon
from xlstance.tables import hash_ids

CHOICES = 3  # "uniform" draws among so many first translations: rarer ones are mostly other senses of the word
_UNSPACED = frozenset({"ja", "km", "lo", "my", "th", "zh"})

# Python's \w lacks the combining marks that words of Hindi or Thai are written with, and the joiners of Persian.
_MARKS = "".join(mark for mark in map(chr, range(0x300, 0x10000)) if unicodedata.category(mark)[0] == "M")
_WORD = re.compile(rf"(?<!\w)[^\W\d_][\w{_MARKS}\u200c\u200d]*(?:['’][^\W\d_][\w{_MARKS}]*)*")


@dataclass(frozen=True)
class SwitchCounts:
    """What code switching did; counts of shards add up.

    Attributes:
        tokens: words seen, over all copies.
        drawn: words drawn for replacement, by target language.
        replaced: words of these that had a translation, by target language.
    """

    tokens: int = 0
    drawn: Mapping[str, int] = field(default_factory=dict)
    replaced: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: "SwitchCounts") -> "SwitchCounts":
        return SwitchCounts(
            self.tokens + other.tokens,
            dict(Counter(self.drawn) + Counter(other.drawn)),
            dict(Counter(self.replaced) + Counter(other.replaced)),
        )

    @property
    def switch_ratio(self) -> float:
        """Share of the words that were replaced."""
        return sum(self.replaced.values()) / self.tokens if self.tokens else 0.0

    @property
    def out_of_lexicon(self) -> dict[str, float]:
        """Share of the words drawn that had no translation, by target language."""
        return {lang: 1 - self.replaced.get(lang, 0) / drawn for lang, drawn in self.drawn.items()}


def switch_texts(
    texts: Sequence[str],
    ids: Sequence[str],
    lexicons: Mapping[str, Lexicon],
    languages: Sequence[str],
    *,
    p: float,
    translation: Literal["first", "uniform"],
    seed: int,
) -> tuple[list[str], SwitchCounts]:
    """Switches the words of texts.

    What happens to a text follows from the seed and its id alone, whatever else is in the batch; the words replaced
    at a smaller p are among those replaced at a larger one.

    Args:
        texts: the texts.
        ids: an id for each copy that is to be switched differently.
        lexicons: translations by target language.
        languages: one for BL-CS; several for ML-CS, drawn uniformly for each token.
        p: probability that a token is drawn.
        translation: see ``CodeSwitching``.
        seed: of the draws.

    Returns:
        The switched texts, and the counts. Punctuation, digits and spacing stay. A capital first letter and words in
        capitals are carried over. Two neighbouring words replaced in a language that is written without spaces (such
        as zh, ja, th) lose the space between them.
    """
    choices = CHOICES if translation == "uniform" else 1
    drawn: Counter[str] = Counter()
    replaced: Counter[str] = Counter()
    tokens = 0
    switched = []
    for text, key in zip(texts, hash_ids(list(ids)).tolist(), strict=True):
        words = list(_WORD.finditer(text))
        tokens += len(words)
        # A row for each word: a longer text or another p does not shift the draws of the words before.
        draws = np.random.default_rng([seed, key]).random((len(words), 3))
        pieces, end, last = [], 0, ""  # last: the unspaced language of the word before, if it was replaced
        for index in np.flatnonzero(draws[:, 0] < p).tolist():
            word, (_, which, choice) = words[index], draws[index].tolist()
            lang = languages[int(which * len(languages))]
            drawn[lang] += 1
            translations = lexicons[lang].get(word.group().casefold(), ())[:choices]
            if not translations:
                continue
            replaced[lang] += 1
            between = text[end : word.start()]
            unspaced = lang if lang.partition("-")[0] in _UNSPACED else ""
            pieces.append("" if unspaced and unspaced == last and between.isspace() else between)
            pieces.append(_like(word.group(), translations[int(choice * len(translations))]))
            end, last = word.end(), unspaced
        switched.append("".join(pieces) + text[end:])
    return switched, SwitchCounts(tokens, dict(drawn), dict(replaced))


def _like(word: str, translation: str) -> str:
    """The translation with the capitals of the word."""
    if word.isupper() and len(word) > 1:
        return translation.upper()
    return translation[:1].upper() + translation[1:] if word[0].isupper() else translation
