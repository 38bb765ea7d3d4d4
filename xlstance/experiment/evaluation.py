"""The experiment's evaluation: every compared model is measured on every benchmark, and what that proves."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ray

from xlstance.augmentation.switching.code_switching import CodeSwitching
from xlstance.encoders import EncoderSettings
from xlstance.encoding import TABLE_OF, Encoding, encode_all
from xlstance.evaluation.evidence import gather_evidence
from xlstance.evaluation.forgetting import FORGETTING, forgetting
from xlstance.evaluation.looks import count_looks, note_look, role_of
from xlstance.evaluation.protocols import by_protocol, protocols_of
from xlstance.evaluation.results import ArmResult, make_results
from xlstance.experiment.audit import LEAKAGE
from xlstance.experiment.score import Scoring, score
from xlstance.experiment.settings import Arm, ExperimentSettings
from xlstance.progress import progress_bar
from xlstance.storage import Folder, fingerprint, read_table
from xlstance.training.run import SUMMARY, TrainingRun

_BUILT_IN = "miniature"  # in place of a lexicon's path
Figures = dict[str, dict[str, Any]]


def measure_arms(
    settings: ExperimentSettings, root: Folder, benchmarks: Mapping[str, Folder], runs: Mapping[str, TrainingRun]
) -> list[ArmResult]:
    """Encodes the benchmarks with every compared model, and measures it.

    Args:
        settings: of the experiment.
        root: its folder.
        benchmarks: folders of their tables, by name.
        runs: what was trained, by name.

    Returns:
        The result of each compared arm and seed, in the order in which tables show them.
    """
    compared = [(arm, runs[f"{arm.name}-{seed}"]) for arm, seed in settings.runs() if arm.compare]
    scorings = [
        _scoring(settings, root, run, name, folder) for _, run in compared for name, folder in benchmarks.items()
    ]
    _encode(settings, [run for _, run in compared for _ in benchmarks], scorings)
    scored = iter(_score_all(scorings))
    figures = {run.name: {name: next(scored) for name in benchmarks} for _, run in compared}
    for (run, name), scoring in zip(((run, name) for run in figures for name in benchmarks), scorings, strict=True):
        note_look(root, name, scoring.benchmark_stamp, run, scoring.vectors_stamp)
    for own in figures.values():
        for source in settings.benchmarks:
            own[source.name]["protocols"] = by_protocol(protocols_of(source.format, source.task), own[source.name])
    _add_forgetting(settings, compared, figures)
    return [_arm_result(settings, arm, run, figures[run.name]) for arm, run in compared]


def conclude(settings: ExperimentSettings, root: Folder, arms: Sequence[ArmResult]) -> dict[str, Any]:
    """Tests the measured arms against each other and checks the claims; returns the content of ``results.json``."""
    roles = {source.name: role_of(asdict(source)) for source in settings.benchmarks}
    leakage = json.loads(root.read(LEAKAGE)) if root.exists(LEAKAGE) else {}
    # An added baseline was scored once, and is compared with each seed of the others.
    added = settings.added_baseline
    tables = {
        name: {
            (arm.name, seed): table
            for arm in arms
            for table in [read_table(_figures_of(root, f"{arm.name}-{arm.seed}", name), "query_figures")]
            for seed in (settings.seeds if added and arm.name == added.name else [arm.seed])
        }
        for name in roles
    }
    evidence = gather_evidence(
        tables, arms, roles, settings.evaluation, leakage=leakage, unaudited=_lexicon_files(settings)
    )
    return make_results(arms, asdict(settings), leakage=leakage, evidence=evidence, looks=count_looks(root, roles))


def _scoring(settings: ExperimentSettings, root: Folder, run: TrainingRun, name: str, benchmark: Folder) -> Scoring:
    return Scoring(
        benchmark=benchmark,
        vectors=root / "vectors" / run.name / name,
        run=root / "runs" / run.name / name,
        figures=_figures_of(root, run.name, name),
        index=settings.retrieval.index,
        top_k=settings.retrieval.top_k,
        without_answer=settings.evaluation.without_answer,
    )


def _figures_of(root: Folder, run: str, benchmark: str) -> Folder:
    return root / "figures" / run / benchmark


def _encode(settings: ExperimentSettings, runs: Sequence[TrainingRun], scorings: Sequence[Scoring]) -> None:
    """Makes the vectors of each scoring with the model of the run beside it."""
    encodings = [
        Encoding(
            encoder=EncoderSettings(model=run.output, precision=run.encoder.precision),
            stamp=fingerprint(_summary(run)["weights"], run.encoder),
            kind=kind,
            texts=scoring.benchmark / TABLE_OF[kind],
            output=scoring.vectors / TABLE_OF[kind],
        )
        for run, scoring in zip(runs, scorings, strict=True)
        for kind in TABLE_OF
    ]
    encode_all(
        encodings,
        batch_tokens=settings.retrieval.batch_tokens,
        workers=settings.cluster.stream_workers,
        cpus_per_worker=1,
        gpus_per_worker=settings.cluster.stream_gpus,
    )


def _score_all(scorings: Sequence[Scoring]) -> list[dict[str, Any]]:
    """Scores each on a processor of the cluster."""
    tasks = [ray.remote(score).remote(scoring) for scoring in scorings]
    left = list(tasks)
    with progress_bar(total=len(tasks), desc="evaluation", unit="set") as bar:
        while left:
            done, left = ray.wait(left)
            bar.update(len(done))
    results: list[dict[str, Any]] = ray.get(tasks)
    return results


def _add_forgetting(
    settings: ExperimentSettings, compared: Sequence[tuple[Arm, TrainingRun]], figures: Mapping[str, Figures]
) -> None:
    """Adds to the figures of each fine-tuned model how they differ from the pretrained one's."""
    untouched = settings.untouched
    if untouched is None:
        return
    before = figures[f"{untouched.name}-{settings.seeds[0]}"]
    for arm, run in compared:
        if arm.start or run.settings.steps:
            for name, own in figures[run.name].items():
                own[FORGETTING] = forgetting(own, before[name], untouched.name)


def _summary(run: TrainingRun) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((Path(run.output) / SUMMARY).read_text())
    return summary


def _arm_result(settings: ExperimentSettings, arm: Arm, run: TrainingRun, figures: Figures) -> ArmResult:
    sources = arm.sources or [s.name for s in settings.sources if s.name not in settings.development]
    augmentations = [a.name for a in settings.augmentations if a.name in arm.sources or not arm.sources]
    trained = run.settings.steps > 0
    return ArmResult(
        name=arm.name,
        seed=run.seed,
        sampler=asdict(run.settings.sampler) if trained else {},
        augmentation=[name for name in augmentations if name not in settings.development] if trained else [],
        train={**_summary(run), "start": arm.start, "sources": sources if trained else []},
        benchmarks=figures,
    )


def _lexicon_files(settings: ExperimentSettings) -> list[str]:
    """The lexicons that go into training texts past the audit, as the settings name them."""
    ways = [augmentation.way for augmentation in settings.augmentations]
    named = [path for way in ways if isinstance(way, CodeSwitching) for path in way.lexicons or settings.lexicons]
    return [path for path in dict.fromkeys(named) if path != _BUILT_IN]
