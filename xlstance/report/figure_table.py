"""A table of arms by figures with stars and intervals, for the page and for papers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xlstance.evaluation.certainty import certain_leader, interval_of
from xlstance.evaluation.results import Column
from xlstance.report.arms import arm_looks
from xlstance.report.figures import values_of


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A figure as text, whether it certainly leads its column, and its interval; both texts may be empty."""

    text: str
    certain: bool
    interval: str


@dataclass(frozen=True, kw_only=True)
class FigureTable:
    """The table.

    Attributes:
        head: titles of the columns behind that of the arms.
        arms: rows of arms.
        baselines: rows of baselines, which stand apart.
    """

    head: Sequence[str]
    arms: Mapping[str, Sequence[Cell]]
    baselines: Mapping[str, Sequence[Cell]]


def figure_table(
    results: Mapping[str, Any],
    benchmark: str,
    columns: Sequence[Column],
    arms: Sequence[str] = (),
    *,
    race: bool = True,
) -> FigureTable:
    """Makes the table.

    Args:
        results: the content of ``results.json``.
        benchmark: a benchmark's name.
        columns: its columns.
        arms: the rows; all arms if empty.
        race: whether a column has a winner. Figures of bias have none: no one of them proves less bias.
    """
    looks = arm_looks(results)
    rows: dict[str, list[Cell]] = {arm: [] for arm in arms or looks}
    for column in columns:
        values = values_of(results, benchmark, column)
        leader = certain_leader(results, benchmark, column) if race else ""
        for arm, cells in rows.items():
            ends = interval_of(results, benchmark, column, arm)
            interval = f"{column.show(ends[0])} to {column.show(ends[1])}" if ends else ""
            cells.append(Cell(text=column.show(values[arm]), certain=arm == leader, interval=interval))
    return FigureTable(
        head=[column.title for column in columns],
        arms={arm: cells for arm, cells in rows.items() if not looks[arm].baseline},
        baselines={arm: cells for arm, cells in rows.items() if looks[arm].baseline},
    )
