"""What a sweep found: points and their figures, curves with intervals, the Pareto front, and what is recommended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from xlstance.sweep.certainty import (
    CONFIDENCE,
    WIDEST,
    Effects,
    best_interval,
    fit_effects,
    is_found,
    mean_intervals,
)
from xlstance.sweep.journal import Trial
from xlstance.sweep.points import Point, label_of, short_names
from xlstance.sweep.settings import Objective, SweepSettings, goal

FIGURES = ("mono", "cross", "multi", "rank_distance")
_WORDS: Mapping[Objective, str] = {
    "mean": "mean of mono, cross and multi mAP",
    "mono": "mono mAP",
    "cross": "cross mAP",
    "multi": "multi mAP",
    "rank_distance": "rank distance",
}


@dataclass(frozen=True)
class PointRuns:
    """A point's finished trials.

    Attributes:
        point: its values.
        trials: those that came to their end, by seed.
    """

    point: Point
    trials: Mapping[int, Trial]

    @property
    def label(self) -> str:
        """Its name."""
        return label_of(self.point)

    def goals(self, objective: Objective) -> list[float]:
        """What its seeds reached, higher being better."""
        found = (goal(objective, trial.figures) for trial in self.trials.values())
        return [value for value in found if value is not None]

    def mean(self, figure: str) -> float | None:
        """Mean of a figure over its seeds."""
        found = [trial.figures.get(figure) for trial in self.trials.values()]
        values = [value for value in found if value is not None]
        return fmean(values) if found and len(values) == len(found) else None


def points_of(sweep: SweepSettings, trials: Sequence[Trial]) -> list[PointRuns]:
    """The points with a finished trial at least, along the axes of the space."""
    found: dict[str, PointRuns] = {}
    for trial in trials:
        if trial.state == "finished" and goal(sweep.objectives[0], trial.figures) is not None:
            own = found.setdefault(label_of(trial.point), PointRuns(trial.point, {}))
            found[own.label] = PointRuns(own.point, {**own.trials, trial.seed: trial})

    def place(runs: PointRuns) -> list[float]:
        return [
            axis.values.index(runs.point[name]) if axis.values else axis.place(runs.point[name])
            for name, axis in sweep.axes.items()
        ]

    return sorted(found.values(), key=place)


def complete(sweep: SweepSettings, points: Sequence[PointRuns]) -> list[PointRuns]:
    """The points that were run with every seed; if there are none, those with the most."""
    most = max((len(runs.trials) for runs in points), default=0)
    return [runs for runs in points if len(runs.trials) == min(most, len(sweep.seeds))]


def effects_of(points: Sequence[PointRuns], objective: Objective) -> Effects:
    """What points reach, seeds apart."""
    rows = [(runs.label, seed, trial) for runs in points for seed, trial in runs.trials.items()]
    values = [goal(objective, trial.figures) for _, _, trial in rows]
    return fit_effects(
        [label for label, _, _ in rows], [seed for _, seed, _ in rows], [v for v in values if v is not None]
    )


def recommend(sweep: SweepSettings, points: Sequence[PointRuns]) -> dict[str, Any]:
    """The recommended point: of those that were run with every seed, the one whose first objective is best.

    Where the best value of each numeric axis lies follows from draws of the points' effects; one that lies in more
    than ``WIDEST`` of its axis counts as not found.

    Args:
        sweep: the sweep.
        points: from ``points_of``, at least one.

    Returns:
        ``text``, what there is to say; ``name`` and ``point``; ``objective``, its value, as it reads; ``seeds``;
        ``intervals`` by setting, where there is one; ``found``, whether all of them are narrow enough; and
        ``probability``, the share of draws in which this very point is the best.
    """
    objective = sweep.objectives[0]
    effects, done = effects_of(points, objective), complete(sweep, points)
    value = dict(zip(effects.points, effects.means.tolist(), strict=True))
    best = max(done, key=lambda runs: value[runs.label])
    shorts = short_names([axis.setting for axis in sweep.space])
    intervals, clauses, found = {}, [], True
    for axis in sweep.space:
        known = [runs.point[axis.setting] for runs in points]
        if not axis.is_numeric or len(set(known)) < 2:
            continue
        interval = best_interval(effects, axis, {runs.label: float(runs.point[axis.setting]) for runs in points})
        found = found and is_found(axis, interval)
        if interval is None:
            clauses.append(f"no interval for {shorts[axis.setting]}: one seed per point does not tell chance")
            continue
        intervals[axis.setting] = list(interval)
        where = f"the best {shorts[axis.setting]} lies between {interval[0]:g} and {interval[1]:g}"
        clauses.append(where if is_found(axis, interval) else f"not found: {where}, more than {WIDEST:g} of its range")
    drawn = effects.best_draws()
    probability = None if drawn is None else float((drawn == effects.points.index(best.label)).mean())
    reached = fmean(best.goals(objective))
    shown = abs(reached) if objective == "rank_distance" else reached
    values = ", ".join(f"{shorts[name]} {_short(value)}" for name, value in best.point.items())
    certain = f" At {CONFIDENCE:.0%} confidence, {'; '.join(clauses)}." if clauses else ""
    return {
        "text": f"{values}: {_WORDS[objective]} on the development pairs is {shown:.4g}, the best of "
        f"{len(done)} points, over {len(best.trials)} seed{'s' * (len(best.trials) > 1)}.{certain}",
        "name": best.label,
        "point": dict(best.point),
        "objective": {objective: shown},
        "seeds": sorted(best.trials),
        "intervals": intervals,
        "found": found and drawn is not None,
        "probability": probability,
    }


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def neighbours(sweep: SweepSettings, points: Sequence[PointRuns], label: str) -> list[PointRuns]:
    """A point, and those next to it along each numeric axis, among those that were run with every seed."""
    done = complete(sweep, points)
    own = next(runs for runs in done if runs.label == label)
    found = {own.label}
    for axis in (axis for axis in sweep.space if axis.is_numeric):
        name = axis.setting
        line = [r for r in done if all(r.point[n] == own.point[n] for n in own.point if n != name)]
        line.sort(key=lambda runs, name=name: runs.point[name])  # type: ignore[misc]
        place = line.index(own)
        found |= {runs.label for runs in line[max(0, place - 1) : place + 2]}
    return [runs for runs in done if runs.label in found]


def pareto(points: Sequence[PointRuns]) -> list[dict[str, Any]]:
    """The points that no other one beats in all of mono, cross and multi mAP and rank distance, with these figures."""
    rows = [{"trial": runs.label, **{figure: runs.mean(figure) for figure in FIGURES}} for runs in points]
    known = [figure for figure in FIGURES if all(row[figure] is not None for row in rows)]

    def goals(row: Mapping[str, Any]) -> list[float]:
        return [-row[figure] if figure == "rank_distance" else row[figure] for figure in known]

    def beats(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
        pairs = list(zip(goals(one), goals(other), strict=True))
        return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)

    return [row for row in rows if not any(beats(other, row) for other in rows)]


def curves(
    sweep: SweepSettings,
    points: Sequence[PointRuns],
    label: str,
    figures_of: Mapping[str, Mapping[str, Sequence[float]]],
) -> list[dict[str, Any]]:
    """Figures along the first numeric axis, a curve for each combination of the other settings' values.

    Args:
        sweep: the sweep.
        points: in the order of the axes.
        label: what was measured on.
        figures_of: by point's label and figure (those of ``FIGURES``) the values by seed; points may be missing.

    Returns:
        Curves of two points and more: ``label``, ``setting`` (what ``x`` is), ``x``, and ``mean``, ``low`` and
        ``high`` by figure, low and high being t-intervals over the seeds.
    """
    axis = next((axis for axis in sweep.space if axis.is_numeric), None)
    if axis is None:
        return []
    groups: dict[str, list[PointRuns]] = {}
    for runs in points:
        if runs.label in figures_of:
            others = {name: value for name, value in runs.point.items() if name != axis.setting}
            groups.setdefault(label_of(others) if others else "", []).append(runs)
    made = []
    for others_label, group in groups.items():
        if len(group) < 2:
            continue
        curve: dict[str, Any] = {
            "label": f"{label}, {others_label}" if others_label else label,
            "setting": axis.setting,
            "x": [runs.point[axis.setting] for runs in group],
            **{part: {} for part in ("mean", "low", "high")},
        }
        for figure in FIGURES:
            values = [figures_of[runs.label].get(figure, ()) for runs in group]
            if all(values):
                for part, row in zip(("mean", "low", "high"), zip(*mean_intervals(values), strict=True), strict=True):
                    curve[part][figure] = list(row)
        made.append(curve)
    return made


def development_figures(points: Sequence[PointRuns]) -> dict[str, dict[str, list[float]]]:
    """The figures on the development pool, as ``curves`` takes them."""
    return {
        runs.label: {
            figure: [trial.figures[figure] for trial in runs.trials.values() if trial.figures.get(figure) is not None]
            for figure in FIGURES
        }
        for runs in points
    }


def trial_rows(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """All trials, whatever became of them, as plain values."""
    return [
        {
            "name": trial.name,
            "settings": dict(trial.point),
            "seed": trial.seed,
            "state": trial.state,
            **({"reason": trial.reason} if trial.reason else {}),
            **{figure: trial.figures.get(figure) for figure in FIGURES},
            "objective": goal("mean", trial.figures),
            "steps": trial.steps,
            "seconds": trial.figures.get("seconds"),
        }
        for trial in trials
    ]
