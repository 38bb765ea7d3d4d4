"""From the plan's row numbers to this rank's tensors."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from xlstance.encoders import Encoder
from xlstance.training.plan import BatchPlan, Kind, Partition, SamplerSettings
from xlstance.training.store import TrainingStore

_CROP = 1_000_003  # keeps the crops' random stream apart from the plan's, which share the seed


@dataclass(frozen=True)
class RankBatch:
    """One rank's slice of a global batch; b local rows, n global ones.

    Attributes:
        kind: what the global batch holds.
        rows: rows of the global batch by ``query language->passage language``.
        queries: the encoder's input for the local queries.
        passages: the same for their passages.
        known: ``[b, n] bool``, global passages known to answer each local query.
        answers: ``[b, n] bool``, global queries that each local passage is known to answer.
    """

    kind: Kind
    rows: dict[str, int]
    queries: dict[str, torch.Tensor]
    passages: dict[str, torch.Tensor]
    known: torch.Tensor
    answers: torch.Tensor


class BatchReader:
    """Reads the batches of a plan from a store.

    Args:
        store: a prepared store.
        sources: names of the sources to use; empty: all.
        sampler: how batches are mixed.
        batch_size: rows of a global batch.
        seed: of the plan and the crops.
        passage_crop: tokens of a random window of each passage; 0: the whole.
        encoder: pads and crops.
        rank: this process's number.
        world_size: number of processes; divides the batch size.
    """

    def __init__(
        self,
        store: TrainingStore,
        sources: tuple[str, ...],
        sampler: SamplerSettings,
        batch_size: int,
        seed: int,
        passage_crop: int,
        encoder: Encoder,
        rank: int,
        world_size: int,
    ) -> None:
        self._store, self._encoder, self._seed, self._crop = store, encoder, seed, passage_crop
        self._partitions = store.partitions
        used = [index for index, p in enumerate(store.partitions) if not sources or p.source in sources]
        self._used = np.array(used, dtype=np.int64)
        self._plan = BatchPlan([store.partitions[index] for index in used], sampler, batch_size, seed)
        share = batch_size // world_size
        self._local = slice(rank * share, (rank + 1) * share)

    def __getitem__(self, step: int) -> RankBatch:
        """The batch of a step."""
        batch = self._plan.batch(step)
        partition = self._used[batch.partition]
        queries, passages = self._store.locate(partition, batch.row)
        known = self._store.known_positives(queries, passages)
        return RankBatch(
            kind=batch.kind,
            rows=self._count(partition),
            queries=self._encoder.collate(self._store.query_tokens(queries[self._local])),
            passages=self._encoder.collate(self._passage_tokens(passages, step)),
            known=torch.from_numpy(known[self._local]),
            answers=torch.from_numpy(np.ascontiguousarray(known[:, self._local].T)),
        )

    def _passage_tokens(self, rows: npt.NDArray[np.int64], step: int) -> list[npt.NDArray[np.int32]]:
        tokens = self._store.passage_tokens(rows[self._local])
        if not self._crop:
            return tokens
        # Drawn for the global batch, so that a row's window does not depend on the number of ranks.
        at = np.random.default_rng([self._seed, _CROP, step]).random(len(rows))[self._local]
        return [
            self._encoder.crop(ids, "passage", self._crop, float(where)) for ids, where in zip(tokens, at, strict=True)
        ]

    def _count(self, partition: npt.NDArray[np.int64]) -> dict[str, int]:
        counts: dict[str, int] = {}
        for index, count in zip(*np.unique(partition, return_counts=True), strict=True):
            key = languages_of(self._partitions[index])
            counts[key] = counts.get(key, 0) + int(count)
        return counts


def languages_of(partition: Partition) -> str:
    """A partition's language pair as it stands in results."""
    return f"{partition.query_lang}->{partition.passage_lang}"


def validation_sampler(store: TrainingStore) -> SamplerSettings:
    """Half monolingual and half cross-lingual batches where there are both: the same for every arm."""
    retrieval = [p for p in store.partitions if not p.bitext]
    if not retrieval:
        return SamplerSettings(bitext_share=1.0)
    mono = any(p.monolingual for p in retrieval)
    cross = any(not p.monolingual for p in retrieval)
    if mono and cross:
        return SamplerSettings(kind="hybrid", alpha=0.5, block=2)
    return SamplerSettings(kind="x-x-mono" if mono else "x-y")
