"""Query language by passage language: a map of every arm, and one of the difference between two that can be chosen."""

import json
import math
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from xlstance.evaluation.results import Column, best_arms
from xlstance.report.arms import arm_looks
from xlstance.report.charts.heat import Pairs, difference_map, heat_map
from xlstance.report.figures import pair_maps, round_up, values_of
from xlstance.report.section import Section

_MULTI = Column(title="multi mAP", setting="multi", figure="map")
_LEAST_POINTS = 5  # of the full colour of a difference: what is small shall look small


def heat_maps(results: Mapping[str, Any], benchmark: str, anchor: str) -> Section | None:
    """The maps of a benchmark; None where no arm has one."""
    maps = pair_maps(results, benchmark)
    if not maps:
        return None
    rows, columns = languages_of(maps)
    scale = heat_scale(maps)
    content: dict[str, Any] = {
        "scale": scale,
        "maps": [
            (arm, heat_map(f"mAP on {benchmark}, {arm}: query by passage language", rows, columns, pairs, scale))
            for arm, pairs in maps.items()
        ],
        "difference": _difference(results, benchmark, anchor, maps),
    }
    return Section(
        anchor=anchor,
        title="Query language by passage language",
        template="heat_maps.html",
        content=content,
        folded="narrow",
    )


def languages_of(maps: Mapping[str, Pairs]) -> tuple[list[str], list[str]]:
    """The query languages and the passage languages of all maps."""
    queries, passages = (sorted({pair[side] for pairs in maps.values() for pair in pairs}) for side in (0, 1))
    return queries, passages


def heat_scale(maps: Mapping[str, Pairs]) -> tuple[float, float]:
    """The values of no colour and of the full colour, one scale for all maps."""
    cells = [value for pairs in maps.values() for value in pairs.values()]
    floor = math.floor(10 * min(cells, default=0.0)) / 10
    return floor, max(round_up(max(cells, default=1.0)), round(floor + 0.1, 1))


def compared_arms(results: Mapping[str, Any], benchmark: str, maps: Mapping[str, Pairs]) -> tuple[str, str]:
    """The two arms whose difference is shown first: the best in the multilingual pool, and the first baseline.

    Where there is no baseline, or it is the best itself, the first other arm stands in.
    """
    looks, values = arm_looks(results), values_of(results, benchmark, _MULTI)
    best = best_arms(values, _MULTI)
    one = next((arm for arm in maps if arm in best), next(iter(maps)))
    others = sorted((arm for arm in maps if arm != one), key=lambda arm: not looks[arm].baseline)
    return one, others[0]


def difference_of(one: Pairs, other: Pairs) -> tuple[dict[tuple[str, str], float], int]:
    """The difference between two maps in points, where both have a value, and the points of the full colour."""
    values = {pair: 100 * (_kept(value) - _kept(other[pair])) for pair, value in one.items() if pair in other}
    largest = max((abs(value) for value in values.values()), default=0.0)
    return values, max(_LEAST_POINTS, math.ceil(largest))


def _difference(
    results: Mapping[str, Any], benchmark: str, anchor: str, maps: Mapping[str, Pairs]
) -> dict[str, Any] | None:
    if len(maps) < 2:
        return None
    rows, columns = languages_of(maps)
    one, other = compared_arms(results, benchmark, maps)
    values, maximum = difference_of(maps[one], maps[other])
    cells = {pair: values.get(pair) for pairs in maps.values() for pair in pairs}
    return {
        "anchor": anchor,
        "arms": list(maps),
        "one": one,
        "other": other,
        "maximum": maximum,
        "least": _LEAST_POINTS,
        "chart": difference_map(f"mAP points on {benchmark}, {one} minus {other}", rows, columns, cells, maximum),
        "data": _embedded({arm: {f"{a}->{b}": _kept(v) for (a, b), v in pairs.items()} for arm, pairs in maps.items()}),
    }


def _kept(value: float) -> float:
    """The digits of a mAP that the page's script gets, so that it computes what is computed here."""
    return round(value, 6)


def _embedded(data: Any) -> Markup:
    """JSON that may stand in a page's script element: nothing in it can end the element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))  # noqa: S704
