"""The training loop. It knows no Ray: Ray Train, a Tune trial and ``torchrun`` all drive it through ``report``."""

import json
import math
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from xlstance.encoders import EncoderSettings, load_encoder
from xlstance.errors import SettingsError
from xlstance.files import sha256_of
from xlstance.storage import fingerprint
from xlstance.training.batches import BatchReader, RankBatch, validation_sampler
from xlstance.training.checkpoint import load_checkpoint, read_state, save_checkpoint
from xlstance.training.engine import encoder_of, join_process_group, make_engine, whole_parameters
from xlstance.training.objective import Objective
from xlstance.training.settings import TrainingSettings
from xlstance.training.store import TrainingStore

Report = Callable[[dict[str, Any], Path | None], None]
SUMMARY = "training.json"  # written last: its presence says that a model folder is complete
METRICS = "metrics.jsonl"
_BEST = "best"  # folder of the weights of the best validation so far
_VALIDATION_SEED = 0  # the same validation batches for every arm and seed


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """One encoder to be trained.

    Attributes:
        arm: the experiment's arm.
        seed: decides weights, batches, crops and dropout.
        settings: how.
        encoder: what.
        start: folder of the model to start from; empty: the encoder of the settings.
        tokenizer: file of the vocabulary, for an encoder from scratch.
        store: folder of the training store.
        sources: names of the sources to draw from; empty: all.
        validation_store: folder of the store of development pairs; empty: no validation.
        output: folder for the model, its metrics and the best weights so far.
    """

    arm: str
    seed: int
    settings: TrainingSettings
    encoder: EncoderSettings
    start: str = ""
    tokenizer: str = ""
    store: str
    sources: tuple[str, ...] = ()
    validation_store: str = ""
    output: str

    @property
    def name(self) -> str:
        """Arm and seed, as a folder's name."""
        return f"{self.arm}-{self.seed}"

    @property
    def trained(self) -> bool:
        """Whether the run's model is finished."""
        return (Path(self.output) / SUMMARY).exists()


@dataclass
class _Progress:
    """What a resumed run must know besides the engine's state."""

    step: int = 0
    seconds: float = 0.0
    best_loss: float = math.inf
    best_step: int = 0
    worse: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)


def train(run: TrainingRun, report: Report, resume: Path | None = None) -> None:
    """Trains one encoder and saves it with its summary; every process of the group calls it.

    Args:
        run: what to train.
        report: called by every rank equally often with (metrics, folder of this rank's part of a checkpoint); when it
            returns, the checkpoint is kept and the folder may go.
        resume: a merged checkpoint of this run to go on from.

    Raises:
        SettingsError: if the settings do not fit the data or the number of processes.
    """
    rank, world_size = join_process_group()
    _Loop(run, report, rank, world_size).run(resume)


class _Loop:
    def __init__(self, run: TrainingRun, report: Report, rank: int, world_size: int) -> None:
        settings = run.settings
        if settings.batch_size % world_size:
            raise SettingsError(f"training.batch_size {settings.batch_size} is no multiple of the {world_size} workers")
        self._run, self._settings, self._report = run, settings, report
        self._rank, self._world_size, self._output = rank, world_size, Path(run.output)
        described = replace(run.encoder, model=run.start) if run.start else run.encoder
        encoder = load_encoder(described, tokenizer=run.tokenizer or None, seed=run.seed)
        self._engine = make_engine(encoder, settings, world_size)
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
            )

        self._batches = reader(TrainingStore(Path(run.store)), False) if settings.steps else None
        self._validation = reader(TrainingStore(Path(run.validation_store)), True) if run.validation_store else None
        self._progress = _Progress()

    def run(self, resume: Path | None) -> None:
        if resume is None:
            self._keep_metrics(0)
        else:
            self._restore(resume)
        settings, progress = self._settings, self._progress
        began = time.monotonic() - progress.seconds
        while self._batches and progress.step < settings.steps:
            batch = self._batches[progress.step]
            loss = self._step(batch)
            progress.step += 1
            progress.seconds = time.monotonic() - began
            progress.kinds[batch.kind] += 1
            progress.rows.update(batch.rows)
            last = progress.step == settings.steps
            if progress.step % settings.log_every == 0 or last:
                self._log({"kind": batch.kind, "loss": loss, "pairs_per_second": self._rate()})
            if self._is_time(settings.validation.every) or (last and settings.validation.every):
                self._validate()
                if settings.validation.patience and progress.worse >= settings.validation.patience:
                    break
            if self._is_time(settings.checkpoint_every) and not last:
                self._checkpoint()
        self._finish()

    def _is_time(self, every: int) -> bool:
        return bool(every) and self._progress.step % every == 0

    def _rate(self) -> float:
        """Pairs per second over the whole run, validations and checkpoints included."""
        return round(self._progress.step * self._settings.batch_size / self._progress.seconds, 1)

    def _step(self, batch: RankBatch) -> float:
        step = self._progress.step
        for group in self._engine.optimizer.param_groups:
            group["lr"] = self._settings.learning_rate * learning_rate_share(self._settings, step)
        return self._objective.train(batch, step)

    def _validate(self) -> None:
        if self._validation is None:
            return
        losses = [self._objective.evaluate(self._validation[n], n) for n in range(self._settings.validation.batches)]
        loss, progress = sum(losses) / len(losses), self._progress
        self._log({"validation_loss": loss})
        if loss < progress.best_loss:
            progress.best_loss, progress.best_step, progress.worse = loss, progress.step, 0
            if self._settings.validation.patience:
                self._save(self._output / _BEST)
        else:
            progress.worse += 1

    def _save(self, folder: Path) -> None:
        with whole_parameters(self._engine) as encoder:
            if self._rank == 0:
                encoder.save(folder)
        torch.distributed.barrier()

    def _checkpoint(self) -> None:
        state = {"run": self._run.name, "progress": vars(self._progress)}
        with tempfile.TemporaryDirectory() as folder:
            save_checkpoint(self._engine, Path(folder), state, self._rank)
            self._report({"run": self._run.name, "step": self._progress.step}, Path(folder))

    def _restore(self, folder: Path) -> None:
        load_checkpoint(self._engine, folder, self._world_size)
        state = read_state(folder)["progress"]
        self._progress = _Progress(**{**state, "kinds": Counter(state["kinds"]), "rows": Counter(state["rows"])})
        self._keep_metrics(self._progress.step)

    def _keep_metrics(self, step: int) -> None:
        """Drops the metrics of steps that will be done again."""
        path = self._output / METRICS
        if self._rank == 0 and path.exists():
            lines = path.read_text().splitlines()
            kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= step]
            path.write_text("".join(line + "\n" for line in kept))

    def _log(self, metrics: dict[str, Any]) -> None:
        if self._rank == 0:
            self._output.mkdir(parents=True, exist_ok=True)
            run, step = self._run, {"step": self._progress.step, "steps": self._settings.steps}
            with (self._output / METRICS).open("a") as file:
                file.write(json.dumps({"arm": run.arm, "seed": run.seed, **step, **metrics}) + "\n")

    def _finish(self) -> None:
        best = self._output / _BEST
        kept_best = self._progress.best_step > 0 and bool(self._settings.validation.patience)
        if not kept_best:
            self._save(self._output)
        if self._rank == 0:
            if kept_best:
                shutil.copytree(best, self._output, dirs_exist_ok=True)
            summary = json.dumps(self._summary(kept_best), indent=1)
            (self._output / SUMMARY).write_text(summary)
            # Not before the summary: a run that is killed here goes on from a checkpoint and needs it again.
            shutil.rmtree(best, ignore_errors=True)
        torch.distributed.barrier()

    def _summary(self, kept_best: bool) -> dict[str, Any]:
        progress = self._progress
        trained = progress.step > 0
        best = self._output / _BEST
        weights = sorted(path for path in self._output.rglob("*.safetensors") if best not in path.parents)
        return {
            "steps": progress.step,
            "batch_size": self._settings.batch_size,
            "seconds": round(progress.seconds, 1),
            "pairs_per_second": self._rate() if trained else None,
            "kept_step": progress.best_step if kept_best else progress.step,
            "validation_loss": progress.best_loss if math.isfinite(progress.best_loss) else None,
            "batches": dict(sorted(progress.kinds.items())),
            "rows": dict(sorted(progress.rows.items())),
            "weights": fingerprint([sha256_of(path) for path in weights]),
            # ZeRO 3 leaves an empty tensor on each rank, and notes the real size beside it.
            "parameters": sum(getattr(p, "ds_numel", p.numel()) for p in encoder_of(self._engine).parameters()),
        }


def learning_rate_share(settings: TrainingSettings, step: int) -> float:
    """The learning rate at a step (from 0) as a share of its peak: a linear rise, then the schedule's decay."""
    warm = settings.warmup * settings.steps
    if step < warm:
        return (step + 1) / (warm + 1)
    done = (step - warm) / max(1.0, settings.steps - warm)
    return {"linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2, "constant": 1.0}[settings.schedule]
