"""Points: values put into an experiment's settings by name, and names of points."""

from dataclasses import replace

import pytest
from sweep_world import ALPHA, alpha_sweep, experiment

from xlstance.errors import SettingsError
from xlstance.experiment.settings import Arm
from xlstance.sweep.points import label_of, value_at, with_values
from xlstance.sweep.preparation import check_space, data_part
from xlstance.sweep.settings import Axis, SearchSettings, StoppingSettings
from xlstance.training.settings import ValidationSettings


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return experiment(tmp_path_factory.mktemp("points"), switching=True)


def test_values_go_where_their_names_say_and_nowhere_else(settings):
    point = {
        ALPHA: 0.25,
        "training.sampler.alpha_schedule.0": 0.5,
        "training.sampler.source_weights.paired": 2.0,
        "augmentations.switched.code_switching.p": 0.125,
    }
    changed = with_values(settings, point)
    assert [value_at(changed, name) for name in point] == list(point.values())
    assert changed.training.sampler.alpha_schedule == {0: 0.5}
    sampler = settings.training.sampler
    assert changed.training == replace(
        settings.training,
        sampler=replace(sampler, alpha=0.25, alpha_schedule={0: 0.5}, source_weights={"paired": 2.0}),
    )
    assert replace(changed, training=settings.training, augmentations=settings.augmentations) == settings
    assert data_part(point) == {"augmentations.switched.code_switching.p": 0.125}


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("training.sampler.alfa", "training.sampler.alpha"),
        ("training.loss.temprature", "training.loss.temperature"),
        ("augmentations.swiched.code_switching.p", "augmentations.switched.code_switching.p"),
        ("training.sampler.alpha.more", "training.sampler.alpha"),
    ],
)
def test_an_unknown_setting_is_refused_with_the_nearest_name(settings, name, near):
    with pytest.raises(SettingsError, match=rf"there is no setting {name}; did you mean {near}\?"):
        with_values(settings, {name: 0.5})


@pytest.mark.parametrize(("value", "said"), [(2, "a share from 0 to 1"), ("much", "expected float")])
def test_a_value_that_does_not_fit_is_refused(settings, value, said):
    with pytest.raises(SettingsError, match=said):
        with_values(settings, {ALPHA: value})


def test_labels_are_short_distinct_and_fit_for_files():
    assert label_of({ALPHA: 0.5}) == "alpha-0.5"
    assert label_of({ALPHA: 0, "training.loss.temperature": 0.05}) == "alpha-0_temperature-0.05"
    ends = {"training.sampler.alpha_schedule.0": 0.1, "training.sampler.alpha_schedule.400": 1.0}
    assert label_of(ends) == "alpha_schedule.0-0.1_alpha_schedule.400-1"
    assert label_of({"a.p": 1, "b.p": 2}) == "a.p-1_b.p-2"
    assert label_of({"x": "über/all"}) == "x--ber-all"


@pytest.mark.parametrize(
    ("sweep", "change", "said"),
    [
        (alpha_sweep(0.0, 1.0, arm="other"), {}, "arm is 'other'; the experiment's arms are first, hybrid"),
        (alpha_sweep(0.0, 3.0), {}, "a share from 0 to 1"),
        (
            alpha_sweep(0.0),
            {"arms": [Arm(name="hybrid", sampler="hybrid", alpha=0.5)]},
            "alpha changes nothing: arm hybrid sets it itself",
        ),
        (
            alpha_sweep(space=[Axis(setting="miniature.seed", uniform=[0, 5])], search=SearchSettings(kind="random")),
            {},
            "list values under grid or choice",
        ),
        (alpha_sweep(0.1, 0.10000001), {}, "read the same"),
        (
            alpha_sweep(0.0, stopping=StoppingSettings(kind="asha")),
            {"training": ValidationSettings(every=0)},
            "set training.validation.every",
        ),
    ],
)
def test_a_space_that_does_not_fit_the_experiment_is_refused(settings, sweep, change, said):
    if isinstance(change.get("training"), ValidationSettings):
        change = {"training": replace(settings.training, validation=change["training"])}
    with pytest.raises(SettingsError, match=said):
        check_space(replace(settings, **change), sweep)
