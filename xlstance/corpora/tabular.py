"""Rows of JSON lines, JSON, TSV, CSV and Parquet files as blocks of named columns.

A block is parsed whole, by column; only a block that cannot be is read again row by row, which finds the bad row, or
puts it aside and keeps the others. A column is named by its path: ``answers.de.0.text`` is the text of the first of
the answers in German.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.json as pajson
import pyarrow.parquet as pq

from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.lines import Chunk, read_chunks
from xlstance.corpora.paths import column_at, needed_schema, value_at
from xlstance.corpora.records import Records, complete, nullable
from xlstance.corpora.separated import read_separated
from xlstance.errors import DataError
from xlstance.files import read_text, what_is_there

_BATCH = 1 << 15  # rows of a Parquet file that are read at a time
_WRONG = (pa.ArrowException, ValueError, KeyError, TypeError)


def read_records(
    path: Path, columns: pa.Schema, bad: BadRows, *, names: Sequence[str] = (), separator: str = ""
) -> Iterator[Records]:
    """Reads a file of rows, its format told by its name: ``.jsonl``, ``.json``, ``.tsv``, ``.csv``, ``.parquet``.

    Args:
        path: the file; all but Parquet also with ``.gz`` behind.
        columns: paths and types to read. A column that is not nullable must be there and, if text, not blank.
        bad: told of the rows that cannot be used.
        names: the columns of a TSV or CSV file without a header; empty: the first line names them.
        separator: of a text file whose name does not tell it: a tab, a comma (then quotes count as in CSV), or a
            space for any run of spaces and tabs.

    Yields:
        Blocks with exactly the columns asked for.

    Raises:
        DataError: if the file cannot be read, or lacks a column.
    """
    ending = path.name.removesuffix(".gz").rpartition(".")[2]
    if ending == "parquet":
        blocks = _read_parquet(path, columns, bad)
    elif ending in ("jsonl", "ndjson") and not separator:
        blocks = _read_jsonl(path, columns, bad)
    elif ending == "json" and not separator:
        blocks = _read_json(path, columns, bad)
    elif separator or ending in ("tsv", "csv"):
        blocks = read_separated(path, columns, bad, list(names), separator or ("," if ending == "csv" else "\t"))
    else:
        raise DataError(f"{path}: its name tells no format; give .jsonl, .json, .tsv, .csv or .parquet")
    for block in blocks:
        yield complete(block, columns, bad)


def from_batches(path: Path | str, batches: Iterable[Any], columns: pa.Schema, bad: BadRows) -> Iterator[Records]:
    """Records from Arrow record batches, which may hold more columns or the same in other types.

    Raises:
        DataError: if a column is not there at all.
    """
    first = 0
    for batch in batches:
        whole = pa.Table.from_batches([batch])
        for column in columns:
            top = column.name if column.name in whole.column_names else column.name.split(".")[0]
            if top not in whole.column_names:
                raise DataError(f"{path} has no column {top!r}; its columns are {', '.join(whole.column_names)}")
        numbers = np.arange(first, first + len(whole))
        first += len(whole)
        try:
            table = _columns_of(whole, columns)
            table.validate(full=True)  # text that is no UTF-8
            yield Records(path=path, unit="row", numbers=numbers, table=table)
        except _WRONG:
            places = [(int(number), whole.slice(index, 1)) for index, number in enumerate(numbers)]
            yield from _row_by_row(path, places, columns, bad)


def _read_parquet(path: Path, columns: pa.Schema, bad: BadRows) -> Iterator[Records]:
    try:
        file = pq.ParquetFile(path)
        names = file.schema_arrow.names
        wanted = {column.name if column.name in names else column.name.split(".")[0] for column in columns}
        batches = file.iter_batches(batch_size=_BATCH, columns=[name for name in names if name in wanted])
        if not file.metadata.num_rows:
            batches = iter([pa.RecordBatch.from_pylist([], schema=file.schema_arrow)])
        yield from from_batches(path, batches, columns, bad)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise DataError(f"{path} is no file; {what_is_there(path.parent)}") from error
    except (pa.ArrowException, OSError, ValueError) as error:  # the last: column names that are no UTF-8
        reason = str(error).partition("\n")[0]
        raise DataError(f"{path} is no readable Parquet file ({reason}); fetch it again") from error


def _read_jsonl(path: Path, columns: pa.Schema, bad: BadRows) -> Iterator[Records]:
    options = pajson.ParseOptions(explicit_schema=needed_schema(columns), unexpected_field_behavior="ignore")
    for chunk in read_chunks(path, bad):
        lines = chunk.data.count(b"\n") + (not chunk.data.endswith(b"\n"))
        try:
            _check_utf8(chunk.data)  # Arrow's parser takes bytes that are none
            if not chunk.data.lstrip(b" \t\r\n").startswith(b"{"):
                raise pa.ArrowInvalid("the first row is no object")  # a null there crashes Arrow 26's parser
            read = pajson.ReadOptions(block_size=max(len(chunk.data), 1 << 20))
            parsed = pajson.read_json(pa.BufferReader(chunk.data), read_options=read, parse_options=options)
            if parsed.num_rows != lines:
                raise pa.ArrowInvalid("a blank line, or two objects in one")
            table = _columns_of(parsed, columns)
            yield Records(path=path, unit="line", numbers=np.arange(chunk.first, chunk.first + lines), table=table)
        except _WRONG:
            yield from _line_by_line(path, chunk, columns, bad)


def _check_utf8(data: bytes) -> None:
    """As ``data.decode()`` does, twice as fast and without the text.

    Raises:
        pa.ArrowInvalid: if the bytes are no UTF-8.
    """
    bounds = pa.array([0, len(data)], pa.int64())
    pa.Array.from_buffers(pa.large_string(), 1, [None, bounds.buffers()[1], pa.py_buffer(data)]).validate(full=True)


def _columns_of(parsed: pa.Table, columns: pa.Schema) -> pa.Table:
    """The columns asked for, each at its path and of its type."""
    arrays = [column_at(parsed, column.name).cast(column.type) for column in columns]
    return pa.table(arrays, schema=nullable(columns))


def _line_by_line(path: Path, chunk: Chunk, columns: pa.Schema, bad: BadRows) -> Iterator[Records]:
    """A chunk of JSON lines again, a row at a time."""
    numbers, rows = [], []
    for number, line in enumerate(chunk.data.removesuffix(b"\n").split(b"\n"), start=chunk.first):
        if not line.strip():
            continue
        try:
            content = json.loads(line.decode())
            rows.append({column.name: value_at(content, column) for column in columns})
            numbers.append(number)
        except (ValueError, RecursionError) as error:  # of UTF-8, of JSON, of a value's type
            shown = line.decode("utf-8", "backslashreplace")
            bad.add(path, f"line {number}", f"this is no row as wanted here: {error}", shown)
    yield from _records(path, "line", numbers, rows, columns)


def _read_json(path: Path, columns: pa.Schema, bad: BadRows) -> Iterator[Records]:
    """One JSON list of objects; or, as some publishers name them so, JSON lines."""
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        if error.msg != "Extra data":
            raise DataError(f"{path} is no JSON ({error}); fetch it again") from error
        yield from _read_jsonl(path, columns, bad)
        return
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no JSON ({error}); fetch it again") from error
    if not isinstance(content, list):
        raise DataError(f"{path} is no list of rows but a {type(content).__name__}; give a list of objects")
    yield from _row_by_row(path, list(enumerate(content)), columns, bad)


def _row_by_row(
    path: Path | str, rows: Sequence[tuple[int, Any]], columns: pa.Schema, bad: BadRows
) -> Iterator[Records]:
    """Rows by their numbers: plain objects, or Arrow tables of one row."""
    numbers, good = [], []
    for number, row in rows:
        try:
            content = row.to_pylist()[0] if isinstance(row, pa.Table) else row
            good.append({column.name: value_at(content, column) for column in columns})
            numbers.append(number)
        except ValueError as error:
            bad.add(
                path,
                f"row {number}",
                f"this is no row as wanted here: {error}",
                "" if isinstance(row, pa.Table) else repr(row),
            )
    yield from _records(path, "row", numbers, good, columns)


def _records(path: Path | str, unit: str, numbers: list[int], rows: list[Any], columns: pa.Schema) -> Iterator[Records]:
    table = pa.Table.from_pylist(rows, schema=nullable(columns))
    yield Records(path=path, unit=unit, numbers=np.array(numbers, dtype=np.int64), table=table)
