"""The HTML report of an experiment: one file that opens offline, from ``results.json`` and the training metrics."""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from xlstance.evaluation.certainty import certain_leader, interval_note, interval_of, star_note, was_tested
from xlstance.evaluation.charts import HUES, Bar, Line, bar_chart, heat_map, line_chart
from xlstance.evaluation.forgetting import forgetting_table
from xlstance.evaluation.results import (
    COLUMNS,
    Column,
    benchmark_names,
    best_arms,
    caution,
    columns_of,
    is_synthetic,
    leakage_note,
    mean_figure,
    seeds_of,
    trained_on_leaks,
)

_MAPS = COLUMNS[:3]  # mono, cross, multi
_BIAS = (
    Column(title="rank distance", setting="multi", figure="rank_distance", digits=1),
    Column(title="by chance", setting="multi", figure="rank_distance_chance", digits=1),
    Column(title="share of chance", setting="multi", figure="rank_distance_share", digits=3),
    Column(title="diagonal gap", setting="multi", figure="diagonal_gap"),
    Column(title="same language first", setting="multi", figure="same_language_first", digits=3),
    Column(title="by chance", setting="multi", figure="same_language_first_chance", digits=3),
)
_LANGUAGES = (
    Column(title="PEER@20", setting="multi", figure="peer@20", digits=3),
    Column(title="PEER@1000", setting="multi", figure="peer@1000", digits=3),
    Column(title="recall gap@10", setting="multi", figure="recall_gap@10", digits=3),
    Column(title="recall gap@100", setting="multi", figure="recall_gap@100", digits=3),
    Column(title="overall gap@100", setting="multi", figure="recall_gap_overall@100", digits=3),
    Column(title="own language in top 10", setting="multi", figure="own_language_share@10", digits=3),
    Column(title="by chance", setting="multi", figure="own_language_share@10_chance", digits=3),
    Column(title="KL of top 10", setting="multi", figure="language_kl@10", digits=3),
)
_BIAS_CHARTS = ((_BIAS[0], _BIAS[1]), (_BIAS[3], None), (_BIAS[4], _BIAS[5]))
_CURVE_POINTS = 120


def render_report(results: Mapping[str, Any], training_metrics: Sequence[Mapping[str, Any]]) -> str:
    """Renders the report.

    Args:
        results: the content of ``results.json``.
        training_metrics: rows with ``arm``, ``seed``, ``step``, ``kind`` (of the batch), ``loss`` and, where it was
            measured, ``validation_loss``.

    Returns:
        One HTML page that refers to nothing outside itself.
    """
    arms = seeds_of(results)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(
        arms=arms,
        hues=HUES,
        summary=_summary(results),
        caution=caution(results),
        leakage_note=leakage_note(results),
        trained_on_leaks=trained_on_leaks(results),
        leakage=_leakage(results),
        synthetic=any(is_synthetic(_notes(results, name)) for name in benchmark_names(results)),
        benchmarks=[_benchmark(results, name) for name in benchmark_names(results)],
        claims=results.get("claims", ()),
        looks=results.get("looks", {}),
        curves=_curves(training_metrics, list(arms)),
        runs=results["arms"],
        settings=json.dumps(results["settings"], indent=2, ensure_ascii=False, default=str),
        machine=results["machine"],
        code_version=results["code_version"],
    )


def _leakage(results: Mapping[str, Any]) -> dict[str, list[tuple[str, int, int]]]:
    """(name, leaking, warned) by source, benchmark and rule; empty where the audit found nothing."""
    found = results.get("leakage") or {}
    parts = {"source": "by_source", "benchmark": "by_benchmark", "rule": "by_rule"}
    tables = {
        title: [(name, part["leaking"], part["warned"]) for name, part in found.get(key, {}).items()]
        for title, key in parts.items()
    }
    return tables if any(leaking or warned for _, leaking, warned in tables["source"]) else {}


def _summary(results: Mapping[str, Any]) -> str:
    """One sentence: which arm leads where, and whether that is certain."""
    arms = list(seeds_of(results))
    clauses = []
    for benchmark in benchmark_names(results):
        settings_of: dict[tuple[str, str], list[str]] = defaultdict(list)
        for column in _MAPS:
            best = best_arms(_values(results, benchmark, column), column)
            if best:
                certainty = " (certain)" if certain_leader(results, benchmark, column) in best else " (not certain)"
                leader = _list(arm for arm in arms if arm in best)
                settings_of[leader, certainty if was_tested(results, benchmark) else ""].append(column.setting)
        leads = [f"{leader} in {_list(settings)}{sure}" for (leader, sure), settings in settings_of.items()]
        if leads:
            clauses.append(f"on {benchmark}, {', '.join(leads)}")
    return f"Highest mAP: {'; '.join(clauses)}." if clauses else "Nothing to compare: fewer than two arms have figures."


def _list(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def _benchmark(results: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What the template shows of one benchmark."""
    arms = list(seeds_of(results))
    maps = [(column.setting, _values(results, name, column)) for column in _MAPS]
    scale = _round_up(max((value for _, values in maps for value in _known(values)), default=1.0))
    heat = {arm: pairs for arm in arms if (pairs := _pairs(results, arm, name))}
    cells = [value for pairs in heat.values() for value in pairs.values()]
    floor = math.floor(10 * min(cells, default=0.0)) / 10
    heat_scale = (floor, max(_round_up(max(cells, default=1.0)), round(floor + 0.1, 1)))
    queries, passages = (sorted({pair[side] for pairs in heat.values() for pair in pairs}) for side in (0, 1))
    languages = [column for column in _LANGUAGES if _known(_values(results, name, column))]
    notes = _notes(results, name)
    tuned, changes = forgetting_table(results, name)
    return {
        "name": name,
        "notes": notes,
        "synthetic": is_synthetic(notes),
        "table": _table(results, name, columns_of(results, name)),
        "table_notes": [note for note in (star_note(results, name), interval_note(results, name)) if note],
        "forgetting": _table(results, name, changes, tuned) if tuned else None,
        "bias": _table(results, name, _BIAS, race=False),
        "languages": _table(results, name, languages, race=False) if languages else None,
        "scale": scale,
        "bars": [(setting, bar_chart(f"{setting} mAP on {name}", _bars(values, 4), scale)) for setting, values in maps],
        "bias_bars": [
            chart for column, chance in _BIAS_CHARTS if (chart := _bias_chart(results, name, column, chance))
        ],
        "heat": [
            (
                arm,
                heat_map(f"mAP on {name}, {arm}: query by passage language", queries, passages, pairs, heat_scale),
            )
            for arm, pairs in heat.items()
        ],
        "heat_scale": heat_scale,
    }


def _bias_chart(
    results: Mapping[str, Any], benchmark: str, column: Column, chance: Column | None
) -> tuple[str, Markup] | None:
    """Bars of a bias figure with the value of chance, which depends on the benchmark alone."""
    values = _values(results, benchmark, column)
    of_chance = next(iter(_known(_values(results, benchmark, chance))), None) if chance else None
    widest = max([*_known(values), of_chance or 0.0], default=0.0)
    if widest <= 0:
        return None
    reference = None if chance is None or of_chance is None else (f"chance {chance.show(of_chance)}", of_chance)
    title = f"{column.title} on {benchmark}"
    return column.title, bar_chart(title, _bars(values, column.digits), widest, reference)


def _values(results: Mapping[str, Any], benchmark: str, column: Column) -> dict[str, float | None]:
    return {arm: mean_figure(results, arm, benchmark, column.setting, column.figure) for arm in seeds_of(results)}


def _known(values: Mapping[str, float | None]) -> list[float]:
    return [value for value in values.values() if value is not None]


def _table(
    results: Mapping[str, Any],
    benchmark: str,
    columns: Sequence[Column],
    arms: Sequence[str] = (),
    *,
    race: bool = True,
) -> dict[str, Any]:
    """A table's head and, by arm, its cells: the figure, whether it certainly leads, and its interval.

    Figures of bias are no race: no one of them proves less bias.
    """
    rows: dict[str, list[tuple[str, bool, str]]] = defaultdict(list)
    for column in columns:
        values = _values(results, benchmark, column)
        leader = certain_leader(results, benchmark, column) if race else ""
        for arm in arms or values:
            interval = interval_of(results, benchmark, column, arm)
            ends = f"{column.show(interval[0])} to {column.show(interval[1])}" if interval else ""
            rows[arm].append((column.show(values[arm]), arm == leader, ends))
    return {"head": [column.title for column in columns], "rows": rows}


def _bars(values: Mapping[str, float | None], digits: int) -> list[Bar]:
    show = Column(title="", setting="", figure="", digits=digits).show
    return [Bar(label=arm, value=value, text=show(value), hue=hue) for hue, (arm, value) in enumerate(values.items())]


def _pairs(results: Mapping[str, Any], arm: str, benchmark: str) -> dict[tuple[str, str], float]:
    """The heat map of an arm, mean over its seeds."""
    runs = [
        run["benchmarks"][benchmark] for run in results["arms"] if run["name"] == arm and benchmark in run["benchmarks"]
    ]
    values: dict[tuple[str, str], float] = {}
    for pair in sorted({pair for run in runs for pair in run.get("per_pair", {})}):
        mean = mean_figure(results, arm, benchmark, "per_pair", pair, "map")
        if mean is not None:
            source, target = pair.split("->")
            values[source, target] = mean
    return values


def _curves(rows: Sequence[Mapping[str, Any]], arms: Sequence[str]) -> list[tuple[str, Markup]]:
    """A chart per kind of batch, whose losses are no match for one another, and one of the validation loss.

    A loss that is not finite has no point.
    """
    panels: dict[str, dict[tuple[str, int], list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        run = (row["arm"], row["seed"])
        for title, name in (("training loss, {kind} batches", "loss"), ("validation loss", "validation_loss")):
            title, loss = title.format(kind=row.get("kind")), row.get(name)
            if loss is not None and math.isfinite(loss):
                panels[title][run].append((row["step"], loss))
    hues = {arm: hue for hue, arm in enumerate(arms)}
    return [
        (
            title,
            line_chart(
                title,
                [
                    Line(label=f"{arm}, seed {seed}", points=_thin(points), hue=hues.get(arm, len(arms)))
                    for (arm, seed), points in runs.items()
                ],
            ),
        )
        for title, runs in sorted(panels.items())
    ]


def _thin(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most ``_CURVE_POINTS`` points, the means of neighbours."""
    ordered = sorted(points)
    size = math.ceil(len(ordered) / _CURVE_POINTS)
    parts = [ordered[start : start + size] for start in range(0, len(ordered), size)]
    return [(fmean(x for x, _ in part), fmean(y for _, y in part)) for part in parts]


def _notes(results: Mapping[str, Any], benchmark: str) -> list[str]:
    runs = [run["benchmarks"].get(benchmark, {}) for run in results["arms"]]
    return list(dict.fromkeys(note for run in runs for note in run.get("notes", ())))


def _round_up(value: float) -> float:
    """The next tenth, so that scales end in a round number."""
    return max(0.1, math.ceil(round(10 * value, 6)) / 10)
