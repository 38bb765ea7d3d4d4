"""Dictionary translate-test: queries translated word by word into the language of the passages."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.augmentation.lexicons.foreign_scripts import drop_foreign
from xlstance.augmentation.lexicons.lexicon import read_lexicon
from xlstance.augmentation.switching.code_switching import CodeSwitching
from xlstance.augmentation.switching.switcher import Switcher
from xlstance.corpora.miniature import MiniatureSettings, lexicon
from xlstance.disk_folder import on_this_node
from xlstance.storage import Folder


@dataclass(frozen=True, kw_only=True)
class Dictionary:
    """The word lists from one language into another.

    Attributes:
        source: code of the language to translate from.
        target: code of the language to translate into.
        paths: the files, merged in this order.
        reverse: their first column is the target language.
    """

    source: str
    target: str
    paths: tuple[str, ...]
    reverse: bool = False


def find_dictionaries(
    lexicons: Sequence[str], data: str, asked: Sequence[str], answered: Sequence[str]
) -> tuple[Dictionary, ...]:
    """The word lists that are there for the pairs of languages of a benchmark.

    Args:
        lexicons: paths below the data root in which ``{lang}`` stands for the target language and ``{source}`` for the
            source language; a path without ``{source}`` is from English, as in code switching.
        data: the data root.
        asked: languages of the queries.
        answered: languages of the passages.

    Returns:
        A dictionary for each pair of two languages that has one; where there is none from the query's language into the
        passage's, one that lies the other way round is read in reverse.
    """
    found = []
    for source in asked:
        for target in answered:
            if source == target:
                continue
            for reverse, pair in ((False, (source, target)), (True, (target, source))):
                paths = tuple(str(path.absolute()) for path in _files(lexicons, data, *pair))
                if paths:
                    found.append(Dictionary(source=source, target=target, paths=paths, reverse=reverse))
                    break
    return tuple(found)


def _files(lexicons: Sequence[str], data: str, source: str, target: str) -> Iterator[Path]:
    for pattern in lexicons:
        if "{source}" not in pattern and source != CodeSwitching.source_language:
            continue
        path = Path(data) / pattern.replace("{lang}", target).replace("{source}", source)
        if path.is_file():
            yield path


def translate_queries(queries: pa.Table, target: str, dictionaries: Sequence[Dictionary]) -> list[str]:
    """The texts of all queries for the pool of one language.

    Args:
        queries: table ``queries``.
        target: the language of the pool.
        dictionaries: as of ``find_dictionaries``.

    Returns:
        ``[Q]`` texts: those of a language with a dictionary with every word replaced by its first translation, where it
        has one; all others as they are.
    """
    texts = queries["text"].to_numpy().copy()
    for dictionary in dictionaries:
        rows = np.flatnonzero(np.asarray(pc.equal(queries["lang"], dictionary.source)))
        if dictionary.target != target or not len(rows):
            continue
        paths = [Path(path) for path in dictionary.paths]
        words, _ = drop_foreign(read_lexicon(paths, reverse=dictionary.reverse))
        switcher = Switcher({target: words}, p=1, seed=0)
        ((translated, _),) = switcher.switch(texts[rows].tolist(), [([""] * len(rows), [target])])
        texts[rows] = translated.to_pylist()
    made: list[str] = texts.tolist()
    return made


def missing_pairs(queries: pa.Table, passages: pa.Table, dictionaries: Sequence[Dictionary]) -> str:
    """Which pairs of languages have no dictionary, in a sentence; empty if all have one."""
    asked, answered = (sorted(pc.unique(table["lang"]).to_pylist()) for table in (queries, passages))
    wanted = [(source, target) for source in asked for target in answered if source != target]
    there = {(dictionary.source, dictionary.target) for dictionary in dictionaries}
    missing = [f"{source}->{target}" for source, target in wanted if (source, target) not in there]
    if not missing:
        return ""
    # Whichever list is shorter tells the reader which they are.
    found = [f"{source}->{target}" for source, target in wanted if (source, target) in there]
    which = f"all but {', '.join(found) or 'none'}" if len(found) < len(missing) else ", ".join(missing)
    return (
        f"translate-test: {len(missing)} of {len(wanted)} pairs of languages have no dictionary and are searched with "
        f"the words as they are: {which if found else 'all'}"
    )


def write_miniature_dictionaries(world: MiniatureSettings, folder: Folder) -> list[str]:
    """The built-in world's dictionaries as files; returns their paths, as of ``find_dictionaries``."""
    for source in world.codes:
        for target in world.codes:
            if source != target:
                words = lexicon(world, source, target)
                lines = [f"{word}\t{other}\n" for word, translations in words.items() for other in translations]
                folder.write(f"{source}-{target}.tsv", "".join(lines).encode())
    return [f"{on_this_node(folder.uri)}/{{source}}-{{lang}}.tsv"]
