import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from xlstance.encoders import load_encoder
from xlstance.errors import SettingsError, StorageError
from xlstance.training import loop
from xlstance.training.batches import BatchReader
from xlstance.training.loop import learning_rate_share, train
from xlstance.training.objective import Objective
from xlstance.training.plan import SamplerSettings
from xlstance.training.settings import DeepSpeedSettings, LossSettings, TrainingSettings, ValidationSettings
from xlstance.training.store import TrainingStore

STAGES = [0, 1, 2, 3]


class StoppedError(Exception):
    """Stands for whatever ends a process."""


class Keeper:
    """A ``report`` that keeps every checkpoint, and ends the run at one of them."""

    def __init__(self, folder, stop_at=None):
        self.folder, self._stop_at = folder, stop_at

    def __call__(self, metrics, folder):
        if metrics["step"] == self._stop_at:
            raise StoppedError
        shutil.copytree(folder, self.folder / str(metrics["step"]))


def ignore(metrics, folder):
    pass


def weights(run):
    return (Path(run.output) / "model.safetensors").read_bytes()


def metrics(run):
    return [json.loads(line) for line in (Path(run.output) / "metrics.jsonl").read_text().splitlines()]


def summary(run):
    return json.loads((Path(run.output) / "training.json").read_text())


@pytest.mark.parametrize("stage", STAGES)
def test_a_resumed_run_ends_with_the_same_bytes(world, tmp_path, stage):
    settings = {"deepspeed": {"zero_stage": stage}, "validation": {"every": 3, "patience": 9, "batches": 2}}
    whole, cut = (world.run(tmp_path / name, **settings) for name in ("whole", "cut"))
    train(whole, Keeper(tmp_path / "unused"))
    keeper = Keeper(tmp_path / "kept", stop_at=4)
    with pytest.raises(StoppedError):
        train(cut, keeper)
    assert [line["step"] for line in metrics(cut)] == [1, 2, 3, 3, 4]
    train(cut, ignore, keeper.folder / "2")
    assert weights(cut) == weights(whole)
    timeless = [[{**line, "arm": "", "pairs_per_second": 0} for line in metrics(run)] for run in (cut, whole)]
    assert timeless[0] == timeless[1]
    assert [line["step"] for line in metrics(cut) if "loss" in line] == [1, 2, 3, 4, 5, 6]
    same = [{**summary(run), "seconds": 0, "pairs_per_second": 0} for run in (cut, whole)]
    assert same[0] == same[1]


def test_dropout_and_seed_change_the_weights(world, tmp_path):
    runs = [world.run(tmp_path / "a"), world.run(tmp_path / "b", dropout=0.0), world.run(tmp_path / "c")]
    runs[2] = replace(runs[2], seed=4)
    for run in runs:
        train(run, ignore)
    assert len({weights(run) for run in runs}) == 3


@pytest.fixture(scope="module")
def checkpoint(world, tmp_path_factory):
    """A run and a checkpoint of it."""
    folder = tmp_path_factory.mktemp("checkpoint")
    keeper = Keeper(folder, stop_at=4)
    run = world.run(folder / "run", deepspeed={"zero_stage": 1})
    with pytest.raises(StoppedError):
        train(run, keeper)
    return run, folder / "2"


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_checkpoint_changed_by_a_bit_is_refused(checkpoint, tmp_path):
    run, folder = checkpoint
    names = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and "hashes" not in path.name]
    assert len(names) >= 3  # model, optimizer and state
    for name in names:
        damaged = shutil.copytree(folder, tmp_path / name.name)
        damage(damaged / name)
        with pytest.raises(StorageError, match="is not what was written"):
            train(run, ignore, damaged)


def test_a_checkpoint_that_is_not_whole_is_refused(checkpoint, tmp_path):
    run, folder = checkpoint
    cut = shutil.copytree(folder, tmp_path / "cut")
    next(cut.rglob("*optim_states.pt")).unlink()
    with pytest.raises(StorageError, match="is not what was written"):
        train(run, ignore, cut)
    unguarded = shutil.copytree(folder, tmp_path / "unguarded")
    (unguarded / "hashes-0.json").unlink()
    with pytest.raises(StorageError, match="written by 0 processes, not by 1"):
        train(run, ignore, unguarded)


def reference(world, run, clipping):
    """The run's training in plain PyTorch, without DeepSpeed, ``info_nce`` or ``learning_rate_share``."""
    settings, store = run.settings, TrainingStore(world.store)
    encoder = load_encoder(run.encoder, tokenizer=run.tokenizer, seed=run.seed)
    reader = BatchReader(store, (), settings.sampler, settings.batch_size, run.seed, 0, encoder, 0, 1)
    groups = [
        {"params": [p for p in encoder.parameters() if p.ndim == dimensions], "weight_decay": decay}
        for dimensions, decay in ((2, settings.weight_decay), (1, 0.0))
    ]
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate)
    warm, norms = settings.warmup * settings.steps, []
    for step in range(settings.steps):
        batch = reader[step]
        scores = encoder(batch.queries) @ encoder(batch.passages).T / settings.loss.temperature
        own = torch.eye(len(scores), dtype=torch.bool)
        scores = scores.masked_fill(batch.known & ~own, -math.inf)
        loss = -(scores.log_softmax(1).diagonal() + scores.log_softmax(0).diagonal()).mean() / 2
        optimizer.zero_grad()
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(encoder.parameters(), clipping or math.inf)))
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * np.interp(step, [-1, warm, settings.steps], [0, 1, 0])
        optimizer.step()
    return encoder.model.state_dict(), norms


def furthest(run, expected):
    """The largest difference of a weight.

    Biases of keys are left out: attention does not depend on them, so that their gradients are rounding errors, which
    AdamW blows up.
    """
    found = load_file(Path(run.output) / "model.safetensors")
    return max(
        float((found[name] - value).abs().max())
        for name, value in expected.items()
        if name in found and not name.endswith("key.bias")
    )


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("clipping", [0.0, 0.5])
def test_training_equals_plain_pytorch_with_and_without_clipping(world, tmp_path, stage, clipping):
    run = world.run(
        tmp_path / "run", dropout=0.0, steps=5, deepspeed={"zero_stage": stage, "gradient_clipping": clipping}
    )
    train(run, ignore)
    expected, norms = reference(world, run, clipping)
    assert min(norms) > 1  # so that clipping at DeepSpeed's own default, 1.0, would show
    assert max(norms) > 1.3 * min(norms)  # AdamW would not notice a clipping by one factor
    assert furthest(run, expected) < 1e-5
    other, _ = reference(world, run, 0.5 - clipping)
    assert furthest(run, other) > 1e-4


def test_early_stopping_keeps_the_weights_of_the_best_validation(world, tmp_path, monkeypatch):
    losses = iter([3.0, 1.0, 2.0, 1.0])
    monkeypatch.setattr(Objective, "evaluate", lambda *_: next(losses))
    stopped = world.run(
        tmp_path / "stopped", steps=20, validation={"every": 2, "batches": 1, "patience": 2}, log_every=100, warmup=0.0
    )
    train(stopped, ignore)
    monkeypatch.undo()
    assert [(line["step"], line["validation_loss"]) for line in metrics(stopped)] == [(2, 3), (4, 1), (6, 2), (8, 1)]
    told = summary(stopped)
    assert (told["steps"], told["kept_step"], told["validation_loss"]) == (8, 4, 1.0)
    assert not (Path(stopped.output) / "best").exists()
    # The same schedule over 20 steps, ended after the fourth, is what must have been kept.
    last = world.run(tmp_path / "last", steps=20, checkpoint_every=4, log_every=100, warmup=0.0)
    saved = tmp_path / "fourth"

    class FourthStep(loop._Loop):
        def _checkpoint(self):
            self._save(saved)
            raise StoppedError

    with pytest.raises(StoppedError):
        FourthStep(last, ignore, 0, 1).run(None)
    assert weights(stopped) == (saved / "model.safetensors").read_bytes()


def test_patience_without_a_worse_validation_trains_all_steps(world, tmp_path, monkeypatch):
    losses = iter([5.0, 4.0, 3.0])
    monkeypatch.setattr(Objective, "evaluate", lambda *_: next(losses))
    run = world.run(tmp_path / "run", validation={"every": 2, "batches": 1, "patience": 1}, log_every=100)
    train(run, ignore)
    told = summary(run)
    assert (told["steps"], told["kept_step"], told["validation_loss"]) == (6, 6, 3.0)


def test_validation_goes_down_in_training_and_does_not_disturb_it(world, tmp_path):
    plain = world.run(tmp_path / "plain", steps=30, checkpoint_every=0)
    validated = world.run(tmp_path / "validated", steps=30, checkpoint_every=0, validation={"every": 10})
    for run in (plain, validated):
        train(run, ignore)
    assert weights(plain) == weights(validated)
    losses = [line["validation_loss"] for line in metrics(validated) if "validation_loss" in line]
    assert len(losses) == 3
    assert losses[-1] < losses[0] - 0.1
    assert summary(validated)["validation_loss"] == min(losses)
    assert summary(validated)["kept_step"] == 30


def test_patience_without_development_pairs_keeps_the_last_weights(world, tmp_path):
    run = replace(world.run(tmp_path / "run", validation={"every": 2, "patience": 1}), validation_store="")
    train(run, ignore)
    assert (summary(run)["steps"], summary(run)["kept_step"], summary(run)["validation_loss"]) == (6, 6, None)


def test_the_summary_holds_what_was_drawn(world, tmp_path):
    run = world.run(tmp_path / "run", steps=8, sampler=SamplerSettings(alpha=0.25, block=4))
    train(run, ignore)
    told = summary(run)
    assert told["batches"] == {"cross": 6, "mono": 2}
    reader = BatchReader(TrainingStore(world.store), (), run.settings.sampler, 16, run.seed, 0, world.encoder, 0, 1)
    rows = {}
    for step in range(8):
        for pair, count in reader[step].rows.items():
            rows[pair] = rows.get(pair, 0) + count
    assert told["rows"] == rows
    assert sum(told["rows"].values()) == 8 * 16
    assert sum(count for pair, count in rows.items() if len(set(pair.split("->"))) == 1) == 2 * 16
    assert told["parameters"] == sum(p.numel() for p in world.encoder.parameters())
    assert [line["kind"] for line in metrics(run)] == [reader[step].kind for step in range(8)]


def test_no_steps_save_the_encoder_as_it_is(world, tmp_path):
    run = world.run(tmp_path / "run", steps=0)
    train(run, ignore)
    expected = load_encoder(run.encoder, tokenizer=run.tokenizer, seed=run.seed).model.state_dict()
    assert furthest(run, expected) == 0
    assert (summary(run)["steps"], summary(run)["pairs_per_second"]) == (0, None)


def test_a_second_run_starts_from_the_first_ones_model(world, tmp_path):
    first = world.run(tmp_path / "first")
    train(first, ignore)
    untrained = replace(world.run(tmp_path / "second", steps=0), start=first.output)
    train(untrained, ignore)
    assert weights(untrained) == weights(first)


def test_a_batch_that_workers_cannot_share_is_refused(world, tmp_path):
    with pytest.raises(SettingsError, match=r"batch_size 15 is no multiple of the 2 workers"):
        loop._Loop(world.run(tmp_path, batch_size=15), ignore, 0, 2)


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.25])
@pytest.mark.parametrize("steps", [1, 7, 40])
def test_the_learning_rate_follows_its_schedule(schedule, warmup, steps):
    settings = TrainingSettings(steps=steps, warmup=warmup, schedule=schedule)
    warm = warmup * steps
    for step in range(steps):
        line = np.interp(step, [-1, warm, steps], [0, 1, 0])
        expected = {"linear": line, "cosine": np.sin(np.pi / 2 * line) ** 2, "constant": 1.0}[schedule]
        if step < warm:
            expected = line
        assert learning_rate_share(settings, step) == pytest.approx(expected)
        assert 0 < learning_rate_share(settings, step) <= 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": -1},
        {"batch_size": 0},
        {"warmup": 1.0},
        {"log_every": 0},
    ],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        TrainingSettings(**wrong)


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        (LossSettings, {"temperature": 0.0}),
        (DeepSpeedSettings, {"gradient_clipping": -1.0}),
        (ValidationSettings, {"every": -1}),
        (ValidationSettings, {"batches": 0}),
        (ValidationSettings, {"patience": 2, "every": 0}),
    ],
)
def test_settings_of_a_part_out_of_range_are_refused(part, wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        part(**wrong)
