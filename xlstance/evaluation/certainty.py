"""What a table of arms may say of certainty, from the tests in ``results.json``: stars and intervals."""

from collections.abc import Mapping
from typing import Any

from xlstance.evaluation.results import Column


def certain_leader(results: Mapping[str, Any], benchmark: str, column: Column) -> str:
    """The arm that certainly leads all others in a figure; empty if none does, or nothing was tested."""
    for leader in _tests(results, benchmark).get("leaders", ()):
        if leader["certain"] and (leader["setting"], leader["figure"]) == (column.setting, column.figure):
            return str(leader["arm"])
    return ""


def interval_of(results: Mapping[str, Any], benchmark: str, column: Column, arm: str) -> tuple[float, float] | None:
    """The ends of the interval of an arm's figure; None if it was not drawn again."""
    for interval in _tests(results, benchmark).get("intervals", ()):
        if (interval["setting"], interval["figure"], interval["arm"]) == (column.setting, column.figure, arm):
            return interval["low"], interval["high"]
    return None


def was_tested(results: Mapping[str, Any], benchmark: str) -> bool:
    """Whether arms were tested against each other."""
    return bool(_tests(results, benchmark).get("leaders"))


def star_note(results: Mapping[str, Any], benchmark: str) -> str:
    """What a star in a benchmark's table means, or that there is none; empty if nothing was tested."""
    if not was_tested(results, benchmark):
        return ""
    tests = _tests(results, benchmark)
    seeds = len(tests["seeds"])
    test = (
        f"p below {1 - tests['confidence']:.2g} against every other arm by randomisation and bootstrap, corrected "
        f"(Holm) over {len(tests['leaders'])} figures; {tests['units']:,} units of queries that share their content, "
        f"{seeds} {'seed' if seeds == 1 else 'seeds'}"
    )
    if any(leader["certain"] for leader in tests["leaders"]):
        return f"* certainly the best: {test}. Without a star the lead may be chance."
    return f"No star: every lead may be chance. A star takes {test}."


def interval_note(results: Mapping[str, Any], benchmark: str) -> str:
    """What the intervals of a benchmark's figures are; empty if there are none."""
    tests = _tests(results, benchmark)
    if not tests:
        return ""
    what = "units and seeds" if len(tests["seeds"]) > 1 else "units"
    return f"Below each figure its {tests['confidence']:.0%} interval, from {tests['resamples']:,} draws of {what}."


def _tests(results: Mapping[str, Any], benchmark: str) -> dict[str, Any]:
    return (results.get("significance") or {}).get(benchmark) or {}
