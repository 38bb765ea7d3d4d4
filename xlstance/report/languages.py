"""mAP by query language and arm, within the language and in the pool of all."""

from collections.abc import Mapping
from typing import Any

from xlstance.report.arms import arm_looks
from xlstance.report.charts.bars import Bar, grouped_bars
from xlstance.report.figures import known, language_maps, points, round_up
from xlstance.report.section import Section


def languages(results: Mapping[str, Any], benchmark: str, anchor: str) -> Section | None:
    """The bars of a benchmark; None where figures by language are missing."""
    maps = {setting: language_maps(results, benchmark, setting) for setting in ("mono", "multi")}
    maps = {setting: values for setting, values in maps.items() if values}
    if not maps:
        return None
    looks = arm_looks(results)
    scale = round_up(
        max(value for by_language in maps.values() for row in by_language.values() for value in known(row))
    )
    charts = []
    for setting, by_language in maps.items():
        groups = {
            lang: [
                Bar(label=arm, value=value, text=points(value), ink=looks[arm].ink)
                for arm, value in row.items()
                if value is not None
            ]
            for lang, row in by_language.items()
        }
        charts.append((setting, grouped_bars(f"{setting} mAP on {benchmark} by query language", groups, scale)))
    content = {"charts": charts, "points": round(100 * scale), "looks": looks}
    return Section(
        anchor=anchor, title="By query language", template="languages.html", content=content, folded="narrow"
    )
