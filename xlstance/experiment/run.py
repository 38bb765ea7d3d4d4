"""The stages of an experiment in their order; each goes on where an earlier run of the same settings stood."""

import dataclasses
import json
from contextlib import AbstractContextManager
from typing import Any

from xlstance.evaluation.results import write_results
from xlstance.experiment.cards import write_cards
from xlstance.experiment.corpora import publish_benchmarks, publish_corpora
from xlstance.experiment.data import Prepared, prepare_training
from xlstance.experiment.evaluation import conclude, measure_arms
from xlstance.experiment.examples import augmentation_examples
from xlstance.experiment.place import claim_root, open_root, stage
from xlstance.experiment.progress import follow
from xlstance.experiment.provenance import provenance, write_settings
from xlstance.experiment.settings import ExperimentSettings
from xlstance.report.console import format_table
from xlstance.report.files import REPORT, write_report
from xlstance.session import ray_session
from xlstance.storage import Folder
from xlstance.training.distributed import fit
from xlstance.training.run import TrainingRun
from xlstance.training.tracking import METRICS
from xlstance.training_data import TrainingData

RUNS = "training-runs.json"


def run_experiment(settings: ExperimentSettings) -> dict[str, Any]:
    """Runs everything; returns the content of ``results.json``.

    Raises:
        UserError: for settings, data or an output folder that do not fit.
    """
    settings.need("arms", "benchmarks")
    root = open_root(Folder(settings.output), _deciding(settings), "an experiment")
    with _session(settings):
        with stage(root, "corpora"):
            benchmarks = publish_benchmarks(settings, root)
            data = publish_corpora(settings, root, benchmarks)
            claim_root(root, _deciding(settings))
        runs = _train(settings, root, data)
        with stage(root, "retrieval and evaluation"):
            arms = measure_arms(settings, root, benchmarks, runs)
    with stage(root, "significance"):
        results = conclude(settings, root, arms)
    results["examples"] = augmentation_examples(settings, data)
    results["provenance"] = provenance(settings, root, benchmarks, data)
    write_results(root, results)
    write_settings(settings, root)
    write_cards(settings, results, runs, data)
    metrics = [json.loads(line) for line in _gather_metrics(root, list(runs.values())).splitlines()]
    write_report(root, results, metrics)
    print(f"\n{format_table(results)}\n\nreport: {root}/{REPORT}")
    return results


def run_augmentation(settings: ExperimentSettings) -> None:
    """Reads the corpora and publishes the augmented pairs, in an experiment's folder too: beside its own tables."""
    root = Folder(settings.output)
    root.make()
    with _session(settings), stage(root, "corpora"):
        for data in publish_corpora(settings, root, publish_benchmarks(settings, root)).values():
            print(f"{data.name}: {data.rows} pairs in {data.pairs}")


def run_preparation(settings: ExperimentSettings) -> str:
    """Makes all that training reads, and the list of runs that ``torchrun jobs/train.py`` takes."""
    settings.need("arms")
    root = open_root(Folder(settings.output), _deciding(settings), "an experiment")
    with _session(settings), stage(root, "corpora"):
        data = publish_corpora(settings, root, publish_benchmarks(settings, root))
        claim_root(root, _deciding(settings))
    with stage(root, "preparation"):
        runs = _plan_runs(settings, root, prepare_training(settings, root, data))
    content = [dataclasses.asdict(run) for run in runs.values()]
    root.write(RUNS, json.dumps(content, indent=1).encode())
    return f"{root}/{RUNS}"


def run_training(settings: ExperimentSettings) -> None:
    """Trains every arm, without evaluating it."""
    settings.need("arms")
    root = open_root(Folder(settings.output), _deciding(settings), "an experiment")
    with _session(settings):
        with stage(root, "corpora"):
            data = publish_corpora(settings, root, publish_benchmarks(settings, root))
            claim_root(root, _deciding(settings))
        runs = _train(settings, root, data)
        for run in runs.values():
            print(f"{run.name}: {run.output}")


def _session(settings: ExperimentSettings) -> AbstractContextManager[None]:
    cluster = settings.cluster
    cpus = max(cluster.workers * cluster.cpus_per_worker, cluster.stream_workers)
    return ray_session(cpus, cluster.cpu_nodes, cluster.gpu_nodes)


def _deciding(settings: ExperimentSettings) -> dict[str, Any]:
    """The settings that decide what is published, as JSON gives them back; what is measured is done anew."""
    left_out = ("output", "data", "cluster", "evaluation", "baselines")
    kept = {name: value for name, value in dataclasses.asdict(settings).items() if name not in left_out}
    parts = {
        "cluster.workers": settings.cluster.workers,
        "cluster.shards": settings.cluster.shards,
        "evaluation.without_answer": settings.evaluation.without_answer,
    }
    plain: dict[str, Any] = json.loads(json.dumps({**kept, **parts}))
    return plain


def _plan_runs(settings: ExperimentSettings, root: Folder, prepared: Prepared) -> dict[str, TrainingRun]:
    models = root / "models"
    runs = [
        TrainingRun(
            arm=arm.name,
            seed=seed,
            settings=arm.training(settings.training),
            encoder=settings.encoder,
            start=(models / f"{arm.start}-{seed}").uri if arm.start else prepared.start.get(seed, ""),
            tokenizer=prepared.tokenizer,
            store=prepared.store,
            sources=tuple(arm.sources),
            validation_store=prepared.validation_store,
            output=(models / f"{arm.name}-{seed}").uri,
            node_folder=settings.cluster.node_folder,
        )
        for arm, seed in settings.runs()
    ]
    return {run.name: run for run in runs}


def _train(settings: ExperimentSettings, root: Folder, data: dict[str, TrainingData]) -> dict[str, TrainingRun]:
    with stage(root, "preparation"):
        runs = _plan_runs(settings, root, prepare_training(settings, root, data))
    cluster = settings.cluster
    with stage(root, "training"), follow(list(runs.values())):
        fit(
            list(runs.values()),
            (root / "ray").uri,
            workers=cluster.workers,
            cpus_per_worker=cluster.cpus_per_worker,
            gpus_per_worker=cluster.gpus_per_worker,
            wait_seconds=cluster.wait_seconds,
        )
    return runs


def _gather_metrics(root: Folder, runs: list[TrainingRun]) -> str:
    """Writes the metrics of all runs as one ``metrics.jsonl`` and returns it."""
    text = b"".join(run.place.read(METRICS) for run in runs if run.place.exists(METRICS))
    root.write(METRICS, text)
    return text.decode()
