"""A sweep over the miniature world in Ray Tune: what comes out, that it goes on, and that one failure is no other's."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from sweep_world import ALPHA, alpha_sweep, experiment

from xlstance.encoders import EncoderSettings
from xlstance.errors import StorageError, UserError
from xlstance.experiment.settings import Arm
from xlstance.files import sha256_of
from xlstance.storage import Folder, read_table
from xlstance.sweep.development import Pool, measure
from xlstance.sweep.journal import JOURNAL, Journal
from xlstance.sweep.run import run_sweep
from xlstance.sweep.settings import Axis
from xlstance.training.distributed import fit
from xlstance.training.loop import train

PRECISION = "training.deepspeed.precision"
GOOD = ["alpha-0_precision-fp32-0", "alpha-1_precision-fp32-0"]
BAD = ["alpha-0_precision-fp16-0", "alpha-1_precision-fp16-0"]

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="fp16 is to fail here")


def settings_for(output):
    """Without a first stage: one process trains, and no worker group is started."""
    return replace(experiment(output, steps=4), arms=[Arm(name="hybrid", sampler="hybrid")])


def sweep_for(**settings):
    space = [Axis(setting=ALPHA, grid=[0.0, 1.0]), Axis(setting=PRECISION, choice=["fp32", "fp16"])]
    return alpha_sweep(space=space, concurrency=2, **settings)


@pytest.fixture(scope="module")
def output(ray_session, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    run_sweep(settings_for(folder), sweep_for(), "precision")
    return folder


@pytest.fixture(scope="module")
def root(output):
    return output / "sweeps" / "precision"


@pytest.fixture(scope="module")
def results(root):
    return json.loads((root / "results.json").read_text())


def test_every_trial_is_told_and_a_failing_one_with_its_reason(results, root):
    found = results["sweep"]
    assert json.loads((root / "sweep.json").read_text()) == found
    trials = {trial["name"]: trial for trial in found["trials"]}
    assert set(trials) == {*GOOD, *BAD}
    for name in GOOD:
        assert (trials[name]["state"], trials[name]["steps"]) == ("finished", 4)
        assert trials[name]["objective"] > 0
    for name in BAD:
        assert trials[name]["state"] == "failed"
        assert trials[name]["reason"] == (
            "training.deepspeed.precision is fp16, which this machine cannot compute with; use fp32"
        )


def test_figures_are_those_of_the_exported_model_on_the_development_pool(results, root):
    trials = {trial["name"]: trial for trial in results["sweep"]["trials"]}
    best = max(GOOD, key=lambda name: trials[name]["objective"])
    assert f"{results['sweep']['recommended']['name']}-0" == best
    place = root / "best"
    assert results["sweep"]["recommended"]["model"] == str(place)
    assert sha256_of(place / "model.safetensors") == sha256_of(root / "trials" / best / "model.safetensors")
    assert (place / "README.md").exists()
    tables = [read_table(Folder(root / "development" / name), name) for name in ("queries", "passages", "qrels")]
    figures = measure(EncoderSettings(model=str(place)), Pool(*tables), None)
    for name, value in figures.items():
        assert trials[best][name] == pytest.approx(value, abs=1e-9)


def test_quick_scores_come_along_the_way(root):
    journal = Journal(Folder(root))
    for name in GOOD:
        assert list(journal.trials[name].scores) == [2]  # the last one is told by the figures
        lines = [json.loads(line) for line in (root / "trials" / name / "metrics.jsonl").read_text().splitlines()]
        maps = next(line for line in lines if line["step"] == 2 and "validation_loss" in line)
        known = [maps[f"validation_{setting}_map"] for setting in ("mono", "cross", "multi")]
        assert journal.trials[name].scores[2] == pytest.approx(sum(known) / 3)


def test_the_recommended_point_and_its_neighbours_are_tested_once(results):
    assert [arm["name"] for arm in results["arms"]] == [name.removesuffix("-0") for name in GOOD]
    assert results["looks"]["miniature"]["models"] == 2
    labels = [curve["label"] for curve in results["sweep"]["curves"]]
    assert labels == ["development, precision-fp32", "test: miniature, precision-fp32"]
    test = results["sweep"]["curves"][1]
    for arm, value in zip(results["arms"], test["mean"]["cross"], strict=True):
        assert arm["benchmarks"]["miniature"]["cross"]["map"] == value


def test_the_report_shows_the_sweep(root, results):
    page = (root / "report.html").read_text()
    assert "Mixing ratio" in page
    assert results["sweep"]["recommended"]["text"].split(":")[0] in page


def test_tune_leaves_what_tensorboard_shows(root):
    events = {path.parent.name for path in root.glob("ray/tune-*/*/events.out.tfevents*")}
    assert set(GOOD) <= events


def test_a_second_start_runs_no_trial_again(output, root, results, ray_session, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("run again")

    monkeypatch.setattr("xlstance.sweep.tuning.tune.Tuner", refuse)
    monkeypatch.setattr("xlstance.experiment.data.train_vocabulary", refuse)
    journal = (root / JOURNAL).read_bytes()
    again = json.loads(json.dumps(run_sweep(settings_for(output), sweep_for(), "precision")))
    assert again["sweep"] == results["sweep"]
    assert (root / JOURNAL).read_bytes() == journal


def test_another_space_or_experiment_is_refused_by_name(output, ray_session):
    other = alpha_sweep(0.0, 0.5)
    with pytest.raises(StorageError, match=r"holds a sweep of other settings \(space\)"):
        run_sweep(settings_for(output), other, "precision")
    settings = settings_for(output)
    with pytest.raises(StorageError, match=r"other settings \(training\)"):
        run_sweep(replace(settings, training=replace(settings.training, steps=6)), sweep_for(), "precision")


def test_a_sweep_in_which_all_fails_says_why(tmp_path, ray_session, monkeypatch):
    def fail(sweep, cluster, steps, shared, pool, journal, root):
        for seed in (0, 1):
            trial = journal.begin(f"alpha-0-{seed}", {ALPHA: 0.0}, seed)
            journal.end(trial.name, "failed", "the loss diverged")

    monkeypatch.setattr("xlstance.sweep.run.share", lambda *_: (None, None, {}))
    monkeypatch.setattr("xlstance.sweep.run.run_trials", fail)
    with pytest.raises(UserError, match=r"no trial of .*/bad came to its end: the loss diverged$"):
        run_sweep(settings_for(tmp_path), alpha_sweep(0.0, seeds=[0, 1]), "bad")


@pytest.mark.slow
def test_a_trial_s_model_is_that_of_the_same_run_outside_the_sweep(output, root, ray_session, tmp_path):
    from xlstance.experiment.corpora import publish_benchmarks
    from xlstance.sweep.preparation import share

    settings = settings_for(output)
    shared, _, _ = share(settings, sweep_for(), Folder(root), publish_benchmarks(settings, Folder(root)))
    run = shared.run({ALPHA: 1.0, PRECISION: "fp32"}, 0)
    here = replace(run, output=str(tmp_path / "here"))
    train(here)
    apart = replace(run, output=str(tmp_path / "apart"))
    fit([apart], tmp_path / "ray", workers=1, cpus_per_worker=1, gpus_per_worker=0)
    weights = sha256_of(Path(run.output) / "model.safetensors")
    assert sha256_of(tmp_path / "here" / "model.safetensors") == weights
    assert sha256_of(tmp_path / "apart" / "model.safetensors") == weights
