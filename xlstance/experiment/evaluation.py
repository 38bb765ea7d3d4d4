"""The experiment's evaluation: every compared model is measured on every benchmark, and what that proves."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from xlstance.augmentation.switching.code_switching import CodeSwitching
from xlstance.encoders import EncoderSettings
from xlstance.evaluation.augmentation_kinds import augmentation_kinds
from xlstance.evaluation.evidence import gather_evidence
from xlstance.evaluation.forgetting import FORGETTING, forgetting
from xlstance.evaluation.looks import count_looks, role_of
from xlstance.evaluation.results import ArmResult, make_results
from xlstance.evaluation.zero_shot import arms_with_stance_data
from xlstance.experiment.audit import LEAKAGE
from xlstance.experiment.baselines import baseline_contenders
from xlstance.experiment.contenders import Contender, Figures, encoder_contender, figures_of, measure
from xlstance.experiment.settings import BUILT_IN, Arm, ExperimentSettings
from xlstance.storage import Folder, fingerprint, read_table
from xlstance.training.run import SUMMARY, TrainingRun


def measure_arms(
    settings: ExperimentSettings, root: Folder, benchmarks: Mapping[str, Folder], runs: Mapping[str, TrainingRun]
) -> list[ArmResult]:
    """Encodes the benchmarks with every compared model, and measures it; the baselines beside it.

    Args:
        settings: of the experiment.
        root: its folder.
        benchmarks: folders of their tables, by name.
        runs: what was trained, by name.

    Returns:
        The result of each compared arm and seed, in the order in which tables show them.
    """
    compared = [(arm, runs[f"{arm.name}-{seed}"]) for arm, seed in settings.runs() if arm.compare]
    contenders = [_contender(settings, root, arm, run) for arm, run in compared]
    added = 1 if settings.added_baseline else 0
    contenders[added:added] = baseline_contenders(settings, root, benchmarks)
    figures = measure(settings, root, benchmarks, contenders)
    _add_forgetting(settings, compared, figures)
    return [replace(contender.arm, benchmarks=figures[contender.name]) for contender in contenders]


def conclude(settings: ExperimentSettings, root: Folder, arms: Sequence[ArmResult]) -> dict[str, Any]:
    """Tests the measured arms against each other and checks the claims; returns the content of ``results.json``."""
    roles = {source.name: role_of(asdict(source)) for source in settings.benchmarks}
    leakage = json.loads(root.read(LEAKAGE)) if root.exists(LEAKAGE) else {}
    once = settings.measured_once  # and compared with each seed of the others
    tables = {
        name: {
            (arm.name, seed): table
            for arm in arms
            for table in [read_table(figures_of(root, f"{arm.name}-{arm.seed}", name), "query_figures")]
            for seed in (settings.seeds if arm.name in once else [arm.seed])
        }
        for name in roles
    }
    evidence = gather_evidence(
        tables,
        arms,
        roles,
        settings.evaluation,
        leakage=leakage,
        unaudited=_lexicon_files(settings),
        stance_trained=arms_with_stance_data(asdict(settings)),
        augmentations=augmentation_kinds(asdict(settings)),
    )
    return make_results(arms, asdict(settings), leakage=leakage, evidence=evidence, looks=count_looks(root, roles))


def _contender(settings: ExperimentSettings, root: Folder, arm: Arm, run: TrainingRun) -> Contender:
    summary: dict[str, Any] = json.loads(run.place.read(SUMMARY))
    sources = arm.sources or [s.name for s in settings.sources if s.name not in settings.development]
    augmentations = [a.name for a in settings.augmentations if a.name in arm.sources or not arm.sources]
    trained = run.settings.steps > 0
    result = ArmResult(
        name=arm.name,
        seed=run.seed,
        sampler=asdict(run.settings.sampler) if trained else {},
        augmentation=[name for name in augmentations if name not in settings.development] if trained else [],
        train={**summary, "start": arm.start, "sources": sources if trained else []},
    )
    encoder = EncoderSettings(model=run.output, precision=run.encoder.precision)
    return encoder_contender(settings, root, result, encoder, fingerprint(summary["weights"], run.encoder))


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


def _lexicon_files(settings: ExperimentSettings) -> list[str]:
    """The lexicons that go into training texts past the audit, as the settings name them."""
    ways = [augmentation.way for augmentation in settings.augmentations]
    named = [path for way in ways if isinstance(way, CodeSwitching) for path in way.lexicons or settings.lexicons]
    return [path for path in dict.fromkeys(named) if path != BUILT_IN]
