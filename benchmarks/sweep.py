"""What a sweep costs beside its training, and what an adaptive search loses against the whole grid.

    python benchmarks/sweep.py overhead
    python benchmarks/sweep.py replay --grid runs/quickstart/sweeps/mixing_ratio

``overhead``: 8 trials of the built-in world, one worker each, two at a time; the wall time of the trials beside half
the sum of their own training times. ``replay``: the search of a space over the recorded trials of a grid, once for each
of five search seeds: what its choice loses on the development pairs in standard errors of the grid's best, its steps,
and the interval that it gives. A trial that early stopping would end costs the steps up to there.
The figures go to ``benchmarks/results/sweep.json``.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from xlstance.evaluation.results import machine
from xlstance.storage import Folder
from xlstance.sweep.journal import Journal, Trial
from xlstance.sweep.outcome import PointRuns, complete, effects_of, points_of, recommend
from xlstance.sweep.search import propose
from xlstance.sweep.settings import SweepSettings, goal
from xlstance.sweep.tuning import make_scheduler
from xlstance.sweep_cli import read_space

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "sweep.json"
SEEDS = range(5)


def overhead(steps: int) -> dict[str, Any]:
    """Wall time of a sweep's trials against the training times that they tell."""
    with tempfile.TemporaryDirectory() as folder:
        space = Path(folder) / "overhead.yaml"
        space.write_text(
            "space: [{setting: training.sampler.alpha, grid: [0.0, 0.25, 0.5, 1.0]}]\n"
            "seeds: [0, 1]\nconcurrency: 2\ntest: none\n"
        )
        command = [sys.executable, str(ROOT / "jobs" / "sweep.py"), "--space", str(space)]
        # The settings after the file: what comes later counts.
        command += ["--config", str(ROOT / "jobs" / "configs" / "quickstart.yaml"), "--output", folder]
        subprocess.run([*command, "--cluster.workers", "1", "--training.steps", str(steps)], check=True)
        root = Path(folder) / "sweeps" / "overhead"
        stages = [json.loads(line) for line in (root / "events.jsonl").read_text().splitlines()]
        wall = next(stage["seconds"] for stage in stages if stage["stage"] == "trials")
        seconds = [trial.figures["seconds"] for trial in Journal(Folder(root)).trials.values()]
    return {
        "steps": steps,
        "trials": len(seconds),
        "training_seconds": seconds,
        "wall_seconds": wall,
        "ratio": round(wall / (sum(seconds) / 2), 3),
    }


class Replay:
    """A search over the recorded trials of a grid.

    Args:
        recorded: the grid's trials by name.
        sweep: the search.
    """

    def __init__(self, recorded: dict[str, Trial], sweep: SweepSettings) -> None:
        self._recorded, self._sweep = recorded, sweep
        self.trials: list[Trial] = []
        self._scheduler = make_scheduler(sweep, max(trial.steps for trial in recorded.values()))

    def run(self) -> None:
        """Asks and answers until the search is over, a trial at a time."""
        while not isinstance(proposal := propose(self._sweep, self.trials), str):
            self.trials.append(self._stopped(self._recorded[proposal.name]))

    def _stopped(self, whole: Trial) -> Trial:
        """The trial, cut where the scheduler would stop it."""
        self._scheduler.on_trial_add(None, (stand_in := _Name(whole.name)))
        for step, score in whole.scores.items():
            if self._scheduler.on_trial_result(None, stand_in, {"step": step, "score": score}) == "STOP":
                scores = {known: value for known, value in whole.scores.items() if known <= step}
                return replace(whole, state="stopped", scores=scores, figures={})
        return whole

    @property
    def steps(self) -> int:
        """Training steps of all its trials."""
        return sum(trial.steps for trial in self.trials)


class _Name:
    def __init__(self, trial_id: str) -> None:
        self.trial_id = trial_id


def replay(grid: Path, space: Path) -> dict[str, Any]:
    """The search of a space over the trials of a grid."""
    recorded = Journal(Folder(grid)).trials
    sweep = replace(read_space(space), seeds=sorted({trial.seed for trial in recorded.values()}))
    whole = points_of(sweep, list(recorded.values()))
    objective = sweep.objectives[0]
    effects = effects_of(whole, objective)
    mean = dict(zip(effects.points, effects.means.tolist(), strict=True))
    best = max(mean, key=lambda label: mean[label])
    of_best = next(runs for runs in whole if runs.label == best)
    error = standard_error(of_best, whole, objective)
    all_steps = sum(trial.steps for trial in recorded.values())
    rows = []
    for seed in SEEDS:
        search = Replay(recorded, replace(sweep, search=replace(sweep.search, seed=seed)))
        search.run()
        points = points_of(sweep, search.trials)
        found = recommend(sweep, points)
        rows.append(
            {
                "search_seed": seed,
                "chosen": found["name"],
                "loses": round(mean[best] - mean[found["name"]], 5),
                "in_standard_errors": round((mean[best] - mean[found["name"]]) / error, 3),
                "steps_share": round(search.steps / all_steps, 4),
                "trials": len(search.trials),
                "complete_points": len(complete(sweep, points)),
                "interval": found["intervals"],
                "found": found["found"],
            }
        )
    return {
        "grid": {
            "best": best,
            "objective": {label: round(value, 5) for label, value in mean.items()},
            "standard_error": round(error, 5),
            "steps": all_steps,
            "recommended": recommend(sweep, whole)["text"],
        },
        "searches": rows,
    }


def standard_error(best: PointRuns, points: list[PointRuns], objective: Any) -> float:
    """Of the mean of the grid's best point over its seeds, their spread taken to be the same at all points."""
    values = [np.array([goal(objective, trial.figures) for trial in runs.trials.values()], float) for runs in points]
    pooled = sum(float(np.square(own - own.mean()).sum()) for own in values) / sum(len(own) - 1 for own in values)
    return float(np.sqrt(pooled / len(best.trials)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["overhead", "replay"])
    parser.add_argument("--steps", type=int, default=1500, help="overhead: of a trial")
    parser.add_argument("--grid", type=Path, help="replay: folder of a finished sweep over a grid")
    parser.add_argument("--space", type=Path, default=ROOT / "tune_spaces" / "mixing_ratio_adaptive.yaml")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    began = time.time()
    found = overhead(given.steps) if given.part == "overhead" else replay(given.grid, given.space)
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    name = given.part if given.part == "overhead" else f"replay {given.grid.parent.parent.name}"
    known[name] = {**found, "space": given.space.name, "seconds": round(time.time() - began, 1), "machine": machine()}
    RESULTS.write_text(json.dumps(known, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
