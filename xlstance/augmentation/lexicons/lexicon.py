"""Bilingual word lists: a word or phrase and its translations, the usual one first, with their weights."""

import gzip
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from xlstance.augmentation.code_points import fold
from xlstance.errors import DataError
from xlstance.files import read_text
from xlstance.storage import Folder

Lexicon = Mapping[str, Mapping[str, float]]
"""By word its translations, the usual one first, each with its weight; words are folded (``segmentation.fold``)."""


def read_lexicon(paths: Iterable[Path], *, reverse: bool = False) -> Lexicon:
    """Reads word lists, ``word TAB translation`` with a line for each translation, plain or gzip.

    A third column may say how often the translation was seen. Without it weights fall with the rank, as 1, 1/2, 1/3.

    Args:
        paths: files, merged in this order (``merge_lexicons``).
        reverse: read the second column as the word.

    Returns:
        The translations of each word in the order of the lines, each once.

    Raises:
        DataError: if a file is missing, a row has not two full columns or three, or a count is no number above 0.
    """
    return merge_lexicons(parse_lexicon(read_text(path), str(path), reverse=reverse) for path in paths)


def merge_lexicons(lexicons: Iterable[Lexicon]) -> Lexicon:
    """One lexicon of several: the translations of the first stand before those of the second.

    Each has an equal say in the weights: in one they add up to 1 for a word, and those of several are added.
    """
    found: dict[str, dict[str, float]] = {}  # a dict keeps the order of its keys
    for lexicon in lexicons:
        for word, translations in lexicon.items():
            total, merged = sum(translations.values()), found.setdefault(word, {})
            for translation, weight in translations.items():
                merged[translation] = merged.get(translation, 0.0) + weight / total
    return found


def format_lexicon(lexicon: Lexicon) -> bytes:
    """A lexicon as a word list with weights, gzip; the same bytes for the same lexicon."""
    lines = [
        f"{word}\t{translation}\t{weight:.9g}\n"
        for word, translations in lexicon.items()
        for translation, weight in translations.items()
    ]
    return gzip.compress("".join(lines).encode(), mtime=0)


def unpack_lexicon(folder: Folder, name: str) -> Lexicon:
    """A lexicon that ``format_lexicon`` made, from a file in a folder.

    Raises:
        StorageError: if it is not there.
        DataError: if it is broken.
    """
    data = folder.read(name)
    try:
        text = gzip.decompress(data).decode()
    except (EOFError, gzip.BadGzipFile, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{folder}/{name} is cut off or broken ({error}); remove it and run again") from error
    return parse_lexicon(text, f"{folder}/{name}")


def parse_lexicon(text: str, where: str, *, reverse: bool = False) -> Lexicon:
    """The lexicon of one word list; see ``read_lexicon``.

    Args:
        text: the lines.
        where: the file, for messages.
        reverse: read the second column as the word.
    """
    found: dict[str, dict[str, float]] = {}
    # Only "\n" ends a row: str.splitlines() would also cut at the line separators that web text holds.
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else (), start=1):
        columns = [column.strip() for column in line.split("\t")]
        if len(columns) not in (2, 3):
            raise DataError(
                f"{where}: row {number} has {len(columns)} columns; every row is 'word TAB translation', "
                "with a count as a third column if there is one"
            )
        if not (columns[0] and columns[1]):
            raise DataError(f"{where}: row {number} has an empty side; remove the row or fill it")
        word, translation = columns[1::-1] if reverse else columns[:2]
        translations = found.setdefault(" ".join(fold(word).split()), {})
        if len(columns) == 3:
            weight = translations.get(translation, 0.0) + _count(columns[2], where, number)
        else:  # one that is listed twice keeps its rank
            weight = translations.get(translation, 1 / (len(translations) + 1))
        translations[translation] = weight
    return found


def _count(text: str, where: str, number: int) -> float:
    try:
        count = float(text)
    except ValueError:
        count = 0.0
    if not 0 < count < float("inf"):
        raise DataError(f"{where}: row {number} has the count {text!r}; give a number above 0, or two columns alone")
    return count
