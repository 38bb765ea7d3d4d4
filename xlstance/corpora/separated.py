"""Rows of TSV and CSV files, with a header or without one."""

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pacsv

from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.lines import Chunk, read_chunks, row_ends
from xlstance.corpora.records import Records, nullable
from xlstance.errors import DataError

_BEFORE_QUOTE = np.frombuffer(b',\n"', dtype=np.uint8)
_BEHIND_QUOTE = np.frombuffer(b',\r\n"', dtype=np.uint8)


def read_separated(
    path: Path, columns: pa.Schema, bad: BadRows, names: Sequence[str], separator: str
) -> Iterator[Records]:
    """Reads a text file with one row a line.

    Args:
        path: the file, plain or gzip.
        columns: names and types to read; text, numbers and truth values.
        bad: told of the rows that cannot be used.
        names: of the file's columns; empty: its first line names them.
        separator: a tab (quotes are text), a comma (a value in double quotes may hold commas, newlines and, doubled,
            quotes), or a space for any run of spaces and tabs.

    Yields:
        Blocks with exactly the columns asked for; a row's number is that of its first line.

    Raises:
        DataError: if the file cannot be read or lacks a column.
    """
    quoted = separator == ","
    for chunk in read_chunks(path, bad, quoted=quoted):
        if not names:
            header = int(next(iter(row_ends(chunk.data, quoted)), len(chunk.data)))
            names = _header(chunk.data[:header], path, separator)
            chunk = Chunk(chunk.first + chunk.data.count(b"\n", 0, header), chunk.data[header:])
        missing = [column.name for column in columns if column.name not in names]
        if missing:
            raise DataError(f"{path} has no column {missing[0]!r}; its columns are {', '.join(names)}")
        if chunk.data:
            yield _parse(path, chunk, columns, bad, list(names), separator)


def _header(line: bytes, path: Path, separator: str) -> list[str]:
    try:
        return [name.strip() for name in _split(line.decode(), separator)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: line 1 is no header ({error}); it names the columns") from error


def _parse(path: Path, chunk: Chunk, columns: pa.Schema, bad: BadRows, names: list[str], separator: str) -> Records:
    quoted = separator == ","
    ends = row_ends(chunk.data, quoted)
    if not len(ends) or ends[-1] != len(chunk.data):
        ends = np.append(ends, len(chunk.data))
    starts = np.concatenate([[0], ends[:-1]])
    numbers = chunk.first + _newlines_before(chunk.data, starts)
    data = re.sub(rb"[ \t]+", b"\t", chunk.data) if separator == " " else chunk.data
    parse = pacsv.ParseOptions(
        delimiter="\t" if separator == " " else separator,
        quote_char='"' if quoted else False,
        newlines_in_values=quoted,
    )
    convert = pacsv.ConvertOptions(
        column_types={column.name: column.type for column in columns},
        include_columns=columns.names,
        strings_can_be_null=False,
    )
    read = pacsv.ReadOptions(column_names=names, block_size=len(data) + 1)
    try:
        if quoted and not _quotes_stand_well(data):
            raise pa.ArrowInvalid("a quote inside a value")
        table = pacsv.read_csv(pa.BufferReader(data), read_options=read, parse_options=parse, convert_options=convert)
        if len(table) != len(ends):
            raise pa.ArrowInvalid("a blank line, or a line broken by a carriage return")
        return Records(path=path, unit="line", numbers=numbers, table=table.cast(nullable(columns)))
    except (pa.ArrowException, UnicodeDecodeError):
        rows = [(int(number), chunk.data[start:end]) for number, start, end in zip(numbers, starts, ends, strict=True)]
        return _row_by_row(path, rows, columns, bad, names, separator)


def _quotes_stand_well(data: bytes) -> bool:
    """Whether quotes open at the start of values and close at their ends; Arrow's parser takes others too."""
    padded = np.frombuffer(b"\n" + data + b"\n", dtype=np.uint8)
    quotes = np.flatnonzero(padded == ord('"'))
    before, behind = padded[quotes[::2] - 1], padded[quotes[1::2] + 1]
    return bool(np.isin(before, _BEFORE_QUOTE).all() and np.isin(behind, _BEHIND_QUOTE).all())


def _newlines_before(data: bytes, starts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    newlines = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n"))
    return np.searchsorted(newlines, starts)


def _row_by_row(
    path: Path,
    rows: Sequence[tuple[int, bytes]],
    columns: pa.Schema,
    bad: BadRows,
    names: list[str],
    separator: str,
) -> Records:
    numbers, good = [], []

    def read(number: int, row: bytes, *, last_try: bool) -> None:
        if not row.strip():
            return
        try:
            values = _split(row.decode(), separator)
            if len(values) != len(names):
                raise ValueError(f"it has {len(values)} columns; every row has {len(names)} ({', '.join(names)})")
            content = dict(zip(names, values, strict=True))
            good.append({column.name: pa.scalar(content[column.name]).cast(column.type) for column in columns})
            numbers.append(number)
        except (ValueError, csv.Error) as error:
            lines = row.removesuffix(b"\n").split(b"\n")
            if last_try or len(lines) == 1:
                bad.add(
                    path, f"line {number}", f"this row cannot be read: {error}", row.decode(errors="backslashreplace")
                )
                return
            # A stray quote has swallowed the lines after it: they may be good rows by themselves.
            for index, line in enumerate(lines):
                read(number + index, line, last_try=True)

    for number, row in rows:
        read(number, row, last_try=False)
    table = pa.Table.from_pylist(good, schema=nullable(columns))
    return Records(path=path, unit="line", numbers=np.array(numbers, dtype=np.int64), table=table)


def _split(row: str, separator: str) -> list[str]:
    """The values of one row, without its line end."""
    row = row.removesuffix("\n").removesuffix("\r")
    if separator == " ":
        return [value for value in re.split(r"[ \t]+", row) if value]
    if separator == "\t":
        return row.split("\t")
    return next(csv.reader([row], strict=True), [])
