"""Bilingual word lists: a word and its translations, the usual one first."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from xlstance.files import read_tsv

Lexicon = Mapping[str, tuple[str, ...]]
"""Translations by word; the words are case-folded, so look them up with ``word.casefold()``."""


def read_lexicon(paths: Iterable[Path], *, reverse: bool = False) -> Lexicon:
    """Reads word lists, ``word TAB translation`` with a line for each translation, plain or gzip.

    Args:
        paths: files, merged in this order: the translations of the first stand before those of the second.
        reverse: read the second column as the word.

    Returns:
        The translations of each word in the order of the lines, each once.

    Raises:
        DataError: if a file is missing or a row has not two full columns.
    """
    found: dict[str, dict[str, None]] = {}  # a dict keeps the order of its keys, so it serves as an ordered set
    for path in paths:
        for first, second in read_tsv(path):
            word, translation = (second, first) if reverse else (first, second)
            found.setdefault(word.casefold(), {})[translation] = None
    return {word: tuple(translations) for word, translations in found.items()}
