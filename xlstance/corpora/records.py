"""Rows of a file as blocks of named columns, each row with its number for messages."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.corpora.bad_rows import BadRows

BLANK = "\ufeff \t\r\n\u00a0\u3000"
"""Characters that make no text: spaces, and a byte-order mark."""


@dataclass(frozen=True, kw_only=True)
class Records:
    """Some rows of a file.

    Attributes:
        path: the file.
        unit: what its rows are counted in: ``line`` from 1, or ``row`` from 0.
        numbers: each row's number; ``[rows] int64``.
        table: the columns.
        items: where a row of the file holds a list of rows, each one's place in its list, from 0; ``[rows] int64``.
    """

    path: Path | str
    unit: str
    numbers: npt.NDArray[np.int64]
    table: pa.Table
    items: npt.NDArray[np.int64] | None = None

    def place(self, index: int) -> str:
        """Where in the file a row stands."""
        item = "" if self.items is None else f", item {self.items[index]}"
        return f"{self.unit} {self.numbers[index]}{item}"

    def where(self, keep: Any) -> "Records":
        """The rows to keep: ``[rows] bool``, of NumPy or Arrow without nulls."""
        keep = np.asarray(keep, dtype=bool)
        return replace(
            self,
            numbers=self.numbers[keep],
            table=self.table.filter(pa.array(keep)),
            items=None if self.items is None else self.items[keep],
        )

    def without(self, wrong: Any, bad: BadRows, reason: str, shown: str = "") -> "Records":
        """The rows that are not wrong; the others are told to ``bad``.

        Args:
            wrong: ``[rows] bool``, of NumPy or Arrow without nulls.
            bad: told of each wrong row.
            reason: what is wrong and how to mend it.
            shown: a column whose value the reason ends with.

        Raises:
            DataError: for the first wrong row, where a bad row is an error.
        """
        wrong = np.asarray(wrong, dtype=bool)
        if not wrong.any():
            return self
        for index in np.flatnonzero(wrong).tolist():
            row = self.table.slice(index, 1).to_pylist()[0]
            value = f" ({row[shown]!r})" if shown else ""
            content = json.dumps(row, ensure_ascii=False, default=str)
            bad.add(self.path, self.place(index), f"{reason}{value}", content)
        return self.where(~wrong)


def complete(block: Records, columns: pa.Schema, bad: BadRows) -> Records:
    """A block without the rows that lack a column which is not nullable, or have a blank text in it."""
    for column in columns:
        if column.nullable:
            continue
        reason = f"{column.name!r} is missing or empty; fill it or remove the row"
        block = block.without(is_blank(block.table[column.name]), bad, reason)
    return block


def is_blank(values: pa.ChunkedArray) -> Any:
    """Whether each value is null or a text of nothing but spaces; ``[rows] bool``."""
    if not pa.types.is_string(values.type):
        return pc.is_null(values)
    return pc.fill_null(pc.equal(pc.utf8_trim(values, characters=BLANK), ""), True)


def nullable(columns: pa.Schema) -> pa.Schema:
    """The schema with every column nullable: what is needed is checked once the rows are known."""
    return pa.schema([column.with_nullable(True) for column in columns])
