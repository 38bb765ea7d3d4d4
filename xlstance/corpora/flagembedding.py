"""FlagEmbedding's JSON lines: ``query, pos, neg``, lists of texts, and a teacher's ``pos_scores, neg_scores``.

Sentence-transformers reads and mines the same. ``prompt``, ``instruction`` and ``type`` are left aside. Beyond these a
row may have an ``id`` and a ``lang``, and lists ``pos_id, neg_id, pos_lang, neg_lang`` for its passages.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.collection import CorpusStream, TrainingSet
from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.judged_files import lengths, side, stream_judged
from xlstance.corpora.judged_writer import judged_rows, write_rows
from xlstance.corpora.pair_rows import hashed
from xlstance.corpora.records import Records, is_blank

_STRING, _TEXTS, _NUMBERS = pa.string(), pa.list_(pa.string()), pa.list_(pa.float32())
_SIDES = ("pos", "neg")
_BESIDE = {"id": _TEXTS, "lang": _TEXTS, "scores": _NUMBERS}  # lists beside the texts, as long as they
_ROW = pa.schema(
    [
        pa.field("query", _STRING, False),
        pa.field("pos", _TEXTS, False),
        pa.field("neg", _TEXTS),
        *(pa.field(f"{which}_{what}", kind) for which in _SIDES for what, kind in _BESIDE.items()),
        pa.field("id", _STRING),
        pa.field("lang", _STRING),
    ]
)


def read_flagembedding(files: Mapping[str, Sequence[Path]], *, name: str, bad: BadRows) -> CorpusStream:
    """Reads FlagEmbedding's training rows.

    Args:
        files: JSONL files, plain or gzip, by the language of the rows that do not say theirs; under an empty code
            every row must.
        name: of the source; begins every id and stands in ``pairs.source``.
        bad: told of the rows that cannot be used: no positive text, an empty text, lists of unlike length, a language
            that is none, an id that stands for two texts.

    Returns:
        The stream; its judgements are pairs, one for each positive text, with the row's negatives and the teacher's
        scores. Ids are ``{name}/{language}/{id}``, where a text without an id has its hash; every text is a group of
        its own.

    Raises:
        DataError: if a file cannot be read, or no row is left.
    """
    return stream_judged(files, _ROW, _passages_of, name, bad)


def _passages_of(rows: Records, bad: BadRows) -> tuple[Records, pa.Table]:
    table = rows.table
    query_id = pc.if_else(is_blank(table["id"]), hashed(table["query"]), table["id"])
    rows = replace(rows, table=table.append_column("query_id", query_id))
    rows = rows.without(lengths(rows.table["pos"]) == 0, bad, "'pos' is empty")
    for which in _SIDES:
        for what in _BESIDE:
            beside = rows.table[f"{which}_{what}"]
            wrong = (lengths(beside) != lengths(rows.table[which])) & np.asarray(pc.is_valid(beside))
            rows = rows.without(wrong, bad, f"{which!r} and '{which}_{what}' are not of one length")
    sides = []
    for which in _SIDES:
        lists = rows.table[which].combine_chunks()
        texts, parents = pc.list_flatten(lists), pc.list_parent_indices(lists).cast(pa.int64())
        ids, langs, scores = (_beside(rows.table[f"{which}_{what}"], np.asarray(parents)) for what in _BESIDE)
        ids = pc.if_else(is_blank(ids), hashed(pc.fill_null(texts, "")), ids)
        titles = pa.nulls(len(texts), _STRING)
        sides.append(side(parents, which == "pos", id=ids, title=titles, text=texts, lang=langs, score=scores))
    return rows, pa.concat_tables(sides)


def _beside(column: pa.ChunkedArray, parents: npt.NDArray[np.int64]) -> pa.Array:
    """The elements of lists as long as those whose parents are given, null where there is no list."""
    lists = column.combine_chunks()
    starts = np.asarray(lists.offsets)[:-1].astype(np.int64)[parents]
    item = np.arange(len(parents)) - np.searchsorted(parents, parents)
    return lists.values.take(pa.array(starts + item, mask=np.asarray(lists.is_null())[parents]))


def write_flagembedding(path: Path, training_set: TrainingSet) -> int:
    """Writes FlagEmbedding's training rows: ``query, pos, neg``, and ``pos_scores, neg_scores`` where all are known.

    Beyond these ``id, lang, pos_id, pos_lang, neg_id, neg_lang`` are written, which FlagEmbedding leaves aside. Titles
    are left out: what FlagEmbedding encodes is the text. Arguments, returns and errors are those of
    ``write_tevatron``.
    """

    def rows() -> Iterator[Mapping[str, Any]]:
        for query, positives, negatives in judged_rows(training_set):
            row: dict[str, Any] = {"query": query["text"], "id": query["query_id"], "lang": query["lang"]}
            sides = {"pos": positives, "neg": negatives}
            for which, passages in sides.items():
                row[which] = [text["text"] for text, _ in passages]
                row[f"{which}_id"] = [text["passage_id"] for text, _ in passages]
                row[f"{which}_lang"] = [text["lang"] for text, _ in passages]
            # a teacher's scores are of use for all passages of a row or for none
            if all(score is not None for passages in sides.values() for _, score in passages):
                for which, passages in sides.items():
                    row[f"{which}_scores"] = [score for _, score in passages]
            yield row

    return write_rows(path, rows())
