"""The model cards of an experiment: each model folder says what the model is, and what it reached."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from xlstance.encoders import CARD, ModelFacts, write_model_card
from xlstance.encoders.folder import read_description
from xlstance.evaluation.results import columns_of, is_synthetic, leakage_note
from xlstance.experiment.settings import Arm, ExperimentSettings
from xlstance.storage import Folder, read_manifest
from xlstance.training.run import SUMMARY, TrainingRun
from xlstance.training_data import TrainingData

_SMALL = 50_000_000  # parameters; what two processors train and encode with in reasonable time


def write_cards(
    settings: ExperimentSettings,
    results: Mapping[str, Any],
    runs: Mapping[str, TrainingRun],
    data: Mapping[str, TrainingData],
) -> None:
    """Writes the ``README.md`` of every model folder; equal settings, data and results give equal bytes.

    Args:
        settings: of the experiment.
        results: the content of ``results.json``; models that it does not compare get no figures.
        runs: the models by name.
        data: the training data by name.
    """
    measured = {(arm["name"], arm["seed"]): arm for arm in results["arms"]}
    for arm, seed in settings.runs():
        run = runs[f"{arm.name}-{seed}"]
        benchmarks = measured.get((arm.name, seed), {}).get("benchmarks", {})
        run.place.fetch()
        write_model_card(run.folder, _facts(settings, results, arm, run, data, benchmarks))
        run.place.keep(CARD)


def _facts(
    settings: ExperimentSettings,
    results: Mapping[str, Any],
    arm: Arm,
    run: TrainingRun,
    data: Mapping[str, TrainingData],
    benchmarks: Mapping[str, Mapping[str, Any]],
) -> ModelFacts:
    described = read_description(run.folder)
    trained = run.settings.steps > 0
    names = [name for name in arm.sources or data if name not in settings.development] if trained else []
    sources = {name: _languages(data[name]) for name in names}
    facts = ModelFacts(
        name=run.name,
        summary=_summary(settings, arm, run),
        prefix={str(kind): text for kind, text in described.prefix.items()},
        max_length={str(kind): tokens for kind, tokens in described.max_length.items()},
        languages=sorted({lang for languages in sources.values() for lang in languages}),
        training={"seed": run.seed, "start": arm.start or "-", **asdict(run.settings)} if trained else {},
        sources=[
            {"source": name, "pairs": data[name].rows, "languages": ", ".join(languages)}
            for name, languages in sources.items()
        ],
        results=[_row(results, name, figures) for name, figures in benchmarks.items()],
        limitations=_limitations(settings, results, run, benchmarks),
    )
    # A folder's name says nothing on another machine, and its path is nobody's business.
    if settings.encoder.model and not Path(settings.encoder.model).is_dir():
        facts["base_model"] = settings.encoder.model
    return facts


def _summary(settings: ExperimentSettings, arm: Arm, run: TrainingRun) -> str:
    what = "A dense retriever for questions and passages in several languages"
    if not run.settings.steps:
        return f"{what}: the encoder that training begins with, as it is."
    begin = f" It starts from the arm `{arm.start}`." if arm.start else ""
    scratch = "" if settings.encoder.model else " from scratch"
    return f"{what}, trained{scratch} by xlstance with {arm.sampler} batches for {run.settings.steps:,} steps.{begin}"


def _row(results: Mapping[str, Any], benchmark: str, figures: Mapping[str, Any]) -> dict[str, str]:
    columns = columns_of(results, benchmark)
    shown = {column.title: column.show(figures[column.setting].get(column.figure)) for column in columns}
    return {"benchmark": benchmark, **shown}


def _limitations(
    settings: ExperimentSettings,
    results: Mapping[str, Any],
    run: TrainingRun,
    benchmarks: Mapping[str, Mapping[str, Any]],
) -> list[str]:
    trained = run.settings.steps > 0
    synthetic = [name for name, figures in benchmarks.items() if is_synthetic(figures["notes"])]
    invented = all(source.format == "miniature" for source in settings.sources)
    audit = leakage_note(results)
    said = {
        "Its training data are of an invented world, in no real language.": trained and invented,
        f"Synthetic benchmarks, whose figures say nothing of real text: {', '.join(synthetic)}.": synthetic,
        "Trained with one seed: another may do better or worse.": trained and len(settings.seeds) == 1,
        f"Small, of a size for CPUs ({_parameters(run):,} parameters); larger encoders retrieve better.": (
            _parameters(run) < _SMALL
        ),
        f"{audit} (Setting: `leakage: {settings.leakage}`.)": trained and audit,
        "Measured on no benchmark.": not benchmarks,
    }
    return [text for text, holds in said.items() if holds]


def _parameters(run: TrainingRun) -> int:
    return int(json.loads(run.place.read(SUMMARY))["parameters"])


def _languages(data: TrainingData) -> list[str]:
    """The languages of a source's texts; nothing else of them is read."""
    return sorted({lang for folder in {*data.queries, *data.passages} for lang in _languages_of(folder)})


@cache
def _languages_of(folder: Folder) -> frozenset[str]:
    paths = (f"{folder.path}/{file.name}" for file in read_manifest(folder).files)
    columns = (pq.read_table(path, columns=["lang"], filesystem=folder.filesystem)["lang"] for path in paths)
    return frozenset(lang for column in columns for lang in pc.unique(column).to_pylist())
