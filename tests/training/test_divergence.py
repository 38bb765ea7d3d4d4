"""A loss that is no number, or climbs and stays up, stops a run and says where."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from xlstance.training.checkpoint import finished_steps
from xlstance.training.divergence import DivergenceError, DivergenceWatch
from xlstance.training.loop import train
from xlstance.training.objective import Objective


def first_problem(losses, limit=3.0, kinds=("mono",)):
    """(place, what was said) of the first loss at which training stops."""
    watch = DivergenceWatch(limit, {}, {})
    for place, loss in enumerate(losses):
        said = watch.problem(kinds[place % len(kinds)], loss, None)
        if said:
            return place, said
    return None


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("limit", [0.0, 3.0])
def test_a_loss_that_is_no_number_stops_at_once(loss, limit):
    assert first_problem([1.0, loss], limit) == (1, f"the loss is {loss}")


@pytest.mark.parametrize("norm", [math.nan, math.inf])
def test_so_does_a_gradient(norm):
    assert DivergenceWatch(0.0, {}, {}).problem("mono", 1.0, norm) == f"the norm of the gradient is {norm}"


def test_a_climb_back_to_chance_is_noticed_within_thirty_batches():
    fallen, chance = np.geomspace(5, 0.1, 100), np.full(100, 5.0)
    place, said = first_problem([*fallen, *chance])
    assert 105 < place < 130
    assert said.startswith("the loss of mono batches has risen from 0.1")


def test_a_learning_curve_is_no_climb():
    rng = np.random.default_rng(0)
    curve = np.geomspace(6, 0.05, 400) * rng.lognormal(0, 0.5, 400)
    curve[::37] += 6  # unlucky batches
    assert first_problem(curve) is None


def test_a_shift_from_an_easy_kind_to_a_hard_one_is_no_climb():
    losses = [0.01] * 50 + [5.0] * 50
    watch = DivergenceWatch(3.0, {}, {})
    assert not any(watch.problem("mono" if loss < 1 else "cross", loss, None) for loss in losses)
    assert first_problem(losses) is not None  # it would be, within one kind


def test_no_limit_lets_any_loss_pass():
    assert first_problem([0.1] * 50 + [50.0] * 50, limit=0.0) is None


def test_the_watch_goes_on_from_what_it_knew():
    losses = [*np.geomspace(5, 0.1, 50), *[5.0] * 20]
    means, lowest = {}, {}
    DivergenceWatch(3.0, means, lowest)
    halves = DivergenceWatch(3.0, means, lowest), DivergenceWatch(3.0, dict(means), dict(lowest))
    said = [halves[0].problem("mono", loss, None) for loss in losses[:55]]
    after = DivergenceWatch(3.0, dict(means), dict(lowest))
    said += [after.problem("mono", loss, None) for loss in losses[55:]]
    assert next(place for place, text in enumerate(said) if text) == first_problem(losses)[0]


def test_the_message_names_step_kind_languages_checkpoint_and_a_way_out(world, tmp_path, monkeypatch):
    run = world.run(tmp_path / "run")
    real = Objective.train
    monkeypatch.setattr(
        Objective, "train", lambda objective, batch, step: math.nan if step == 4 else real(objective, batch, step)
    )
    with pytest.raises(DivergenceError) as caught:
        train(run)
    told = str(caught.value)
    assert told.startswith("training run-3 diverged at step 5 (")
    assert ("mono batch of 16 " in told) or ("cross batch of 3 " in told)
    assert "->" in told
    assert f": the loss is nan; the last good checkpoint is of step 4, in {run.checkpoints}; try a lower" in told
    assert finished_steps(run.checkpoints) == [2, 4]
    assert not run.trained


def test_an_exploding_run_stops(world, tmp_path):
    """A learning rate far beyond all reason: the loss climbs, or the weights become no numbers."""
    run = world.run(tmp_path / "run", steps=80, learning_rate=1e30, warmup=0.0, schedule="constant", checkpoint_every=1)
    with pytest.raises(DivergenceError, match="diverged at step"):
        train(run)
    assert not run.trained


def test_weights_that_are_no_numbers_are_never_a_checkpoint(world, tmp_path, monkeypatch):
    """The loss of a step is that before it: the step may have ruined the weights."""
    run = world.run(tmp_path / "run")
    real = Objective.train

    def ruin(objective, batch, step):
        loss = real(objective, batch, step)
        if step == 3:
            with torch.no_grad():
                next(objective._engine.module.parameters()).fill_(math.nan)
        return loss

    monkeypatch.setattr(Objective, "train", ruin)
    with pytest.raises(DivergenceError, match=r"step 4 .* the weights hold values that are not finite; .* of step 2"):
        train(run)
    assert finished_steps(run.checkpoints) == [2]
    monkeypatch.undo()
    train(run)
    assert Path(run.output, "training.json").exists()


def test_a_validation_loss_that_is_no_number_stops_too(world, tmp_path, monkeypatch):
    run = world.run(tmp_path / "run", validation={"every": 1})
    monkeypatch.setattr(Objective, "evaluate", lambda *_: math.nan)
    with pytest.raises(DivergenceError, match=r"step 1 .*the validation loss is nan; there is no checkpoint yet"):
        train(run)


def test_a_long_list_of_languages_is_cut():
    rows = {f"l{number}->en": number for number in range(1, 10)}
    told = str(DivergenceError("arm-0", 7, "cross", rows, "the loss is nan", "there is no checkpoint yet"))
    assert "cross batch of 9 l9->en, 8 l8->en" in told
    assert "l4->en and 3 more)" in told
