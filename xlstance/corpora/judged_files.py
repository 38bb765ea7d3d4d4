"""Reading of files whose rows hold a query and lists of passages, whatever the fields are called."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.collection import CorpusStream
from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.judged_rows import JudgedBlock, JudgedRows
from xlstance.corpora.records import Records, is_blank
from xlstance.corpora.tabular import read_records

PassagesOf = Callable[[Records, BadRows], tuple[Records, pa.Table]]
"""The rows that have a positive passage, with ``query_id``, and the passages of all their lists (``side``)."""


def stream_judged(
    files: Mapping[str, Sequence[Path]], schema: pa.Schema, passages_of: PassagesOf, name: str, bad: BadRows
) -> CorpusStream:
    """The stream of a source.

    Args:
        files: by the language of the rows that do not say theirs in ``lang``.
        schema: the columns of a row, among them ``query`` and ``lang``.
        passages_of: takes the lists of a row apart.
        name: of the source.
        bad: told of the rows that cannot be used.
    """

    def read() -> Iterator[JudgedBlock]:
        for lang, paths in files.items():
            for path in paths:
                for block in read_records(path, schema, bad):
                    rows = _with_language(block, lang, bad)
                    rows, passages = passages_of(rows, bad)
                    yield _house_ids(JudgedBlock(rows, passages), name, bad)

    where = ", ".join(str(path) for paths in files.values() for path in paths)
    return JudgedRows(read, where=where, name=name, bad=bad).stream


def _with_language(block: Records, lang: str, bad: BadRows) -> Records:
    """Rows that have a query, an id or none, and a language."""
    table = block.table
    langs = table["lang"]
    if lang:
        langs = pc.if_else(is_blank(langs), lang, langs)
    table = table.set_column(table.column_names.index("lang"), "lang", langs)
    reason = "no 'lang'; add it to the row, or give the file for a language"
    return replace(block, table=table).without(is_blank(langs), bad, reason)


def lengths(lists: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """The length of each list, 0 for none."""
    return np.asarray(pc.fill_null(pc.list_value_length(lists), 0), dtype=np.int64)


def side(parents: pa.Array, positive: bool, **columns: pa.Array) -> pa.Table:
    """The passages of one list of each row: columns ``id, title, text, lang, score``, and the place of their row."""
    return pa.table({"row": parents, "positive": pa.repeat(pa.scalar(positive), len(parents)), **columns})


def _house_ids(block: JudgedBlock, name: str, bad: BadRows) -> JudgedBlock:
    """Checks the passages, and gives ids of this project's to them and to the queries."""
    for column, what in (("text", "text"), ("id", "docid")):
        reason = f"a passage's {what!r} is missing or empty; fill it or remove the passage"
        block = block.without(is_blank(block.passages[column]), bad, reason)
    passages = block.passages
    langs = pc.if_else(is_blank(passages["lang"]), block.rows.table["lang"].take(passages["row"]), passages["lang"])
    passages = passages.set_column(passages.column_names.index("lang"), "lang", langs)
    block = replace(block, passages=passages).of_known_languages(bad)
    rows, passages = block.rows.table, block.passages
    query_id = pc.binary_join_element_wise(name, rows["lang"], rows["query_id"], "/")
    passage_id = pc.binary_join_element_wise(name, passages["lang"], passages["id"], "/")
    table = pa.table({"lang": rows["lang"], "query_id": query_id, "query": rows["query"]})
    return JudgedBlock(replace(block.rows, table=table), passages.append_column("passage_id", passage_id))
