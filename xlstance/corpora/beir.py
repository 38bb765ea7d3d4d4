"""Collections as BEIR folders: ``corpus.jsonl``, ``queries.jsonl``, ``qrels/{split}.tsv``; read and written.

Thakur et al. 2021, arXiv 2104.08663. BEIR itself knows no languages: a folder is of one language, or its rows have a
field ``lang``.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from xlstance.collection import Benchmark, CorpusStream
from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.judged import IdSpace, Named, nonempty, notes_of, read_texts, with_language
from xlstance.corpora.records import Records
from xlstance.corpora.tabular import read_records
from xlstance.errors import DataError
from xlstance.files import new_folder, what_is_there
from xlstance.tables import check_language, check_table

_HEADER = ("query-id", "corpus-id", "score")
_QREL = pa.schema([pa.field(name, pa.string(), False) for name in _HEADER[:2]] + [pa.field("score", pa.int32(), False)])
_BATCH = 1 << 14  # rows written at a time
_FIELDS = ("lang", "language", "group_id")


def read_beir(
    folder: Path,
    *,
    name: str,
    bad: BadRows,
    split: str = "test",
    language: str = "",
    judged_only: bool = False,
) -> CorpusStream:
    """Reads a BEIR folder.

    Args:
        folder: holds ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/{split}.tsv``, plain or with ``.gz`` behind.
        name: of the collection; begins every id.
        bad: told of the rows that cannot be used.
        split: whose queries and judgements; several joined by ``+``.
        language: code of all texts; empty: each row's field ``lang`` or ``language`` says it, or else what stands
            before the first ``-`` of its id.
        judged_only: leave out the passages that no judgement names.

    Returns:
        The stream, its judgements qrels. Ids are ``{name}/{native id}``. A row's ``group_id``, which ``write_beir``
        writes, makes its group; other rows have a group of their own. Queries of other splits are left out.

    Raises:
        DataError: if a file is missing or not what the format says, or nothing tells a language.
    """
    if language:
        check_language(language, f"{name}: language")
    counts: Counter[str] = Counter()
    space = IdSpace(f"{name}/", bad, counts)
    named: list[Named] = []

    def judgements() -> Iterator[Records]:
        for part in split.split("+"):
            for block in read_records(_file(folder / "qrels", f"{part}.tsv"), _QREL, bad):
                table = block.table.rename_columns(["query_id", "passage_id", "gain"])
                yield replace(block, table=table)

    def named_by_judgements() -> Named:
        if not named:
            named.append(Named(judgements()))
        return named[0]

    def texts(file: str, more: tuple[str, ...]) -> Iterator[Records]:
        for block in read_texts(_file(folder, file), bad, ("_id", "id"), ("text",), (*_FIELDS, *more)):
            yield block if language else _with_language(block, bad)

    def passages() -> Iterator[pa.Table]:
        wanted = named_by_judgements().passages if judged_only else None
        for block in texts("corpus.jsonl", ("title", "context")):
            yield space.passages(block, language, wanted)

    def queries() -> Iterator[pa.Table]:
        for block in texts("queries.jsonl", ()):
            yield space.queries(block, language, named_by_judgements().queries)

    return CorpusStream(
        nonempty(passages(), "passage", f"{folder}/corpus.jsonl"),
        nonempty(queries(), "query", f"{folder}/queries.jsonl"),
        nonempty(map(space.qrels, judgements()), "judgement", f"{folder}/qrels/{split}.tsv"),
        lambda: notes_of(counts),
    )


def _file(folder: Path, name: str) -> Path:
    """The file, plain or packed."""
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise DataError(f"{folder} has no {name}(.gz); {what_is_there(folder)}")


def _with_language(block: Records, bad: BadRows) -> Records:
    """The block with a column ``lang`` of language codes."""
    prefix = pc.struct_field(pc.extract_regex(block.table["id"], r"^(?P<lang>[a-z]{2})-"), "lang")
    found = pc.coalesce(block.table["lang"], block.table["language"], prefix)
    if len(found) and found.null_count == len(found):
        raise DataError(f"{block.path}: no row says its language; set `language` if the folder has one language only")
    table = block.table.set_column(block.table.column_names.index("lang"), "lang", found)
    return with_language(replace(block, table=table), bad)


def write_beir(folder: Path, benchmarks: Mapping[str, Benchmark]) -> None:
    """Writes benchmarks with the same passages as a BEIR folder, with the fields ``lang`` and ``group_id`` in each row.

    Args:
        folder: made by this call; it comes whole or not at all.
        benchmarks: what to write, by the name of the split: that of its judgements' file.

    Raises:
        DataError: if an id is empty or has a tab or a line end, or the passages are not the same.
        StorageError: if something stands there already, or it cannot be written.
    """
    first, *others = benchmarks.values()
    if any(not other.passages.equals(first.passages) for other in others):
        raise DataError(f"{folder}: the splits {', '.join(benchmarks)} have other passages; write a folder for each")
    with new_folder(folder) as whole:
        (whole / "qrels").mkdir()
        queries = chain.from_iterable(_rows(benchmark.queries, "queries") for benchmark in benchmarks.values())
        _write_lines(whole / "corpus.jsonl", map(_passage_row, _rows(first.passages, "passages")))
        _write_lines(whole / "queries.jsonl", map(_query_row, queries))
        for split, benchmark in benchmarks.items():
            _write_qrels(whole / "qrels" / f"{split}.tsv", benchmark.qrels)


def _rows(table: pa.Table, name: str) -> Iterator[dict[str, Any]]:
    check_table(table, name)
    for batch in table.to_batches(max_chunksize=_BATCH):
        yield from batch.to_pylist()


def _passage_row(row: dict[str, Any]) -> str:
    made = {"_id": row["passage_id"], "title": row["title"] or "", "text": row["text"]}  # BEIR joins title and text
    context = {"context": row["context"]} if row["context"] is not None else {}
    return _json(made | context | {"lang": row["lang"], "group_id": row["group_id"]})


def _query_row(row: dict[str, Any]) -> str:
    return _json({"_id": row["query_id"], **{name: row[name] for name in ("text", "lang", "group_id")}})


def _json(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False)


def _write_qrels(path: Path, qrels: pa.Table) -> None:
    for name in ("query_id", "passage_id"):
        wrong = pc.index(pc.match_substring_regex(qrels[name], r"^$|[\t\r\n]"), True).as_py()
        if wrong >= 0:
            raise DataError(
                f"qrels, row {wrong}: the {name} {qrels[name][wrong].as_py()!r} is empty or has a tab or line end"
            )
    rows = (f"{row['query_id']}\t{row['passage_id']}\t{row['gain']}" for row in _rows(qrels, "qrels"))
    _write_lines(path, chain(["\t".join(_HEADER)], rows))


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)
