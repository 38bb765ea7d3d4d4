"""What people see of training."""

import io
import json
import time
from dataclasses import replace

import pytest

from xlstance import progress
from xlstance.encoders import EncoderSettings
from xlstance.experiment.progress import NewestMetrics, describe, follow
from xlstance.training.run import SUMMARY, TrainingRun
from xlstance.training.settings import TrainingSettings

LINE = {
    "arm": "mono",
    "step": 20,
    "kind": "cross",
    "loss": 1.23456,
    "pairs_per_second": 812.3,
    "step_pairs_per_second": 1034.4,
}


@pytest.fixture
def run(tmp_path):
    settings = TrainingSettings(steps=100)
    return TrainingRun(
        arm="mono", seed=3, settings=settings, encoder=EncoderSettings(), store="", output=str(tmp_path / "run")
    )


def write(run, *lines):
    run.folder.mkdir(exist_ok=True)
    with (run.folder / "metrics.jsonl").open("a") as file:
        file.write("".join(json.dumps(line) + "\n" for line in lines))


def test_the_words_name_kind_loss_rates_and_the_last_validation():
    assert describe({}) == ""
    assert describe(LINE) == "cross, loss 1.23, 1,034 pairs/s in steps, 812 in all"
    assert describe({**LINE, "validation_loss": 2.0, "validation_multi_map": 0.25}).endswith(
        "in all, validation loss 2, multi mAP 0.250"
    )


def test_the_newest_of_each_figure_is_kept_and_a_torn_line_waited_for(run):
    newest = NewestMetrics(run)
    assert newest.get() == {}
    write(run, LINE, {"step": 20, "validation_loss": 2.0})
    assert newest.get() == {**LINE, "validation_loss": 2.0}
    with (run.folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 30, "lo')
        file.flush()
        assert newest.get()["step"] == 20
        file.write('ss": 1.0}\n')
    assert newest.get() == {**LINE, "step": 30, "loss": 1.0, "validation_loss": 2.0}
    (run.folder / "metrics.jsonl").write_text(json.dumps({"step": 10, "loss": 4.0}) + "\n")
    assert newest.get() == {"step": 10, "loss": 4.0}


def shown(run, monkeypatch, work, seconds=0.05):
    """What a job's log holds after training."""
    log = io.StringIO()
    monkeypatch.setattr(progress.sys, "stderr", log)
    monkeypatch.setattr(progress, "_LOG_SECONDS", seconds)
    monkeypatch.setattr("xlstance.experiment.progress._SECONDS", 0.02)
    with follow([run]):
        work()
    return log.getvalue()


def test_a_log_gets_the_steps_the_remaining_time_and_the_figures(run, monkeypatch):
    def work():
        write(run, {**LINE, "step": 10})
        time.sleep(0.2)
        write(run, {**LINE, "step": 50})
        time.sleep(0.2)
        write(run, {**LINE, "step": 100})
        (run.folder / SUMMARY).write_text("{}")
        time.sleep(0.1)

    log = shown(run, monkeypatch, work)
    assert "training mono-3:  50%" in log
    assert "50/100 [00:00<00:0" in log  # elapsed and remaining
    assert "step/s, cross, loss 1.23, 1,034 pairs/s in steps, 812 in all]" in log
    assert "100/100" in log


def test_a_run_that_goes_on_counts_only_what_is_new(run, monkeypatch):
    write(run, {**LINE, "step": 90})

    def work():
        time.sleep(0.3)
        write(run, {**LINE, "step": 91})
        time.sleep(0.3)

    log = shown(run, monkeypatch, work)
    last = log.strip().split("\r")[-1]
    rate = last.split(", ")[1].split("step/s")[0].split("s/step")[0]
    assert "91/100" in log
    assert float(rate) < 10, last  # 91 steps in half a second would be 180 a second


def test_a_log_gets_no_more_than_a_line_now_and_then(run, monkeypatch):
    def work():
        for step in range(1, 41):
            write(run, {**LINE, "step": step})
            time.sleep(0.02)

    log = shown(run, monkeypatch, work, seconds=0.4)
    assert log.count("training mono-3") <= 6


def test_a_trained_run_and_one_without_steps_are_not_shown(run, monkeypatch):
    run.folder.mkdir()
    (run.folder / SUMMARY).write_text("{}")
    assert "mono-3" not in shown(run, monkeypatch, lambda: None)
    untrained = replace(run, settings=TrainingSettings(steps=0), output=str(run.folder / "other"))
    assert "mono-3" not in shown(untrained, monkeypatch, lambda: None)
