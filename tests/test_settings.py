import dataclasses
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from xlstance.errors import SettingsError
from xlstance.experiment.settings import ExperimentSettings
from xlstance.settings import make_parser, parse

CONFIGS = sorted((Path(__file__).parents[1] / "jobs" / "configs").glob("*.yaml"))
ARM = "arms: [{name: zero, sampler: none}]\n"
BENCHMARK = "benchmarks: [{name: mini, format: miniature}]\n"
SMALL = ARM + BENCHMARK


def read(*arguments: str) -> ExperimentSettings:
    return parse(ExperimentSettings, make_parser(ExperimentSettings, "Tests.", "test"), arguments)


def read_yaml(folder: Path, text: str, *more: str) -> ExperimentSettings:
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    return read("--config", str(folder / "config.yaml"), *more)


def refusal(folder: Path, text: str, *more: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read_yaml(folder, text, *more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_no_is_a_language(tmp_path: Path) -> None:
    source = "{name: on, format: squad, languages: [no, en, yes, off], files: {no: no.parquet, y: n}}"
    settings = read_yaml(tmp_path, f"{SMALL}sources: [{source}]\noutput: yes\n")
    assert settings.sources[0].languages == ["no", "en", "yes", "off"]
    assert settings.sources[0].files == {"no": "no.parquet", "y": "n"}
    assert (settings.sources[0].name, settings.output) == ("on", "yes")
    assert read_yaml(tmp_path, SMALL, "--sources", f"[{source}]").sources == settings.sources


def test_numbers_and_booleans_are_those_of_yaml_1_2(tmp_path: Path) -> None:
    training = (
        "training: {learning_rate: 1e-3, weight_decay: .5, warmup: 0, loss: {temperature: 5.E-2, symmetric: false}}\n"
    )
    settings = read_yaml(tmp_path, SMALL + training).training
    assert (settings.learning_rate, settings.weight_decay, settings.loss.temperature) == (1e-3, 0.5, 0.05)
    assert (settings.warmup, settings.loss.symmetric) == (0.0, False)
    assert isinstance(settings.warmup, float)
    assert read_yaml(tmp_path, SMALL, "--training.learning_rate", "2e-5").training.learning_rate == 2e-5
    asked_for_a_boolean = read_yaml(tmp_path, SMALL + "training: {loss: {symmetric: yes}}\n")
    assert asked_for_a_boolean.training.loss.symmetric is True


def test_dates_stay_strings(tmp_path: Path) -> None:
    assert read_yaml(tmp_path, SMALL + "output: 2024-01-01\n").output == "2024-01-01"


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    text = SMALL + "training: {steps: 7, sampler: {alpha: 0.1}}\n"
    assert read_yaml(tmp_path, text).training.sampler.alpha == 0.1
    settings = read_yaml(tmp_path, text, "--training.sampler.alpha", "0.25", "--seeds", "[3, 4]")
    assert (settings.training.steps, settings.training.sampler.alpha, settings.seeds) == (7, 0.25, [3, 4])
    assert isinstance(settings, ExperimentSettings)
    assert settings == dataclasses.replace(settings, training=settings.training)


@pytest.mark.parametrize(
    ("text", "more", "said"),
    [
        ("trainig: {steps: 3}\n", [], r"'trainig.steps'.*did you mean training.steps\?"),
        ("training: {sampler: {alfa: 0.5}}\n", [], r"'sampler.alfa'.*did you mean training.sampler.alpha\?"),
        ("sources: [{name: a, format: squad, lanuages: [no]}]\n", [], r"'lanuages'.*did you mean languages\?"),
        ("", ["--training.stepz", "3"], r"--training.stepz 3; did you mean training.steps\?"),
        ("training: {steps: many}\n", [], r'"training.steps": expected int. Got value: many'),
        ("seeds: [a]\n", [], r"seeds.*int.*a"),
        ("training: {sampler: {kind: x-z}}\n", [], r'"training.sampler.kind": expected one of .*x-y.*Got value: x-z'),
        ("training: {sampler: {alpha: 1.5}}\n", [], r"sampler.alpha is 1.5; it is a share from 0 to 1"),
        ("training: {learning_rate: -1}\n", [], r"training.learning_rate is -1.0; it must be above 0"),
        (f"{BENCHMARK}seeds: []\n", [], "seeds is empty"),
        ("augmentations: [{code_switching: {p: 2.0}}]\n", [], "^code switching: p is 2.0; give a probability"),
        ("augmentations: [{code_switching: {pp: 2.0}}]\n", [], "'pp' is not accepted; did you mean p"),
        ("a: [1\nb: {\n", [], "Problems parsing config.*line 2"),
        ("[a, b]\n", [], "Unexpected config"),
        ("", ["--config", "absent.yaml"], "--config absent.yaml: there is no such file"),
        ("", ["--config=absent.yaml"], "absent.yaml"),
        ("", ["--config"], "expected one argument"),
        ("", ["stray"], "unrecognized arguments: stray"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, text: str, more: list[str], said: str) -> None:
    assert re.search(said, refusal(tmp_path, text or SMALL, *more))


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes(b"output: caf\xe9\n")
    with pytest.raises(SettingsError, match="not UTF-8"):
        read("--config", str(tmp_path / "config.yaml"))


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        read(*arguments)
    assert caught.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_printed_settings_read_back_as_they_were(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], config: Path
) -> None:
    changes = ["--output", "no", "--training.learning_rate", "1e-05", "--encoder.query_prefix", "1e3: "]
    text = printed(capsys, "--config", str(config), *changes, "--print_config")
    settings = read_yaml(tmp_path, text)
    assert settings == read("--config", str(config), *changes)
    assert (settings.output, settings.encoder.query_prefix) == ("no", "1e3: ")


@pytest.mark.parametrize("text", ["no", "yes", "1e3", "1.5", "12", "2024-01-01", "null", "~", "a: b", "#", "1:30"])
def test_a_printed_string_stays_a_string(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    (tmp_path / "small.yaml").write_text(f"{SMALL}output: {text!r}\n")
    again = printed(capsys, "--config", str(tmp_path / "small.yaml"), "--print_config")
    assert read_yaml(tmp_path, again).output == text


def settings_classes(settings: type, path: str = "") -> Iterator[tuple[str, type]]:
    """Every dataclass of settings with the option that it stands under, those in lists too."""
    yield path, settings
    for name, kind in typing.get_type_hints(settings).items():
        for part in (kind, *typing.get_args(kind)):
            if dataclasses.is_dataclass(part) and isinstance(part, type):
                yield from settings_classes(part, f"{path}{name}.")


def documented(settings: type) -> dict[str, str]:
    """The names and texts of the ``Attributes`` of a class and of those that it inherits from."""
    texts = [(own.__doc__ or "").partition("Attributes:\n")[2] for own in reversed(settings.__mro__)]
    sections = [text.partition("\n\n")[0] for text in texts]  # what a class says beyond its settings comes after
    return dict(re.findall(r"^        (\w+): (\S.*)$", "\n".join(sections), flags=re.MULTILINE))


@pytest.mark.parametrize(("path", "settings"), settings_classes(ExperimentSettings), ids=str)
def test_every_setting_has_a_help_text(path: str, settings: Any) -> None:
    assert documented(settings).keys() == {field.name for field in dataclasses.fields(settings)}


def test_help_lists_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(printed(capsys, "--help").split())
    in_lists = ("sources.", "benchmarks.", "arms.", "augmentations.")
    shown = 0
    for path, settings in settings_classes(ExperimentSettings):
        if path.startswith(in_lists):
            continue
        for name, said in documented(settings).items():
            kind = typing.get_type_hints(settings)[name]
            if not dataclasses.is_dataclass(kind):
                assert re.search(rf"--{re.escape(path + name)}\+? ", text), path + name
                assert " ".join(said.replace("``", "``").split()[:3]) in text, path + name
                shown += 1
    assert shown > 40
