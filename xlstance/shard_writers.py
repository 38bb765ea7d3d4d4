"""Tables that are published block by block: one open Parquet file a shard, in the memory of a few blocks."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from xlstance.errors import StorageError
from xlstance.storage import Folder, Manifest, ShardFile, publish
from xlstance.tables import SCHEMAS, check_table, hash_ids

_ROWS = 1 << 14  # of a row group, buffered until they are so many
T = TypeVar("T")


class ShardWriters:
    """The files of a table in the making; ``publish`` closes them and makes them readable.

    Args:
        folder: where they belong.
        table: a name in ``SCHEMAS``.
        stamp: the fingerprint of settings and inputs; it begins the files' names.
        shards: number of files.
    """

    def __init__(self, folder: Folder, table: str, stamp: str, shards: int) -> None:
        folder.make()
        self._folder, self._table, self._stamp = folder, table, stamp
        names = [f"{stamp}-{index:05d}.parquet" for index in range(shards)]
        self._files = ExitStack()
        self._shards = [self._files.enter_context(_ShardWriter(folder, name, table)) for name in names]

    def write(self, rows: pa.Table, part: npt.NDArray[np.integer[Any]]) -> None:
        """Adds a block.

        Args:
            rows: rows of the table.
            part: for each row the number of its shard; ``[rows] int``.

        Raises:
            DataError: if they are no rows of this table.
            StorageError: if they cannot be written.
        """
        check_table(rows, self._table, str(self._folder))
        rows = rows.select(SCHEMAS[self._table].names).cast(SCHEMAS[self._table])
        if len(self._shards) == 1:
            self._shards[0].write(rows)
            return
        order = np.argsort(part, kind="stable")  # rows keep their order within a file
        bounds = np.searchsorted(part[order], np.arange(len(self._shards) + 1))
        ordered = rows.take(pa.array(order))
        for shard, first, last in zip(self._shards, bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            if last > first:
                shard.write(ordered.slice(first, last - first))

    def publish(self, info: Mapping[str, Any] | None = None) -> Manifest:
        """Closes the files and writes the manifest."""
        receipts = [shard.finish() for shard in self._shards]
        return publish(self._folder, self._table, self._stamp, receipts, info)

    def __enter__(self) -> "ShardWriters":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.close()


class _ShardWriter:
    """One file, hashed as it is written."""

    def __init__(self, folder: Folder, name: str, table: str) -> None:
        self._place, self._name, self._rows = f"{folder}/{name}", name, 0
        self._waiting: list[pa.Table] = []
        self._filesystem, self._path = folder.filesystem, f"{folder.path}/{name}"
        try:
            self._sink = _HashedFile(self._filesystem.open_output_stream(self._path))
        except OSError as error:
            raise StorageError(f"{self._place} cannot be written: {str(error).splitlines()[0]}") from error
        self._writer = pq.ParquetWriter(pa.PythonFile(self._sink, "w"), SCHEMAS[table], compression="zstd")

    def write(self, rows: pa.Table) -> None:
        self._waiting.append(rows)
        self._rows += len(rows)
        if sum(map(len, self._waiting)) >= _ROWS:
            self._flush()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        try:
            if waiting:
                self._writer.write_table(pa.concat_tables(waiting))
        except OSError as error:
            raise StorageError(f"{self._place} cannot be written: {str(error).splitlines()[0]}") from error

    def finish(self) -> ShardFile:
        """Writes the footer, and returns the receipt."""
        self._flush()
        try:
            self._writer.close()
            self._sink.close()
        except OSError as error:
            raise StorageError(f"{self._place} cannot be written: {str(error).splitlines()[0]}") from error
        return ShardFile(name=self._name, rows=self._rows, bytes=self._sink.size, sha256=self._sink.hash.hexdigest())

    def __enter__(self) -> "_ShardWriter":
        return self

    def __exit__(self, *_: object) -> None:
        """Removes a file that was not finished."""
        if not self._sink.closed:
            with suppress(OSError):  # what led here is the error to speak of
                self._writer.close()
                self._sink.close()
                self._filesystem.delete_file(self._path)


class _HashedFile:
    """An output stream as Python's files are, that keeps count of its bytes and their SHA-256."""

    def __init__(self, stream: Any) -> None:
        self._stream, self.size, self.hash = stream, 0, hashlib.sha256()

    @property
    def closed(self) -> bool:
        return bool(self._stream.closed)

    def write(self, data: bytes) -> int:
        self._stream.write(data)
        self.hash.update(data)
        self.size += len(data)
        return len(data)

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        self._stream.close()


def write_stream(
    folder: Folder,
    table: str,
    blocks: Iterable[pa.Table],
    stamp: str,
    *,
    shards: int = 1,
    info: Callable[[], Mapping[str, Any]] = dict,
) -> Manifest:
    """Publishes a table that comes in blocks, cut into shards by a hash of its first column.

    Args:
        folder: where to.
        table: a name in ``SCHEMAS``.
        blocks: the rows; the next block is made while one is written.
        stamp: the fingerprint of settings and inputs.
        shards: number of files.
        info: asked at the end for the facts to keep in the manifest.

    Returns:
        The manifest.
    """
    with ShardWriters(folder, table, stamp, shards) as writers:
        for block in ahead(blocks):
            writers.write(block, hash_ids(block.column(0)) % np.uint64(shards))
            pa.default_memory_pool().release_unused()  # else it keeps what blocks of other sizes took
        return writers.publish(info())


def ahead(items: Iterable[T]) -> Iterator[T]:
    """The same items, each made in a thread while the one before is used."""
    iterator, end = iter(items), object()
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, iterator, end)
        while (item := coming.result()) is not end:
            coming = thread.submit(next, iterator, end)
            yield item  # type: ignore[misc]
