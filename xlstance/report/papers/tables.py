"""The table of a benchmark's arms in Markdown and in LaTeX, with what its stars mean."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from xlstance.evaluation.certainty import interval_note, star_note
from xlstance.evaluation.results import MAPS, Column, caution, columns_of, is_synthetic
from xlstance.report.figure_table import Cell, FigureTable, figure_table
from xlstance.report.figures import notes_of

_LONGEST = 42  # lines of a LaTeX table that stand on a page with their caption
_LATEX = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}


def markdown_table(results: Mapping[str, Any], benchmark: str) -> str:
    """A benchmark's table as Markdown, each interval below its figure.

    Args:
        results: the content of ``results.json``.
        benchmark: its name.

    Returns:
        The text, with a note under the table.
    """
    table = figure_table(results, benchmark, columns_of(results, benchmark))

    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    def shown(cell: Cell) -> str:
        figure = f"**{cell.text}**\\*" if cell.certain else cell.text
        return f"{figure}<br>{cell.interval}" if cell.interval else figure

    head = ["arm", *map(_markdown, table.head)]
    rows = [[_markdown(arm), *map(shown, cells)] for arm, cells in table.arms.items()]
    rows += [[f"*{_markdown(arm)}* (baseline)", *map(shown, cells)] for arm, cells in table.baselines.items()]
    ruler = ["---", *["---:"] * len(table.head)]
    lines = [
        f"# {_markdown(benchmark)}",
        "",
        *map(line, [head, ruler, *rows]),
        "",
        _markdown(_note(results, benchmark)),
    ]
    return "\n".join([*lines, ""])


def latex_table(results: Mapping[str, Any], benchmark: str) -> str:
    """A benchmark's table as LaTeX with booktabs, each interval under its figure.

    The figures stand in groups below one another, since a row of all would be wider than a page; where all groups would
    be longer than one, they are several tables.

    Args:
        results: the content of ``results.json``.
        benchmark: its name.

    Returns:
        ``table`` environments to include in a paper.
    """
    groups = [figure_table(results, benchmark, group) for group in _groups(columns_of(results, benchmark))]
    width = max(len(group.head) for group in groups)
    tables: list[list[str]] = []
    for lines in (_latex_rows(group, width) for group in groups):
        if tables and len(tables[-1]) + len(lines) < _LONGEST:
            tables[-1] += [r"\midrule", *lines]
        else:
            tables.append(lines)
    label = re.sub(r"[^a-z0-9]+", "-", benchmark.lower()).strip("-")
    made = ["% needs the package booktabs; on a page of two columns, table* in place of table"]
    for number, lines in enumerate(tables, 1):
        first = number == 1
        note = _note(results, benchmark) if first else "Continued."
        made += [
            r"\begin{table}",
            r"\centering\small\setlength{\tabcolsep}{4pt}",
            rf"\caption{{{_latex(benchmark)}. {_latex(note)}}}",
            rf"\label{{tab:{label}{'' if first else f'-{number}'}}}",
            rf"\begin{{tabular}}{{l{'r' * width}}}",
            r"\toprule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    return "\n".join([*made, ""])


def _groups(columns: Sequence[Column]) -> list[list[Column]]:
    """The columns in groups that each run from ``mono`` to ``multi``."""
    order = [column.setting for column in MAPS]
    groups: list[list[Column]] = []
    for column in columns:
        if not groups or order.index(column.setting) < order.index(groups[-1][-1].setting):
            groups.append([])
        groups[-1].append(column)
    return groups


def _latex_rows(table: FigureTable, width: int) -> list[str]:
    """A group's head and its arms, every row filled up to so many figures."""

    def row(first: str, cells: Sequence[str]) -> str:
        return " & ".join([first, *cells, *[""] * (width - len(cells))]) + r" \\"

    lines = [row("arm", [_latex(title) for title in table.head])]
    for arms in filter(None, (table.arms, table.baselines)):
        lines.append(r"\midrule")
        for arm, cells in arms.items():
            figures = [rf"\textbf{{{_latex(c.text)}}}\rlap{{$^{{*}}$}}" if c.certain else _latex(c.text) for c in cells]
            lines.append(row(_latex(arm), figures))
            if any(cell.interval for cell in cells):
                ends = [cell.interval.replace(" to ", "--") for cell in cells]
                lines.append(row("", [rf"{{\scriptsize {_latex(end)}}}" if end else "" for end in ends]))
    return lines


def _note(results: Mapping[str, Any], benchmark: str) -> str:
    """What stands under the table: stars, intervals, how much the figures rest on."""
    notes = [star_note(results, benchmark), interval_note(results, benchmark), caution(results)]
    if is_synthetic(notes_of(results, benchmark)):
        notes.insert(0, "Synthetic data.")
    return " ".join(note for note in notes if note)


def _markdown(text: str) -> str:
    """Plain text, in which Markdown and HTML find nothing to read."""
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", " ".join(text.split()))


def _latex(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in " ".join(text.split()))
