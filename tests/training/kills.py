"""Looking at runs from outside, and ending processes: what the tests of faults share."""

import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from xlstance.training.checkpoint import finished_steps
from xlstance.training.run import TrainingRun

CLOCK = ("arm", "pairs_per_second", "step_pairs_per_second", "wait_share")


def weights(run):
    return (Path(run.output) / "model.safetensors").read_bytes()


def metrics(run):
    """Whole lines, as they stand in the file."""
    path = Path(run.output) / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line for line in lines if line.endswith("}")]


def steps(lines):
    return [json.loads(line)["step"] for line in lines]


def timeless(lines):
    """Lines without what a clock decides, and without the arm's name."""
    return [{name: value for name, value in json.loads(line).items() if name not in CLOCK} for line in lines]


def wait_for(condition, seconds=240):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.002)


def reaches(run, step):
    """Waits until a run has logged a step and has a checkpoint."""
    wait_for(lambda: finished_steps(run.checkpoints) and metrics(run) and steps(metrics(run))[-1] >= step)


def kill(pids):
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def descendants(pid):
    """A process's children, theirs, and so on."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *descendants(child)]
    return found


def training_workers():
    """Processes of Ray Train's workers under this test process, and under no other."""
    found = []
    for pid in descendants(os.getpid()):
        try:
            if b"TrainWorker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
        except OSError:  # it ended meanwhile
            continue
    return found


@dataclass(frozen=True)
class Scene:
    """What a kill left behind: the metrics and the last checkpoint of the run that it hit."""

    run: TrainingRun
    lines: list[str]
    kept: int

    @classmethod
    def of(cls, run):
        time.sleep(0.2)  # a checkpoint may be on its way to the disk
        return cls(run, metrics(run), finished_steps(run.checkpoints)[-1])

    def assert_resumed(self, undisturbed, every, last):
        """Only what came after the checkpoint was done again, and the end is that of the undisturbed run."""
        assert 0 < self.kept <= steps(self.lines)[-1] < last, "some but not all was done at the kill"
        after, through = metrics(self.run), self.kept // every
        # Lines carry measured speeds: the same lines mean that their steps were not done again.
        assert after[:through] == self.lines[:through]
        assert not set(after[through:]) & set(self.lines)
        assert steps(after) == list(range(every, last + 1, every))
        assert timeless(after) == timeless(metrics(undisturbed))
        assert weights(self.run) == weights(undisturbed)
        assert not self.run.checkpoints.path.exists()
