"""Tevatron's JSON lines: ``query_id, query, positive_passages, negative_passages``; a passage: ``docid, title, text``.

Beyond that a row and a passage may say their language in ``lang``, and a passage a teacher's score in ``score``.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from xlstance.collection import CorpusStream, TrainingSet
from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.judged_files import lengths, side, stream_judged
from xlstance.corpora.judged_writer import judged_rows, write_rows
from xlstance.corpora.records import Records

_PASSAGE = {"docid": pa.string(), "title": pa.string(), "text": pa.string(), "lang": pa.string(), "score": pa.float32()}
_PASSAGES = pa.list_(pa.struct(list(_PASSAGE.items())))
_ROW = pa.schema(
    [
        pa.field("query_id", pa.string(), False),
        pa.field("query", pa.string(), False),
        pa.field("positive_passages", _PASSAGES, False),
        pa.field("negative_passages", _PASSAGES),
        pa.field("lang", pa.string()),
    ]
)


def read_tevatron(files: Mapping[str, Sequence[Path]], *, name: str, bad: BadRows) -> CorpusStream:
    """Reads Tevatron's training rows.

    Args:
        files: JSONL files, plain or gzip, by the language of the rows that do not say theirs; under an empty code
            every row must.
        name: of the source; begins every id and stands in ``pairs.source``.
        bad: told of the rows that cannot be used: no positive passage, a passage without text or id, a language that
            is none, an id that stands for two texts.

    Returns:
        The stream; its judgements are pairs, one for each positive passage, with the row's negatives. Ids are
        ``{name}/{language}/{id}``; every text is a group of its own.

    Raises:
        DataError: if a file cannot be read, or no row is left.
    """
    return stream_judged(files, _ROW, _passages_of, name, bad)


def _passages_of(rows: Records, bad: BadRows) -> tuple[Records, pa.Table]:
    rows = rows.without(lengths(rows.table["positive_passages"]) == 0, bad, "'positive_passages' is empty")
    sides = []
    for column, positive in (("positive_passages", True), ("negative_passages", False)):
        lists = rows.table[column].combine_chunks()
        passages = pc.list_flatten(lists)
        values = {what: pc.struct_field(passages, what) for what in _PASSAGE}
        parents = pc.list_parent_indices(lists).cast(pa.int64())
        sides.append(side(parents, positive, id=values.pop("docid"), **values))
    return rows, pa.concat_tables(sides)


def write_tevatron(path: Path, training_set: TrainingSet) -> int:
    """Writes Tevatron's training rows: ``query_id, query, lang, positive_passages, negative_passages``.

    A passage has ``docid, title, text, lang``, and ``score`` where a teacher gave one. Passages' contexts, groups and
    what an augmentation did have no place in this format.

    Args:
        path: the file to write, gzip if its name ends so. It is there whole or not at all.
        training_set: the pairs. Those of one query with the same negatives make one row.

    Returns:
        The number of rows.

    Raises:
        StorageError: if the file cannot be written.
    """

    def passage(text: Mapping[str, Any], score: float | None) -> Mapping[str, Any]:
        made = {"docid": text["passage_id"], "title": text["title"] or "", "text": text["text"], "lang": text["lang"]}
        return made if score is None else {**made, "score": score}

    def rows() -> Iterator[Mapping[str, Any]]:
        for query, positives, negatives in judged_rows(training_set):
            yield {
                "query_id": query["query_id"],
                "query": query["text"],
                "lang": query["lang"],
                "positive_passages": [passage(*positive) for positive in positives],
                "negative_passages": [passage(*negative) for negative in negatives],
            }

    return write_rows(path, rows())
