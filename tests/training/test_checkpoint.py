"""Checkpoints: what is damaged is never resumed from, and a full disk leaves the last good one."""

import errno
import json
import os
import re
import resource
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from xlstance.errors import StorageError
from xlstance.files import write_whole
from xlstance.training import checkpoint, loop
from xlstance.training.checkpoint import finished_steps
from xlstance.training.loop import train


class StoppedError(Exception):
    """Stands for whatever ends a process."""


class StopAt:
    """A tracker that ends the run at a step, before its checkpoint; it keeps the steps that it was told of."""

    def __init__(self, step=None):
        self._step, self.steps = step, []

    def log(self, step, metrics):
        self.steps.append(step)
        if step == self._step:
            raise StoppedError

    def close(self):
        pass


def weights(run):
    return (Path(run.output) / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def whole(world, tmp_path_factory):
    """A run that nothing disturbs."""
    run = world.run(tmp_path_factory.mktemp("whole") / "run", deepspeed={"zero_stage": 1})
    train(run)
    return run


@pytest.fixture(scope="module")
def stopped(world, tmp_path_factory):
    """The same run, stopped after its checkpoints of steps 2 and 4."""
    run = world.run(tmp_path_factory.mktemp("stopped") / "run", deepspeed={"zero_stage": 1})
    with pytest.raises(StoppedError):
        train(run, [StopAt(5)])
    return run


@pytest.fixture
def cut(stopped, tmp_path):
    """A copy of the stopped run, to be damaged."""
    run = replace(stopped, output=str(tmp_path / "run"))
    shutil.copytree(stopped.output, run.output)
    return run


def newest(run):
    return run.checkpoints.path / "step-00000004"


def files(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def change_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-1])


def remove(path):
    path.unlink()


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("damage", [change_a_bit, cut_short, remove])
def test_the_one_before_is_taken_when_the_newest_is_damaged(whole, cut, damage, number, caplog):
    names = files(newest(cut))
    assert len(names) == 3  # the weights, the optimizer, the listing
    damage(newest(cut) / names[number])
    told = StopAt()
    train(cut, [told])
    assert told.steps == [3, 4, 5, 6]
    assert weights(cut) == weights(whole)
    unnoticed = damage is remove and names[number].name == "checkpoint.json"  # as if it had never been finished
    assert unnoticed or str(names[number]) in caplog.text


def test_a_state_that_was_changed_by_hand_is_damage_too(whole, cut):
    path = newest(cut) / "checkpoint.json"
    text = path.read_text()
    path.write_text(text.replace('"worse": 0', '"worse": 1'))
    assert path.read_text() != text
    told = StopAt()
    train(cut, [told])
    assert told.steps == [3, 4, 5, 6]


def test_a_damaged_checkpoint_takes_no_whole_one_s_place(cut):
    change_a_bit(next(newest(cut).rglob("*optim_states.pt")))
    with pytest.raises(StoppedError):
        train(cut, [StopAt(3)])
    assert finished_steps(cut.checkpoints) == [2]


@pytest.mark.parametrize("damage", [change_a_bit, remove])
def test_a_run_without_a_whole_checkpoint_says_so(cut, damage):
    for step in (2, 4):
        damage(next((cut.checkpoints.path / f"step-0000000{step}").rglob("*optim_states.pt")))
    with pytest.raises(StorageError, match=r"step-00000004.*optim_states.pt is .* no other is whole; remove"):
        train(cut)
    assert not cut.trained


def test_a_checkpoint_that_was_not_finished_is_none(whole, cut):
    half = cut.checkpoints.path / "step-00000005" / "engine"
    half.mkdir(parents=True)
    (half / "mp_rank_00_model_states.pt").write_bytes(b"half")
    told = StopAt()
    train(cut, [told])
    assert told.steps == [5, 6]
    assert weights(cut) == weights(whole)


def relist(folder, **changed):
    """Writes a listing anew, as another run or another number of processes would have."""
    content = json.loads((folder / "checkpoint.json").read_text())["content"] | changed
    (folder / "checkpoint.json").write_text(json.dumps({"content": content, "sha256": checkpoint._hash(content)}))


def test_checkpoints_of_other_settings_or_processes_are_refused(cut):
    with pytest.raises(StorageError, match="was made with other settings; take those again"):
        train(replace(cut, settings=replace(cut.settings, learning_rate=1e-3)))
    with pytest.raises(StorageError, match="was made with other settings"):
        train(replace(cut, seed=5))
    relist(newest(cut), world_size=2)
    with pytest.raises(StorageError, match="was written by 2 processes, not by 1; start as many again"):
        train(cut)


def test_what_decides_no_weight_may_change(cut, whole):
    train(replace(cut, settings=replace(cut.settings, checkpoint_every=5, log_every=6)))
    assert weights(cut) == weights(whole)


def test_the_newest_two_are_kept(world, tmp_path):
    run = world.run(tmp_path / "run", checkpoint_every=1)
    seen = []

    class Look(StopAt):
        def log(self, step, metrics):
            seen.append(finished_steps(run.checkpoints))

    train(run, [Look()])
    assert seen == [[], [1], [1, 2], [2, 3], [3, 4], [4, 5]]


def test_a_full_disk_is_one_line_and_leaves_the_last_good_checkpoint(world, tmp_path, monkeypatch, whole):
    run = world.run(tmp_path / "run", deepspeed={"zero_stage": 1})
    save = torch.save

    def full(content, path, **options):
        if "step-00000004" not in str(path):
            return save(content, path, **options)
        Path(path).write_bytes(b"begun")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(StorageError) as caught:
        train(run)
    told = str(caught.value)
    assert told.startswith(f"{newest(run)}/engine/")
    needed, unit = re.search(r"No space left on device\); it takes (\S+) (kB|MB) per process, and ", told).groups()
    assert 150_000 < float(needed) * {"kB": 1e3, "MB": 1e6}[unit] < 1e6  # 19 712 parameters and their two moments
    assert "the last good one is of step 2" in told
    assert finished_steps(run.checkpoints) == [2]
    assert not newest(run).exists()  # what was begun takes no room
    monkeypatch.undo()
    told = StopAt()
    train(run, [told])
    assert told.steps == [3, 4, 5, 6]
    assert weights(run) == weights(whole)


def test_a_model_that_cannot_be_written_is_one_line(world, tmp_path, monkeypatch):
    run = world.run(tmp_path / "run")

    def full(path, text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(loop, "write_whole", full)
    with pytest.raises(StorageError, match=f"the model cannot be written to {run.output}: .*No space left"):
        train(run)
    assert not run.trained
    assert finished_steps(run.checkpoints) == [2, 4]


def test_a_limit_on_the_size_of_files_is_one_line(world, tmp_path):
    """The real thing: the operating system refuses what goes beyond 100 000 bytes of the optimizer's file."""
    run = world.run(tmp_path / "run", deepspeed={"zero_stage": 1})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(StorageError, match=r"optim_states.pt cannot be written .*; it takes .*; there is none yet"):
            train(run)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not any(run.checkpoints.path.iterdir())
    train(run)
    assert run.trained


def test_a_text_file_comes_whole(tmp_path, monkeypatch):
    path = tmp_path / "folder" / "file"
    write_whole(path, "one")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(StoppedError()))
    with pytest.raises(StoppedError):
        write_whole(path, "two")
    assert path.read_text() == "one"
