"""Question answering sets in SQuAD's form, parallel over languages by question id or native to one.

Titles are left aside: in translated sets they are in another language than the text, or stand for a position only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.collection import Benchmark, TrainingSet
from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.groups import connected, smallest_key
from xlstance.corpora.sentences import Passage, sentence_at
from xlstance.corpora.squad_files import load_squad
from xlstance.errors import DataError
from xlstance.tables import check_language, hash_ids, make_table


@dataclass(frozen=True, kw_only=True)
class SquadSettings:
    """Which rows of the files become pairs, and what a passage is.

    Attributes:
        split: the split to take, ``train`` or ``dev``; several joined by ``+``; empty for all. A row belongs to it when
            one of the words of its ``split`` column, cut at hyphens, is it (``dev-v1.1`` is dev).
        passage: a paragraph, the sentence that holds the answer, or that sentence with the paragraph in ``context``.
        exclude_xquad: drop the rows whose ``xquad_paragraph`` is true or unknown: XQuAD-R is an evaluation set.
        answerable_only: drop the rows that are not known to have an answer in their paragraph.
        limit: number of question ids to draw, 0 for all. Ids that stand in more languages come first, so the draw is
            parallel as far as the files are; it is the same in every language.
    """

    split: str = ""
    passage: Passage = "paragraph"
    exclude_xquad: bool = True
    answerable_only: bool = False
    limit: int = 0


def read_squad(
    files: Mapping[str, Path],
    *,
    name: str,
    settings: SquadSettings = SquadSettings(),
    seed: int = 0,
    bad: BadRows | None = None,
) -> TrainingSet:
    """Reads one file per language into monolingual pairs of question and passage.

    Args:
        files: the file of each language: SQuAD's JSON, or Parquet or JSON lines in its columns.
        name: of the source; stands in ``pairs.source`` and begins every id.
        settings: which rows, and what a passage is.
        seed: of the draw that ``limit`` asks for.
        bad: told of the rows that cannot be used; none: the first is an error.

    Returns:
        The training set. A query's group is its question id. Paragraphs that share a question id across languages,
        over any number of steps, are one group; sentences are one group when the smallest question id that they answer
        is the same. A passage text stands once per language. The notes count the rows that were left out.

    Raises:
        DataError: if a file or row is not what the format says, or no row is left.
    """
    rows, notes = _read(files, settings, seed, BadRows() if bad is None else bad)
    return TrainingSet(
        passages=_passages(rows, name),
        queries=_queries(rows, name),
        pairs=make_table(
            "pairs",
            {
                "pair_id": _joined(name, rows["lang"], rows["id"]),
                "query_id": _joined(name, rows["lang"], rows["id"]),
                "passage_id": _joined(name, rows["lang"], rows["text_id"]),
                "source": [name] * len(rows),
            },
        ),
        notes=notes,
    )


def read_squad_benchmark(
    files: Mapping[str, Path],
    *,
    name: str,
    settings: SquadSettings = SquadSettings(),
    seed: int = 0,
    bad: BadRows | None = None,
) -> Benchmark:
    """Reads one file per language into a retrieval benchmark, for development sets.

    Relevant is the passage of the question in every language that has the question id. Arguments, notes and errors are
    those of ``read_squad``; the pool of a language is the passages of the rows that were kept.
    """
    rows, notes = _read(files, settings, seed, BadRows() if bad is None else bad)
    relevant = rows[["id", "lang"]].merge(rows[["id", "lang", "text_id"]], on="id", suffixes=("", "_passage"))
    return Benchmark(
        passages=_passages(rows, name),
        queries=_queries(rows, name),
        qrels=make_table(
            "qrels",
            {
                "query_id": _joined(name, relevant["lang"], relevant["id"]),
                "passage_id": _joined(name, relevant["lang_passage"], relevant["text_id"]),
                "gain": [1] * len(relevant),
            },
        ),
        notes=notes,
    )


def _arrow(texts: "pd.Series[str]") -> pa.Array | pa.ChunkedArray:
    return pa.array(texts, pa.string(), from_pandas=True)


def _joined(name: str, *parts: "pd.Series[str]") -> pa.Array | pa.ChunkedArray:
    """Ids: the source's name and the parts with slashes between."""
    return pc.binary_join_element_wise(name, *map(_arrow, parts), "/")


def _queries(rows: pd.DataFrame, name: str) -> pa.Table:
    return make_table(
        "queries",
        {
            "query_id": _joined(name, rows["lang"], rows["id"]),
            "lang": _arrow(rows["lang"]),
            "text": _arrow(rows["question"]),
            "group_id": _joined(name, rows["id"]),
        },
    )


def _passages(rows: pd.DataFrame, name: str) -> pa.Table:
    once = rows.drop_duplicates(["lang", "text_id"])
    return make_table(
        "passages",
        {
            "passage_id": _joined(name, once["lang"], once["text_id"]),
            "lang": _arrow(once["lang"]),
            "text": _arrow(once["text"]),
            "context": _arrow(once["around"]),
            "group_id": _joined(name, once["group"]),
        },
    )


def _read(
    files: Mapping[str, Path], settings: SquadSettings, seed: int, bad: BadRows
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The rows kept, with columns ``id, lang, question, text, around, text_id, group``, and the notes."""
    if not files:
        raise DataError("a SQuAD source names no file; give one per language")
    tables, notes = [], []
    for lang, path in files.items():
        table = load_squad(path, check_language(lang, str(path)), bad)
        kept, note = _select(table, path, settings)
        tables.append(_cut(kept, path, settings.passage))
        notes.append(f"{lang}: {len(kept)} of {len(table)} questions used{note}")
    rows = pd.concat(tables, ignore_index=True)
    rows["group"] = _groups(rows, settings.passage)
    if settings.limit:
        rows = _draw(rows, settings.limit, seed)
        notes.append(f"limited to {rows['id'].nunique()} question ids, {len(rows)} rows")
    return rows, tuple(notes)


def _select(table: pd.DataFrame, path: Path, settings: SquadSettings) -> tuple[pd.DataFrame, str]:
    """The rows that the settings ask for, and a clause that counts the others by reason."""
    has_span = table["answer_start"] >= 0 if "answer_start" in table else pd.Series(False, index=table.index)
    keep = pd.Series(True, index=table.index)
    reasons = []

    def drop(rows: "pd.Series[bool]", reason: str) -> None:
        nonlocal keep
        count = int((keep & rows).sum())
        if count:
            reasons.append(f"{count} left out: {reason}")
        keep &= ~rows

    if settings.split:
        if "split" not in table:
            raise DataError(f"{path} has no column 'split'; leave the split of this source empty")
        wanted = set(settings.split.split("+"))
        splits = table["split"].fillna("").astype(str)
        drop(~splits.map(lambda split: not wanted.isdisjoint(split.split("-"))), f"not of split {settings.split}")
        if not keep.any():
            raise DataError(
                f"{path} has no split {settings.split!r}; its splits are {', '.join(sorted(splits.unique()))}"
            )
    if settings.exclude_xquad:
        if "xquad_paragraph" in table:
            drop(table["xquad_paragraph"].ne(False), "of an XQuAD paragraph, or not known not to be")
        else:
            reasons.append("no column xquad_paragraph, so no XQuAD paragraph could be left out")
    possible = table["is_impossible"].eq(False) if "is_impossible" in table else has_span
    if settings.answerable_only:
        drop(~(possible | has_span), "not known to be answerable")
    if settings.passage != "paragraph":
        drop(~has_span, "no answer span, so no sentence")
    elif unknown := int((keep & ~(possible | has_span)).sum()):
        reasons.append(f"{unknown} of those used are not known to have an answer in their paragraph")
    if not keep.any():
        raise DataError(f"{path}: no row is left of {len(table)} ({'; '.join(reasons)})")
    return table[keep], "".join(f"; {reason}" for reason in reasons)


def _cut(table: pd.DataFrame, path: Path, passage: Passage) -> pd.DataFrame:
    """Adds the passage's ``text``, its context ``around`` and the id of both."""
    texts = table["context"].tolist()
    if passage != "paragraph":
        texts = [sentence_at(text, int(start)) for text, start in zip(texts, table["answer_start"], strict=True)]
    around = table["context"].tolist() if passage == "sentence+context" else [None] * len(texts)
    keys = [text if context is None else f"{text}\0{context}" for text, context in zip(texts, around, strict=True)]
    codes, unique = pd.factorize(np.array(keys, dtype=object))
    text_ids = np.array([f"{value:016x}" for value in hash_ids(list(unique))], dtype=object)
    return pd.DataFrame(
        {
            "id": table["id"].array,
            "lang": table["lang"].array,
            "question": table["question"].array,
            "text": texts,
            "around": around,
            "text_id": text_ids[codes],
        }
    )


def _groups(rows: pd.DataFrame, passage: Passage) -> npt.NDArray[np.object_]:
    """The passage group of each row, named by a question id."""
    texts = pd.factorize(rows["lang"] + "/" + rows["text_id"])[0].astype(np.int64)
    keys, names = pd.factorize(rows["id"], sort=True)
    rule = connected if passage == "paragraph" else smallest_key
    labels = rule(texts, keys.astype(np.int64))
    return np.asarray(names, dtype=object)[labels]


def _draw(rows: pd.DataFrame, limit: int, seed: int) -> pd.DataFrame:
    counts = rows.groupby("id", sort=True)["lang"].size()
    drawn = hash_ids([f"{seed}:{identity}" for identity in counts.index])
    order = np.lexsort((drawn, -counts.to_numpy()))
    return rows[rows["id"].isin(counts.index[order[:limit]])].reset_index(drop=True)
