"""Faults of a sweep: a killed driver, a killed trial; early stopping; trials with workers of their own."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from sweep_world import ALPHA, alpha_sweep, experiment

from xlstance.experiment.settings import Arm
from xlstance.files import sha256_of
from xlstance.storage import Folder
from xlstance.sweep.journal import JOURNAL, Journal
from xlstance.sweep.run import run_sweep
from xlstance.sweep.settings import Axis, SearchSettings, StoppingSettings
from xlstance.training.settings import ValidationSettings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds what to kill under /proc"),
]
HERE = Path(__file__).parent
DRIVER = """
import sys
from pathlib import Path
from test_sweep_faults import long_settings
from sweep_world import alpha_sweep
from xlstance.sweep.run import run_sweep
run_sweep(long_settings(Path(sys.argv[1])), alpha_sweep(0.0, 0.5, 1.0, concurrency=1, test="none"), "killed")
"""


def long_settings(output, steps=300):
    made = experiment(output, steps=steps)
    training = replace(
        made.training, checkpoint_every=20, log_every=20, validation=ValidationSettings(every=20, batches=1, queries=10)
    )
    return replace(made, arms=[Arm(name="hybrid", sampler="hybrid")], training=training)


def wait_for(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.01)


def begun(root):
    """How often each trial was begun, and those that finished."""
    path = root / JOURNAL
    lines = path.read_text().splitlines() if path.exists() else []
    events = [json.loads(line) for line in lines if line.endswith("}")]
    counts = Counter(event["trial"] for event in events if event["event"] == "begun")
    return counts, {event["trial"] for event in events if event["event"] == "finished"}, events


def scored(root, name, step):
    return any(e["trial"] == name and e["event"] == "score" and e["step"] >= step for e in begun(root)[2])


def metrics_of(root, name):
    return [json.loads(line) for line in (root / "trials" / name / "metrics.jsonl").read_text().splitlines()]


def descendants(pid):
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *descendants(child)]
    return found


def processes(word):
    """Processes below this one whose title has a word."""
    found = []
    for pid in descendants(os.getpid()):
        try:
            if word in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
        except OSError:
            continue
    return found


def runs(pid):
    """Whether a process is there and no mere entry that nobody has asked for yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_sweep_whose_driver_is_killed_goes_on_and_repeats_no_finished_trial(tmp_path):
    root = tmp_path / "sweeps" / "killed"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), os.environ["PYTHONPATH"]])}
    command = [sys.executable, "-c", DRIVER, str(tmp_path)]
    driver = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: scored(root, "alpha-0.5-0", 100) or driver.poll() is not None)
    assert driver.poll() is None
    workers = descendants(driver.pid)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    wait_for(lambda: not any(runs(pid) for pid in workers), 120)
    counts, finished, _ = begun(root)
    assert (counts, finished) == ({"alpha-0-0": 1, "alpha-0.5-0": 1}, {"alpha-0-0"})
    before = [line for line in metrics_of(root, "alpha-0.5-0") if line["step"] <= 60]
    model = sha256_of(root / "trials" / "alpha-0-0" / "model.safetensors")
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    counts, finished, events = begun(root)
    assert counts == {"alpha-0-0": 1, "alpha-0.5-0": 2, "alpha-1-0": 1}
    assert finished == set(counts)
    assert sha256_of(root / "trials" / "alpha-0-0" / "model.safetensors") == model
    # Lines have measured speeds: equal ones were not done again.
    after = metrics_of(root, "alpha-0.5-0")
    assert after[: len(before)] == before
    steps = [event["step"] for event in events if event["event"] == "score" and event["trial"] == "alpha-0.5-0"]
    assert steps == list(range(20, 300, 20))
    assert len(json.loads((root / "sweep.json").read_text())["trials"]) == 3


def test_a_killed_trial_is_taken_up_where_it_stood(ray_session, tmp_path):
    root = tmp_path / "sweeps" / "trial"
    killed = []

    def kill():
        wait_for(lambda: scored(root, "alpha-0.5-0", 100))
        killed.extend(processes(b"ray::ImplicitFunc"))
        for pid in killed:
            os.kill(pid, signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    sweep = alpha_sweep(0.5, 1.0, concurrency=1, test="none")
    results = run_sweep(long_settings(tmp_path), sweep, "trial")
    assert len(killed) == 1
    assert [trial["state"] for trial in results["sweep"]["trials"]] == ["finished", "finished"]
    undisturbed = run_sweep(long_settings(tmp_path / "other"), sweep, "trial")
    for one, other in zip(results["sweep"]["trials"], undisturbed["sweep"]["trials"], strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}


def test_a_trial_that_dies_too_often_is_lost_alone_and_tried_again_later(ray_session, tmp_path):
    root = tmp_path / "sweeps" / "lost"

    def kill():
        wait_for(lambda: scored(root, "alpha-0.5-0", 20))
        for pid in processes(b"ray::ImplicitFunc"):
            os.kill(pid, signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    sweep = alpha_sweep(0.5, 1.0, concurrency=1, test="none", faults=0)
    first = run_sweep(long_settings(tmp_path), sweep, "lost")["sweep"]["trials"]
    assert [trial["state"] for trial in first] == ["lost", "finished"]
    assert first[0]["reason"]
    second = run_sweep(long_settings(tmp_path), sweep, "lost")["sweep"]["trials"]
    assert [trial["state"] for trial in second] == ["finished", "finished"]
    assert begun(root)[0] == {"alpha-0.5-0": 2, "alpha-1-0": 1}


def test_a_search_with_early_stopping_stops_some_and_recommends_a_finished_one(ray_session, tmp_path):
    sweep = alpha_sweep(
        space=[
            Axis(setting=ALPHA, uniform=[0, 1], step=0.1),
            Axis(setting="training.learning_rate", loguniform=[1e-6, 1e-2]),
        ],
        seeds=[0, 1],
        search=SearchSettings(kind="optuna", trials=7, first=4, confirm=1),
        stopping=StoppingSettings(kind="asha", grace=20, reduction=2),
        concurrency=2,
    )
    results = run_sweep(long_settings(tmp_path, steps=80), sweep, "asha")["sweep"]
    states = Counter(trial["state"] for trial in results["trials"])
    assert states["stopped"] > 0
    assert states["finished"] > 1
    assert set(states) == {"stopped", "finished"}
    for trial in results["trials"]:
        assert trial["steps"] == 80 if trial["state"] == "finished" else 20 <= trial["steps"] < 80
    names = {trial["name"] for trial in results["trials"] if trial["state"] == "finished"}
    assert f"{results['recommended']['name']}-0" in names


def test_first_stages_and_data_are_made_once_for_each_value(ray_session, tmp_path):
    settings = experiment(tmp_path, steps=4, switching=True)
    name = "augmentations.switched.code_switching.p"
    sweep = alpha_sweep(space=[Axis(setting=name, grid=[0.2, 1.0]), Axis(setting=ALPHA, grid=[0.5, 1.0])])
    root = tmp_path / "sweeps" / "switching"
    results = run_sweep(settings, sweep, "switching")["sweep"]
    assert [trial["state"] for trial in results["trials"]] == ["finished"] * 4
    assert len(list((root / "shared").iterdir())) == 2
    assert len(list(root.glob("shared/*/models/first-0/training.json"))) == 2
    assert len(list(root.glob("augmented/switched-*"))) == 2
    assert len(list(root.glob("corpora/world/pairs/manifest.json"))) == 1
    figures = {tuple(trial["settings"].values()): trial["objective"] for trial in results["trials"]}
    assert len(set(figures.values())) == 4


def test_trials_with_workers_of_their_own_finish_and_a_stopped_one_frees_its_workers(ray_session, tmp_path):
    """Two processors hold the workers of one trial: if a stopped trial kept its own, the next would wait for ever."""
    settings = replace(long_settings(tmp_path, steps=200), cluster=replace(long_settings(tmp_path).cluster, workers=2))
    rates = Axis(setting="training.learning_rate", choice=[5e-3, 1e-7, 4e-3])
    sweep = alpha_sweep(
        space=[rates], stopping=StoppingSettings(kind="asha", grace=20, reduction=2), concurrency=1, test="none"
    )
    results = run_sweep(settings, sweep, "workers")["sweep"]["trials"]
    assert [trial["state"] for trial in results][:2] == ["finished", "stopped"]
    assert results[2]["state"] in ("finished", "stopped")
    assert len(results) == 3
    assert Journal(Folder(tmp_path / "sweeps" / "workers")).trials[results[0]["name"]].scores
    wait_for(lambda: not processes(b"TrainWorker"), 60)
