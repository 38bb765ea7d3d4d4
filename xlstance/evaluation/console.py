"""The table that an experiment prints last: arms by benchmarks, in plain text."""

from collections.abc import Mapping
from typing import Any

from xlstance.evaluation.results import (
    benchmark_names,
    best_arms,
    caution,
    columns_of,
    leakage_note,
    mean_figure,
    seeds_of,
)


def format_table(results: Mapping[str, Any]) -> str:
    """The headline figures as aligned text, one block per benchmark.

    Args:
        results: the content of ``results.json``.

    Returns:
        The table with a footnote; ``*`` marks the best value of a column, which says nothing about significance.
    """
    arms = list(seeds_of(results))
    width = max([len("arm"), *map(len, arms)])
    blocks = []
    for benchmark in benchmark_names(results):
        cells = [[arm.ljust(width) for arm in ["arm", *arms]]]
        for column in columns_of(results, benchmark):
            values = {arm: mean_figure(results, arm, benchmark, column.setting, column.figure) for arm in arms}
            best = best_arms(values, column)
            shown = [column.show(values[arm]) + ("*" if arm in best else " ") for arm in arms]
            cells.append(_right([column.title + " ", *shown]))
        head, *body = ("  ".join(line).rstrip() for line in zip(*cells, strict=True))
        blocks.append("\n".join([benchmark, head, "-" * len(head), *body]))
    notes = [f"* best of the column. {caution(results)}", leakage_note(results)]
    return "\n\n".join([*blocks, "\n".join(note for note in notes if note)])


def _right(texts: list[str]) -> list[str]:
    width = max(map(len, texts))
    return [text.rjust(width) for text in texts]
