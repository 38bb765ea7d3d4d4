"""One training step: a global batch through the engine, and its contrastive loss."""

import numpy as np
import torch

from xlstance.training.batches import RankBatch
from xlstance.training.collectives import local_device, mean_over_ranks
from xlstance.training.engine import Engine
from xlstance.training.loss import info_nce
from xlstance.training.settings import TrainingSettings


class Objective:
    """What training makes small. Every rank calls the same methods in the same order.

    Args:
        engine: the DeepSpeed engine.
        settings: of the training run.
        seed: of the run; decides dropout.
        rank: this process's number.
    """

    def __init__(self, engine: Engine, settings: TrainingSettings, seed: int, rank: int) -> None:
        self._engine, self._settings, self._seed, self._rank = engine, settings, seed, rank

    def train(self, batch: RankBatch, step: int) -> float:
        """One optimizer step; returns the loss of the global batch before it."""
        self._engine.train()
        loss = self._loss(batch, step)
        self._engine.backward(loss)
        self._engine.step()
        return mean_over_ranks(float(loss.detach()))

    def evaluate(self, batch: RankBatch, step: int) -> float:
        """The loss of a global batch, without dropout or gradient."""
        self._engine.eval()
        with torch.no_grad():
            return mean_over_ranks(float(self._loss(batch, step)))

    def _loss(self, batch: RankBatch, step: int) -> torch.Tensor:
        # DeepSpeed saves no random state: dropout is seeded anew by what identifies this forward pass.
        seed = np.random.SeedSequence([self._seed, step, self._rank]).generate_state(1, np.uint64)[0]
        torch.manual_seed(int(seed))
        device = local_device()
        queries, passages = (
            {name: tensor.to(device) for name, tensor in inputs.items()} for inputs in (batch.queries, batch.passages)
        )
        query_vectors, passage_vectors = self._engine(queries, passages)
        return info_nce(
            query_vectors,
            passage_vectors,
            batch.known.to(device),
            batch.answers.to(device) if self._settings.loss.symmetric else None,
            temperature=self._settings.loss.temperature,
            rank=self._rank,
        )
