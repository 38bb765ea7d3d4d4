"""Ray Tune around the trials of a sweep: it starts, watches and stops them; the journal says what was and what is next.

Every start of a sweep is a new run of Tune, which is handed first what an earlier one had begun and not ended. So
nothing is restored from Tune's own files, which are pickles, and a finished trial is never run again.
"""

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ray import tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from xlstance.errors import UserError
from xlstance.experiment.settings import ClusterSettings
from xlstance.placement import autoscales, await_room, placed, room
from xlstance.progress import progress_bar
from xlstance.session import missing_resources, on_one_machine
from xlstance.storage import Folder
from xlstance.sweep.development import Pool
from xlstance.sweep.journal import Journal, Trial
from xlstance.sweep.preparation import Shared
from xlstance.sweep.search import Proposal, propose, size
from xlstance.sweep.settings import SweepSettings
from xlstance.sweep.trial import FAILED, FIGURES, SCORE, STEP, run_trial

_HARDLY_ANYTHING = {"memory": 2.0**20}  # bytes: what a trial takes that only waits for workers of its own
_ROUNDS = 3  # runs of Tune in one start: it gives a trial up whose process cannot be used again, and ends
_ENVIRONMENT = {
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # an interruption ends the sweep here, and not in Tune
    "RAY_AIR_NEW_OUTPUT": "0",  # which prints whatever the verbosity
}


def run_trials(
    sweep: SweepSettings,
    cluster: ClusterSettings,
    steps: int,
    shared: Shared,
    pool: Pool,
    journal: Journal,
    root: Folder,
) -> None:
    """Runs what is left of a sweep.

    Args:
        sweep: the sweep; its seeds are filled in.
        cluster: what a trial asks of Ray.
        steps: the most that a trial is trained for.
        shared: what trials share; goes through the object store once.
        pool: what they are measured on; the same.
        journal: what was, and where what comes is noted.
        root: the sweep's folder.

    Raises:
        UserError: if a trial needs more than there is, or the sweep is interrupted.
    """
    bundle = {"CPU": float(cluster.cpus_per_worker)}
    if cluster.gpus_per_worker:
        bundle["GPU"] = float(cluster.gpus_per_worker)
    alone = cluster.workers == 1
    # Workers of a trial's own ask Ray themselves; what the trial held for them they could not have.
    held = bundle if alone else _HARDLY_ANYTHING
    labels = _labels(cluster, held.get("GPU", 0))
    trainable = tune.with_resources(
        tune.with_parameters(_run_placed, shared=shared, pool=pool, cluster=cluster),
        tune.PlacementGroupFactory([held], bundle_label_selector=[labels] if labels else None),
    )
    waiting = [trial for trial in journal.trials.values() if trial.state in ("begun", "lost")]
    for _ in range(_ROUNDS):
        if not waiting and propose(sweep, list(journal.trials.values())) == "over":
            return
        at_once, scheduler = _at_once(sweep, cluster, bundle), make_scheduler(sweep, steps)
        with _quiet():
            tuner = tune.Tuner(
                trainable,
                tune_config=tune.TuneConfig(
                    search_alg=Plan(sweep, journal, scheduler, waiting),
                    scheduler=scheduler,
                    num_samples=-1,
                    max_concurrent_trials=at_once,
                    # A process that has loaded torch and DeepSpeed serves the next trial too. One that drives workers
                    # ends with its trial, and they with it.
                    reuse_actors=alone,
                    trial_name_creator=lambda trial: trial.config["trial"],
                    trial_dirname_creator=lambda trial: trial.config["trial"],
                ),
                run_config=tune.RunConfig(
                    name=time.strftime("tune-%Y%m%d-%H%M%S"),
                    storage_path=(root / "ray").uri,
                    failure_config=tune.FailureConfig(max_failures=sweep.faults),
                    callbacks=[_Notes(sweep, journal)],
                    verbose=0,
                ),
            )
            try:
                tuner.fit()
            except KeyboardInterrupt as error:
                raise UserError("the sweep was interrupted; the same command goes on where it stood") from error
        waiting = [trial for trial in journal.trials.values() if not trial.ended]
    if waiting:
        names = ", ".join(trial.name for trial in waiting)
        raise UserError(f"trials that Ray Tune gave up without a word: {names}; its own notes stand in {root / 'ray'}")


def make_scheduler(sweep: SweepSettings, steps: int) -> TrialScheduler:
    """What stops trials early, by their own steps: Tune's count of reports starts anew when a trial does."""
    if sweep.stopping.kind == "none":
        return FIFOScheduler()
    return ASHAScheduler(
        time_attr=STEP,
        metric=SCORE,
        mode="max",
        max_t=max(steps, sweep.stopping.grace),
        grace_period=sweep.stopping.grace,
        reduction_factor=sweep.stopping.reduction,
        stop_last_trials=False,  # the last report comes before the end
    )


def tell_scores(scheduler: TrialScheduler, trial_id: str, trial: Trial) -> None:
    """Tells a scheduler what a trial scored before this start of the sweep, so that it finds its place again."""
    stand_in: Any = SimpleNamespace(trial_id=trial_id)
    scheduler.on_trial_add(None, stand_in)
    for step, score in trial.scores.items():
        scheduler.on_trial_result(None, stand_in, {STEP: step, SCORE: score})


class Plan(Searcher):  # type: ignore[misc]
    """Hands out trials: those left over, then what the search proposes.

    Args:
        sweep: the sweep.
        journal: what was; the trials that begin are noted.
        scheduler: told of the scores that were known before.
        waiting: trials that were begun and have not ended.
    """

    def __init__(
        self, sweep: SweepSettings, journal: Journal, scheduler: TrialScheduler, waiting: Sequence[Trial]
    ) -> None:
        super().__init__()
        self._sweep, self._journal, self._scheduler, self._waiting = sweep, journal, scheduler, list(waiting)
        for trial in journal.trials.values():
            if trial.ended and trial not in self._waiting:
                tell_scores(scheduler, trial.name, trial)

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next trial's configuration; None while that cannot be known."""
        if self._waiting:
            left = self._waiting.pop(0)
            found = Proposal(left.point, left.seed)
        else:
            proposed = propose(self._sweep, list(self._journal.trials.values()))
            if isinstance(proposed, str):
                return None if proposed == "wait" else str(Searcher.FINISHED)
            found = proposed
        trial = self._journal.begin(found.name, found.point, found.seed)
        tell_scores(self._scheduler, trial_id, trial)
        return {"trial": found.name, "point": dict(found.point), "seed": found.seed}

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """The journal knows more than Tune tells here."""

    def save(self, checkpoint_path: str) -> None:
        """Tune wants a file; what there is to know stands in the journal."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """See ``save``."""


class _Notes(tune.Callback):  # type: ignore[misc]
    """Notes in the journal what becomes of trials, and shows people how far the sweep is."""

    def __init__(self, sweep: SweepSettings, journal: Journal) -> None:
        self._sweep, self._journal = sweep, journal

    def setup(self, **info: Any) -> None:
        """Tune begins; it has pickled this object by now, which a bar would not allow."""
        done = sum(trial.ended for trial in self._journal.trials.values())
        self._bar = progress_bar(total=size(self._sweep), initial=done, desc="sweep", unit="trial")

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: dict[str, Any], **info: Any) -> None:
        """A report of a trial."""
        name = trial.config["trial"]
        if FAILED in result:
            self._journal.end(name, "failed", result[FAILED])
        elif FIGURES in result:
            self._journal.finish(name, result[FIGURES])
        else:
            self._journal.score(name, result[STEP], result[SCORE])

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """A trial ended by itself, or the scheduler ended it."""
        known = self._journal.trials[trial.config["trial"]]
        if not known.ended:
            self._journal.end(known.name, "stopped", f"it fell behind others at step {known.steps}")
        self._bar.update()

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """A trial died more often than it may."""
        path = trial.error_file
        lines = Path(path).read_text().split("\n") if path and Path(path).exists() else []
        reason = next((line.strip() for line in reversed(lines) if line.strip()), "its process died")
        self._journal.end(trial.config["trial"], "lost", reason[:300])
        self._bar.update()

    def on_experiment_end(self, trials: Any, **info: Any) -> None:
        """No trial is left."""
        self._bar.close()


def _labels(cluster: ClusterSettings, gpus: float) -> dict[str, str]:
    """Of the nodes for a process that asks for so many GPUs."""
    return cluster.gpu_nodes if gpus else cluster.cpu_nodes


def _run_placed(config: dict[str, Any], shared: Shared, pool: Pool, cluster: ClusterSettings) -> None:
    """Runs a trial, whose own workers go where the settings send them: its process knows nothing of the driver's."""
    with placed(cluster.cpu_nodes, cluster.gpu_nodes):
        run_trial(config, shared, pool)


def _at_once(sweep: SweepSettings, cluster: ClusterSettings, bundle: Mapping[str, float]) -> int:
    """How many trials are begun and not ended at a time.

    Trials that train in their own process wait for room before they begin, and an autoscaler makes room for those that
    wait; those that have workers of their own would begin, and wait for them in vain.

    Raises:
        UserError: if not even one has room.
    """
    if on_one_machine() and (missing := missing_resources(bundle, cluster.workers, "a trial of the sweep")):
        raise UserError(missing)
    labels = _labels(cluster, cluster.gpus_per_worker)
    if not on_one_machine():
        await_room(bundle, labels, "a trial of the sweep", cluster.wait_seconds)
    here = max(1, room(bundle, labels) // cluster.workers)
    if sweep.concurrency:
        return sweep.concurrency if autoscales() else min(sweep.concurrency, here)
    if on_one_machine():  # not more than it really has
        return min(here, max(1, (os.cpu_count() or 1) // (cluster.cpus_per_worker * cluster.workers)))
    if cluster.workers > 1 or not autoscales():
        return here
    # What the estimator asks for follows from what others reached: only its first points need not wait for those.
    return max(here, min(size(sweep), sweep.search.first) if sweep.search.kind == "optuna" else size(sweep))


@contextmanager
def _quiet() -> Iterator[None]:
    """Sets what Tune reads from the environment, and silences what no user of a sweep can act on."""
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    os.environ.update(_ENVIRONMENT)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value
