"""Training curves: a chart of each kind of batch, whose losses are no match for one another, and of the validation."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from xlstance.report.arms import arm_looks
from xlstance.report.charts.lines import Line, line_chart
from xlstance.report.charts.svg import swatch
from xlstance.report.palette import ink
from xlstance.report.section import Section

_POINTS = 120


def training(results: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Section | None:
    """The section of the curves; None where nothing was trained."""
    panels = training_panels(results, rows)
    if not panels:
        return None
    inks = {line.label.rpartition(", seed ")[0]: line.ink for _, lines in panels for line in lines}
    content = {
        "charts": [(title, line_chart(title, lines)) for title, lines in panels],
        "legend": [(swatch(drawn), arm) for arm, drawn in inks.items()],
    }
    return Section(anchor="training", title="Training", template="training.html", content=content)


def training_panels(results: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Line]]]:
    """By title a line of losses for each run; a loss that is not finite has no point.

    Arms that stand in no table, since others only start from them, are drawn like arms that follow the others.
    """
    losses: dict[str, dict[tuple[str, int], list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        kinds = {"loss": f"training loss, {row.get('kind')} batches", "validation_loss": "validation loss"}
        for name, title in kinds.items():
            loss = row.get(name)
            if loss is not None and math.isfinite(loss):
                losses[title][row["arm"], row["seed"]].append((row["step"], loss))
    looks = arm_looks(results)
    inks = {arm: look.ink for arm, look in looks.items()}
    first = sum(not look.baseline for look in looks.values())
    others = [arm for arm in dict.fromkeys(arm for runs in losses.values() for arm, _ in runs) if arm not in looks]
    inks |= {arm: ink(first + number) for number, arm in enumerate(others)}
    return [
        (
            title,
            [
                Line(label=f"{arm}, seed {seed}", points=_thin(points), ink=inks[arm])
                for (arm, seed), points in sorted(runs.items(), key=lambda run: list(inks).index(run[0][0]))
            ],
        )
        for title, runs in sorted(losses.items())
    ]


def _thin(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most ``_POINTS`` points, the means of neighbours."""
    ordered = sorted(points)
    size = math.ceil(len(ordered) / _POINTS)
    parts = [ordered[start : start + size] for start in range(0, len(ordered), size)]
    return [(fmean(x for x, _ in part), fmean(y for _, y in part)) for part in parts]
