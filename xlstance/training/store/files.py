"""The files of a training store: Arrow IPC, written whole, read by record batch or mapped."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from xlstance.errors import StorageError
from xlstance.storage import Folder, Manifest, ShardFile, read_manifest

TABLE = "training_store"
KINDS = ("queries", "passages", "pairs", "answers")
_RECEIPT_KEY = b"xlstance.store"
Keys = npt.NDArray[np.uint64]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where the files of a store in the making lie.

    Attributes:
        folder: of the store.
        stamp: its fingerprint; it begins every name, so that what another preparation left is never taken for ours.
        shards: number of shards, and of the buckets through which they tell each other what they need.
    """

    folder: Folder
    stamp: str
    shards: int

    @property
    def scratch(self) -> Folder:
        """What is needed until the store is whole."""
        return self.folder / f"{self.stamp}-scratch"

    def name(self, kind: str, index: int) -> str:
        """The file of one kind and one shard."""
        return f"{self.stamp}-{kind}-{index:05d}.arrow"


def write_file(folder: Folder, name: str, batches: Sequence[pa.RecordBatch]) -> ShardFile:
    """Writes a file of record batches of one schema under its final name; returns the receipt."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    data = sink.getvalue()
    folder.write(name, data)
    rows = sum(batch.num_rows for batch in batches)
    return ShardFile(name=name, rows=rows, bytes=data.size, sha256=hashlib.sha256(data).hexdigest())


def read_batch(folder: Folder, name: str, index: int) -> pa.RecordBatch:
    """One record batch of a file on any filesystem; no other is read."""
    with folder.filesystem.open_input_file(f"{folder.path}/{name}") as file:
        return pa.ipc.open_file(file).get_batch(index)


def read_batches(folder: Folder, name: str) -> pa.Table:
    """All record batches of a file."""
    with folder.filesystem.open_input_file(f"{folder.path}/{name}") as file:
        return pa.ipc.open_file(file).read_all()


def map_batch(path: Path) -> dict[str, pa.Array]:
    """The columns of a file of one record batch, mapped: nothing is loaded but the pages that are touched."""
    # The mapping outlives the file handle, of which a process may have no more than a thousand.
    with pa.memory_map(str(path)) as file:
        batch = pa.ipc.open_file(file).get_batch(0)
    return dict(zip(batch.schema.names, batch.columns, strict=True))


def cut_by_key(rows: pa.Table, keys: Keys, parts: int) -> list[pa.RecordBatch]:
    """Rows sorted by a key, as one record batch for each of ``parts`` equal ranges of keys."""
    order = np.argsort(keys, kind="stable")
    bounds = np.array([-(-(part << 64) // parts) for part in range(1, parts)], np.uint64)
    ends = [0, *np.searchsorted(keys[order], bounds).tolist(), len(keys)]
    return cut(rows.take(pa.array(order)), ends)


def cut(rows: pa.Table, ends: Sequence[int]) -> list[pa.RecordBatch]:
    """The rows between each end and the next, as one record batch each."""
    return [one_batch(rows.slice(first, last - first)) for first, last in pairwise(ends)]


def one_batch(rows: pa.Table) -> pa.RecordBatch:
    """A table as one record batch; one without rows too."""
    arrays = [pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type) for column in rows]
    return pa.RecordBatch.from_arrays(arrays, schema=rows.schema)


def make_receipt(rows: int, **facts: Any) -> pa.Table:
    """What a worker returns of a shard through ``run_stream``: facts beside rows that only count what was done."""
    facts = {name: asdict(fact) if isinstance(fact, ShardFile) else fact for name, fact in facts.items()}
    done = pa.table({"done": pa.nulls(rows, pa.bool_())})
    return done.replace_schema_metadata({_RECEIPT_KEY: json.dumps(facts)})


def read_receipt(metadata: Mapping[bytes, bytes]) -> dict[str, Any]:
    """The facts of a receipt."""
    facts: dict[str, Any] = json.loads(metadata[_RECEIPT_KEY])
    return facts


def read_store_manifest(folder: Folder) -> Manifest:
    """The manifest of a finished store.

    Raises:
        StorageError: if the folder holds none.
    """
    manifest = read_manifest(folder)
    if manifest.table != TABLE:
        raise StorageError(f"{folder} holds a table of {manifest.table}, not a training store")
    return manifest


def files_of_shards(manifest: Manifest) -> list[tuple[ShardFile, ...]]:
    """The files of each shard, in the order of ``KINDS``."""
    shards = len(manifest.files) // len(KINDS)
    return [manifest.files[index::shards] for index in range(shards)]
