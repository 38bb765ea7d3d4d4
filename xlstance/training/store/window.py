"""A store larger than a node's disk: shards are fetched when a batch needs them, and the longest unused goes."""

import os
import time
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

from xlstance.errors import SettingsError
from xlstance.files import locked
from xlstance.storage import Folder
from xlstance.training.store.files import files_of_shards, read_store_manifest
from xlstance.training.store.node_copy import copy_files
from xlstance.training.store.shards import Shard


class WindowedShards:
    """Shards of a store on any filesystem, a few of them on this node's disk, shared by its processes.

    Attributes:
        manifest: of the store.

    Args:
        folder: the store.
        node_folder: where copies go; each store has its own folder there.
        kept: shards to keep on the disk.

    Raises:
        StorageError: if the store is not finished; later, if the disk lacks room for a shard.
        SettingsError: if its pairs name texts of other shards.
    """

    def __init__(self, folder: Folder, node_folder: Path, kept: int) -> None:
        self.manifest = read_store_manifest(folder)
        if self.manifest.info["apart"]:
            raise SettingsError(
                f"{folder} cannot be read through a window of shards: some of its pairs name queries, passages or "
                "negatives of other shards; copy it whole (sampler.order rows), or leave those sources out"
            )
        self._folder, self._kept, self._files = folder, kept, files_of_shards(self.manifest)
        self._copy = node_folder / f"{self.manifest.fingerprint}-window"
        self._open: OrderedDict[int, Shard] = OrderedDict()

    def __getitem__(self, index: int) -> Shard:
        if index in self._open:
            self._open.move_to_end(index)
            with suppress(FileNotFoundError):  # another process made room; what is mapped stays readable
                self._use(index)
        else:
            while len(self._open) >= self._kept:
                self._open.popitem(last=False)
            self._open[index] = self._fetch(index)
        return self._open[index]

    def _use(self, index: int) -> None:
        """Notes, for all processes, when a shard was used last."""
        now = time.time_ns()
        os.utime(self._copy / self._files[index][0].name, ns=(now, now))

    def _fetch(self, index: int) -> Shard:
        with locked(self._copy.with_suffix(".lock")):
            self._make_room(index)
            copy_files(self._folder, self._files[index], self._copy)
            self._use(index)
            shard = Shard([self._copy / file.name for file in self._files[index]], self.manifest.info["languages"])
            shard.map()
        return shard

    def _make_room(self, index: int) -> None:
        """Removes the shards whose use lies longest back, in whatever process that was."""
        there = [files for i, files in enumerate(self._files) if i != index and (self._copy / files[0].name).exists()]
        there.sort(key=lambda files: (self._copy / files[0].name).stat().st_mtime_ns)
        for files in there[: max(0, len(there) - self._kept + 1)]:
            for file in files:
                (self._copy / file.name).unlink(missing_ok=True)
