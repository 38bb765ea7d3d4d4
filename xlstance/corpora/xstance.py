"""X-Stance: questions to candidates in Swiss elections, and the candidates' comments on them, as texts.

A folder holds ``train.jsonl``, ``valid.jsonl`` and ``test.jsonl`` (``id, language, question_id, question, comment,
label`` and more) and ``questions.{de,en,fr,it}.jsonl`` (``id`` or ``ID``, ``text``, ``topic``), each plain or gzip
(Vamvas & Sennrich 2020, arXiv 2003.08385). The stance of a comment is checked and left aside.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from xlstance.collection import CorpusStream
from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.pair_rows import no_language
from xlstance.corpora.records import Records
from xlstance.corpora.tabular import read_records
from xlstance.errors import DataError, SettingsError
from xlstance.files import what_is_there
from xlstance.ids import IdSet
from xlstance.tables import check_language, hash_ids, make_table

SPLITS = ("train", "valid", "test")
_LABELS = pa.array(["FAVOR", "AGAINST"])
_COMMENT = pa.schema(
    [
        *(pa.field(column, pa.int64(), False) for column in ("id", "question_id")),
        *(pa.field(column, pa.string(), False) for column in ("language", "comment", "label")),
    ]
)
# Both spellings of the id are about; a row has one of them.
_QUESTION = pa.schema([("id", pa.int64()), ("ID", pa.int64()), pa.field("text", pa.string(), False)])


def read_xstance(folder: Path, *, split: str, name: str, bad: BadRows) -> CorpusStream:
    """Reads the comments of a split and the questions that they answer, in every language a question has.

    Args:
        folder: holds the files.
        split: ``train``, ``valid`` or ``test``.
        name: of the source; begins every id.
        bad: told of the rows that cannot be used: an empty text, an id that stands twice, a label that is none, a
            comment on a question that stands in no file.

    Returns:
        The stream; its judgements are qrels, from a question in each of its languages to every comment on it. Query
        ids are ``{name}/{language}/{question_id}``, one group for each question; passage ids ``{name}/{id}``.

    Raises:
        SettingsError: if there is no such split.
        DataError: if a file is missing, or no row is left.
    """
    if split not in SPLITS:
        raise SettingsError(f"source {name!r}: split is {split!r}; X-Stance has {', '.join(SPLITS)}")
    return _Split(_file(folder, split), read_questions(folder, bad), name, bad).stream


class _Split:
    """The comments of a file, and the questions of a table ``id, lang, text``."""

    def __init__(self, path: Path, questions: pa.Table, name: str, bad: BadRows) -> None:
        self._path, self._questions, self._name, self._bad = path, questions, name, bad
        self._asked: set[int] = set()
        self._used: Counter[str] = Counter()

    @property
    def stream(self) -> CorpusStream:
        return CorpusStream(self._passages(), self._queries(), self._qrels(), self._notes)

    def _passages(self) -> Iterator[pa.Table]:
        for table in self._comments():
            self._used["comments"] += len(table)
            self._asked.update(pc.unique(table["question_id"]).to_pylist())
            ids = _joined(self._name, table["id"])
            columns = {"passage_id": ids, "lang": table["language"], "text": table["comment"], "group_id": ids}
            yield make_table("passages", columns)
        if not self._asked:
            raise DataError(f"{self._path}: no comment is left; its rows are X-Stance's")

    def _queries(self) -> Iterator[pa.Table]:
        asked = self._questions.filter(pc.is_in(self._questions["id"], pa.array(sorted(self._asked))))
        self._used["questions"] = len(asked)
        columns = {"query_id": _joined(self._name, asked["lang"], asked["id"]), "lang": asked["lang"]}
        yield make_table("queries", {**columns, "text": asked["text"], "group_id": _joined(self._name, asked["id"])})

    def _qrels(self) -> Iterator[pa.Table]:
        for table in self._comments():
            for lang in pc.unique(self._questions["lang"]).to_pylist():
                in_lang = self._questions["id"].filter(pc.equal(self._questions["lang"], lang))
                on = table.filter(pc.is_in(table["question_id"], in_lang))
                query_id = _joined(f"{self._name}/{lang}", on["question_id"])
                columns = {"query_id": query_id, "passage_id": _joined(self._name, on["id"])}
                yield make_table("qrels", {**columns, "gain": pa.repeat(1, len(on))})

    def _notes(self) -> list[str]:
        used = ", ".join(f"{count} {what}" for what, count in self._used.items())
        without = len(pc.unique(self._questions["id"])) - len(self._asked)
        languages = ", ".join(pc.unique(self._questions["lang"]).to_pylist())
        return [f"{self._name}: {used} ({len(self._asked)} in {languages}); {without} others have no comment here"]

    def _comments(self) -> Iterator[pa.Table]:
        """The good rows, the same each time."""
        return _read_file(self._path, self._questions, self._bad, ())


def read_comments(
    folder: Path, split: str, questions: pa.Table, bad: BadRows, more: Sequence[pa.Field] = ()
) -> Iterator[pa.Table]:
    """Reads the comments of a split.

    Args:
        folder: holds the files.
        split: ``train``, ``valid`` or ``test``.
        questions: as ``read_questions`` returns them; a comment on any other is a bad row.
        bad: told of the rows that cannot be used.
        more: columns to read beside ``id, question_id, language, comment, label``.

    Yields:
        Blocks of these columns; ids and labels are checked.

    Raises:
        DataError: if the file is missing or cannot be read.
    """
    return _read_file(_file(folder, split), questions, bad, more)


def _read_file(path: Path, questions: pa.Table, bad: BadRows, more: Sequence[pa.Field]) -> Iterator[pa.Table]:
    seen, known = IdSet(), pc.unique(questions["id"])
    for block in read_records(path, pa.schema([*_COMMENT, *more]), bad):
        block = block.without(no_language(block.table["language"]), bad, "no language code", "language")
        other = pc.invert(pc.is_in(block.table["label"], _LABELS))
        block = block.without(other, bad, "the label is neither FAVOR nor AGAINST", "label")
        unknown = pc.invert(pc.is_in(block.table["question_id"], known))
        block = block.without(unknown, bad, "the question stands in no file of questions", "question_id")
        yield _once(block, seen, bad).table


def read_questions(folder: Path, bad: BadRows) -> pa.Table:
    """The questions in all languages: columns ``id`` (int64), ``lang`` and ``text``.

    Args:
        folder: holds ``questions.{lang}.jsonl``.
        bad: told of the rows that cannot be used.

    Raises:
        DataError: if there is no question.
    """
    tables = []
    for path in sorted(folder.glob("questions.*.jsonl*")):
        lang = check_language(path.name.split(".")[1], str(path))
        seen = IdSet()
        for block in read_records(path, _QUESTION, bad):
            ids = pc.coalesce(block.table["id"], block.table["ID"])
            langs = pa.repeat(pa.scalar(lang), len(ids))
            made = replace(block, table=pa.table({"id": ids, "lang": langs, "text": block.table["text"]}))
            made = made.without(pc.is_null(ids), bad, "'id' is missing; fill it or remove the row")
            tables.append(_once(made, seen, bad).table)
    if not any(map(len, tables)):
        raise DataError(f"{folder} has no questions.{{lang}}.jsonl with a question; {what_is_there(folder)}")
    return pa.concat_tables(tables)


def _once(block: Records, seen: IdSet, bad: BadRows) -> Records:
    """The rows whose id has not come before."""
    new = seen.add(hash_ids(block.table["id"].cast(pa.string())))
    return block.without(~new, bad, "this id stands twice", "id")


def _joined(name: str, *parts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Ids: the source's name and the parts with slashes between."""
    return pc.binary_join_element_wise(name, *(part.cast(pa.string()) for part in parts), "/")


def _file(folder: Path, stem: str) -> Path:
    for path in (folder / f"{stem}.jsonl", folder / f"{stem}.jsonl.gz"):
        if path.is_file():
            return path
    raise DataError(f"{folder} has no {stem}.jsonl; {what_is_there(folder)}")
