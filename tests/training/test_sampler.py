import json
import math
from dataclasses import asdict
from fractions import Fraction

import pytest

from xlstance.errors import SettingsError
from xlstance.settings import from_plain, make_parser, parse
from xlstance.training.plan.sampler import SamplerSettings
from xlstance.training.settings import TrainingSettings


def read_line(*arguments):
    return parse(TrainingSettings, make_parser(TrainingSettings, "", "train"), arguments).sampler


@pytest.mark.parametrize(
    "wrong",
    [
        {"alpha": -0.1},
        {"alpha": 1.1},
        {"alpha": math.nan},
        {"bitext_share": 2.0},
        {"block": 0},
        {"window": 0},
        {"language_temperature": 0.5},
        {"language_temperature": math.inf},
        {"source_weights": {"a": 0.0}},
        {"source_weights": {"a": 1.0, "b": math.inf}},
        {"alpha_schedule": {-1: 0.5}},
        {"alpha_schedule": {10**13: 0.5}},
        {"alpha_schedule": {0: 0.5, 10: 1.5}},
    ],
)
def test_what_is_out_of_range_is_refused(wrong):
    with pytest.raises(SettingsError, match=f"sampler.{next(iter(wrong))} "):
        SamplerSettings(**wrong)


def test_schedules_and_weights_survive_json():
    training = TrainingSettings(
        sampler=SamplerSettings(alpha_schedule={0: 1.0, 1000: 0.25}, source_weights={"squad": 2.0, "no": 1.0})
    )
    plain = json.loads(json.dumps(asdict(training)))
    assert plain["sampler"]["alpha_schedule"] == {"0": 1.0, "1000": 0.25}  # JSON's keys are strings
    assert from_plain(TrainingSettings, plain) == training


def test_schedules_and_weights_are_read_from_yaml_and_the_command_line(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text("sampler:\n  alpha_schedule:\n    0: 1\n    500: 0.5\n  source_weights: {no: 2, de: 1}\n")
    expected = SamplerSettings(alpha_schedule={0: 1.0, 500: 0.5}, source_weights={"no": 2.0, "de": 1.0})
    assert read_line("--config", str(file)) == expected
    line = read_line("--sampler.alpha_schedule", "{0: 1, 500: 0.5}", "--sampler.source_weights", "{no: 2, de: 1}")
    assert line == expected


@pytest.mark.parametrize(
    "arguments",
    [("--sampler.alpha_schedule", "{x: 1}"), ("--sampler.alpha_schedule", "{0: 2}"), ("--sampler.kind", "x")],
)
def test_a_mistake_on_the_command_line_names_the_setting(arguments):
    with pytest.raises(SettingsError, match=arguments[0].removeprefix("--")):
        read_line(*arguments)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"languages": "uniform"}, [1, 1, 1]),
        ({"languages": "size"}, [8, 1, 64]),
        ({"languages": "temperature", "language_temperature": 1.0}, [8, 1, 64]),
        ({"languages": "temperature", "language_temperature": 3.0}, [2, 1, 4]),
    ],
)
def test_languages_weigh_by_a_power_of_their_rows(settings, expected):
    assert SamplerSettings(**settings).language_weights([8, 1, 64]) == pytest.approx(expected)


def test_alpha_is_that_of_hybrid_alone():
    def total(**settings):
        return SamplerSettings(**settings).alphas().total(Fraction(100))

    schedule = {0: 0.0, 100: 1.0}
    assert total(kind="hybrid", alpha=0.25) == 25
    assert total(kind="hybrid", alpha_schedule=schedule) == 50
    assert total(kind="hybrid", alpha_schedule=schedule, alpha_shape="steps") == 0
    assert total(kind="x-x-mono", alpha=0.25, alpha_schedule=schedule) == 100
    assert total(kind="x-y", alpha=0.25, alpha_schedule=schedule) == 0
