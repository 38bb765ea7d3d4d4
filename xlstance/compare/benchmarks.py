"""Which benchmarks several runs were scored on in the same way: the same tables, counted by the same rules."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from xlstance.compare.runs import Run
from xlstance.errors import DataError
from xlstance.evaluation.per_query import figures_version
from xlstance.evaluation.results import benchmark_names
from xlstance.storage import Folder, Manifest, fingerprint, read_manifest, read_metadata, read_shard

_TABLES = ("queries", "passages", "qrels")


def agree(runs: Sequence[Run], *, only_common: bool) -> tuple[dict[str, list[Run]], list[str]]:
    """Finds the benchmarks that two runs or more have, and checks that they are the same there.

    Args:
        runs: the runs.
        only_common: leave out a benchmark whose tables differ between runs, and do not refuse it.

    Returns:
        The runs to compare by benchmark, and a line on each benchmark, compared or left out.

    Raises:
        DataError: if a benchmark differs between runs, or was counted by other rules, or none is left.
    """
    has = {run.name: benchmark_names(run.results) for run in runs}
    kept, lines = {}, []
    for name in dict.fromkeys(name for names in has.values() for name in names):
        own = [run for run in runs if name in has[run.name]]
        if len(own) < 2:
            lines.append(f"{name}: left out, only {own[0].name} has it")
            continue
        others = [run.name for run in own[1:] if not _same(own[0].benchmark(name), run.benchmark(name))]
        if others and not only_common:
            raise DataError(
                f"benchmark {name} is not the same in {own[0].name} and in {', '.join(others)} (the fingerprints of "
                "its tables differ); compare runs on one version of it, or leave it out with --only-common"
            )
        if others:
            lines.append(f"{name}: left out, it is not the same in {own[0].name} and in {', '.join(others)}")
            continue
        _check_rules(name, own)
        kept[name] = own
        stamp = fingerprint([read_manifest(own[0].benchmark(name) / table).fingerprint for table in _TABLES])
        where = "all runs" if len(own) == len(runs) else ", ".join(run.name for run in own)
        lines.append(f"{name}: compared in {where}, fingerprint {stamp}")
    if not kept:
        listed = "; ".join(f"{name} has {', '.join(names) or 'none'}" for name, names in has.items())
        raise DataError(f"the runs have no benchmark in common that can be compared: {listed}")
    return kept, lines


def _same(one: Folder, other: Folder) -> bool:
    """Whether two benchmarks have the same queries, passages and judgements, and are scored alike."""
    for table in _TABLES:
        first, second = (read_manifest(folder / table) for folder in (one, other))
        if first.rows != second.rows or _scoring(first) != _scoring(second):
            return False
        # Another path to the same files, or another number of shards, is another fingerprint of the same rows.
        if first.fingerprint != second.fingerprint and _content(one / table, first) != _content(other / table, second):
            return False
    return True


def _scoring(manifest: Manifest) -> dict[str, Any]:
    return {key: value for key, value in manifest.info.items() if key != "notes"}


def _content(folder: Folder, manifest: Manifest) -> int:
    """A number that stands for the rows of a table, whatever their order and the files that they lie in."""
    total = 0
    for file in manifest.files:
        rows = read_shard(folder, file, manifest.table).to_pandas()
        hashes = pd.util.hash_pandas_object(rows, index=False, categorize=False).to_numpy()
        total += int(hashes.sum(dtype=np.uint64))
    return total % 2**64


def _check_rules(name: str, runs: Sequence[Run]) -> None:
    """Refuses figures that follow from the same ranks by different rules."""
    first, *others = ((run, *_rules(run, name)) for run in runs)
    for run, zero, version in others:
        if zero != first[1]:
            raise DataError(
                f"benchmark {name}: a query without an answer in a pool is {first[1]} in {first[0].name} and {zero} in "
                f"{run.name}; evaluate them with one evaluation.without_answer"
            )
        if version != first[2]:
            raise DataError(
                f"benchmark {name}: the figures of {first[0].name} (version {first[2]}) and of {run.name} (version "
                f"{version}) come from different code; remove the folder 'figures' of the older and run it again"
            )


def _rules(run: Run, name: str) -> tuple[str, int]:
    """What becomes of a query without an answer, and the version of the figures."""
    arm, seed, figures = next(
        (arm, seed, result["benchmarks"][name])
        for arm, seeds in run.arms.items()
        for seed, result in seeds.items()
        if name in result["benchmarks"]
    )
    folder = run.figures(arm, seed, name)
    files = read_manifest(folder).files
    metadata: Mapping[bytes, bytes] = read_metadata(folder, files[0]) if files else {}
    return figures["without_answer"], figures_version(metadata)
