"""The stages of an experiment in their order; each goes on where an earlier run of the same settings stood."""

import dataclasses
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from tqdm import tqdm

from xlstance.encoders import EncoderSettings
from xlstance.encoding import TABLE_OF, Encoding, encode_all
from xlstance.errors import StorageError
from xlstance.evaluation.console import format_table
from xlstance.evaluation.report import render_report
from xlstance.evaluation.results import ArmResult, make_results, write_results
from xlstance.experiment.audit import LEAKAGE
from xlstance.experiment.corpora import publish_benchmarks, publish_corpora
from xlstance.experiment.data import Prepared, prepare_training
from xlstance.experiment.progress import follow
from xlstance.experiment.score import Scoring, score
from xlstance.experiment.settings import Arm, ExperimentSettings
from xlstance.progress import progress_bar
from xlstance.session import ray_session
from xlstance.storage import Folder, fingerprint
from xlstance.training.distributed import fit
from xlstance.training.loop import METRICS, SUMMARY, TrainingRun
from xlstance.training_data import TrainingData

RUNS = "training-runs.json"
_SETTINGS = "settings.json"


def run_experiment(settings: ExperimentSettings) -> dict[str, Any]:
    """Runs everything; returns the content of ``results.json``.

    Raises:
        UserError: for settings, data or an output folder that do not fit.
    """
    settings.need("arms", "benchmarks")
    root = _open_root(settings)
    with ray_session(_cpus(settings)):
        with _stage(root, "corpora"):
            benchmarks = publish_benchmarks(settings, root)
            data = publish_corpora(settings, root, benchmarks)
            _claim_root(settings, root)
        runs = _train(settings, root, data)
        with _stage(root, "retrieval and evaluation"):
            figures = _evaluate(settings, root, benchmarks, runs)
    results = make_results(
        [
            _arm_result(settings, arm, seed, runs[name], figures[name])
            for name, arm, seed in _named(settings)
            if arm.compare
        ],
        dataclasses.asdict(settings),
        leakage=json.loads(root.read(LEAKAGE)) if root.exists(LEAKAGE) else {},
    )
    write_results(root, results)
    metrics = [json.loads(line) for line in _gather_metrics(root, list(runs.values())).splitlines()]
    root.write("report.html", render_report(results, metrics).encode())
    print(f"\n{format_table(results)}\n\nreport: {root}/report.html")
    return results


def run_augmentation(settings: ExperimentSettings) -> None:
    """Reads the corpora and publishes the augmented pairs."""
    root = _open_root(settings)
    with ray_session(_cpus(settings)), _stage(root, "corpora"):
        for data in publish_corpora(settings, root, publish_benchmarks(settings, root)).values():
            print(f"{data.name}: {data.rows} pairs in {data.pairs}")


def run_preparation(settings: ExperimentSettings) -> Path:
    """Makes all that training reads, and the list of runs that ``torchrun jobs/train.py`` takes."""
    settings.need("arms")
    root = _open_root(settings)
    with ray_session(_cpus(settings)), _stage(root, "corpora"):
        data = publish_corpora(settings, root, publish_benchmarks(settings, root))
        _claim_root(settings, root)
    with _stage(root, "preparation"):
        runs = _plan_runs(settings, root, prepare_training(settings, root, data))
    content = [dataclasses.asdict(run) for run in runs.values()]
    (root.local / RUNS).write_text(json.dumps(content, indent=1))
    return root.local / RUNS


def run_training(settings: ExperimentSettings) -> None:
    """Trains every arm, without evaluating it."""
    settings.need("arms")
    root = _open_root(settings)
    with ray_session(_cpus(settings)):
        with _stage(root, "corpora"):
            data = publish_corpora(settings, root, publish_benchmarks(settings, root))
            _claim_root(settings, root)
        for run in _train(settings, root, data).values():
            print(f"{run.name}: {run.output}")


def _cpus(settings: ExperimentSettings) -> int:
    cluster = settings.cluster
    return max(cluster.workers * cluster.cpus_per_worker, cluster.stream_workers)


def _open_root(settings: ExperimentSettings) -> Folder:
    """The output folder, refused if it holds another experiment."""
    root = Folder(settings.output)
    if root.exists(_SETTINGS):
        found, wanted = json.loads(root.read(_SETTINGS)), _deciding(settings)
        changed = sorted(name for name in wanted if found.get(name) != wanted[name])
        if changed:
            raise StorageError(
                f"{root} holds an experiment of other settings ({', '.join(changed)}); choose another --output, "
                "or remove that folder"
            )
    root.make()
    return root


def _claim_root(settings: ExperimentSettings, root: Folder) -> None:
    """Notes the settings, once the corpora are read: till then a mistake in them can be mended in place."""
    if not root.exists(_SETTINGS):
        root.write(_SETTINGS, json.dumps(_deciding(settings), indent=1).encode())


def _deciding(settings: ExperimentSettings) -> dict[str, Any]:
    """The settings that decide a figure, as JSON gives them back."""
    kept = {k: v for k, v in dataclasses.asdict(settings).items() if k not in ("output", "data", "cluster")}
    parts = {"cluster.workers": settings.cluster.workers, "cluster.shards": settings.cluster.shards}
    plain: dict[str, Any] = json.loads(json.dumps({**kept, **parts}))
    return plain


@contextmanager
def _stage(root: Folder, name: str) -> Iterator[None]:
    """Notes a stage's duration in ``events.jsonl``."""
    started, began = time.time(), time.monotonic()
    state = "failed"
    try:
        yield
        state = "done"
    finally:
        event = {
            "stage": name,
            "state": state,
            "started": round(started, 3),
            "seconds": round(time.monotonic() - began, 3),
        }
        with (root.local / "events.jsonl").open("a") as file:
            file.write(json.dumps(event) + "\n")


def _named(settings: ExperimentSettings) -> Iterator[tuple[str, Arm, int]]:
    for arm, seed in settings.runs():
        yield f"{arm.name}-{seed}", arm, seed


def _plan_runs(settings: ExperimentSettings, root: Folder, prepared: Prepared) -> dict[str, TrainingRun]:
    models = root.local / "models"
    return {
        name: TrainingRun(
            arm=arm.name,
            seed=seed,
            settings=arm.training(settings.training),
            encoder=settings.encoder,
            start=str(models / f"{arm.start}-{seed}") if arm.start else prepared.start.get(seed, ""),
            tokenizer=prepared.tokenizer,
            store=prepared.store,
            sources=tuple(arm.sources),
            validation_store=prepared.validation_store,
            output=str(models / name),
        )
        for name, arm, seed in _named(settings)
    }


def _train(settings: ExperimentSettings, root: Folder, data: dict[str, TrainingData]) -> dict[str, TrainingRun]:
    with _stage(root, "preparation"):
        runs = _plan_runs(settings, root, prepare_training(settings, root, data))
    cluster = settings.cluster
    with _stage(root, "training"), follow(list(runs.values())):
        fit(
            list(runs.values()),
            root.local / "ray",
            workers=cluster.workers,
            cpus_per_worker=cluster.cpus_per_worker,
            gpus_per_worker=cluster.gpus_per_worker,
        )
    return runs


def _evaluate(
    settings: ExperimentSettings, root: Folder, benchmarks: dict[str, Folder], runs: dict[str, TrainingRun]
) -> dict[str, dict[str, Any]]:
    """Figures by run and benchmark, of the arms that are compared."""
    compared = [runs[name] for name, arm, _ in _named(settings) if arm.compare]
    encodings, scorings = [], []
    for run in compared:
        stamp = fingerprint(json.loads((Path(run.output) / SUMMARY).read_text())["weights"], run.encoder)
        for name, folder in benchmarks.items():
            vectors = root / "vectors" / run.name / name
            encodings += [
                Encoding(
                    encoder=EncoderSettings(model=run.output),
                    stamp=stamp,
                    kind=kind,
                    texts=folder / TABLE_OF[kind],
                    output=vectors / TABLE_OF[kind],
                )
                for kind in TABLE_OF
            ]
            scorings.append(
                Scoring(
                    benchmark=folder,
                    vectors=vectors,
                    run=root / "runs" / run.name / name,
                    index=settings.retrieval.index,
                    top_k=settings.retrieval.top_k,
                )
            )
    cluster = settings.cluster
    encode_all(
        encodings,
        batch_tokens=settings.retrieval.batch_tokens,
        workers=cluster.stream_workers,
        cpus_per_worker=1,
        gpus_per_worker=cluster.stream_gpus,
    )
    with progress_bar(total=len(scorings), desc="evaluation", unit="set") as bar:
        scores = iter(_score_all(scorings, bar))
    return {run.name: {name: next(scores) for name in benchmarks} for run in compared}


def _score_all(scorings: Sequence[Scoring], bar: "tqdm[Any]") -> list[dict[str, Any]]:
    """Scores each on a processor of the cluster."""
    tasks = [ray.remote(score).remote(scoring) for scoring in scorings]
    left = list(tasks)
    while left:
        done, left = ray.wait(left)
        bar.update(len(done))
    results: list[dict[str, Any]] = ray.get(tasks)
    return results


def _arm_result(
    settings: ExperimentSettings, arm: Arm, seed: int, run: TrainingRun, figures: dict[str, Any]
) -> ArmResult:
    sources = arm.sources or [s.name for s in settings.sources if s.name not in settings.development]
    augmentations = [a.name for a in settings.augmentations if a.name in arm.sources or not arm.sources]
    trained = run.settings.steps > 0
    return ArmResult(
        name=arm.name,
        seed=seed,
        sampler=dataclasses.asdict(run.settings.sampler) if trained else {},
        augmentation=[name for name in augmentations if name not in settings.development] if trained else [],
        train={
            **json.loads((Path(run.output) / SUMMARY).read_text()),
            "start": arm.start,
            "sources": sources if trained else [],
        },
        benchmarks=figures,
    )


def _gather_metrics(root: Folder, runs: list[TrainingRun]) -> str:
    """Writes the metrics of all runs as one ``metrics.jsonl`` and returns it."""
    parts = [Path(run.output) / METRICS for run in runs]
    text = "".join(part.read_text() for part in parts if part.exists())
    root.write(METRICS, text.encode())
    return text
