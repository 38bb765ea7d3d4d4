"""The shards of a finished store, each opened when a batch first touches it."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from xlstance.storage import Folder, Manifest
from xlstance.training.store.files import KINDS, files_of_shards, map_batch, read_store_manifest
from xlstance.training.store.pairs import ranges

Number = TypeVar("Number", bound=np.generic)
Rows = npt.NDArray[np.int64]


class Lists(Generic[Number]):
    """Rows of a mapped list column."""

    def __init__(self, column: pa.LargeListArray) -> None:
        self._offsets, self._values = column.offsets.to_numpy(), column.values.to_numpy()

    def lengths(self, rows: Rows) -> Rows:
        """Values of each row."""
        lengths: Rows = self._offsets[rows + 1] - self._offsets[rows]
        return lengths

    def views(self, rows: Rows) -> list[npt.NDArray[Number]]:
        """Each row as a view of the mapped values."""
        bounds = zip(self._offsets[rows].tolist(), self._offsets[rows + 1].tolist(), strict=True)
        return [self._values[start:end] for start, end in bounds]

    def flat(self, rows: Rows, counts: Rows) -> npt.NDArray[Number]:
        """The first ``counts`` values of each row, one row after the other."""
        values: npt.NDArray[Number] = self._values[ranges(self._offsets[rows], counts)]
        return values


class Texts:
    """The queries, or the passages, of a shard.

    Attributes:
        tokens: of each text.
        group: ``[texts] uint64``, the key of each text's group, ascending.
    """

    def __init__(self, path: Path, languages: Sequence[str]) -> None:
        columns = map_batch(path)
        self.tokens: Lists[np.int32] = Lists(columns["tokens"])
        self.group, self._text = columns["group"].to_numpy(), columns["text"].to_numpy()
        own = columns["language"]
        self._codes = np.array([languages.index(name) for name in own.dictionary.to_pylist()], np.int64)
        self._language = own.indices.to_numpy()

    def languages(self, rows: Rows) -> Rows:
        """The number of each text's language among the store's."""
        codes: Rows = self._codes[self._language[rows]]
        return codes

    def keys(self, rows: Rows) -> npt.NDArray[np.uint64]:
        """The keys of each text's group and of the text itself; ``[n, 2] uint64``."""
        return np.stack([self.group[rows], self._text[rows]], axis=1)


class Pairs:
    """The pairs of a shard: rows of the whole store.

    Attributes:
        query: ``[pairs] int64``.
        passage: ``[pairs] int64``.
        negatives: of each pair; None where no pair of the shard has any.
    """

    def __init__(self, path: Path) -> None:
        columns = map_batch(path)
        self.query, self.passage = columns["query"].to_numpy(), columns["passage"].to_numpy()
        self.negatives: Lists[np.int64] | None = Lists(columns["negatives"]) if "negatives" in columns else None


class Answers:
    """The keys of passages known to answer, by the keys of queries."""

    def __init__(self, path: Path) -> None:
        columns = map_batch(path)
        self._keys, self._lists = columns["key"].to_numpy(), Lists[np.uint64](columns["answers"])

    def find(self, keys: npt.NDArray[np.uint64]) -> tuple[Rows, npt.NDArray[np.uint64]]:
        """All that is known to answer: for each answer the place in ``keys`` of what it answers, and its own key."""
        if not len(self._keys):
            return np.zeros(0, np.int64), np.zeros(0, np.uint64)
        places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        asked = np.flatnonzero(self._keys[places] == keys)
        counts = self._lists.lengths(places[asked])
        return np.repeat(asked, counts), self._lists.flat(places[asked], counts)


class Shard:
    """The files of one shard, each mapped when it is first needed.

    Args:
        paths: of the files, in the order of ``files.KINDS``.
        languages: of the store.
    """

    def __init__(self, paths: Sequence[Path], languages: Sequence[str]) -> None:
        self._paths, self._languages = dict(zip(KINDS, paths, strict=True)), languages

    @cached_property
    def queries(self) -> Texts:
        """Its queries."""
        return Texts(self._paths["queries"], self._languages)

    @cached_property
    def passages(self) -> Texts:
        """Its passages."""
        return Texts(self._paths["passages"], self._languages)

    @cached_property
    def pairs(self) -> Pairs:
        """Its pairs."""
        return Pairs(self._paths["pairs"])

    @cached_property
    def answers(self) -> Answers:
        """What answers its queries."""
        return Answers(self._paths["answers"])

    def map(self) -> None:
        """Maps all of them now."""
        _ = self.queries, self.passages, self.pairs, self.answers


class Shards(Protocol):
    """Where a store's shards come from."""

    @property
    def manifest(self) -> Manifest:
        """Of the store."""

    def __getitem__(self, index: int) -> Shard:
        """One shard."""


class LocalShards:
    """The shards of a store on a disk.

    Attributes:
        manifest: of the store.

    Args:
        folder: the store.

    Raises:
        StorageError: if it is not finished, or in a bucket.
    """

    def __init__(self, folder: Folder) -> None:
        self.manifest = read_store_manifest(folder)
        root = folder.local
        self._shards = [
            Shard([root / file.name for file in files], self.manifest.info["languages"])
            for files in files_of_shards(self.manifest)
        ]

    def __getitem__(self, index: int) -> Shard:
        return self._shards[index]
