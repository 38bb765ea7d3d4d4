"""Where the figures of a run go, and that a resumed run repeats none."""

import json
import struct
import sys
from pathlib import Path

import pytest

from xlstance.disk_folder import DiskFolder
from xlstance.errors import UserError
from xlstance.training.loop import train
from xlstance.training.tracking import MetricsFile


class StoppedError(Exception):
    """Stands for whatever ends a process."""


class Tracker:
    """What a user may hand in; it ends the run at a step."""

    def __init__(self, stop_at=None):
        self._stop_at, self.lines, self.closed = stop_at, [], 0

    def log(self, step, metrics):
        self.lines.append((step, dict(metrics)))
        if step == self._stop_at:
            raise StoppedError

    def close(self):
        self.closed += 1


def metrics(run):
    return [json.loads(line) for line in (Path(run.output) / "metrics.jsonl").read_text().splitlines()]


def points(run):
    """(tag, step, value) of all that TensorBoard would show."""
    from tensorboardX.proto import event_pb2

    found = []
    for path in sorted((Path(run.output) / "tensorboard").iterdir()):
        data = path.read_bytes()
        while data:  # length, checksum, event, checksum
            length = struct.unpack("<Q", data[:8])[0]
            event = event_pb2.Event.FromString(data[12 : 12 + length])
            found += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
            data = data[16 + length :]
    return found


SETTINGS = {"validation": {"every": 3, "batches": 1, "queries": 0}, "tensorboard": True}


def test_a_line_tells_what_a_step_was(world, tmp_path):
    run = world.run(tmp_path / "run", deepspeed={"zero_stage": 1}, loss={"learn_temperature": True}, **SETTINGS)
    train(run)
    first, *_, last = metrics(run)
    assert list(first) == [
        *("arm", "seed", "steps", "step", "kind", "loss", "learning_rate", "gradient_norm", "temperature"),
        *("pairs_per_second", "step_pairs_per_second", "wait_share"),
    ]
    assert (first["arm"], first["seed"], first["step"], first["steps"]) == ("run", 3, 1, 6)
    assert first["learning_rate"] == pytest.approx(5e-4 / 1.6)
    assert first["temperature"] == pytest.approx(0.05)
    assert first["gradient_norm"] > 0
    assert 0 < first["pairs_per_second"] <= first["step_pairs_per_second"]
    assert 0 <= first["wait_share"] < 1
    assert set(last) == {"arm", "seed", "steps", "step", "validation_loss"}


def test_every_tracker_gets_every_figure_and_a_resumed_run_repeats_none(world, tmp_path):
    run = world.run(tmp_path / "run", **SETTINGS)
    first, second = Tracker(stop_at=5), Tracker()
    with pytest.raises(StoppedError):
        train(run, [first])
    assert first.closed == 1  # whatever happens
    train(run, [second])
    assert [step for step, _ in first.lines] == [1, 2, 3, 3, 4, 5]
    assert [step for step, _ in second.lines] == [5, 6, 6]
    assert second.closed == 1
    lines = metrics(run)
    assert [line["step"] for line in lines] == [1, 2, 3, 3, 4, 5, 6, 6]
    told = [{**line, "step": step} for step, line in [*first.lines[:5], *second.lines]]
    assert told == [
        {name: value for name, value in line.items() if name not in ("arm", "seed", "steps")} for line in lines
    ]


def test_tensorboard_shows_each_step_once(world, tmp_path):
    run = world.run(tmp_path / "run", **SETTINGS)
    with pytest.raises(StoppedError):
        train(run, [Tracker(stop_at=5)])
    (former,) = (tmp_path / "run" / "tensorboard").iterdir()
    former.rename(former.with_name(f"{former.name}.former"))  # its name is that of the second in which it was made
    train(run)
    shown = points(run)
    losses = sorted((step, value) for tag, step, value in shown if tag.startswith("loss/"))
    expected = [(line["step"], line["loss"]) for line in metrics(run) if "loss" in line]
    assert [step for step, _ in losses] == [1, 2, 3, 4, 5, 6]
    assert [value for _, value in losses] == pytest.approx([value for _, value in expected])
    assert {tag for tag, *_ in shown} == {
        *("loss/cross", "loss/mono", "learning_rate", "pairs_per_second", "step_pairs_per_second", "wait_share"),
        "validation_loss",
    }


def test_without_the_setting_there_is_no_tensorboard(world, tmp_path):
    run = world.run(tmp_path / "run")
    train(run)
    assert not (tmp_path / "run" / "tensorboard").exists()


def test_a_missing_package_is_named(world, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(UserError, match=r"needs the package tensorboardX: pip install tensorboardX"):
        train(world.run(tmp_path / "run", tensorboard=True))


def test_a_line_that_a_kill_cut_off_is_dropped(tmp_path):
    file = MetricsFile(DiskFolder(tmp_path), {"arm": "a"})
    assert file.keep_until(3) == []
    for step in (1, 2, 3):
        file.log(step, {"loss": 1.0 / step})
    whole = (tmp_path / "metrics.jsonl").read_text()
    with (tmp_path / "metrics.jsonl").open("a") as cut:
        cut.write('{"arm": "a", "step": 4, "lo')
    assert [line["step"] for line in file.keep_until(4)] == [1, 2, 3]
    assert (tmp_path / "metrics.jsonl").read_text() == whole
    assert [line["step"] for line in file.keep_until(2)] == [1, 2]
    assert (tmp_path / "metrics.jsonl").read_text() == "".join(whole.splitlines(keepends=True)[:2])
