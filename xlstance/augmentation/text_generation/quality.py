"""Whether a generated text is fit to be trained on: its length, its repetitions, its language."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from xlstance.augmentation.text_generation.conventions import language_codes
from xlstance.augmentation.text_generation.splitting import UNSPACED
from xlstance.errors import SettingsError

_WORDS, _CHARACTERS = 3, 6  # in an n-gram; six characters of Thai are about as much as a word and a half
_LETTER = re.compile(r"\w")


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Settings of the filter of generated texts.

    Attributes:
        shortest: a translation's length, divided by that of its source, at least; characters are counted, those of
            double width, such as Chinese ones, twice.
        longest: the same at most.
        repeated: share of a text's n-grams that stood in it before, at most; 1 for any. They are of three words, in
            languages without spaces of six characters.
        probability: of the text's language, at least, among those that are identified; 0 not to identify it.
    """

    shortest: float = 0.33
    longest: float = 3.0
    repeated: float = 0.3
    probability: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.shortest < self.longest:
            raise SettingsError(
                f"quality: shortest is {self.shortest} and longest {self.longest}; give the smaller first"
            )
        for name in ("repeated", "probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"quality: {name} is {getattr(self, name)}; give a share from 0 to 1")


class Filter:
    """Says what is wrong with generated texts.

    Args:
        settings: what is allowed.

    Raises:
        SettingsError: if the library that identifies languages is wanted and missing.
    """

    def __init__(self, settings: Quality) -> None:
        self._settings = settings
        self._identifier = identifier() if settings.probability else None

    def knows(self, lang: str) -> bool:
        """Whether texts of a language can be judged."""
        return self._identifier is None or _primary(lang) in self._identifier.nb_classes

    def check(self, languages: Sequence[str]) -> None:
        """Refuses languages whose texts cannot be judged.

        Raises:
            SettingsError: naming the first of them.
        """
        for lang in languages:
            if not self.knows(lang):
                known = ", ".join(sorted(set(identifier().nb_classes)))
                raise SettingsError(
                    f"quality: texts in {lang} cannot be identified, only {known}; set probability to 0"
                )

    def fault(self, text: str, lang: str, source: str | None = None) -> str | None:
        """What is wrong with a text.

        Args:
            text: the text.
            lang: the language that it should be in, one that is known.
            source: the text that it translates; None if it is no translation.

        Returns:
            The first of ``empty``, ``length``, ``repeats`` and ``language``; None if nothing is wrong.
        """
        if not _LETTER.search(text):
            return "empty"
        if source is not None:
            ratio = width(text) / max(1, width(source))
            if not self._settings.shortest <= ratio <= self._settings.longest:
                return "length"
        if repeated_share(text, lang) > self._settings.repeated:
            return "repeats"
        if self._identifier is not None and probability(self._identifier, text, lang) < self._settings.probability:
            return "language"
        return None


def width(text: str) -> int:
    """Characters of a text, those of double width twice: a Chinese one says about as much as two Latin ones."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def repeated_share(text: str, lang: str) -> float:
    """The share of a text's n-grams that stood in it before: of words, in languages without spaces of characters."""
    units: Sequence[str] = text.split()
    size = _WORDS
    if _primary(lang) in UNSPACED:
        units, size = "".join(units), _CHARACTERS
    grams = Counter(tuple(units[start : start + size]) for start in range(len(units) - size + 1))
    return 1 - len(grams) / grams.total() if grams else 0.0


@cache
def identifier() -> Any:
    """py3langid's naive Bayes over byte n-grams (Lui and Baldwin 2012), among the languages with codes here.

    Raises:
        SettingsError: if py3langid is not installed.
    """
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError as error:
        raise SettingsError(
            "identification of the language needs py3langid: pip install 'xlstance[generation]', "
            "or set quality.probability to 0"
        ) from error
    made = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    made.set_languages({_primary(lang) for lang in language_codes()} & set(made.nb_classes))
    return made


def probability(identifier: Any, text: str, lang: str) -> float:
    """The probability that a text is in a language, given that it is in one of those that are identified."""
    return float(dict(identifier.rank(text))[_primary(lang)])


def _primary(lang: str) -> str:
    return lang.partition("-")[0]
