"""A training store, opened for reading: rows of the whole store, found in its shards."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xlstance.errors import SettingsError
from xlstance.storage import Folder
from xlstance.training.plan import Partition
from xlstance.training.store.files import files_of_shards
from xlstance.training.store.pairs import ranges
from xlstance.training.store.shards import LocalShards, Rows, Shard, Shards, Texts

Tokens = list[npt.NDArray[np.int32]]
Keys = npt.NDArray[np.uint64]


class TrainingStore:
    """A prepared store; nothing is loaded but the pages that are touched.

    Attributes:
        partitions: the pairs, by source and languages; a partition's pieces are its parts of the shards.
        languages: of all texts, in the order of their codes.

    Args:
        shards: a store's folder on a disk, or what opens its shards.

    Raises:
        StorageError: if the folder holds no finished store.
    """

    def __init__(self, shards: Path | Shards) -> None:
        self._shards = LocalShards(Folder(shards)) if isinstance(shards, Path) else shards
        manifest = self._shards.manifest
        self.partitions = [
            Partition(**{**fields, "pieces": tuple(fields["pieces"])}) for fields in manifest.info["partitions"]
        ]
        self.languages: tuple[str, ...] = tuple(manifest.info["languages"])
        self._scattered: bool = manifest.info["scattered"]
        rows = np.array([[file.rows for file in files[:2]] for files in files_of_shards(manifest)], np.int64)
        self._queries = _Sharded(self._shards, rows[:, 0], lambda shard: shard.queries)
        self._passages = _Sharded(self._shards, rows[:, 1], lambda shard: shard.passages)
        # All partitions' pieces, one after the other: where each ends, and how far its rows stand in the shard's file.
        pieces = np.array([partition.pieces for partition in self.partitions], np.int64)
        ends = np.cumsum(pieces).reshape(pieces.shape)
        self._starts = ends[:, 0] - pieces[:, 0]
        self._piece_ends, self._shard_count = ends.ravel(), pieces.shape[1]
        self._shifts = ((np.cumsum(pieces, axis=0) - pieces) - (ends - pieces)).ravel()

    def locate(self, partition: Rows, row: Rows) -> tuple[Rows, Rows]:
        """Query rows and passage rows of a batch, each ``[n] int64``."""
        queries, passages = np.empty_like(row), np.empty_like(row)
        for shard, places, own in self._pairs(partition, row):
            queries[places], passages[places] = shard.pairs.query[own], shard.pairs.passage[own]
        return queries, passages

    def negatives(self, partition: Rows, row: Rows, count: int) -> Rows:
        """Passage rows of each pair's first explicit negatives.

        Args:
            partition: ``[n] int64``.
            row: ``[n] int64``, rows of the partitions.
            count: of negatives.

        Returns:
            ``[n, count] int64``, -1 where a pair has fewer.
        """
        found = np.full((len(row), count), -1, np.int64)
        for shard, places, own in self._pairs(partition, row):
            if shard.pairs.negatives is not None:
                taken = np.minimum(shard.pairs.negatives.lengths(own), count)
                column = ranges(np.zeros_like(taken), taken)
                found[np.repeat(places, taken), column] = shard.pairs.negatives.flat(own, taken)
        return found

    def _pairs(self, partition: Rows, row: Rows) -> Iterator[tuple[Shard, Rows, Rows]]:
        """Each shard that holds some of the pairs, with their places in the batch and their rows in its file."""
        at = self._starts[partition] + row
        piece = np.searchsorted(self._piece_ends, at, side="right")
        own = at + self._shifts[piece]
        for index, places in _groups(piece % self._shard_count):
            yield self._shards[index], places, own[places]

    def query_tokens(self, rows: Rows) -> Tokens:
        """Token ids of queries."""
        return self._queries.tokens(rows)

    def passage_tokens(self, rows: Rows) -> Tokens:
        """Token ids of passages."""
        return self._passages.tokens(rows)

    def query_lengths(self, rows: Rows) -> Rows:
        """Number of tokens of queries, which are not read; ``[n] int64``."""
        return self._queries.lengths(rows)

    def passage_lengths(self, rows: Rows) -> Rows:
        """Number of tokens of passages, which are not read; ``[n] int64``."""
        return self._passages.lengths(rows)

    def query_languages(self, rows: Rows) -> Rows:
        """Languages of queries, as places in ``languages``; ``[n] int64``."""
        return self._queries.languages(rows)

    def passage_languages(self, rows: Rows) -> Rows:
        """Languages of passages, as places in ``languages``; ``[n] int64``."""
        return self._passages.languages(rows)

    def translations(self, rows: Rows) -> list[Rows]:
        """For each passage the rows of its group, itself among them, ordered by (language, row).

        Raises:
            SettingsError: if a group stands in several shards.
        """
        if self._scattered:
            raise SettingsError(
                "passages of one group stand in several shards of the training store, so that translations cannot be "
                "looked up; publish the sources cut by group, as `xlstance` does, or in one shard"
            )
        found: list[Rows] = [rows[:0]] * len(rows)
        for shard, places, own in self._passages.split(rows):
            group = shard.passages.group
            starts = np.searchsorted(group, group[own], "left") + (rows[places] - own)
            counts = np.searchsorted(group, group[own], "right") + (rows[places] - own) - starts
            for place, start, count in zip(places.tolist(), starts.tolist(), counts.tolist(), strict=True):
                found[place] = np.arange(start, start + count)
        return found

    def known_positives(self, queries: Rows, passages: Rows) -> npt.NDArray[np.bool_]:
        """Which passages are known to answer which queries.

        Args:
            queries: ``[q] int64`` query rows.
            passages: ``[p] int64`` passage rows.

        Returns:
            ``[q, p] bool``.
        """
        asking, answers = [queries[:0]], [np.zeros(0, np.uint64)]
        for shard, places, own in self._queries.split(queries):
            asked, found = shard.answers.find(shard.queries.keys(own).ravel())
            asking.append(places[asked // 2])
            answers.append(found)
        keys = self._passages.keys(passages).ravel()
        order = np.argsort(keys)
        wanted = np.concatenate(answers)
        first = np.searchsorted(keys[order], wanted, "left")
        counts = np.searchsorted(keys[order], wanted, "right") - first
        known = np.zeros((len(queries), len(passages)), dtype=np.bool_)
        known[np.repeat(np.concatenate(asking), counts), order[ranges(first, counts)] // 2] = True
        return known


class _Sharded:
    """The texts of one kind over all shards."""

    def __init__(self, shards: Shards, rows: Rows, texts: Callable[[Shard], Texts]) -> None:
        self._shards, self._texts, self._ends, self._starts = shards, texts, np.cumsum(rows), np.cumsum(rows) - rows

    def split(self, rows: Rows) -> Iterator[tuple[Shard, Rows, Rows]]:
        """Each shard that holds some of the rows, with their places among them and their rows in its file."""
        shard = np.searchsorted(self._ends, rows, side="right")
        own = rows - self._starts[shard]
        for index, places in _groups(shard):
            yield self._shards[index], places, own[places]

    def tokens(self, rows: Rows) -> Tokens:
        found: Tokens = [np.zeros(0, np.int32)] * len(rows)
        for shard, places, own in self.split(rows):
            for place, ids in zip(places.tolist(), self._texts(shard).tokens.views(own), strict=True):
                found[place] = ids
        return found

    def lengths(self, rows: Rows) -> Rows:
        found = np.empty_like(rows)
        for shard, places, own in self.split(rows):
            found[places] = self._texts(shard).tokens.lengths(own)
        return found

    def languages(self, rows: Rows) -> Rows:
        found = np.empty_like(rows)
        for shard, places, own in self.split(rows):
            found[places] = self._texts(shard).languages(own)
        return found

    def keys(self, rows: Rows) -> Keys:
        found = np.empty((len(rows), 2), np.uint64)
        for shard, places, own in self.split(rows):
            found[places] = self._texts(shard).keys(own)
        return found


def _groups(values: Rows) -> Iterator[tuple[int, Rows]]:
    """Each value with its places."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    for places in np.split(order, starts[1:]):
        if len(places):
            yield int(values[places[0]]), places
