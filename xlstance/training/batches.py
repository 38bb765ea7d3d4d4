"""From the plan's row numbers to what this rank encodes and compares."""

from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch

from xlstance.encoders import Encoder, Tokens
from xlstance.training.chunks import deal, default_chunk_tokens
from xlstance.training.loss import Share, Targets
from xlstance.training.plan import BatchPlan, Kind, Partition, SamplerSettings
from xlstance.training.store import TrainingStore

# These keep random streams apart from the plan's, which share the seed.
_CROP = 1_000_003
_TRANSLATION = 1_000_033

_MASK_AT_ONCE = 1 << 22  # (query, passage) cells looked at together

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RankBatch:
    """One rank's part of a global batch: the texts that it encodes, and the rows whose loss it computes.

    The texts of the global batch are its n queries, its n passages and the explicit negatives of its pairs, in this
    order. Which of them a rank encodes follows from their lengths; it need not be those of its rows.

    Attributes:
        kind: what the global batch holds.
        rows: rows of the global batch by ``query language->passage language``.
        chunks: the encoder's input for the texts of this rank, chunk by chunk.
        slots: ``[texts] int64``, for each text of the global batch the place of its vector among those of all ranks,
            laid one after the other.
        share: this rank's rows, and what they look for.
    """

    kind: Kind
    rows: dict[str, int]
    chunks: list[dict[str, torch.Tensor]]
    slots: torch.Tensor
    share: Share


class BatchReader:
    """Reads the batches of a plan from a store.

    Args:
        store: a prepared store.
        sources: names of the sources to use; empty: all.
        sampler: how batches are mixed.
        batch_size: rows of a global batch.
        seed: of the plan, the crops and the translations.
        passage_crop: tokens of a random window of each passage; 0: the whole.
        encoder: pads and crops.
        rank: this process's number.
        world_size: number of processes; divides the batch size.
        negatives: explicit negatives of each pair, at most.
        chunk_tokens: tokens of a chunk at most, padding included; 0: what suits the device.
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
        *,
        negatives: int = 0,
        chunk_tokens: int = 0,
    ) -> None:
        self._store, self._encoder, self._seed, self._crop = store, encoder, seed, passage_crop
        self._negatives, self._chunk_tokens = negatives, chunk_tokens or default_chunk_tokens(encoder)
        self._translated = sampler.kind == "mix-passages"
        self._partitions = store.partitions
        used = [index for index, p in enumerate(store.partitions) if not sources or p.source in sources]
        self._used = np.array(used, dtype=np.int64)
        self._plan = BatchPlan([store.partitions[index] for index in used], sampler, batch_size, seed)
        self._rank, self._world_size = rank, world_size
        share = batch_size // world_size
        self._local = slice(rank * share, (rank + 1) * share)

    def __getitem__(self, step: int) -> RankBatch:
        """The batch of a step."""
        batch = self._plan.batch(step)
        partition = self._used[batch.partition]
        queries, passages = self._store.locate(partition, batch.row)
        owners, negatives = self._explicit(partition, batch.row, step)
        candidates = np.concatenate([passages, negatives])
        lengths, windows = self._lengths(queries, candidates, step)
        dealt = deal(lengths, self._world_size, self._chunk_tokens)
        own = [chunk[self._rank] for chunk in dealt.chunks]
        tokens = iter(self._tokens(np.concatenate(own), queries, candidates, windows))
        return RankBatch(
            kind=batch.kind,
            rows=self._count(partition),
            chunks=[self._encoder.collate(list(islice(tokens, len(chunk)))) for chunk in own],
            slots=torch.from_numpy(dealt.slots),
            share=self._share(queries, candidates, owners),
        )

    def _explicit(self, partition: Rows, row: Rows, step: int) -> tuple[Rows, Rows]:
        """The pairs' explicit negatives: whose they are, and their passage rows, each ``[m] int64``, pair by pair."""
        if not self._negatives:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        named = self._store.negatives(partition, row, self._negatives)
        owners, places = np.nonzero(named >= 0)
        negatives = named[owners, places]
        if self._translated:
            # One number for each (pair, place), whether there is a negative or not.
            drawn = np.random.default_rng([self._seed, _TRANSLATION, step]).random(named.shape)[owners, places]
            groups = self._store.translations(negatives)
            negatives = np.array(
                [group[int(at * len(group))] for group, at in zip(groups, drawn, strict=True)], dtype=np.int64
            )
        return owners.astype(np.int64), negatives

    def _lengths(self, queries: Rows, candidates: Rows, step: int) -> tuple[Rows, npt.NDArray[np.float64]]:
        """Tokens of all texts, and where the window of each candidate begins."""
        of_passages = self._store.passage_lengths(candidates)
        if self._crop:
            of_passages = np.minimum(of_passages, self._crop)
        # Drawn for the global batch, so that a row's window does not depend on the number of ranks.
        windows = np.random.default_rng([self._seed, _CROP, step]).random(len(candidates))
        return np.concatenate([self._store.query_lengths(queries), of_passages]), windows

    def _tokens(self, texts: Rows, queries: Rows, candidates: Rows, windows: npt.NDArray[np.float64]) -> list[Tokens]:
        """Tokens of some texts of the global batch, passages cropped."""
        asking = texts < len(queries)
        others = texts[~asking] - len(queries)
        asked = iter(self._store.query_tokens(queries[texts[asking]]))
        found = zip(self._store.passage_tokens(candidates[others]), windows[others].tolist(), strict=True)
        if self._crop:
            given = (self._encoder.crop(ids, "passage", self._crop, at) for ids, at in found)
        else:
            given = (ids for ids, _ in found)
        return [next(asked if is_query else given) for is_query in asking.tolist()]

    def _share(self, queries: Rows, candidates: Rows, owners: Rows) -> Share:
        n, local = len(queries), self._local
        rows = local.stop - local.start
        owner_of = np.concatenate([np.arange(n), owners])
        known = self._known(queries[local], candidates)
        known[:, 0] += local.start
        answers = self._known(queries, candidates[local])[:, ::-1]
        answers = answers[np.argsort(answers[:, 0], kind="stable")]
        answers[:, 0] += local.start
        mine = np.flatnonzero((owners >= local.start) & (owners < local.stop))
        return Share(
            pairs=n,
            queries=Targets(
                start=local.start,
                rows=rows,
                # A pair's own positive and explicit negatives stay what they are, whatever else is known of them.
                others=torch.from_numpy(known[owner_of[known[:, 1]] != known[:, 0]]),
                explicit=torch.from_numpy(np.stack([owners[mine], n + mine], axis=1)),
                languages=torch.from_numpy(self._store.passage_languages(candidates)),
            ),
            passages=Targets(
                start=local.start,
                rows=rows,
                others=torch.from_numpy(answers[answers[:, 0] != answers[:, 1]]),
                explicit=torch.zeros((0, 2), dtype=torch.int64),
                languages=torch.from_numpy(self._store.query_languages(queries)),
            ),
        )

    def _known(self, queries: Rows, passages: Rows) -> Rows:
        """(place of a query, place of a passage known to answer it), ``[k, 2] int64``, sorted."""
        size = max(1, _MASK_AT_ONCE // len(passages))
        found = [
            # As one long row: numpy searches that five times as fast as a table.
            np.flatnonzero(self._store.known_positives(queries[start : start + size], passages)) + start * len(passages)
            for start in range(0, len(queries), size)
        ]
        return np.stack(np.divmod(np.concatenate(found), len(passages)), axis=1)

    def _count(self, partition: Rows) -> dict[str, int]:
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
