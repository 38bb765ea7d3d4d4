"""The table of a benchmark's arms in Markdown and in LaTeX, with what its stars mean."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from xlstance.evaluation.certainty import interval_note, star_note
from xlstance.evaluation.results import caution, columns_of, is_synthetic
from xlstance.report.figure_table import Cell, figure_table
from xlstance.report.figures import notes_of

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

    Args:
        results: the content of ``results.json``.
        benchmark: its name.

    Returns:
        A ``table`` environment to include in a paper.
    """
    table = figure_table(results, benchmark, columns_of(results, benchmark))

    def rows(arms: Mapping[str, Sequence[Cell]]) -> list[str]:
        made = []
        for arm, cells in arms.items():
            figures = [rf"\textbf{{{_latex(c.text)}}}\rlap{{$^{{*}}$}}" if c.certain else _latex(c.text) for c in cells]
            made.append(" & ".join([_latex(arm), *figures]) + r" \\")
            if any(cell.interval for cell in cells):
                ends = [rf"{{\scriptsize {_latex(cell.interval)}}}" if cell.interval else "" for cell in cells]
                made.append(" & ".join(["", *ends]) + r" \\")
        return made

    label = re.sub(r"[^a-z0-9]+", "-", benchmark.lower()).strip("-")
    body = rows(table.arms)
    if table.baselines:
        body += [r"\midrule", *rows(table.baselines)]
    lines = [
        "% needs the package booktabs",
        r"\begin{table}",
        r"\centering\small",
        rf"\caption{{{_latex(benchmark)}. {_latex(_note(results, benchmark))}}}",
        rf"\label{{tab:{label}}}",
        rf"\begin{{tabular}}{{l{'r' * len(table.head)}}}",
        r"\toprule",
        " & ".join(["arm", *map(_latex, table.head)]) + r" \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join([*lines, ""])


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
