import subprocess
import sys
from pathlib import Path

import pytest

from xlstance import __version__
from xlstance.cli import main

COMMANDS = ("experiment", "augment", "prepare", "train")


def test_a_mistake_is_one_line_and_exit_code_2_for_the_shell(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("training: {sampler: {alpha: 1.5}}\n")
    program = "from xlstance.cli import entry; entry()"
    command = [sys.executable, "-c", program, "experiment", "--config", "config.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: sampler.alpha is 1.5; it is a share from 0 to 1\n"
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["experimnt"], "there is no command 'experimnt'; .*; did you mean experiment?"),
        (
            ["42"],
            "no command '42'; the commands are experiment, augment, prepare, train, sweep, evaluate, compare, export",
        ),
        (["train"], "xlstance train needs settings: give --config FILE"),
        (["train", "--config", "absent.yaml"], "--config absent.yaml: there is no such file"),
        (["train", "--training.stepz", "3"], "did you mean training.steps?"),
        (["train", "--training.steps", "three"], "expected int. Got value: three"),
        (["train", "--seeds", "[0"], "seeds"),
        (["train", "--output", "x"], "arms is empty"),
    ],
)
def test_mistakes(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    for part in said.split(".*"):
        assert part in err


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"]])
def test_usage_names_every_command(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert main(arguments) == 0
    text = capsys.readouterr().out
    for command in COMMANDS:
        assert f"  {command}" in text


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_and_prints_its_settings(capsys: pytest.CaptureFixture[str], command: str) -> None:
    for option, said in (("--help", f"xlstance {command}"), ("--print_config", "sampler:")):
        with pytest.raises(SystemExit) as caught:
            main([command, option])
        assert caught.value.code == 0
        assert said in capsys.readouterr().out
