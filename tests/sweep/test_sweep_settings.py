"""Spaces as settings: what is refused, and what an axis says of itself."""

from pathlib import Path

import pytest

from xlstance.errors import SettingsError
from xlstance.sweep.settings import Axis, SearchSettings, StoppingSettings, SweepSettings, goal
from xlstance.sweep_cli import read_space

ROOT = Path(__file__).resolve().parents[2]
SPACES = sorted((ROOT / "tune_spaces").glob("*.yaml"))
A = Axis(setting="a", grid=[0.0, 1.0])


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_ready_spaces_are_valid(path):
    assert read_space(path).space


def test_the_ready_spaces_are_those_that_are_promised():
    names = {path.stem for path in SPACES}
    assert names == {*("mixing_ratio", "mixing_ratio_adaptive", "mixing_and_temperature", "augmentation", "schedules")}
    alphas = read_space(ROOT / "tune_spaces" / "mixing_ratio.yaml").space[0].values
    assert (alphas[0], alphas[-1], len(alphas)) == (0, 1, 11)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Axis(setting="a"), "a needs exactly one of grid, choice, uniform, loguniform"),
        (lambda: Axis(setting="a", grid=[1], uniform=[0, 1]), "needs exactly one of"),
        (lambda: Axis(setting="a", grid=[1, 1]), "a names a value twice"),
        (lambda: Axis(setting="a", uniform=[1, 0]), "the first number is the lower one"),
        (lambda: Axis(setting="a", uniform=[1, 2, 3]), "a range is two numbers"),
        (lambda: Axis(setting="a", loguniform=[0, 1]), "above 0"),
        (lambda: Axis(setting="a", loguniform=[1, 2], step=0.5), "belongs to uniform"),
        (lambda: SweepSettings(), "space is empty"),
        (lambda: SweepSettings(space=[A, A]), "space names a twice"),
        (lambda: SweepSettings(space=[A], seeds=[1, 1]), "each must be its own"),
        (lambda: SweepSettings(space=[A], seeds=[-1]), "not negative"),
        (lambda: SweepSettings(space=[Axis(setting="a", uniform=[0, 1])]), "a is a range, and search.kind is 'grid'"),
        (lambda: SweepSettings(space=[A], objectives=[]), "name at least one"),
        (lambda: SweepSettings(space=[A], concurrency=-1), "concurrency is -1"),
        (lambda: SearchSettings(trials=0), "search.trials is 0"),
        (lambda: StoppingSettings(grace=0), "stopping.grace is 0"),
        (lambda: StoppingSettings(reduction=1), "stopping.reduction is 1"),
    ],
)
def test_what_does_not_fit_is_refused(make, said):
    with pytest.raises(SettingsError, match=said):
        make()


def test_a_file_names_itself_and_the_nearest_setting(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("space:\n  - {setting: training.sampler.alpha, grid: [0, 1]}\nserch: {kind: grid}\n")
    with pytest.raises(SettingsError, match=r"mine\.yaml: .*serch.*did you mean search"):
        read_space(path)
    with pytest.raises(SettingsError, match="there is no such file"):
        read_space(tmp_path / "other.yaml")


def test_places_follow_the_scale():
    assert Axis(setting="a", grid=[2.0, 4.0, 10.0]).place(4.0) == 0.25
    assert Axis(setting="a", uniform=[1, 3]).place(2) == 0.5
    assert Axis(setting="a", loguniform=[0.01, 1]).place(0.1) == pytest.approx(0.5)
    assert not Axis(setting="a", choice=[1, 2]).is_numeric
    assert not Axis(setting="a", grid=["x", "y"]).is_numeric


def test_goals_are_higher_when_better():
    figures = {"mono": 0.6, "cross": 0.3, "multi": 0.3, "rank_distance": 70.0}
    assert goal("mean", figures) == pytest.approx(0.4)
    assert goal("cross", figures) == 0.3
    assert goal("rank_distance", figures) == -70
    assert goal("mean", {**figures, "cross": None}) == pytest.approx(0.45)
    assert goal("cross", {}) is None
    assert goal("mean", {}) is None
