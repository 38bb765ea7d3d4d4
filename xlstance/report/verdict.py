"""The first screen: which arm is best in which kind of search, by how much, and whether that is certain."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from xlstance.evaluation.certainty import certain_leader, was_tested
from xlstance.evaluation.results import MAPS, Column, benchmark_names, best_arms
from xlstance.report.arms import arm_looks
from xlstance.report.charts.heat import signed
from xlstance.report.figures import comparison_of, listed, points, values_of

_SEARCH = {"mono": "within one language", "cross": "across two languages", "multi": "over all languages"}


@dataclass(frozen=True, kw_only=True)
class Lead:
    """The best arm of one benchmark and setting.

    Attributes:
        setting: mono, cross or multi.
        search: what that means.
        winner: the arm, or several with the same figure.
        score: its mAP in points.
        ahead: its lead over the next arm.
        interval: that lead's interval and size; empty if it was not tested.
        certain: whether it is; None if it was not tested.
    """

    setting: str
    search: str
    winner: str
    score: str
    ahead: str
    interval: str
    certain: bool | None


def summary(results: Mapping[str, Any]) -> str:
    """In a sentence or two: what a sweep recommends; which arm leads where, and whether that is certain.

    Of several benchmarks it says who leads over all languages; the rest stands below it.
    """
    recommended = ((results.get("sweep") or {}).get("recommended") or {}).get("text", "")
    of_benchmarks = {found["name"]: found["leads"] for found in verdicts(results)}
    leads = ""
    if len(of_benchmarks) == 1:
        ((benchmark, found),) = of_benchmarks.items()
        leads = f"Highest mAP: on {benchmark}, {_led((lead, lead.setting) for lead in found)}."
    elif of_benchmarks:
        multi = [(lead, name) for name, found in of_benchmarks.items() for lead in found if lead.setting == "multi"]
        leads = f"Highest mAP {_SEARCH['multi']}: {_led(multi, 'on', '; ')}." if multi else ""
    return " ".join(filter(None, [recommended, leads])) or "Nothing to compare: fewer than two arms have figures."


def _led(leads: Iterable[tuple[Lead, str]], preposition: str = "in", between: str = ", ") -> str:
    """Who leads in what, and whether that is certain; the same words are said once."""
    said = {None: "", True: " (certain)", False: " (not certain)"}
    places: dict[tuple[str, str], list[str]] = defaultdict(list)
    for lead, place in leads:
        places[lead.winner, said[lead.certain]].append(place)
    found = [f"{winner} {preposition} {listed(where)}{sure}" for (winner, sure), where in places.items()]
    return between.join(found)


def verdicts(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the page's head shows of each benchmark: its name and its leads."""
    return [
        {"name": benchmark, "leads": leads}
        for benchmark in benchmark_names(results)
        if (leads := _leads(results, benchmark))
    ]


def _leads(results: Mapping[str, Any], benchmark: str) -> list[Lead]:
    return [lead for column in MAPS if (lead := _lead(results, benchmark, column))]


def _lead(results: Mapping[str, Any], benchmark: str, column: Column) -> Lead | None:
    values = {arm: value for arm, value in values_of(results, benchmark, column).items() if value is not None}
    best = best_arms(values, column)
    if not best:
        return None
    winners = [arm for arm in arm_looks(results) if arm in best]
    first = winners[0]
    others = sorted((arm for arm in values if arm not in best), key=lambda arm: -values[arm])
    ahead, interval = "", ""
    if others:
        ahead = f"{points(values[first] - values[others[0]])} points ahead of {others[0]}"
        test = comparison_of(results, benchmark, column, first, others[0])
        if test and len(winners) == 1:
            confidence = results["significance"][benchmark]["confidence"]
            ends = " to ".join(signed(100 * test[end], 1) for end in ("low", "high"))
            effect = "" if test["effect"] is None else f"; effect size {signed(test['effect'], 2)}"
            interval = f"{confidence:.0%} interval of this lead {ends}{effect}"
    return Lead(
        setting=column.setting,
        search=_SEARCH[column.setting],
        winner=listed(winners),
        score=points(values[first]),
        ahead=ahead,
        interval=interval,
        certain=certain_leader(results, benchmark, column) in best if was_tested(results, benchmark) else None,
    )
