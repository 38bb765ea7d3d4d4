"""The training loop. It knows no Ray: Ray Train, ``torchrun`` and a caller in one process drive the same one."""

import json
import math
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from xlstance.encoders import load_encoder
from xlstance.errors import SettingsError
from xlstance.files import write_whole
from xlstance.training.agreement import together
from xlstance.training.batches import BatchReader, RankBatch, validation_sampler
from xlstance.training.checkpoint import Checkpoints
from xlstance.training.divergence import DivergenceError, DivergenceWatch
from xlstance.training.engine import join_process_group, make_engine
from xlstance.training.learning_rate import learning_rate_at
from xlstance.training.objective import Objective
from xlstance.training.prefetch import Prefetcher
from xlstance.training.run import SUMMARY, TrainingRun
from xlstance.training.saving import BestWeights, save_model, weights_are_finite
from xlstance.training.state import RunState
from xlstance.training.store import TrainingStore, open_store
from xlstance.training.summary import make_summary
from xlstance.training.tracking import METRICS, MetricsFile, TensorBoard, Tracker
from xlstance.training.validation import LOSS, Validation

_VALIDATION_SEED = 0  # the same validation batches for every arm and seed


def train(run: TrainingRun, trackers: Sequence[Tracker] = ()) -> None:
    """Trains one encoder and saves it with its summary; every process of the group calls it.

    A run that was stopped goes on from its newest whole checkpoint, and ends with the same bytes as one that was not.

    Args:
        run: what to train.
        trackers: take the metrics in the first process, beside ``metrics.jsonl``.

    Raises:
        UserError: in every process alike: for settings that do not fit the data or the number of processes, damaged
            checkpoints, a loss that diverged, a folder that cannot be written.
    """
    rank, world_size = join_process_group()
    loop = _Loop(run, rank, world_size, trackers)
    try:
        loop.run()
    finally:
        loop.close()


class _Loop:
    def __init__(self, run: TrainingRun, rank: int, world_size: int, trackers: Sequence[Tracker]) -> None:
        settings = run.settings
        if settings.batch_size % world_size:
            raise SettingsError(f"training.batch_size {settings.batch_size} is no multiple of the {world_size} workers")
        self._run, self._settings, self._rank, self._given = run, settings, rank, trackers
        with together(f"{run.name} cannot be opened"):
            run.place.fetch()
            described = replace(run.encoder, model=run.start) if run.start else run.encoder
            encoder = load_encoder(described, tokenizer=run.tokenizer or None, seed=run.seed)
            window = settings.sampler.window if settings.sampler.order == "blocks" else 0
            store = open_store(run.store, run.node_folder, window) if settings.steps else None
            development = open_store(run.validation_store, run.node_folder) if run.validation_store else None
            stamp = run.stamp()
        self._engine = make_engine(encoder, settings, world_size, run.seed)
        self._objective = Objective(self._engine, settings, run.seed, rank)

        def reader(store: TrainingStore, validation: bool) -> BatchReader:
            return BatchReader(
                store,
                () if validation else run.sources,
                validation_sampler(store) if validation else settings.sampler,
                settings.batch_size,
                _VALIDATION_SEED if validation else run.seed,
                settings.passage_crop,
                encoder,
                rank,
                world_size,
                negatives=0 if validation else settings.negatives,
                chunk_tokens=settings.chunk_tokens,
            )

        self._batches = Prefetcher(reader(store, False), settings.steps) if store else None
        self._validation = (
            Validation(development, reader(development, True), settings, self._engine, self._objective)
            if development and settings.validation.every
            else None
        )
        self._checkpoints = Checkpoints(run.checkpoints, stamp, rank, world_size)
        self._best = BestWeights(run.best, rank)
        self._trackers: list[Tracker] = []
        self._state = RunState()

    def run(self) -> None:
        self._restore()
        settings, state = self._settings, self._state
        began = time.monotonic() - state.seconds
        while self._batches and state.step < settings.steps and not self._stops_early():
            batch, loss = self._step(self._batches)
            state.seconds = time.monotonic() - began
            last = state.step == settings.steps
            if self._is_time(settings.log_every) or last:
                self._log_step(batch, loss)
            if self._validation and (self._is_time(settings.validation.every) or last):
                self._validate(self._validation, batch)
            if self._is_time(settings.checkpoint_every) and not last:
                self._checkpoint(batch)
        self._finish()

    def close(self) -> None:
        if self._batches:
            self._batches.close()
        for tracker in self._trackers:
            tracker.close()

    def _is_time(self, every: int) -> bool:
        return bool(every) and self._state.step % every == 0

    def _stops_early(self) -> bool:
        return 0 < self._settings.validation.patience <= self._state.worse

    def _restore(self) -> None:
        found = self._checkpoints.restore(self._engine)
        if found is not None:
            self._state = RunState.from_json(found)
        self._watch = DivergenceWatch(self._settings.divergence, self._state.means, self._state.lowest)
        with together(f"the metrics cannot be written to {self._run.folder}"):
            if self._rank == 0:
                facts = {"arm": self._run.arm, "seed": self._run.seed, "steps": self._settings.steps}
                file = MetricsFile(self._run.place, facts)
                lines = file.keep_until(self._state.step)
                board = [TensorBoard(self._run.folder, lines)] if self._settings.tensorboard else []
                self._trackers = [file, *board, *self._given]
                self._best.drop_after(self._state.step)

    def _step(self, batches: Prefetcher) -> tuple[RankBatch, float]:
        step = self._state.step
        began = time.monotonic()
        batch = batches.get(step)
        for group in self._engine.optimizer.param_groups:
            group["lr"] = learning_rate_at(self._settings, step)
        loss = self._objective.train(batch, step)
        self._state.count(batch, time.monotonic() - began, batches.waited)
        # Under fp16 a step whose gradient overflows is skipped, and nothing is lost.
        norm = None if self._engine.fp16_enabled() else self._gradient_norm()
        problem = self._watch.problem(batch.kind, loss, norm)
        if problem:
            raise self._diverged(problem, batch)
        return batch, loss

    def _gradient_norm(self) -> float | None:
        """Of the last step, before clipping; without ZeRO DeepSpeed tells none."""
        norm = self._engine.get_global_grad_norm()
        return None if norm is None else float(norm)

    def _log(self, metrics: Mapping[str, Any]) -> None:
        for tracker in self._trackers:
            tracker.log(self._state.step, metrics)

    def _log_step(self, batch: RankBatch, loss: float) -> None:
        state, norm = self._state, self._gradient_norm()
        metrics: dict[str, Any] = {"kind": batch.kind, "loss": loss}
        metrics["learning_rate"] = learning_rate_at(self._settings, state.step - 1)
        if norm is not None and math.isfinite(norm):
            metrics["gradient_norm"] = norm
        if self._settings.loss.learn_temperature:
            metrics["temperature"] = self._objective.temperature
        self._log({**metrics, **state.rates(self._settings.batch_size), "wait_share": state.wait_share})

    def _validate(self, validation: Validation, batch: RankBatch) -> None:
        figures = validation.measure()
        if not math.isfinite(figures[LOSS]):
            raise self._diverged(f"the validation loss is {figures[LOSS]}", batch)
        self._log(figures)
        if self._state.judge(validation.score(figures), figures) and self._settings.validation.keeps_best:
            self._best.save(self._engine, self._state.step)
            self._best.drop(self._state.best_step, self._checkpoints.steps())

    def _checkpoint(self, batch: RankBatch) -> None:
        with together("the weights cannot be looked at"):
            if not weights_are_finite(self._engine):
                raise self._diverged("the weights hold values that are not finite", batch)
            if self._rank == 0 and (self._run.folder / METRICS).exists():
                self._run.place.keep(METRICS)  # a run that goes on from here will not log these steps again
        self._checkpoints.save(self._engine, self._state.step, self._state.to_json())
        self._best.drop(self._state.best_step, self._checkpoints.steps())

    def _diverged(self, problem: str, batch: RankBatch) -> DivergenceError:
        steps = self._checkpoints.steps()
        kept = f"the last good checkpoint is of step {steps[-1]}, in {self._run.checkpoints}" if steps else ""
        return DivergenceError(
            self._run.name, self._state.step, batch.kind, batch.rows, problem, kept or "there is no checkpoint yet"
        )

    def _finish(self) -> None:
        run, state = self._run, self._state
        kept_best = self._settings.validation.keeps_best and state.best is not None
        if not kept_best:
            save_model(self._engine, run.folder, self._rank)
        with together(f"the model cannot be written to {run.folder}"):
            if self._rank == 0:
                if kept_best:
                    shutil.copytree(self._best.at(state.best_step).path, run.folder, dirs_exist_ok=True)
                kept_step = state.best_step if kept_best else state.step
                summary = make_summary(run, state, kept_step, self._engine)
                passing = (run.best.path, run.checkpoints.path)
                run.place.keep(*(path.name for path in sorted(run.folder.iterdir()) if path not in passing))
                write_whole(run.folder / SUMMARY, json.dumps(summary, indent=1))
                run.place.keep(SUMMARY)
                # Not before the summary: a run that is killed here goes on from a checkpoint and needs them again.
                self._best.remove()
        with together(f"the checkpoints in {run.checkpoints} cannot be removed"):
            self._checkpoints.remove()
