"""Sentence pairs, ``English TAB other`` in a text file for each language, as training pairs in both directions."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.collection import TrainingSet
from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.groups import smallest_key
from xlstance.corpora.lines import read_chunks
from xlstance.errors import DataError
from xlstance.tables import check_language, hash_ids, make_table


def read_bitext(
    files: Mapping[str, Path],
    *,
    name: str = "bitext",
    pivot: str = "en",
    limit: int = 0,
    seed: int = 0,
    bad: BadRows | None = None,
) -> TrainingSet:
    """Reads one file per language into pairs that ask in one language and answer in the other.

    Args:
        files: TSV file, plain or gzip, of each language other than the pivot; the pivot's sentence comes first.
        name: of the source; stands in ``pairs.source`` and begins every id.
        pivot: language of the first column.
        limit: number of sentence pairs to draw for each language, 0 for all. The draw goes by the pivot's sentence, so
            that languages which share sentences keep the same ones.
        seed: of that draw.
        bad: told of the rows that have not two full columns; none: the first is an error.

    Returns:
        The training set. Each sentence stands once in queries and once in passages, under one id. A sentence of the
        pivot and its translations into all languages are one group; a translation of several such sentences belongs
        to one of them. (Over any number of steps, a dictionary's words would all become one group.)

    Raises:
        DataError: if a file is missing or a row has not two full columns, or no row is left.
    """
    bad = BadRows() if bad is None else bad
    if not files:
        raise DataError("a bitext source names no file; give one per language")
    parts, notes = [], []
    for lang, path in files.items():
        if check_language(lang, str(path)) == pivot:
            raise DataError(f"{path}: {lang} is the language of every first column; name the other language")
        read = pd.DataFrame(_rows(path, bad), columns=["pivot", "other"])
        if read.empty:
            raise DataError(f"{path}: no row with two full columns is left; every row is 'left TAB right'")
        part = read.drop_duplicates(ignore_index=True)
        repeated = len(read) - len(part)
        if limit:
            drawn = hash_ids([f"{seed}:{text}" for text in part["pivot"]])
            part = part.iloc[np.sort(np.argsort(drawn, kind="stable")[:limit])]
        notes.append(f"{lang}: {len(part)} of {len(read)} sentence pairs used; {repeated} were repetitions")
        parts.append(part.assign(lang=lang))
    rows = pd.concat(parts, ignore_index=True)
    langs = [pivot] * len(rows), rows["lang"].tolist()
    first, other = _ids(rows["pivot"], langs[0], name), _ids(rows["other"], langs[1], name)
    pivots, pivot_ids = pd.factorize(np.array(first, dtype=object), sort=True)
    others, _ = pd.factorize(np.array(other, dtype=object))
    nearest = smallest_key(others.astype(np.int64), pivots.astype(np.int64))
    groups = np.asarray(pivot_ids)[np.concatenate([pivots, nearest])].tolist()
    texts = pd.DataFrame(
        {
            "id": first + other,
            "lang": langs[0] + langs[1],
            "text": rows["pivot"].tolist() + rows["other"].tolist(),
            "group": groups,
        }
    ).drop_duplicates("id")
    columns = {"lang": texts["lang"].tolist(), "text": texts["text"].tolist(), "group_id": texts["group"].tolist()}
    asked, answered = pa.array(first + other), pa.array(other + first)
    return TrainingSet(
        passages=make_table("passages", {"passage_id": texts["id"].tolist(), **columns}),
        queries=make_table("queries", {"query_id": texts["id"].tolist(), **columns}),
        pairs=make_table(
            "pairs",
            {
                "pair_id": pc.binary_join_element_wise(asked, answered, ">"),
                "query_id": asked,
                "passage_id": answered,
                "source": [name] * len(asked),
            },
        ),
        notes=tuple(notes),
    )


def _rows(path: Path, bad: BadRows) -> Iterator[tuple[str, str]]:
    """The two columns of each row, without the spaces around them."""
    for chunk in read_chunks(path, bad):
        # Only "\n" ends a row: str.splitlines() would also cut at the line separators that web text holds.
        for number, line in enumerate(chunk.data.removesuffix(b"\n").split(b"\n"), start=chunk.first):
            shown = line.decode("utf-8", "backslashreplace")
            columns = [column.strip() for column in shown.split("\t")]
            if len(columns) != 2:
                reason = f"it has {len(columns)} columns; every row is 'left TAB right'"
                bad.add(path, f"row {number}", reason, shown)
            elif not (columns[0] and columns[1]):
                bad.add(path, f"row {number}", "it has an empty side; remove the row or fill it", shown)
            elif not _is_utf8(line):
                bad.add(path, f"row {number}", "it is not UTF-8; convert the file to UTF-8", shown)
            else:
                yield columns[0], columns[1]


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _ids(texts: "pd.Series[str]", langs: list[str], name: str) -> list[str]:
    """Ids ``{name}/{language}/{hash of the text}``."""
    hashes = hash_ids(texts.tolist()).tolist()
    return [f"{name}/{lang}/{value:016x}" for lang, value in zip(langs, hashes, strict=True)]
