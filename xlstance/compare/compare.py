"""A comparison of earlier runs: the report of an experiment, over the arms of all."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from xlstance.compare.benchmarks import agree
from xlstance.compare.differences import differences, in_common
from xlstance.compare.runs import RUNS, Run, open_runs
from xlstance.compare.union import ComparedArm, results_of, seeds_in_common, tables_of, unite
from xlstance.errors import StorageError
from xlstance.evaluation.augmentation_kinds import augmentation_kinds
from xlstance.evaluation.claims import CLEAN_TRAINING
from xlstance.evaluation.evidence import compare_arms
from xlstance.evaluation.looks import count_looks, role_of
from xlstance.evaluation.results import RESULTS, SETTINGS, leakage_note, make_results, trained_on_leaks, write_results
from xlstance.evaluation.settings import EvaluationSettings
from xlstance.evaluation.zero_shot import arms_with_stance_data
from xlstance.report.console import format_table
from xlstance.report.files import REPORT, write_report
from xlstance.settings import from_plain
from xlstance.storage import Folder

_PLACES = ("output",)  # settings that decide nothing but where a run lies


def compare_runs(
    folders: Sequence[str],
    output: str = "",
    names: Sequence[str] = (),
    *,
    only_common: bool = False,
    resamples: int | None = None,
) -> dict[str, Any]:
    """Compares finished runs; writes ``results.json`` and the report as an experiment does, and prints the table.

    All arms are tested against each other anew, by the evaluation settings of the first run.

    Args:
        folders: output folders of the runs, two or more.
        output: a new folder, or that of an earlier comparison; default: ``runs/compare-NAMES``.
        names: what to call the runs; default: by the last part of their folders.
        only_common: leave out benchmarks whose tables differ between runs, and do not refuse them.
        resamples: draws of the tests; default: the first run's. Many arms need more: the smallest p-value is about
            1 / resamples, times the number of comparisons after the correction.

    Returns:
        The content of ``results.json``.

    Raises:
        UserError: if the runs cannot be compared, or the output is no place for it.
    """
    runs = open_runs(folders, names)
    root = _open(output or f"runs/compare-{'-'.join(run.name for run in runs[:3])}")
    benchmarks, about_benchmarks = agree(runs, only_common=only_common)
    arms = unite(runs, benchmarks)
    seeds = seeds_in_common(arms)
    measured = results_of(arms, seeds, benchmarks)
    sources = {source["name"]: source for run in reversed(runs) for source in run.settings["benchmarks"]}
    roles = {name: role_of(sources[name]) for name in benchmarks}
    tested = from_plain(EvaluationSettings, dict(runs[0].settings["evaluation"]))
    evidence = compare_arms(
        tables_of(arms, seeds, benchmarks),
        measured,
        roles,
        replace(tested, resamples=resamples) if resamples else tested,
        {arm.name for arm in arms if arm.own in arms_with_stance_data(arm.run.settings)},
        {arm.name: augmentation_kinds(arm.run.settings).get(arm.own, "none") for arm in arms},
    )
    evidence["claims"] += _claims_of_data(runs)
    first, *others = (run.folder for run in runs)
    results = make_results(
        measured,
        in_common([_settings(run) for run in runs]),
        leakage=_leakage(runs),
        evidence=evidence,
        looks=count_looks(first, roles, *others),
    )
    results[RUNS] = [
        {"name": run.name, "settings": run.settings, **{key: run.results[key] for key in ("code_version", "machine")}}
        for run in runs
    ]
    results["compared"] = [
        {"title": "Runs", "lines": [_about(run, seeds) for run in runs]},
        {"title": "Benchmarks", "lines": about_benchmarks},
        *_differences(runs),
    ]
    write_results(root, results)
    write_report(root, results, _metrics(arms))
    for section in results["compared"]:
        print("\n".join([section["title"], *(f"  {line}" for line in section["lines"]), ""]))
    print(f"{format_table(results)}\n\nreport: {root}/{REPORT}")
    return results


def _open(output: str) -> Folder:
    """The folder of the comparison; one that holds something else is refused."""
    root = Folder(output)
    of_a_run = root.exists(SETTINGS) or (root.exists(RESULTS) and RUNS not in json.loads(root.read(RESULTS)))
    if of_a_run:
        raise StorageError(f"{root} holds a run; choose another --output for the comparison")
    root.make()
    return root


def _settings(run: Run) -> dict[str, Any]:
    return {key: value for key, value in run.settings.items() if key not in _PLACES}


def _differences(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Sections on what is not the same in all runs."""
    order = " | ".join(run.name for run in runs)
    origin = [{key: run.results[key] for key in ("code_version", "machine")} for run in runs]
    parts = {
        f"Settings that differ: {order}": (differences([_settings(run) for run in runs]), "none: all are the same"),
        f"Code and machine: {order}": (differences(origin), "the same"),
    }
    return [{"title": title, "lines": lines or [otherwise]} for title, (lines, otherwise) in parts.items()]


def _about(run: Run, seeds: Sequence[int]) -> str:
    """A run in a line: its arms, which of its seeds are compared, and what its leakage audit found."""
    own = sorted({seed for of_arm in run.arms.values() for seed in of_arm})
    left_out = [seed for seed in own if seed not in seeds and len(own) > 1]
    told = [
        f"{run.name}: {', '.join(run.arms)}; {'seed' if len(own) == 1 else 'seeds'} {_list(own)}",
        f"left out, since not every run has them: {_list(left_out)}" if left_out else "",
        leakage_note(run.results).rstrip("."),
    ]
    return "; ".join(part for part in told if part)


def _list(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))


def _leakage(runs: Sequence[Run]) -> Mapping[str, Any]:
    """The audit that all runs share; else one that allowed leaks, whose warning belongs on every table; else none."""
    found: list[Mapping[str, Any]] = [run.results.get("leakage") or {} for run in runs]
    if all(one == found[0] for one in found):
        return found[0]
    return next((one for run, one in zip(runs, found, strict=True) if trained_on_leaks(run.results)), {})


def _claims_of_data(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """What each run says of its training data; once for those that say the same."""
    alike: dict[tuple[str, str], list[tuple[str, dict[str, Any]]]] = {}
    for run in runs:
        for claim in run.results.get("claims", ()):
            if claim["name"] == CLEAN_TRAINING:
                alike.setdefault((claim["verdict"], claim["why"]), []).append((run.name, claim))
    return [
        {**own[0][1], "text": f"{', '.join(name for name, _ in own)}: {own[0][1]['text']}"} for own in alike.values()
    ]


def _metrics(arms: Sequence[ComparedArm]) -> list[dict[str, Any]]:
    """What training logged, by the arms' names in the comparison."""
    named = {(id(arm.run), arm.own): arm.name for arm in arms}
    runs = {id(arm.run): arm.run for arm in arms}
    return [
        {**row, "arm": named[key, row["arm"]]}
        for key, run in runs.items()
        for row in run.metrics()
        if (key, row["arm"]) in named
    ]
