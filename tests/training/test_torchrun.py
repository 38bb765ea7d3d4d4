import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from xlstance.errors import StorageError
from xlstance.training.torchrun import main, read_runs, train_in_turn

ROOT = Path(__file__).resolve().parents[2]


def weights(run):
    return (Path(run.output) / "model.safetensors").read_bytes()


def metrics(run):
    return (Path(run.output) / "metrics.jsonl").read_text().splitlines()


def steps(lines):
    return [json.loads(line)["step"] for line in lines]


def wait_for(condition, seconds=90):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.002)


def kill(launcher):
    """SIGKILL to the launcher and the processes that it started, which are sessions of their own under it."""
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    for pid in (launcher.pid, *map(int, children)):
        os.kill(pid, signal.SIGKILL)
    launcher.wait()


def test_two_runs_in_turn(undisturbed):
    for run in undisturbed:
        assert steps(metrics(run)) == list(range(5, 61, 5))
        assert run.trained
        assert not (Path(run.output) / "checkpoints").exists()
    assert weights(undisturbed[0]) != weights(undisturbed[1])


def test_a_killed_run_goes_on_from_its_checkpoint(world, undisturbed, tmp_path):
    run = world.runs_in_turn(tmp_path)[0]
    command = world.torchrun([run], tmp_path)
    marker = Path(run.output) / "checkpoints" / "latest.json"
    with subprocess.Popen(**command, stderr=subprocess.DEVNULL) as launcher:
        wait_for(marker.exists)
        kill(launcher)
    kept = int(json.loads(marker.read_text())["folder"].removeprefix("step-"))
    before = metrics(run)
    assert 0 < kept < 60
    assert not run.trained
    done = subprocess.run(**command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    after = metrics(run)
    # Lines carry measured speeds: the same lines mean that their steps were not done again.
    through = kept // 5
    assert after[:through] == before[:through]
    assert steps(after) == list(range(5, 61, 5))
    assert weights(run) == weights(undisturbed[0])


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


def test_runs_survive_their_file(world, tmp_path):
    runs = world.runs_in_turn(tmp_path)
    command = world.torchrun(runs, tmp_path)
    assert read_runs(Path(command["args"][-1])) == runs


@pytest.mark.parametrize("content", ["", "{}", "[1]", '[{"arm": "a"}]', "null"])
def test_another_file_is_refused(tmp_path, content):
    (tmp_path / "runs.json").write_text(content)
    with pytest.raises(StorageError, match="is no list of training runs"):
        read_runs(tmp_path / "runs.json")
