import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from kills import Scene, descendants, kill, metrics, reaches, steps, weights

from xlstance.errors import StorageError
from xlstance.training.torchrun import main, read_runs, train_in_turn

ROOT = Path(__file__).resolve().parents[2]


def test_two_runs_in_turn(undisturbed):
    for run in undisturbed:
        assert steps(metrics(run)) == list(range(5, 121, 5))
        assert run.trained
        assert not run.checkpoints.path.exists()
    assert weights(undisturbed[0]) != weights(undisturbed[1])


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the processes to kill under /proc")
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_killed_run_goes_on_from_its_checkpoint(world, undisturbed, tmp_path, seed):
    """Seed 0 kills the launcher and its processes, as when a machine goes down; the others one process of the two."""
    run = world.runs_in_turn(tmp_path)[0]
    command = world.torchrun([run], tmp_path)
    with subprocess.Popen(**command, stderr=subprocess.DEVNULL) as launcher:
        reaches(run, random.Random(seed).randrange(10, 45))
        workers = descendants(launcher.pid)
        kill([launcher.pid, *workers] if seed == 0 else [random.Random(seed).choice(workers)])
        assert launcher.wait(60) != 0
    assert not run.trained
    scene = Scene.of(run)
    done = subprocess.run(**command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    scene.assert_resumed(undisturbed[0], every=5, last=120)


def test_a_trained_run_is_left_alone(undisturbed):
    before = {path: path.stat().st_mtime_ns for path in Path(undisturbed[0].output).rglob("*")}
    train_in_turn(undisturbed)
    assert before == {path: path.stat().st_mtime_ns for path in Path(undisturbed[0].output).rglob("*")}


def test_a_missing_file_is_one_line_and_exit_code_2(tmp_path):
    environment = {**os.environ, "TORCHELASTIC_RUN_ID": "test", "RANK": "0"}  # one process as torchrun starts it
    command = [sys.executable, str(ROOT / "jobs" / "train.py"), str(tmp_path / "none.json")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tmp_path}/none.json is no list of training runs")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("rank", "lines"), [("0", 1), ("1", 0)])
def test_only_one_process_tells_of_a_mistake(monkeypatch, capsys, rank, lines):
    monkeypatch.setenv("RANK", rank)
    assert main([]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == lines
    assert told.startswith("error: give one argument" if lines else "")


def test_an_error_of_the_file_system_in_one_process_is_one_line(world, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr("xlstance.training.torchrun.train", lambda run: Path(tmp_path / "none").read_text())
    world.torchrun([world.run(tmp_path / "run")], tmp_path)
    assert main([str(tmp_path / "training-runs.json")]) == 2
    assert capsys.readouterr().err == f"error: [Errno 2] No such file or directory: '{tmp_path}/none'\n"


def test_runs_survive_their_file(world, tmp_path):
    runs = world.runs_in_turn(tmp_path)
    command = world.torchrun(runs, tmp_path)
    assert read_runs(command["args"][-1]) == runs


@pytest.mark.parametrize("content", ["", "{}", "[1]", '[{"arm": "a"}]', "null"])
def test_another_file_is_refused(tmp_path, content):
    (tmp_path / "runs.json").write_text(content)
    with pytest.raises(StorageError, match="is no list of training runs"):
        read_runs(str(tmp_path / "runs.json"))
