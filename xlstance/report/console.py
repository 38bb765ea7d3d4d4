"""The table that an experiment prints last: arms by benchmarks, in plain text."""

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

from xlstance.evaluation.certainty import certain_leader, star_note
from xlstance.evaluation.forgetting import forgetting_table
from xlstance.evaluation.results import (
    Column,
    benchmark_names,
    caution,
    columns_of,
    leakage_note,
    mean_figure,
    seeds_of,
)
from xlstance.report.conclusions import claim_counts

_WIDTH = 110


def format_table(results: Mapping[str, Any]) -> str:
    """The headline figures as aligned text, one block per benchmark.

    Args:
        results: the content of ``results.json``.

    Returns:
        The tables with what their stars mean, what fine-tuned arms forgot, and how many claims hold.
    """
    arms = list(seeds_of(results))
    blocks = []
    for benchmark in benchmark_names(results):
        columns = columns_of(results, benchmark)
        stars = {column: certain_leader(results, benchmark, column) for column in columns}
        note = wrap(star_note(results, benchmark), _WIDTH)
        blocks.append("\n".join([benchmark, _table(results, benchmark, arms, columns, stars), *note]))
        tuned, changes = forgetting_table(results, benchmark)
        if tuned:
            title = f"{benchmark}: change of mono mAP by fine-tuning"
            blocks.append(f"{title}\n{_table(results, benchmark, tuned, changes, {})}")
    claims = claim_counts(results)
    notes = [caution(results), leakage_note(results), f"Claims: {claims}; see the report." if claims else ""]
    return "\n\n".join([*blocks, "\n".join(note for note in notes if note)])


def _table(
    results: Mapping[str, Any],
    benchmark: str,
    arms: Sequence[str],
    columns: Sequence[Column],
    stars: Mapping[Column, str],
) -> str:
    width = max([len("arm"), *map(len, arms)])
    cells = [[arm.ljust(width) for arm in ["arm", *arms]]]
    for column in columns:
        values = {arm: mean_figure(results, arm, benchmark, column.setting, column.figure) for arm in arms}
        shown = [column.show(values[arm]) + ("*" if stars.get(column) == arm else " ") for arm in arms]
        cells.append(_right([column.title + " ", *shown]))
    head, *body = ("  ".join(line).rstrip() for line in zip(*cells, strict=True))
    return "\n".join([head, "-" * len(head), *body])


def _right(texts: list[str]) -> list[str]:
    width = max(map(len, texts))
    return [text.rjust(width) for text in texts]
