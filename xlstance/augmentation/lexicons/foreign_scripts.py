"""Translations in a script that is not the language's, found in a lexicon by what most of it is written in.

Word lists that were mined hold names, abbreviations and wrong finds in other scripts (an English word for an English
word, in a list into Hindi), and lists from dictionaries hold a language's old or other writing (Judeo-Arabic, Han
characters for Vietnamese and Korean). No table of languages is needed: a list's own entries say what it is written in.
"""

import unicodedata
from collections import Counter
from functools import cache
from itertools import compress

import numpy as np

from xlstance.augmentation.code_points import fold
from xlstance.augmentation.lexicons.lexicon import Lexicon

# How many entries, of those in the most used script, there are in another that is the language's too. Lists in both
# scripts of a language (Serbian) have about as many in each; of Wiktionary's Korean 0.52 are in Han characters.
_AS_MANY = 2 / 3
_TOGETHER = frozenset({"HIRAGANA", "KATAKANA", "HENTAIGANA", "BOPOMOFO"})  # are written together with ideographs
_ORDINARY = range(0x4E00, 0xA000)  # ideographs in use; those of the blocks added later are rare forms
_NO_LETTER = ""


def drop_foreign(lexicon: Lexicon) -> tuple[Lexicon, Counter[str]]:
    """Leaves out the translations in a script that the lexicon hardly uses.

    Letters alone decide; digits, marks, signs and modifiers belong to every script. A translation with a letter in a
    script of the language stays, since what is mixed is a compound of it (``PC방``, ``DNA病毒``). One that equals
    its word stays and does not count: it is a name that is written so in other scripts too, and some lists have more
    names than words. Other foreign ones go: of those in MUSE's lists into scripts other than the Latin, nearly all are
    wrong finds (``oe`` for giustizia) and the rest singulars of loan words.

    Args:
        lexicon: of one language.

    Returns:
        The lexicon without them and without words that had no others; by script how many there were. A script has the
        first word of its letters' Unicode names, such as ``HEBREW``.
    """
    entries = [(word, text) for word, found in lexicon.items() for text in found]
    if not entries:
        return lexicon, Counter()
    seen, names = _scripts([text for _, text in entries])
    letters = seen[:, np.array(names) != _NO_LETTER]
    names = [name for name in names if name != _NO_LETTER]
    same = np.array([fold(text) == word for word, text in entries])
    used = letters[~same].sum(axis=0)
    own = used >= _AS_MANY * used.max(initial=0)
    foreign = letters.any(axis=1) & ~letters[:, own].any(axis=1) & ~same
    if not foreign.any():
        return lexicon, Counter()
    left = dict(lexicon)
    for word, text in compress(entries, foreign.tolist()):
        left[word] = {other: weight for other, weight in left[word].items() if other != text}
        if not left[word]:
            del left[word]
    return left, Counter(names[script] for script in letters[foreign].argmax(axis=1).tolist())


def _scripts(texts: list[str]) -> tuple[np.ndarray[tuple[int, int], np.dtype[np.bool_]], list[str]]:
    """Which scripts each text has letters in, ``[texts, scripts] bool``, and their names."""
    codes = np.frombuffer("".join(texts).encode("utf-32-le"), np.uint32)
    there = np.flatnonzero(np.bincount(codes))
    names, which = np.unique([script_of(chr(code)) for code in there.tolist()], return_inverse=True)
    script = np.zeros(there[-1] + 1, np.int64)
    script[there] = which
    seen = np.zeros((len(texts), len(names)), bool)
    seen[np.repeat(np.arange(len(texts)), [len(text) for text in texts]), script[codes]] = True
    return seen, names.tolist()


@cache
def script_of(character: str) -> str:
    """The script of a letter, as the first word of its Unicode name; empty for what is no letter.

    Kana and bopomofo count as ``CJK``, like the ideographs that they are written with, and ideographs of the extension
    blocks as ``CJK EXTENSION``; wide, narrow and raised forms as what they are forms of.
    """
    if unicodedata.category(character) not in ("Lu", "Ll", "Lt", "Lo"):
        return _NO_LETTER
    plain = unicodedata.normalize("NFKC", character)[0]
    name = unicodedata.name(plain, _NO_LETTER).partition(" ")[0]
    if name == "CJK" and ord(plain) not in _ORDINARY:
        return "CJK EXTENSION"
    return "CJK" if name in _TOGETHER else name
