"""What the experiment hands to evaluation; a whole run is in ``test_experiment``."""

import json

import pytest

from xlstance.augmentation.stage import Augmentation
from xlstance.augmentation.switching.code_switching import CodeSwitching
from xlstance.corpora.registry import BenchmarkSource, Source
from xlstance.encoders import EncoderSettings
from xlstance.experiment import contenders, evaluation
from xlstance.experiment.settings import Arm, ExperimentSettings
from xlstance.storage import Folder
from xlstance.training.run import SUMMARY, TrainingRun


def switching(name, lexicons):
    return Augmentation(of=["world"], code_switching=CodeSwitching(name=name, lexicons=lexicons))


def settings_with(**changes):
    sources = [Source(name="world", format="miniature")]
    benchmarks = [BenchmarkSource(name="test", format="lareqa", path="x"), BenchmarkSource(name="dev", format="squad")]
    arms = [Arm(name="as-it-is", sampler="none")]
    return ExperimentSettings(**{"sources": sources, "benchmarks": benchmarks, "arms": arms, **changes})


@pytest.fixture
def given(monkeypatch):
    """What ``gather_evidence`` was called with."""
    calls = {}

    def gather(tables, arms, roles, settings, **others):
        calls.update(others, roles=roles, settings=settings)
        return {}

    monkeypatch.setattr(evaluation, "gather_evidence", gather)
    return calls


def test_lexicons_go_past_the_audit_but_for_the_built_in_one(given, tmp_path):
    ways = [switching("a", ["own.tsv"]), switching("b", []), switching("c", ["miniature"]), switching("d", ["own.tsv"])]
    settings = settings_with(augmentations=ways, lexicons=["shared/{lang}.tsv"])
    evaluation.conclude(settings, Folder(tmp_path), [])
    assert given["unaudited"] == ["own.tsv", "shared/{lang}.tsv"]
    assert given["leakage"] == {}


def test_development_sets_are_told_from_test_sets(given, tmp_path):
    results = evaluation.conclude(settings_with(), Folder(tmp_path), [])
    assert given["roles"] == {"test": "test", "dev": "development"}
    assert results["looks"]["dev"] == {"role": "development", "models": 0}


def test_models_encode_with_the_precision_of_the_settings(monkeypatch, tmp_path):
    settings = settings_with(encoder=EncoderSettings(model="m", precision="bf16"))
    run = TrainingRun(
        arm="as-it-is", seed=0, settings=settings.training, encoder=settings.encoder, store="", output=str(tmp_path)
    )
    (tmp_path / SUMMARY).write_text(json.dumps({"weights": "w"}))
    taken = []

    def encode(encodings, **_):
        taken.extend(encodings)
        raise InterruptedError

    monkeypatch.setattr(contenders, "encode_all", encode)
    with pytest.raises(InterruptedError):
        evaluation.measure_arms(settings, Folder(tmp_path), {"test": Folder(tmp_path / "t")}, {"as-it-is-0": run})
    assert [(e.kind, e.encoder) for e in taken] == [
        (kind, EncoderSettings(model=str(tmp_path), precision="bf16")) for kind in ("query", "passage")
    ]
