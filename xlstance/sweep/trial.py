"""A trial: a whole training run inside Ray Tune, with quick scores on the way and its figures at the end.

With one worker the core loop runs in the trial's own process; with several the trial drives a TorchTrainer of its own
and follows the metrics that the first worker writes. Checkpoints are the loop's own and lie in the trial's folder, so
that a trial that is started again, by this sweep or a later start of it, goes on where it stood.
"""

import json
import os
import threading
from collections.abc import Mapping
from typing import Any

import ray
from ray import tune
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from xlstance.disk_folder import DiskFolder
from xlstance.encoders import EncoderSettings
from xlstance.errors import UserError
from xlstance.experiment.progress import SLOW_POLL_SECONDS
from xlstance.experiment.settings import ClusterSettings
from xlstance.placement import node_labels
from xlstance.sweep.development import Pool, measure
from xlstance.sweep.preparation import Shared
from xlstance.training.distributed import fit
from xlstance.training.loop import train
from xlstance.training.run import SUMMARY, TrainingRun
from xlstance.training.tracking import METRICS
from xlstance.training.validation import LOSS

STEP, SCORE, FAILED, FIGURES = "step", "score", "failed", "figures"
_MAPS = tuple(f"validation_{setting}_map" for setting in ("mono", "cross", "multi"))
_POLL_SECONDS = 0.5


def run_trial(config: Mapping[str, Any], shared: Shared, pool: Pool) -> None:
    """What Tune calls: trains a point with a seed, measures it and reports.

    A report has ``step`` and ``score``, so that a scheduler can compare trials; the last one has ``figures`` too, or
    ``failed``, the reason. A mistake that would come again is reported and not raised, since Tune would try it again.

    Args:
        config: ``point`` and ``seed``.
        shared: what all trials share.
        pool: what the trained encoder is measured on.
    """
    last = -float("inf")
    try:
        run = shared.run(config["point"], config["seed"])
        cluster = next(iter(shared.variants.values())).settings.cluster
        if not run.trained:
            last = (_train_here if cluster.workers == 1 else _train_apart)(run, cluster)
        figures = _measure(run, shared, pool)
    except UserError as error:
        tune.report({STEP: 0, SCORE: last, FAILED: str(error)})
        return
    tune.report({STEP: run.settings.steps, SCORE: last, FIGURES: figures})


def quick_score(metrics: Mapping[str, Any]) -> float | None:
    """The score of a validation: the mean of the mean average precisions, or the negative loss where there are none."""
    maps = [metrics[name] for name in _MAPS if name in metrics]
    if maps:
        return float(sum(maps) / len(maps))
    return -float(metrics[LOSS]) if LOSS in metrics else None


class ScoreReports:
    """Passes the scores of validations on to Tune, which may end the process in answer.

    Args:
        steps: of the run: the last score is not reported, since the model is not saved yet when it is known.

    Attributes:
        last: the newest score.
    """

    def __init__(self, steps: int) -> None:
        self._steps, self.last = steps, -float("inf")

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Takes the metrics of a step."""
        score = quick_score(metrics)
        if score is None:
            return
        self.last = score
        if step < self._steps:
            tune.report({STEP: step, SCORE: score})

    def close(self) -> None:
        """Nothing is open."""


def _train_here(run: TrainingRun, cluster: ClusterSettings) -> float:
    import torch

    torch.set_num_threads(cluster.cpus_per_worker)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    reports = ScoreReports(run.settings.steps)
    train(run, [reports])
    return reports.last


def _train_apart(run: TrainingRun, cluster: ClusterSettings) -> float:
    """Trains on workers of their own; Tune is told from this thread, the only one that it can stop."""
    failures: list[BaseException] = []

    def drive() -> None:
        try:
            fit(
                [run],
                f"{run.output}/ray",
                workers=cluster.workers,
                cpus_per_worker=cluster.cpus_per_worker,
                gpus_per_worker=cluster.gpus_per_worker,
                wait_seconds=cluster.wait_seconds,
            )
        except BaseException as error:  # raised again where Tune sees it
            failures.append(error)

    driver = threading.Thread(target=drive, daemon=True)
    driver.start()
    reports, told = ScoreReports(run.settings.steps), 0
    while driver.is_alive():
        driver.join(SLOW_POLL_SECONDS if run.place.is_copy else _POLL_SECONDS)
        for metrics in _validations(run.place):
            if metrics["step"] > told:
                told = metrics["step"]
                reports.log(told, metrics)
    if failures:
        raise failures[0]
    return reports.last


def _validations(place: DiskFolder) -> list[dict[str, Any]]:
    """The lines of validations in a run's file of metrics, which may be growing."""
    lines = place.read(METRICS).decode().splitlines() if place.exists(METRICS) else []
    return [json.loads(line) for line in lines if line.endswith("}") and f'"{LOSS}"' in line]


def _measure(run: TrainingRun, shared: Shared, pool: Pool) -> dict[str, Any]:
    """The figures of a trained run: retrieval over the development pool, and what training took."""
    settings = next(iter(shared.variants.values())).settings
    encoder = EncoderSettings(model=run.output, precision=run.encoder.precision)
    batch_tokens, cluster = settings.retrieval.batch_tokens, settings.cluster
    if cluster.workers == 1:
        found = measure(encoder, pool, batch_tokens)
    else:
        # Not in the trial's own share of the cluster, which is next to nothing.
        anywhere = PlacementGroupSchedulingStrategy(placement_group=None)
        task = ray.remote(measure).options(
            num_cpus=cluster.cpus_per_worker,
            num_gpus=cluster.gpus_per_worker,
            scheduling_strategy=anywhere,
            label_selector=node_labels(cluster.gpus_per_worker) or None,
        )
        found = ray.get(task.remote(encoder, pool, batch_tokens))
    summary = json.loads(run.place.read(SUMMARY))
    return {**found, "steps": summary["steps"], "seconds": summary["seconds"]}
