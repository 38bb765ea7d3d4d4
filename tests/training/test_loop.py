import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from xlstance.disk_folder import DiskFolder
from xlstance.encoders import load_encoder
from xlstance.errors import SettingsError
from xlstance.training import loop, saving
from xlstance.training.batches import BatchReader
from xlstance.training.checkpoint import finished_steps
from xlstance.training.learning_rate import learning_rate_at
from xlstance.training.loop import train
from xlstance.training.objective import Objective
from xlstance.training.plan import BatchPlan, SamplerSettings
from xlstance.training.saving import BestWeights
from xlstance.training.settings import DeepSpeedSettings, LossSettings, TrainingSettings, ValidationSettings
from xlstance.training.store import TrainingStore
from xlstance.training.validation import Validation

STAGES = [0, 1, 2, 3]


class StoppedError(Exception):
    """Stands for whatever ends a process."""


class StopAt:
    """A tracker that ends the run at a step, before its checkpoint; it keeps what it was told."""

    def __init__(self, step=None):
        self._step, self.lines, self.closed = step, [], False

    def log(self, step, metrics):
        self.lines.append((step, dict(metrics)))
        if step == self._step:
            raise StoppedError

    def close(self):
        self.closed = True


def weights(run):
    return (Path(run.output) / "model.safetensors").read_bytes()


def metrics(run):
    return [json.loads(line) for line in (Path(run.output) / "metrics.jsonl").read_text().splitlines()]


def summary(run):
    return json.loads((Path(run.output) / "training.json").read_text())


def timeless(lines):
    """Metrics without what a clock decides, and without the arm's name."""
    clock = ("arm", "pairs_per_second", "step_pairs_per_second", "wait_share")
    return [{name: value for name, value in line.items() if name not in clock} for line in lines]


def assert_same(run, expected):
    assert weights(run) == weights(expected)
    assert timeless(metrics(run)) == timeless(metrics(expected))
    told, wanted = timeless([{**summary(r), "seconds": 0} for r in (run, expected)])
    assert told == wanted
    assert not run.checkpoints.path.exists()
    assert not run.best.path.exists()


@pytest.mark.parametrize("stage", STAGES)
def test_a_stopped_run_goes_on_and_ends_with_the_same_bytes(world, tmp_path, stage):
    settings = {"deepspeed": {"zero_stage": stage}, "validation": {"every": 3, "keep": "best", "batches": 2}}
    whole, cut = (world.run(tmp_path / name, **settings) for name in ("whole", "cut"))
    train(whole)
    with pytest.raises(StoppedError):
        train(cut, [StopAt(5)])
    assert [line["step"] for line in metrics(cut)] == [1, 2, 3, 3, 4, 5]
    assert finished_steps(cut.checkpoints) == [2, 4]
    told = StopAt()
    train(cut, [told])
    assert [step for step, _ in told.lines] == [5, 6, 6]  # nothing before the checkpoint is told again
    assert_same(cut, whole)
    assert [line["step"] for line in metrics(cut) if "loss" in line] == [1, 2, 3, 4, 5, 6]


def test_a_run_stopped_before_its_first_checkpoint_starts_again(world, tmp_path):
    whole, cut = (world.run(tmp_path / name) for name in ("whole", "cut"))
    train(whole)
    with pytest.raises(StoppedError):
        train(cut, [StopAt(2)])
    train(cut)
    assert_same(cut, whole)


def test_a_run_stopped_while_it_saves_its_model_goes_on(world, tmp_path, monkeypatch):
    whole, cut = (world.run(tmp_path / name) for name in ("whole", "cut"))
    train(whole)

    def stop(*_):
        raise StoppedError

    monkeypatch.setattr(loop, "make_summary", stop)
    with pytest.raises(StoppedError):
        train(cut)
    monkeypatch.undo()
    assert not cut.trained
    assert finished_steps(cut.checkpoints) == [2, 4]
    train(cut)
    assert_same(cut, whole)


def test_the_best_weights_survive_a_kill_while_the_next_ones_are_written(world, tmp_path, monkeypatch):
    """The losses make steps 1 and 4 the best; the process ends in mid-writing of the second, after a checkpoint."""
    losses = [4.0, 5.0, 5.0, 3.0, 5.0, 5.0]
    settings = {"validation": {"every": 1, "batches": 1, "queries": 0, "keep": "best"}, "checkpoint_every": 3}

    def evaluate(objective, batch, step):
        return losses[objective._engine.global_steps - 1]

    monkeypatch.setattr(Objective, "evaluate", evaluate)
    whole, cut = (world.run(tmp_path / name, **settings) for name in ("whole", "cut"))
    train(whole)
    assert summary(whole)["kept_step"] == 4
    save = saving.save_model

    def save_half(engine, folder, rank):
        save(engine, folder, rank)
        if engine.global_steps == 4:
            (folder / "model.safetensors").write_bytes(b"half")
            raise StoppedError

    monkeypatch.setattr(saving, "save_model", save_half)
    with pytest.raises(StoppedError):
        train(cut)
    monkeypatch.setattr(saving, "save_model", save)
    assert load_file(cut.best.path / "step-00000001" / "model.safetensors")
    assert finished_steps(cut.checkpoints) == [3]
    train(cut)
    assert_same(cut, whole)


def test_the_best_weights_of_an_older_checkpoint_are_kept_with_it(tmp_path):
    best = BestWeights(DiskFolder(tmp_path), 0)
    for step in (10, 30, 40, 50):
        best.at(step).path.mkdir()
    best.drop(50, [35, 45])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000030", "step-00000040", "step-00000050"]
    best.drop_after(45)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000030", "step-00000040"]
    best.drop(40, [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000040"]


def test_dropout_and_seed_change_the_weights(world, tmp_path):
    runs = [world.run(tmp_path / "a"), world.run(tmp_path / "b", dropout=0.0), world.run(tmp_path / "c")]
    runs[2] = replace(runs[2], seed=4)
    for run in runs:
        train(run)
    assert len({weights(run) for run in runs}) == 3


def reference(world, run, clipping):
    """The run's training in plain PyTorch: the plan's rows and nothing else of the library's training."""
    settings, store = run.settings, TrainingStore(world.store)
    encoder = load_encoder(run.encoder, tokenizer=run.tokenizer, seed=run.seed)
    plan = BatchPlan(store.partitions, settings.sampler, settings.batch_size, run.seed)
    groups = [
        {"params": [p for p in encoder.parameters() if p.ndim == dimensions], "weight_decay": decay}
        for dimensions, decay in ((2, settings.weight_decay), (1, 0.0))
    ]
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate)
    warm, norms = settings.warmup * settings.steps, []
    for step in range(settings.steps):
        batch = plan.batch(step)
        queries, passages = store.locate(batch.partition, batch.row)
        vectors = [
            encoder(encoder.collate(tokens)) for tokens in (store.query_tokens(queries), store.passage_tokens(passages))
        ]
        scores = vectors[0] @ vectors[1].T / settings.loss.temperature
        own = torch.eye(len(scores), dtype=torch.bool)
        known = torch.from_numpy(store.known_positives(queries, passages))
        scores = scores.masked_fill(known & ~own, -math.inf)
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
    train(run)
    expected, norms = reference(world, run, clipping)
    assert min(norms) > 1  # so that clipping at DeepSpeed's own default, 1.0, would show
    assert max(norms) > 1.3 * min(norms)  # AdamW would not notice a clipping by one factor
    assert furthest(run, expected) < 1e-5
    other, _ = reference(world, run, 0.5 - clipping)
    assert furthest(run, other) > 1e-4


def test_early_stopping_keeps_the_weights_of_the_best_validation(world, tmp_path, monkeypatch):
    losses = iter([3.0, 1.0, 2.0, 1.0])
    monkeypatch.setattr(Objective, "evaluate", lambda *_: next(losses))
    settings = {"steps": 20, "warmup": 0.0}
    stopped = world.run(
        tmp_path / "stopped",
        validation={"every": 2, "batches": 1, "patience": 2, "queries": 0},
        log_every=100,
        **settings,
    )
    train(stopped)
    monkeypatch.undo()
    assert [(line["step"], line["validation_loss"]) for line in metrics(stopped)] == [(2, 3), (4, 1), (6, 2), (8, 1)]
    told = summary(stopped)
    assert (told["steps"], told["kept_step"], told["best_step"], told["validation_loss"]) == (8, 4, 4, 1.0)
    # The same schedule over 20 steps, ended after the fourth, is what must have been kept.
    other = world.run(tmp_path / "other", checkpoint_every=4, **settings)

    class FourthStep(loop._Loop):
        def _checkpoint(self, batch):
            saving.save_model(self._engine, tmp_path / "fourth", 0)
            raise StoppedError

    with pytest.raises(StoppedError):
        FourthStep(other, 0, 1, ()).run()
    assert weights(stopped) == (tmp_path / "fourth" / "model.safetensors").read_bytes()


def test_the_state_of_early_stopping_survives_a_kill(world, tmp_path, monkeypatch):
    losses = [3.0, 1.0, 2.0, 1.5, 0.5, 0.4]
    monkeypatch.setattr(Objective, "evaluate", lambda objective, *_: losses[objective._engine.global_steps - 1])
    settings = {"validation": {"every": 1, "batches": 1, "patience": 2, "queries": 0}, "checkpoint_every": 3}
    whole, cut = (world.run(tmp_path / name, **settings) for name in ("whole", "cut"))
    train(whole)
    assert (summary(whole)["steps"], summary(whole)["kept_step"]) == (4, 2)
    with pytest.raises(StoppedError):
        train(cut, [StopAt(4)])  # one worse validation is in the checkpoint of step 3
    train(cut)
    assert_same(cut, whole)


def test_the_watched_figure_decides_which_weights_are_the_best(world, tmp_path, monkeypatch):
    losses, maps = iter([1.0, 2.0, 3.0]), iter([0.1, 0.4, 0.2])
    monkeypatch.setattr(Objective, "evaluate", lambda *_: next(losses))
    monkeypatch.setattr(Validation, "_retrieve", lambda *_: dict.fromkeys(("mono", "cross", "multi"), next(maps)))
    run = world.run(
        tmp_path / "run", validation={"every": 2, "batches": 1, "watch": "retrieval", "keep": "best"}, log_every=100
    )
    train(run)
    told = summary(run)
    assert (told["steps"], told["kept_step"], told["validation_loss"]) == (6, 4, 2.0)
    assert told["validation"]["validation_cross_map"] == 0.4


def test_patience_without_a_worse_validation_trains_all_steps(world, tmp_path, monkeypatch):
    losses = iter([5.0, 4.0, 3.0])
    monkeypatch.setattr(Objective, "evaluate", lambda *_: next(losses))
    run = world.run(tmp_path / "run", validation={"every": 2, "batches": 1, "patience": 1, "queries": 0}, log_every=100)
    train(run)
    told = summary(run)
    assert (told["steps"], told["kept_step"], told["validation_loss"]) == (6, 6, 3.0)


def test_validation_goes_down_in_training_and_does_not_disturb_it(world, tmp_path):
    plain = world.run(tmp_path / "plain", steps=30, checkpoint_every=0)
    validated = world.run(tmp_path / "validated", steps=30, checkpoint_every=0, validation={"every": 10})
    for run in (plain, validated):
        train(run)
    assert weights(plain) == weights(validated)
    losses = [line["validation_loss"] for line in metrics(validated) if "validation_loss" in line]
    assert len(losses) == 3
    assert losses[-1] < losses[0] - 0.1
    assert summary(validated)["validation_loss"] == min(losses)
    assert summary(validated)["kept_step"] == 30


def test_patience_without_development_pairs_keeps_the_last_weights(world, tmp_path):
    run = replace(world.run(tmp_path / "run", validation={"every": 2, "patience": 1}), validation_store="")
    train(run)
    assert (summary(run)["steps"], summary(run)["kept_step"], summary(run)["validation_loss"]) == (6, 6, None)


def test_the_summary_holds_what_was_drawn(world, tmp_path):
    run = world.run(tmp_path / "run", steps=8, sampler=SamplerSettings(alpha=0.25, block=4))
    train(run)
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
    train(run)
    expected = load_encoder(run.encoder, tokenizer=run.tokenizer, seed=run.seed).model.state_dict()
    assert furthest(run, expected) == 0
    assert (summary(run)["steps"], summary(run)["pairs_per_second"]) == (0, None)


def test_a_second_run_starts_from_the_first_ones_model(world, tmp_path):
    first = world.run(tmp_path / "first")
    train(first)
    untrained = replace(world.run(tmp_path / "second", steps=0), start=first.output)
    train(untrained)
    assert weights(untrained) == weights(first)


def test_a_batch_that_workers_cannot_share_is_refused(world, tmp_path):
    with pytest.raises(SettingsError, match=r"batch_size 15 is no multiple of the 2 workers"):
        loop._Loop(world.run(tmp_path, batch_size=15), 0, 2, ())


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.25])
@pytest.mark.parametrize("steps", [1, 7, 40])
def test_the_learning_rate_follows_its_schedule(schedule, warmup, steps):
    settings = TrainingSettings(steps=steps, warmup=warmup, schedule=schedule, learning_rate=2e-4)
    warm = warmup * steps
    for step in range(steps):
        line = np.interp(step, [-1, warm, steps], [0, 1, 0])
        expected = {"linear": line, "cosine": np.sin(np.pi / 2 * line) ** 2, "constant": 1.0}[schedule]
        if step < warm:
            expected = line
        assert learning_rate_at(settings, step) == pytest.approx(2e-4 * expected)
        assert 0 < learning_rate_at(settings, step) <= 2e-4


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": -1},
        {"batch_size": 0},
        {"warmup": 1.0},
        {"log_every": 0},
        {"divergence": -1.0},
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
        (ValidationSettings, {"keep": "best", "every": 0}),
        (ValidationSettings, {"queries": -1}),
        (ValidationSettings, {"watch": "retrieval", "queries": 0}),
    ],
)
def test_settings_of_a_part_out_of_range_are_refused(part, wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        part(**wrong)
