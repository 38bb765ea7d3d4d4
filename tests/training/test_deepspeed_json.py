import json

import pytest

from xlstance.encoders import load_encoder
from xlstance.errors import SettingsError
from xlstance.training.deepspeed_json import deepspeed_config
from xlstance.training.engine import join_process_group, make_engine
from xlstance.training.settings import DeepSpeedSettings, TrainingSettings


def make_settings(**deepspeed):
    return TrainingSettings(batch_size=32, deepspeed=DeepSpeedSettings(**deepspeed))


def written(tmp_path, content):
    path = tmp_path / "deepspeed.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_sizes_and_clipping_are_always_there():
    made = deepspeed_config(make_settings(gradient_clipping=0.0), 4)
    assert made["train_batch_size"] == 32
    assert made["train_micro_batch_size_per_gpu"] == 8
    assert made["gradient_accumulation_steps"] == 1
    assert made["gradient_clipping"] == 0.0
    assert "bf16" not in made
    assert "fp16" not in made
    json.dumps(made)


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_stage_and_precision(stage, precision):
    made = deepspeed_config(make_settings(zero_stage=stage, precision=precision), 1)
    assert made["zero_optimization"]["stage"] == stage
    assert {name for name in ("bf16", "fp16") if made.get(name, {}).get("enabled")} == {precision} - {"fp32"}


@pytest.mark.parametrize(
    ("offload", "expected"),
    [("none", set()), ("optimizer", {"offload_optimizer"}), ("parameters", {"offload_optimizer", "offload_param"})],
)
def test_offload(offload, expected):
    zero = deepspeed_config(make_settings(zero_stage=3, offload=offload), 1)["zero_optimization"]
    assert {name for name in zero if name.startswith("offload")} == expected


@pytest.mark.parametrize(("offload", "stage", "needed"), [("optimizer", 0, 1), ("parameters", 2, 3)])
def test_offload_needs_a_stage(offload, stage, needed):
    with pytest.raises(SettingsError, match=f"needs training.deepspeed.zero_stage {needed} or above, not {stage}"):
        make_settings(zero_stage=stage, offload=offload)


def test_a_file_replaces_what_is_generated(tmp_path):
    given = {"zero_optimization": {"stage": 2}, "train_batch_size": 32, "steps_per_print": 5}
    settings = make_settings(config=written(tmp_path, given), zero_stage=3, precision="bf16", gradient_clipping=0.3)
    made = deepspeed_config(settings, 4)
    assert made["zero_optimization"] == {"stage": 2}
    assert "bf16" not in made
    assert made["steps_per_print"] == 5
    assert made["train_micro_batch_size_per_gpu"] == 8
    assert made["gradient_clipping"] == 0.3  # DeepSpeed's own default would clip at 1
    kept = make_settings(config=written(tmp_path, {"gradient_clipping": 7.0, "train_batch_size": "auto"}))
    assert deepspeed_config(kept, 4)["gradient_clipping"] == 7.0
    assert deepspeed_config(kept, 4)["train_batch_size"] == 32


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"train_batch_size": 64},
            r"train_batch_size is 64, but this run's is 32 \(.*, 4 processes\)",
        ),
        ({"train_micro_batch_size_per_gpu": 32}, "train_micro_batch_size_per_gpu is 32, but this run's is 8"),
        ({"gradient_accumulation_steps": 2}, "gradient_accumulation_steps is 2, but this run's is 1"),
        ({"scheduler": {"type": "WarmupLR"}}, "scheduler is not possible here; set training.schedule"),
        ("[]", "holds no JSON object"),
        ("{", "is no JSON"),
    ],
)
def test_a_file_that_does_not_fit_the_run_is_refused(tmp_path, given, message):
    with pytest.raises(SettingsError, match=message):
        deepspeed_config(make_settings(config=written(tmp_path, given)), 4)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"none\.json cannot be read: No such file"):
        deepspeed_config(make_settings(config=str(tmp_path / "none.json")), 1)


@pytest.fixture
def encoder(world):
    join_process_group()
    return load_encoder(world.settings, tokenizer=world.vocabulary)


def test_the_engine_is_that_of_the_file(encoder, tmp_path):
    given = {
        "zero_optimization": {"stage": 1},
        "optimizer": {"type": "AdamW", "params": {"torch_adam": True, "betas": [0.5, 0.9]}},
    }
    engine = make_engine(encoder, make_settings(config=written(tmp_path, given)), 1)
    assert engine.zero_optimization_stage() == 1
    assert engine.optimizer.param_groups[0]["betas"] == (0.5, 0.9)
    assert len(engine.optimizer.param_groups) == 2  # norms and biases apart


def test_what_deepspeed_does_not_take_is_one_line(encoder, tmp_path):
    given = {"zero_optimization": {"stage": 1, "no_such_key": 2}}
    with pytest.raises(SettingsError, match=r"DeepSpeed does not take .*json: .*no_such_key") as caught:
        make_engine(encoder, make_settings(config=written(tmp_path, given)), 1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_precision_that_the_machine_lacks_is_refused(encoder, precision, monkeypatch):
    from deepspeed.accelerator import get_accelerator

    monkeypatch.setattr(type(get_accelerator()), f"is_{precision}_supported", lambda self: False)
    with pytest.raises(SettingsError, match=f"precision is {precision}, which this machine cannot compute with"):
        make_engine(encoder, make_settings(precision=precision), 1)
