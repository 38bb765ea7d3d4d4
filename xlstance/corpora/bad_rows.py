"""What becomes of a row that cannot be used: an error, or a line in a table of its own."""

from pathlib import Path
from typing import Literal

import pyarrow as pa

from xlstance.errors import DataError
from xlstance.tables import make_table

OnBadRow = Literal["error", "quarantine"]
"""``error`` stops at the first bad row; ``quarantine`` puts it aside with its reason and reads on."""

_SHOWN = 2_000  # characters of a row that are kept


class BadRows:
    """The bad rows of one source.

    Args:
        on_bad_row: whether the first is an error, or all are put aside.
    """

    def __init__(self, on_bad_row: OnBadRow = "error") -> None:
        self._stop = on_bad_row == "error"
        self._rows: dict[tuple[str, str], tuple[str, str]] = {}

    @property
    def count(self) -> int:
        """How many were put aside."""
        return len(self._rows)

    def add(self, path: Path | str, place: str, reason: str, content: str = "") -> None:
        """Notes a bad row; the first reason for a place is kept, as a file may be read several times.

        Args:
            path: its file.
            place: where in the file, such as ``line 17``.
            reason: what is wrong and how to mend it.
            content: the row as it stands there, as far as it can be shown.

        Raises:
            DataError: where a bad row is an error.
        """
        if self._stop:
            raise DataError(f"{path}: {place}: {reason}")
        shown = content[:_SHOWN].encode("utf-8", "backslashreplace").decode()
        self._rows.setdefault((str(path), place), (reason, shown))

    @property
    def table(self) -> pa.Table:
        """The rows put aside, as a table ``quarantine``."""
        columns: list[list[str]] = [[], [], [], []]
        for (path, place), (reason, content) in self._rows.items():
            for column, value in zip(columns, (path, place, reason, content), strict=True):
                column.append(value)
        return make_table("quarantine", dict(zip(("file", "place", "reason", "content"), columns, strict=True)))
