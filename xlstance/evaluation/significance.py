"""Which differences between arms are more than chance: tests over units, with all languages and seeds of one together.

Two questions stay apart. Would other questions of the kind give the same answer? Both tests draw units again. Would
another training run? The bootstrap draws the seeds again too, where there are several. A difference is called
significant only if both tests say so, which makes its interval agree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from xlstance.errors import DataError
from xlstance.evaluation.comparisons import Comparison, Resampled
from xlstance.evaluation.resampling import UnitSums, bootstrap, holm, percentile_interval
from xlstance.evaluation.results import DIAGONAL_GAP, Column
from xlstance.evaluation.settings import EvaluationSettings

Floats = npt.NDArray[np.float64]
Run = tuple[str, int]
"""An arm's name and the seed that it was trained with."""

_KEYS = ("query_id", "setting", "passage_lang", "unit")


def resample(
    tables: Mapping[Run, pa.Table], columns: Sequence[Column], settings: EvaluationSettings
) -> Resampled | None:
    """Draws the figures of every arm of a benchmark again.

    Args:
        tables: the figures of every query, from ``per_query.query_table``, by arm and seed; the same seeds of each
            arm. A run without seeds, such as BM25, is given once for each.
        columns: the figures to draw. ``diagonal_gap`` is that of mAP; a name that ends in ``_micro`` is a mean over
            queries.
        settings: how often, and with which seed.

    Returns:
        The draws; None where there is nothing to draw: fewer than two units.

    Raises:
        DataError: if the arms differ in their seeds or in the queries that they were scored on.
    """
    arms, seeds = _arms_and_seeds(tables)
    first = tables[arms[0], seeds[0]]
    for (arm, seed), table in tables.items():
        if len(table) != len(first) or not all(table[key].equals(first[key]) for key in _KEYS):
            raise DataError(
                f"{arm} (seed {seed}) and {arms[0]} (seed {seeds[0]}) were scored on different queries or pools; "
                "compare runs of one version of a benchmark"
            )
    frame = first.select([*_KEYS, "query_lang"]).to_pandas()
    unit, names = pd.factorize(frame["unit"], sort=True)
    if len(names) < 2:
        return None
    ordered = [tables[arm, seed] for arm in arms for seed in seeds]
    made = {column: _sums(frame, unit.astype(np.int64), ordered, column) for column in columns}
    samples = {column: sums for column, sums in made.items() if sums is not None}
    if not samples:
        return None
    shape = (len(arms), len(seeds), len(names))
    contributions = np.array([sums.contributions().reshape(shape).mean(axis=1) for sums in samples.values()])
    return Resampled(
        columns=tuple(samples),
        arms=arms,
        seeds=seeds,
        units=len(names),
        settings=settings,
        values=contributions.sum(axis=-1),
        draws=bootstrap(list(samples.values()), len(seeds), settings.resamples, settings.seed),
        contributions=contributions,
    )


def _arms_and_seeds(tables: Mapping[Run, pa.Table]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    arms = tuple(dict.fromkeys(arm for arm, _ in tables))
    seeds = {arm: sorted(seed for name, seed in tables if name == arm) for arm in arms}
    for arm in arms:
        if seeds[arm] != seeds[arms[0]]:
            raise DataError(
                f"{arm} has the seeds {seeds[arm]}, {arms[0]} has {seeds[arms[0]]}; seeds are compared one by one, so "
                "train every arm with the same"
            )
    return arms, tuple(seeds[arms[0]])


def _sums(
    frame: pd.DataFrame, unit: npt.NDArray[np.int64], tables: Sequence[pa.Table], column: Column
) -> UnitSums | None:
    """The sums of a figure by unit and cell; None if no query has it."""
    name, minus = column.figure.removesuffix("_micro"), frame["setting"] == "none"
    rows = frame["setting"] == column.setting
    if column.figure == DIAGONAL_GAP.figure:
        single = frame["setting"] != "multi"
        both = set(frame.loc[single, "query_lang"]) & set(frame.loc[single, "passage_lang"])
        rows = single & frame["query_lang"].isin(both) & frame["passage_lang"].isin(both)
        name, minus = "map", frame["setting"] == "cross"
    values = np.array([table[name].to_numpy(zero_copy_only=False)[rows] for table in tables], dtype=np.float64)
    known = ~np.isnan(values)
    if (known != known[0]).any():
        raise DataError(f"{name}: the arms have it for different queries; score them with one version of the code")
    if not known.any():
        return None
    keys = frame.loc[rows, ["setting"] if column.figure.endswith("_micro") else ["query_lang", "passage_lang"]]
    cell = keys.groupby(list(keys), sort=True, dropna=False).ngroup().to_numpy()
    units, cells = int(unit.max()) + 1, int(cell.max()) + 1
    place = unit[rows.to_numpy()] * cells + cell
    minus_cells = np.zeros(cells, bool)
    minus_cells[cell] = minus[rows]

    def summed(weights: Floats) -> Floats:
        return np.bincount(place, weights, units * cells).reshape(units, cells).astype(np.float64)

    sums = np.array([summed(np.where(known[0], run, 0)) for run in values])
    return UnitSums(sums=sums, counts=summed(known[0].astype(np.float64)), minus=minus_cells)


def significance(resampled: Resampled) -> dict[str, Any]:
    """All arms against each other in every figure, as plain data for ``results.json``.

    Returns:
        ``units``, ``seeds``, ``resamples``, ``confidence``; ``intervals``, of every arm's figure by itself;
        ``comparisons``, a ``Comparison`` for each pair of arms and figure; ``leaders``, by figure the arm with the
        best value, with the largest p-value against any other arm (it must lead each of them: Gutmann and Maymin, Is
        the selected population the best?, Annals of Statistics 1987), the same after Holm's correction over the
        figures, and whether that makes it ``certain``.
    """
    settings = resampled.settings
    level = 1 - settings.confidence
    pairs = list(combinations(resampled.arms, 2))
    asked = [(column, arm, other) for column in resampled.columns for arm, other in pairs]
    made = resampled.compare(asked, len(asked))
    corrected = holm([comparison.p for comparison in made])
    comparisons = []
    for (column, _, _), comparison, p_holm in zip(asked, made, corrected, strict=True):
        ahead = column.sign * comparison.difference > 0
        better = (comparison.arm if ahead else comparison.other) if p_holm < level else ""
        comparisons.append(replace(comparison, p_holm=p_holm, better=better))
    return {
        "units": resampled.units,
        "seeds": list(resampled.seeds),
        "resamples": settings.resamples,
        "confidence": settings.confidence,
        "intervals": [_interval(resampled, column, arm) for column in resampled.columns for arm in resampled.arms],
        "comparisons": [asdict(comparison) for comparison in comparisons],
        "leaders": _leaders(resampled, comparisons, level),
    }


def _interval(resampled: Resampled, column: Column, arm: str) -> dict[str, Any]:
    place = resampled.columns.index(column), resampled.arms.index(arm)
    low, high = percentile_interval(resampled.draws[place], resampled.settings.confidence)
    about = {"setting": column.setting, "figure": column.figure, "arm": arm}
    return {**about, "value": float(resampled.values[place]), "low": low, "high": high}


def _leaders(resampled: Resampled, comparisons: Sequence[Comparison], level: float) -> list[dict[str, Any]]:
    if len(resampled.arms) < 2:
        return []
    arms, tested = [], []
    for column in resampled.columns:
        arm = resampled.leader(column)
        against = [
            comparison.p
            for comparison in comparisons
            if (comparison.setting, comparison.figure) == (column.setting, column.figure)
            and arm in (comparison.arm, comparison.other)
        ]
        arms.append(arm)
        tested.append(max(against))
    return [
        {
            **{"setting": column.setting, "figure": column.figure, "arm": arm},
            **{"p": p, "p_holm": p_holm, "certain": p_holm < level},
        }
        for column, arm, p, p_holm in zip(resampled.columns, arms, tested, holm(tested), strict=True)
    ]
