"""The mixing ratio: retrieval against alpha, the share of monolingual batches, from arms of one run or from a sweep."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from xlstance.evaluation.certainty import interval_of
from xlstance.evaluation.results import MAPS, RANK_DISTANCE
from xlstance.report.charts.lines import Line, line_chart
from xlstance.report.charts.svg import swatch
from xlstance.report.figures import values_of
from xlstance.report.palette import ink
from xlstance.report.section import Section

Panels = list[tuple[str, list[Line]]]
_ALPHA_OF_ENDS = {"x-y": 0.0, "x-x-mono": 1.0}
_TITLES = {"mono": "mono mAP", "cross": "cross mAP", "multi": "multi mAP", "rank_distance": "rank distance"}


def alpha_curve(results: Mapping[str, Any], benchmark: str, anchor: str) -> Section | None:
    """Charts of a benchmark's figures against alpha; None unless several hybrid arms differ in it alone."""
    panels = alpha_panels(results, benchmark)
    if not panels:
        return None
    content = _charts(panels, f"on {benchmark}", "alpha")
    return Section(anchor=anchor, title="Mixing ratio", template="alpha.html", content=content)


def alpha_panels(results: Mapping[str, Any], benchmark: str) -> Panels:
    """By title of a figure a line for each group of ``alpha_groups``, its band from the arms' intervals."""
    panels = []
    for column in (*MAPS, RANK_DISTANCE):
        lines = []
        values = values_of(results, benchmark, column)
        for number, group in enumerate(alpha_groups(results)):
            found = [(alpha, values[arm], interval_of(results, benchmark, column, arm)) for alpha, arm in group]
            points = [(alpha, value) for alpha, value, _ in found if value is not None]
            band = [(alpha, *ends) for alpha, value, ends in found if value is not None and ends is not None]
            if points:
                label = ", ".join(arm for _, arm in group)
                lines.append(Line(label=label, points=points, ink=ink(number), band=band if len(band) > 1 else ()))
        if lines:
            panels.append((column.title, lines))
    return panels


def alpha_groups(results: Mapping[str, Any]) -> list[list[tuple[float, str]]]:
    """Hybrid arms that differ in alpha and in nothing else, as (alpha, arm) from the smallest alpha to the largest.

    The pure samplers, if they are trained alike, are the ends: X-Y is alpha 0, X-X-mono is alpha 1. A group without
    two hybrid arms of different alpha is left out.
    """
    groups: dict[str, dict[str, tuple[float, bool]]] = defaultdict(dict)
    for run in results["arms"]:
        sampler, train = run["sampler"], run["train"]
        hybrid = sampler.get("kind") == "hybrid"
        alpha = sampler.get("alpha") if hybrid else _ALPHA_OF_ENDS.get(sampler.get("kind", ""))
        if alpha is None or sampler.get("alpha_schedule"):
            continue
        same = {name: value for name, value in sampler.items() if name not in ("kind", "alpha")}
        alike = [train.get(name) for name in ("sources", "start", "steps", "batch_size")]
        key = json.dumps([same, alike, run["augmentation"]], sort_keys=True, default=str)
        groups[key][run["name"]] = (alpha, hybrid)
    return [
        sorted((alpha, arm) for arm, (alpha, _) in group.items())
        for group in groups.values()
        if len({alpha for alpha, hybrid in group.values() if hybrid}) > 1
    ]


def sweep(results: Mapping[str, Any]) -> Section | None:
    """The section of a search over mixing ratios; None where the results hold none."""
    found = results.get("sweep")
    if not found:
        return None
    curves = found.get("curves", ())
    varied = dict.fromkeys(curve.get("setting", "alpha").rpartition(".")[2].replace("_", " ") for curve in curves)
    content = {
        **_charts(sweep_panels(curves), "in the sweep", " or ".join(varied)),
        "recommended": (found.get("recommended") or {}).get("text", ""),
        "pareto": _rows(found.get("pareto", ())),
        "trials": _rows(found.get("trials", ())),
    }
    return Section(anchor="mixing", title="Sweep", template="sweep.html", content=content)


def sweep_panels(curves: Sequence[Mapping[str, Any]]) -> Panels:
    """By title of a figure the line and the band of each curve."""
    panels = []
    for setting in dict.fromkeys(setting for curve in curves for setting in curve["mean"]):
        lines = []
        for number, curve in enumerate(curves):
            mean = curve["mean"].get(setting) or []
            points = [(x, y) for x, y in zip(curve["x"], mean, strict=False) if y is not None]
            ends = [(curve.get(end) or {}).get(setting) or [] for end in ("low", "high")]
            band = [(x, low, high) for x, low, high in zip(curve["x"], *ends, strict=False) if None not in (low, high)]
            if points:
                lines.append(Line(label=curve["label"], points=points, ink=ink(number), band=band))
        if lines:
            panels.append((_TITLES.get(setting, setting.replace("_", " ")), lines))
    return panels


def _charts(panels: Panels, where: str, axis: str) -> dict[str, Any]:
    """The panels as charts over what is varied, with the legend of all their lines."""
    inks = {line.label: line.ink for _, lines in panels for line in lines}
    return {
        "charts": [(title, line_chart(f"{title} {where} by {axis}", lines, axis)) for title, lines in panels],
        "legend": [(swatch(drawn), label) for label, drawn in inks.items()],
    }


def _rows(entries: Sequence[Any]) -> dict[str, Any]:
    """Plain entries as a table: a column for each key of theirs, or one column where they have none."""
    rows = [entry if isinstance(entry, Mapping) else {"trial": entry} for entry in entries]
    head = list(dict.fromkeys(key for row in rows for key in row))
    return {"head": [key.replace("_", " ") for key in head], "rows": [[row.get(key) for key in head] for row in rows]}
