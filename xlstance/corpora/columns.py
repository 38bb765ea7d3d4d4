"""Pairs of question and answer from any file of rows, by naming its columns: the generic form.

It serves by settings alone what publishers give as rows: MKQA (``queries.{lang}``, ``answers.{lang}.0.text``), DuoRC,
NewsQA, the pairs of Natural Questions, WikiQA (rows with ``Label`` 1), EntityQuestions, Yahoo QA (CSV without a
header), MFAQ (pages with a list of pairs each), and a user's own pairs.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.collection import CorpusStream
from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.pair_rows import PairRows, house_rows
from xlstance.corpora.paths import column_at, needed_schema
from xlstance.corpora.records import Records, complete, is_blank, nullable
from xlstance.corpora.tabular import read_records
from xlstance.errors import SettingsError
from xlstance.tables import check_language

Opener = Callable[[pa.Schema], Iterator[Records]]
"""Reads the columns of a schema from one file, or from what else holds rows."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What stands where in a row. A column is named by its path, in which a number is a place in a list.

    In every path ``{lang}`` stands for the file's language.

    Attributes:
        query: the question.
        passage: the text that answers it.
        query_id: of the question, unique within its language; empty: the hash of its text.
        passage_id: of the passage, unique within its language; empty: the hash of its text, so that a text that
            answers many questions stands once.
        title: of the passage.
        language: the row's language. Of a file that is given for one language only the rows in it are taken.
        group: a value that a question shares with its translations, and their answers with each other.
        label: a column that says whether the passage answers the question.
        label_value: its value in the rows to take, such as ``1``.
        each: a list in every row, of which each element makes a row of its own: with ``qa`` here, ``qa.question`` is
            a path into the element and ``title`` one into what surrounds it.
        header: the columns of a TSV or CSV file whose first line does not name them.
        codes: the source's own names of languages whose code is another, such as ``zh-CN: zh_cn``.
        skip_empty: leave out the rows without a passage, counted in a note, where the source is known to have them;
            else each is a bad row.
    """

    query: str = "query"
    passage: str = "passage"
    query_id: str = ""
    passage_id: str = ""
    title: str = ""
    language: str = ""
    group: str = ""
    label: str = ""
    label_value: str = ""
    each: str = ""
    header: list[str] = field(default_factory=list)
    codes: dict[str, str] = field(default_factory=dict)
    skip_empty: bool = False


def read_columns(
    files: Mapping[str, Sequence[Path]],
    columns: Columns,
    *,
    name: str,
    bad: BadRows,
    limit: int = 0,
    seed: int = 0,
) -> CorpusStream:
    """Reads rows of Parquet, JSONL, JSON, TSV or CSV files, each a question and a passage that answers it.

    Args:
        files: the files of each language; under an empty code those whose rows say their language.
        columns: what stands where.
        name: of the source; begins every id and stands in ``pairs.source``.
        bad: told of the rows that cannot be used: an empty text, a language that is none, an id that stands for two
            texts.
        limit: number of questions to draw of each language, 0 for all. The draw goes by ``group`` where there is one,
            so that parallel languages keep the same questions.
        seed: of that draw.

    Returns:
        The stream; its judgements are pairs. Ids are ``{name}/{language}/{id}``. A passage that stands in several
        rows has the group of the first, and repetitions of a pair are left out.

    Raises:
        SettingsError: if no language is given, or one that is none.
        DataError: if a file cannot be read or lacks a column, or no row is left.
    """
    parts = [(lang, partial(_records, path, bad, columns.header)) for lang, paths in files.items() for path in paths]
    where = ", ".join(str(path) for paths in files.values() for path in paths)
    return stream_columns(parts, columns, where=where, name=name, bad=bad, limit=limit, seed=seed)


def _records(path: Path, bad: BadRows, header: Sequence[str], schema: pa.Schema) -> Iterator[Records]:
    return read_records(path, schema, bad, names=header)


def stream_columns(
    parts: Sequence[tuple[str, Opener]],
    columns: Columns,
    *,
    where: str,
    name: str,
    bad: BadRows,
    limit: int = 0,
    seed: int = 0,
) -> CorpusStream:
    """As ``read_columns``, from parts that are a language and what reads its rows; ``where`` names them in messages."""
    for lang, _ in parts:
        if lang:
            check_language(lang, f"source {name!r}")
        elif not columns.language:
            raise SettingsError(
                f"source {name!r}: no language; give files by language, or name the column that says it"
            )

    def read(counts: Counter[str]) -> Iterator[Records]:
        for lang, opened in parts:
            for block in _taken(lang, opened, columns, bad, counts):
                yield house_rows(block, name, bad)

    return PairRows(read, where=where, name=name, bad=bad, limit=limit, seed=seed).stream


_NEEDED = ("query", "passage", "query_id", "passage_id", "language", "group")
_ROLES = (*_NEEDED, "title", "label")


def _taken(lang: str, opened: Opener, columns: Columns, bad: BadRows, counts: Counter[str]) -> Iterator[Records]:
    """The rows to take of one part, with a column for each role that the settings name, and ``language`` always."""
    own = columns.codes.get(lang, lang)
    paths = {role: path.replace("{lang}", own) for role in _ROLES if (path := getattr(columns, role))}
    roles = pa.schema([pa.field(role, pa.string(), role not in _NEEDED) for role in paths])
    codes = {theirs: code for code, theirs in columns.codes.items()}
    each = columns.each.replace("{lang}", own)

    def without(block: Records, left_out: pa.ChunkedArray, reason: str) -> Records:
        counts[reason] += pc.sum(left_out).as_py() or 0
        return block.where(pc.invert(left_out))

    for read in opened(_to_read(paths, each)):
        block = _exploded(read, each) if each else read
        arrays = [column_at(block.table, path) for path in paths.values()]
        block = replace(block, table=pa.table(arrays, schema=nullable(roles)))
        counts["rows read"] += len(block.table)
        if columns.label:
            other = pc.fill_null(pc.not_equal(block.table["label"], columns.label_value), True)
            block = without(block, other, f"left out: {columns.label} is not {columns.label_value!r}")
        if columns.language and lang:
            said = block.table["language"]
            other = pc.and_not(pc.fill_null(pc.not_equal(said, own), False), is_blank(said))
            block = without(block, other, f"left out: the language is not {lang}")
        if columns.skip_empty:
            block = without(block, is_blank(block.table["passage"]), "left out: no passage text")
        block = complete(block, roles, bad)
        if columns.language:
            at = block.table.column_names.index("language")
            coded = _translated(block.table["language"], codes)
            yield replace(block, table=block.table.set_column(at, "language", coded))
        else:
            langs = pa.repeat(pa.scalar(lang), len(block.table))
            yield replace(block, table=block.table.append_column("language", langs))


def _to_read(paths: Mapping[str, str], each: str) -> pa.Schema:
    """The columns to read: those at the paths, and the list whose elements are rows."""
    inside = f"{each}."
    outer = {path for path in paths.values() if path != each and not (each and path.startswith(inside))}
    fields = [pa.field(path, pa.string()) for path in dict.fromkeys(paths.values()) if path in outer]
    if each:
        inner = [path.removeprefix(inside) for path in dict.fromkeys(paths.values()) if path not in outer]
        element = pa.string()
        if each not in paths.values():
            element = pa.struct(list(needed_schema(pa.schema([(path, pa.string()) for path in inner]))))
        fields.append(pa.field(each, pa.list_(element)))
    return pa.schema(fields)


def _exploded(block: Records, column: str) -> Records:
    """A row for each element of a list, with what surrounds it."""
    lists = block.table[column].combine_chunks()
    parents = np.asarray(pc.list_parent_indices(lists), dtype=np.int64)
    around = {name: block.table[name].take(parents) for name in block.table.column_names if name != column}
    return replace(
        block,
        numbers=block.numbers[parents],
        table=pa.table({**around, column: pc.list_flatten(lists)}),
        items=np.arange(len(parents)) - np.searchsorted(parents, parents),
    )


def _translated(languages: pa.ChunkedArray, codes: Mapping[str, str]) -> pa.ChunkedArray:
    """Language codes of a source's own names."""
    for theirs, code in codes.items():
        languages = pc.if_else(pc.equal(languages, theirs), code, languages)
    return languages
