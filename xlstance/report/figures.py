"""Reading figures out of results: by arm, by language and by pair of languages, as means over seeds."""

import math
from collections.abc import Collection, Mapping
from typing import Any

from xlstance.evaluation.results import Column, mean_figure
from xlstance.report.arms import arm_looks


def values_of(results: Mapping[str, Any], benchmark: str, column: Column) -> dict[str, float | None]:
    """A figure of every arm, in the order of the page."""
    return {arm: mean_figure(results, arm, benchmark, column.setting, column.figure) for arm in arm_looks(results)}


def known(values: Mapping[Any, float | None]) -> list[float]:
    """The values that are there."""
    return [value for value in values.values() if value is not None]


def pair_maps(results: Mapping[str, Any], benchmark: str) -> dict[str, dict[tuple[str, str], float]]:
    """By arm its mAP by (query language, passage language); arms that have none are left out."""
    names = sorted({name for run in _runs(results, benchmark) for name in run.get("per_pair", {})})
    found = {}
    for arm in arm_looks(results):
        means = {name: mean_figure(results, arm, benchmark, "per_pair", name, "map") for name in names}
        pairs = {_pair(name): mean for name, mean in means.items() if mean is not None}
        if pairs:
            found[arm] = pairs
    return found


def language_maps(results: Mapping[str, Any], benchmark: str, setting: str) -> dict[str, dict[str, float | None]]:
    """By query language the mAP of every arm in ``mono`` or ``multi``; languages that no arm has are left out."""
    languages = sorted({lang for run in _runs(results, benchmark) for lang in run.get("per_language", {})})
    found = {
        lang: {
            arm: mean_figure(results, arm, benchmark, "per_language", lang, setting, "map")
            for arm in arm_looks(results)
        }
        for lang in languages
    }
    return {lang: values for lang, values in found.items() if known(values)}


def notes_of(results: Mapping[str, Any], benchmark: str) -> list[str]:
    """What is to be known of a benchmark, each note once."""
    return list(dict.fromkeys(note for run in _runs(results, benchmark) for note in run.get("notes", ())))


def comparison_of(
    results: Mapping[str, Any], benchmark: str, column: Column, arm: str, other: str
) -> dict[str, Any] | None:
    """The test of one arm against another, as differences of the first; None if they were not tested."""
    tests = (results.get("significance") or {}).get(benchmark) or {}
    for row in tests.get("comparisons", ()):
        if (row["setting"], row["figure"]) == (column.setting, column.figure) and {arm, other} == {
            row["arm"],
            row["other"],
        }:
            if row["arm"] == arm:
                return dict(row)
            turned = {"difference": -row["difference"], "low": -row["high"], "high": -row["low"]}
            effect = None if row.get("effect") is None else -row["effect"]
            return {**row, **turned, "effect": effect, "arm": arm, "other": other}
    return None


def round_up(value: float) -> float:
    """The next tenth, so that scales end in a round number."""
    return max(0.1, math.ceil(round(10 * value, 6)) / 10)


def points(value: float) -> str:
    """A mAP as points: hundredths, with one digit."""
    return f"{100 * value:.1f}"


def listed(words: Collection[str]) -> str:
    """Words as a sentence lists them; empty for none."""
    *most, last = words or ("",)
    return f"{', '.join(most)} and {last}" if most else last


def _pair(name: str) -> tuple[str, str]:
    source, target = name.split("->")
    return source, target


def _runs(results: Mapping[str, Any], benchmark: str) -> list[Mapping[str, Any]]:
    return [run["benchmarks"].get(benchmark, {}) for run in results["arms"]]
