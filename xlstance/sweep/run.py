"""A sweep from its settings to its report: shared stages, trials, what they show, tests of what is recommended."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from xlstance.disk_folder import DiskFolder, on_this_node
from xlstance.errors import UserError
from xlstance.evaluation.results import ArmResult, write_results
from xlstance.experiment.cards import write_cards
from xlstance.experiment.corpora import publish_benchmarks
from xlstance.experiment.evaluation import conclude, measure_arms
from xlstance.experiment.place import claim_root, open_root, stage
from xlstance.experiment.settings import Arm, ExperimentSettings
from xlstance.report.console import format_table
from xlstance.report.files import REPORT, write_report
from xlstance.session import ray_session
from xlstance.storage import Folder
from xlstance.sweep import outcome
from xlstance.sweep.console import format_points
from xlstance.sweep.journal import Journal, Trial
from xlstance.sweep.outcome import PointRuns
from xlstance.sweep.points import with_values
from xlstance.sweep.preparation import Shared, arm_of, check_space, share, trial_folder
from xlstance.sweep.settings import SweepSettings, goal
from xlstance.sweep.tuning import run_trials
from xlstance.training.tracking import METRICS
from xlstance.training_data import TrainingData

SWEEP = "sweep.json"
BEST = "best"
_NO_PART_OF_A_MODEL = ("checkpoints", METRICS, "ray", "tensorboard")


def run_sweep(settings: ExperimentSettings, sweep: SweepSettings, name: str) -> dict[str, Any]:
    """Runs a sweep, or what is left of it.

    Args:
        settings: the experiment that is varied; its arms but the varied one, and what that one starts from, are left
            out, and so are its baselines.
        sweep: what is varied and how.
        name: of the sweep; it lies in the experiment's folder, below ``sweeps``.

    Returns:
        The content of ``results.json``, with the sweep under ``sweep``.

    Raises:
        UserError: for settings, data or a folder that do not fit; or if no trial came to its end.
    """
    settings = replace(settings, seeds=sweep.seeds or settings.seeds, baselines=[])
    sweep = replace(sweep, seeds=settings.seeds)
    check_space(settings, sweep)
    # More trials or seeds, or another search, go on with what there is.
    deciding = _deciding(settings, sweep)
    root = open_root(Folder(settings.output) / "sweeps" / name, deciding, "a sweep")
    steps = arm_of(settings, sweep.arm).training(settings.training).steps
    with ray_session(_cpus(settings, sweep), settings.cluster.cpu_nodes, settings.cluster.gpu_nodes):
        with stage(root, "shared stages"):
            benchmarks = publish_benchmarks(settings, root)
            shared, pool, data = share(settings, sweep, root, benchmarks)
            claim_root(root, deciding)
        journal = Journal(root)
        with stage(root, "trials"):
            run_trials(sweep, settings.cluster, steps, shared, pool, journal, root)
        trials = list(journal.trials.values())
        points = outcome.points_of(sweep, trials)
        if not points:
            reasons = dict.fromkeys(trial.reason for trial in trials if trial.reason)
            raise UserError(f"no trial of {root} came to its end: {'; '.join(reasons) or 'all were stopped'}")
        found = _outcome(sweep, points, trials)
        with stage(root, "retrieval and evaluation"):
            results = _test(settings, sweep, root, benchmarks, shared, points, found, data)
    _export(points, found, root)
    write_results(root, results)
    root.write(SWEEP, json.dumps(results["sweep"], indent=1, ensure_ascii=False).encode())
    write_report(root, results, _metrics(root, points))
    tested = f"\n\n{format_table(results)}" if results["arms"] else ""
    print(f"\n{format_points(sweep, points, trials, results['sweep'])}{tested}\n\nreport: {root}/{REPORT}")
    return results


def _outcome(sweep: SweepSettings, points: Sequence[PointRuns], trials: Sequence[Trial]) -> dict[str, Any]:
    """The sweep's part of the results, before anything was tested."""
    return {
        "settings": asdict(sweep),
        "curves": outcome.curves(sweep, points, "development", outcome.development_figures(points)),
        "pareto": outcome.pareto(points),
        "recommended": outcome.recommend(sweep, points),
        "trials": outcome.trial_rows(trials),
    }


def _test(
    settings: ExperimentSettings,
    sweep: SweepSettings,
    root: Folder,
    benchmarks: Mapping[str, Folder],
    shared: Shared,
    points: Sequence[PointRuns],
    found: dict[str, Any],
    data: Mapping[str, TrainingData],
) -> dict[str, Any]:
    """Measures the chosen points on the benchmarks, as the arms of an experiment; adds their curves to the sweep's."""
    if sweep.test == "none" or not benchmarks:
        chosen = []
    elif sweep.test == "all":
        chosen = outcome.complete(sweep, points)
    else:
        chosen = outcome.neighbours(sweep, points, found["recommended"]["name"])
    recommended = next(runs for runs in points if runs.label == found["recommended"]["name"])
    seeds = found["recommended"]["seeds"]
    arms = [_as_arm(settings, sweep, own) for own in chosen]
    runs = {run.name: run for own in chosen or [recommended] for seed in seeds for run in [shared.run(own.point, seed)]}
    tested = replace(settings, arms=arms, seeds=seeds, benchmarks=settings.benchmarks if arms else [])
    measured = measure_arms(tested, root, benchmarks, runs) if arms else []
    for benchmark in benchmarks if arms else ():
        figures = {own.label: _figures_of(measured, own.label, benchmark) for own in chosen}
        found["curves"] += outcome.curves(sweep, chosen, f"test: {benchmark}", figures)
    results = {**conclude(tested, root, measured), "sweep": found}
    write_cards(replace(tested, arms=arms or [_as_arm(settings, sweep, recommended)]), results, runs, data)
    return results


def _figures_of(measured: Sequence[ArmResult], name: str, benchmark: str) -> dict[str, list[float]]:
    """A tested point's figures by seed, as ``outcome.curves`` takes them."""
    own = [arm.benchmarks[benchmark] for arm in measured if arm.name == name]
    places = {setting: (setting, "map") for setting in ("mono", "cross", "multi")}
    places["rank_distance"] = ("multi", "rank_distance")
    return {
        figure: [found[setting][key] for found in own if found[setting][key] is not None]
        for figure, (setting, key) in places.items()
    }


def _as_arm(settings: ExperimentSettings, sweep: SweepSettings, runs: PointRuns) -> Arm:
    """A point as an arm of an experiment, by which tables call it."""
    return replace(arm_of(with_values(settings, runs.point), sweep.arm), name=runs.label, start="")


def _export(points: Sequence[PointRuns], found: dict[str, Any], root: Folder) -> None:
    """Copies the model of the recommended point whose seed did best to a folder of its own."""
    recommended = found["recommended"]
    objective = next(iter(recommended["objective"]))
    trials = next(runs.trials for runs in points if runs.label == recommended["name"])
    best = max(trials.values(), key=lambda trial: goal(objective, trial.figures) or 0.0)
    trained, place = on_this_node(trial_folder(root, best.name).uri), DiskFolder((root / BEST).uri)
    made = place.path.with_name(f".{BEST}")
    shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(trained, made, ignore=shutil.ignore_patterns(*_NO_PART_OF_A_MODEL))
    place.remove()
    made.rename(place.path)
    place.keep()
    recommended["model"] = place.uri


def _metrics(root: Folder, points: Sequence[PointRuns]) -> list[dict[str, Any]]:
    """The training metrics of the finished trials, for the report's charts."""
    folders = [trial_folder(root, trial.name) for own in points for trial in own.trials.values()]
    texts = [folder.read(METRICS).decode() for folder in folders if folder.exists(METRICS)]
    return [json.loads(line) for text in texts for line in text.splitlines()]


def _cpus(settings: ExperimentSettings, sweep: SweepSettings) -> int:
    cluster = settings.cluster
    return max(max(1, sweep.concurrency) * cluster.workers * cluster.cpus_per_worker, cluster.stream_workers)


def _deciding(settings: ExperimentSettings, sweep: SweepSettings) -> dict[str, Any]:
    """What decides a trial's figures, as JSON gives it back."""
    free = ("output", "data", "cluster", "evaluation", "seeds", "benchmarks")
    own = {name: value for name, value in asdict(settings).items() if name not in free}
    parts = {
        "seeds[0]": settings.seeds[0],  # draws what is taken of the sources
        "benchmarks": asdict(settings)["benchmarks"],  # training data are audited against them
        "cluster.workers": settings.cluster.workers,
        "cluster.shards": settings.cluster.shards,
        "arm": sweep.arm,
        "space": [asdict(axis) for axis in sweep.space],
    }
    plain: dict[str, Any] = json.loads(json.dumps({**own, **parts}))
    return plain
