"""The arms of several runs side by side: named apart, with the seeds that they have in common."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import pyarrow as pa

from xlstance.compare.runs import Run
from xlstance.errors import DataError
from xlstance.evaluation.forgetting import FORGETTING
from xlstance.evaluation.results import ArmResult
from xlstance.storage import read_manifest, read_table

Tables = dict[str, dict[tuple[str, int], pa.Table]]

_KEYS = ("query_id", "setting", "passage_lang", "unit")


@dataclass(frozen=True, kw_only=True)
class ComparedArm:
    """An arm of a run in a comparison.

    Attributes:
        name: what it is called there.
        own: what it is called in its run.
        run: the run.
    """

    name: str
    own: str
    run: Run

    @property
    def seeds(self) -> dict[int, Mapping[str, Any]]:
        """What its run has of it, by seed."""
        return self.run.arms[self.own]

    @property
    def seedless(self) -> bool:
        """Whether it is one for all seeds: a model as it is, or one without training such as BM25."""
        return len(self.seeds) == 1 and not next(iter(self.seeds.values()))["sampler"]


def unite(runs: Sequence[Run], benchmarks: Mapping[str, Sequence[Run]]) -> list[ComparedArm]:
    """All arms of all runs; those of equal names get their run's name in front.

    What was not trained and reached the same figures under the same name in several runs, such as the untouched
    encoder, stands once.

    Args:
        runs: the runs.
        benchmarks: the runs that are compared on each benchmark.
    """
    met: set[tuple[object, ...]] = set()
    found = []
    for run in runs:
        for name in run.arms:
            arm = ComparedArm(name=name, own=name, run=run)
            if arm.seedless:
                same = (name, *_files(arm, [benchmark for benchmark, own in benchmarks.items() if run in own]))
                if same in met:
                    continue
                met.add(same)
            found.append(arm)
    counts = Counter(arm.own for arm in found)
    return [
        ComparedArm(name=f"{arm.run.name}/{arm.own}", own=arm.own, run=arm.run) if counts[arm.own] > 1 else arm
        for arm in found
    ]


def _files(arm: ComparedArm, benchmarks: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    """The hashes of its figures on each benchmark that it was scored on."""
    ((seed, result),) = arm.seeds.items()
    return [
        (name, tuple(file.sha256 for file in read_manifest(arm.run.figures(arm.own, seed, name)).files))
        for name in benchmarks
        if name in result["benchmarks"]
    ]


def seeds_in_common(arms: Sequence[ComparedArm]) -> list[int]:
    """The seeds that every arm was trained with; seedless arms take part in all.

    Raises:
        DataError: if there is none.
    """
    of_arms = {arm.name: set(arm.seeds) for arm in arms if not arm.seedless}
    if not of_arms:
        return [min(arms[0].seeds)]
    common = set.intersection(*of_arms.values())
    if not common:
        listed = "; ".join(f"{name} has {', '.join(map(str, sorted(seeds)))}" for name, seeds in of_arms.items())
        raise DataError(
            f"the runs have no seed in common: {listed}; seeds are compared one by one, so train with the same"
        )
    return sorted(common)


def tables_of(arms: Sequence[ComparedArm], seeds: Sequence[int], benchmarks: Mapping[str, Sequence[Run]]) -> Tables:
    """The figures of every query, by benchmark, arm and seed, for ``evidence.compare_arms``."""
    tables: Tables = {}
    for benchmark, runs in benchmarks.items():
        own = {}
        for arm in (arm for arm in arms if arm.run in runs):
            read = {
                seed: read_table(arm.run.figures(arm.own, seed, benchmark), "query_figures")
                for seed, result in arm.seeds.items()
                if benchmark in result["benchmarks"] and (arm.seedless or seed in seeds)
            }
            if read:
                own.update({(arm.name, seed): read[min(read) if arm.seedless else seed] for seed in seeds})
        tables[benchmark] = _aligned(own)
    return tables


def _aligned(tables: dict[tuple[str, int], pa.Table]) -> dict[tuple[str, int], pa.Table]:
    """The same tables with their rows in one order, which the shards of a benchmark decide."""
    first, *others = tables.values()
    if all(table[key].equals(first[key]) for table in others for key in _KEYS):
        return tables
    return {run: table.sort_by([(key, "ascending") for key in _KEYS]) for run, table in tables.items()}


def results_of(
    arms: Sequence[ComparedArm], seeds: Sequence[int], benchmarks: Mapping[str, Sequence[Run]]
) -> list[ArmResult]:
    """The arms as they stand in ``results.json``, with the compared seeds and benchmarks alone.

    What fine-tuning made an arm forget is left out where the runs began with different encoders: it has one column.
    """
    known = {field.name for field in fields(ArmResult)} - {"name", "benchmarks"}
    rows = [(arm, result) for arm in arms for seed, result in arm.seeds.items() if arm.seedless or seed in seeds]
    scored = [figures for _, result in rows for figures in result["benchmarks"].values()]
    before = {figures[FORGETTING]["against"] for figures in scored if FORGETTING in figures}
    dropped = set() if len(before) <= 1 and before <= {arm.name for arm in arms} else {FORGETTING}
    return [
        ArmResult(
            name=arm.name,
            benchmarks={
                name: {key: value for key, value in figures.items() if key not in dropped}
                for name, figures in result["benchmarks"].items()
                if arm.run in benchmarks.get(name, ())
            },
            **{key: value for key, value in result.items() if key in known},
        )
        for arm, result in rows
    ]
