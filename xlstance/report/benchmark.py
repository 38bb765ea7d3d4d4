"""All that is shown of one benchmark: the arms' table, bars, languages, bias, maps and the search itself."""

from collections.abc import Mapping
from typing import Any

from xlstance.evaluation.certainty import interval_note, star_note
from xlstance.evaluation.forgetting import forgetting_table
from xlstance.evaluation.results import MAPS, Column, caution, columns_of, is_synthetic
from xlstance.report.arms import arm_looks
from xlstance.report.bias import bias
from xlstance.report.charts.bars import Bar, bar_chart
from xlstance.report.figure_table import figure_table
from xlstance.report.figures import known, notes_of, round_up, values_of
from xlstance.report.heat_maps import heat_maps
from xlstance.report.languages import languages
from xlstance.report.mixing import alpha_curve
from xlstance.report.section import Section

_SEARCH = (
    Column(title="overlap@100", setting="search", figure="overlap@100"),
    Column(title="agreement@10", setting="search", figure="agreement@10"),
)


def benchmark(results: Mapping[str, Any], name: str, anchor: str) -> Section:
    """The section of a benchmark, with its parts."""
    parts = [
        _arms(results, name, f"{anchor}-arms"),
        _forgetting(results, name, f"{anchor}-forgetting"),
        _settings(results, name, f"{anchor}-settings"),
        alpha_curve(results, name, f"{anchor}-alpha"),
        languages(results, name, f"{anchor}-languages"),
        bias(results, name, f"{anchor}-bias"),
        heat_maps(results, name, f"{anchor}-heat"),
        _search(results, name, f"{anchor}-search"),
    ]
    notes = notes_of(results, name)
    return Section(
        anchor=anchor,
        title=name,
        badge="synthetic data" if is_synthetic(notes) else "",
        template="benchmark.html",
        content={"notes": notes},
        parts=[part for part in parts if part],
    )


def _arms(results: Mapping[str, Any], name: str, anchor: str) -> Section:
    notes = [star_note(results, name), interval_note(results, name), caution(results)]
    content = {"table": figure_table(results, name, columns_of(results, name)), "notes": [n for n in notes if n]}
    return Section(anchor=anchor, title="Arms", template="arms.html", content=content)


def _forgetting(results: Mapping[str, Any], name: str, anchor: str) -> Section | None:
    tuned, changes = forgetting_table(results, name)
    if not tuned:
        return None
    content = {"table": figure_table(results, name, changes, tuned)}
    return Section(anchor=anchor, title="Forgetting", template="forgetting.html", content=content)


def _settings(results: Mapping[str, Any], name: str, anchor: str) -> Section:
    looks = arm_looks(results)
    values = {column: values_of(results, name, column) for column in MAPS}
    scale = round_up(max((value for row in values.values() for value in known(row)), default=1.0))
    charts = []
    for column, row in values.items():
        bars = [Bar(label=arm, value=value, text=column.show(value), ink=looks[arm].ink) for arm, value in row.items()]
        charts.append((column.setting, bar_chart(f"{column.setting} mAP on {name}", bars, scale)))
    content = {"charts": charts, "scale": scale}
    return Section(anchor=anchor, title="Mean average precision by setting", template="settings.html", content=content)


def _search(results: Mapping[str, Any], name: str, anchor: str) -> Section | None:
    """How FAISS's own lists agree with the exact ranks; None where no arm was searched with it."""
    columns = [column for column in _SEARCH if known(values_of(results, name, column))]
    if not columns:
        return None
    found = [run["benchmarks"].get(name, {}).get("search") or {} for run in results["arms"]]
    content = {
        "table": figure_table(results, name, columns, race=False),
        "indexes": sorted({str(search["index"]) for search in found if search.get("index")}),
        "depths": sorted({search["top_k"] for search in found if search.get("top_k")}),
    }
    return Section(anchor=anchor, title="Search with FAISS", template="search.html", content=content, folded="always")
