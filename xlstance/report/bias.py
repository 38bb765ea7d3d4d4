"""Language bias: rank distance and its kin beside their values by chance, as bars and tables."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from xlstance.evaluation.results import Column
from xlstance.report.arms import arm_looks
from xlstance.report.charts.bars import Bar, bar_chart
from xlstance.report.figure_table import figure_table
from xlstance.report.figures import known, values_of
from xlstance.report.section import Section

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
_CHARTS = ((_BIAS[0], _BIAS[1]), (_BIAS[3], None), (_BIAS[4], _BIAS[5]))


def bias(results: Mapping[str, Any], benchmark: str, anchor: str) -> Section:
    """The bias panel of a benchmark."""
    columns = [column for column in _LANGUAGES if known(values_of(results, benchmark, column))]
    charts = [chart for column, chance in _CHARTS if (chart := _chart(results, benchmark, column, chance))]
    content = {
        "charts": charts,
        "table": figure_table(results, benchmark, _BIAS, race=False),
        "languages": figure_table(results, benchmark, columns, race=False) if columns else None,
    }
    return Section(anchor=anchor, title="Language bias", template="bias.html", content=content, folded="narrow")


def _chart(
    results: Mapping[str, Any], benchmark: str, column: Column, chance: Column | None
) -> tuple[str, Markup] | None:
    """Bars of a figure with the value of chance, which depends on the benchmark alone."""
    values = values_of(results, benchmark, column)
    of_chance = next(iter(known(values_of(results, benchmark, chance))), None) if chance else None
    widest = max([*known(values), of_chance or 0.0], default=0.0)
    if widest <= 0:
        return None
    looks = arm_looks(results)
    bars = [Bar(label=arm, value=value, text=column.show(value), ink=looks[arm].ink) for arm, value in values.items()]
    reference = None if chance is None or of_chance is None else (f"chance {chance.show(of_chance)}", of_chance)
    return column.title, bar_chart(f"{column.title} on {benchmark}", bars, widest, reference)
