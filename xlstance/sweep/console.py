"""What a sweep prints last: its points with their figures, the Pareto front, and what is recommended."""

from collections import Counter
from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

from xlstance.sweep.journal import Trial
from xlstance.sweep.outcome import FIGURES, PointRuns
from xlstance.sweep.settings import SweepSettings

_WIDTH = 110
_TITLES = {"mono": "mono mAP", "cross": "cross mAP", "multi": "multi mAP", "rank_distance": "rank distance"}


def format_points(
    sweep: SweepSettings, points: Sequence[PointRuns], trials: Sequence[Trial], found: Mapping[str, Any]
) -> str:
    """The table of a sweep as aligned text.

    Args:
        sweep: the sweep.
        points: those with a finished trial.
        trials: all.
        found: the content of ``sweep.json``.
    """
    front = {row["trial"] for row in found["pareto"]}
    recommended = found["recommended"]["name"]
    rows = [["development pairs", "seeds", *(_TITLES[figure] for figure in FIGURES), ""]]
    for runs in points:
        shown = [_number(figure, runs.mean(figure)) for figure in FIGURES]
        marks = ["recommended"] * (runs.label == recommended) + ["Pareto"] * (runs.label in front)
        rows.append([runs.label, str(len(runs.trials)), *shown, ", ".join(marks)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    last = len(widths) - 1
    lines = [
        "  ".join(
            cell.ljust(width) if column in (0, last) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, "", *wrap(found["recommended"]["text"], _WIDTH), "", *_states(trials)])


def _number(figure: str, value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}" if figure == "rank_distance" else f"{value:.4f}"


def _states(trials: Sequence[Trial]) -> list[str]:
    """How many trials ended how, and why those that failed did."""
    counts = Counter(trial.state for trial in trials)
    summary = ", ".join(f"{count} {state}" for state, count in counts.items())
    reasons = [f"{trial.name} {trial.state}: {trial.reason}" for trial in trials if trial.state in ("failed", "lost")]
    return [f"{len(trials)} trials: {summary}", *reasons]
