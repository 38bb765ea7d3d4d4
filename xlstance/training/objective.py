"""One training step: a global batch through the engine, its contrastive loss, and the gradient back.

Vectors come first, from all ranks; the loss then gives the gradient in the vectors; the gradient in the weights is that
of the sum of (vector times its gradient), which each rank takes through its own texts. With gradient caching
(arXiv 2101.06983) the vectors are computed without gradient, and each chunk is encoded again for the way back.
"""

import math

import numpy as np
import torch

from xlstance.errors import SettingsError
from xlstance.training.batches import RankBatch
from xlstance.training.collectives import gather, sum_over_ranks
from xlstance.training.engine import Engine, encoder_of, one_reduction
from xlstance.training.loss import share_of_loss
from xlstance.training.settings import TrainingSettings

_LOWEST = math.log(0.01)  # of a learned temperature's logarithm, as in CLIP: below it the loss blows up


class Objective:
    """What training makes small. Every rank calls the same methods in the same order.

    Args:
        engine: the DeepSpeed engine.
        settings: of the training run.
        seed: of the run; decides dropout.
        rank: this process's number.

    Attributes:
        temperature: of the loss at the last step; changes where it is learned.

    Raises:
        SettingsError: if the encoder's vectors have too few entries for a Matryoshka dimension.
    """

    def __init__(self, engine: Engine, settings: TrainingSettings, seed: int, rank: int) -> None:
        self._engine, self._settings, self._seed, self._rank = engine, settings, seed, rank
        self.temperature = settings.loss.temperature
        dimension = encoder_of(engine).dimension
        if max(settings.loss.matryoshka, default=0) > dimension:
            raise SettingsError(
                f"training.loss.matryoshka is {settings.loss.matryoshka}, but the encoder's vectors have {dimension} "
                "entries; give numbers up to that"
            )

    def train(self, batch: RankBatch, step: int) -> float:
        """One optimizer step; returns the loss of the global batch before it."""
        self._engine.train()
        seeds = [self._seed_of(step, chunk) for chunk in range(len(batch.chunks))]
        caching = self._settings.gradient_caching
        with torch.set_grad_enabled(not caching):
            vectors_sd, log_temperature = self._engine(batch.chunks, seeds)
        loss, gradient_sd, slope = self._contrast(vectors_sd, log_temperature, batch)
        if caching:
            self._backward_by_chunk(batch, seeds, gradient_sd, slope)
        else:
            self._backward(vectors_sd, gradient_sd, log_temperature, slope)
        self._engine.step()
        return loss

    def evaluate(self, batch: RankBatch, step: int) -> float:
        """The loss of a global batch, without dropout or gradient."""
        self._engine.eval()
        with torch.no_grad():
            vectors_sd, log_temperature = self._engine(batch.chunks)
            return self._contrast(vectors_sd, log_temperature, batch)[0]

    def _seed_of(self, step: int, chunk: int) -> int:
        return int(np.random.SeedSequence([self._seed, step, self._rank, chunk]).generate_state(1, np.uint64)[0])

    @torch.no_grad()
    def _contrast(
        self, vectors_sd: torch.Tensor, log_temperature: torch.Tensor | None, batch: RankBatch
    ) -> tuple[float, torch.Tensor, float]:
        """The loss of the global batch, its gradient in this rank's vectors and in the temperature's logarithm."""
        share, slots = batch.share.to(vectors_sd.device), batch.slots.to(vectors_sd.device)
        if log_temperature is not None:
            self.temperature = math.exp(float(log_temperature))
        gathered = gather(vectors_sd)
        loss, gradient_td, slope = share_of_loss(gathered[slots], share, self.temperature, self._settings.loss)
        # What a rank's rows want of the texts of others goes to those who encoded them.
        gradient = torch.zeros_like(gathered)
        gradient[slots] = sum_over_ranks(gradient_td)
        own = slice(self._rank * len(vectors_sd), (self._rank + 1) * len(vectors_sd))
        total, total_slope = sum_over_ranks(torch.stack([loss, slope])).tolist()
        if self.temperature <= math.exp(_LOWEST):
            total_slope = min(total_slope, 0.0)  # it may rise again, but sink no further
        return total, gradient[own], total_slope

    def _backward(
        self,
        vectors_sd: torch.Tensor,
        gradient_sd: torch.Tensor,
        log_temperature: torch.Tensor | None,
        slope: float,
    ) -> None:
        # DeepSpeed takes the mean over ranks, and the loss is a sum over what the ranks encoded.
        surrogate = (vectors_sd * gradient_sd).sum() * self._engine.world_size
        if log_temperature is not None:
            surrogate = surrogate + log_temperature * slope
        self._engine.backward(surrogate)

    def _backward_by_chunk(self, batch: RankBatch, seeds: list[int], gradient_sd: torch.Tensor, slope: float) -> None:
        done = 0
        with one_reduction(self._engine):
            for chunk, seed in zip(batch.chunks, seeds, strict=True):
                vectors_sd, log_temperature = self._engine([chunk], [seed])
                here = slice(done, done + len(vectors_sd))
                done = here.stop
                last = done == len(gradient_sd)
                self._backward(vectors_sd, gradient_sd[here], log_temperature if last else None, slope)
