"""Folders on a disk or in a bucket, and tables published in them: shards first, the manifest last.

A published table is a folder of Parquet files and a ``manifest.json`` that names them with rows, bytes and SHA-256.
Files are written once under a final name and never renamed, so the same code holds on S3. A Parquet footer is written
last: a file whose footer is readable and carries the expected fingerprint is whole, and that is how a killed stage
knows what is left to do.
"""

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from xlstance.errors import StorageError
from xlstance.tables import SCHEMAS, check_table, hash_ids

MANIFEST = "manifest.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_FINGERPRINT_KEY = b"xlstance.fingerprint"


def fingerprint(*parts: Any) -> str:
    """Sixteen hex digits that stand for settings and inputs: dataclasses, mappings, lists, strings and numbers."""

    def plain(value: Any) -> Any:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {
                "": type(value).__name__,
                **{f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)},
            }
        if isinstance(value, Mapping):
            return {str(key): plain(item) for key, item in sorted(value.items())}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return value

    text = json.dumps([plain(part) for part in parts], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Folder:
    """A folder on a local disk or in a bucket (``s3://``, ``gs://``); it need not exist yet.

    Args:
        uri: a path, or a URI that ``pyarrow.fs`` knows.

    Raises:
        StorageError: for a URI of another kind, a bucket that cannot be found, or an address that holds a password: it
            would be printed and saved.
    """

    def __init__(self, uri: str | Path) -> None:
        text = str(uri)
        if "://" in text:
            scheme, _, place = text.partition("://")
            if "@" in place.partition("/")[0] or re.search(r"[?&](access_key|secret_key|session_token)=", place):
                raise StorageError(
                    f"a {scheme}:// address holds a password; give it without, and the credentials where the cloud's "
                    "own tools look for them (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, the node's role)"
                )
            try:
                self.filesystem, self.path = pafs.FileSystem.from_uri(text)
            except (ValueError, NotImplementedError, OSError) as error:  # a bucket's region is looked up at once
                raise StorageError(f"{text} is no folder that can be opened: {str(error).splitlines()[0]}") from error
            self.path, self.uri = self.path.rstrip("/"), text.rstrip("/")
        else:
            self.filesystem, self.path = pafs.LocalFileSystem(), str(Path(text).resolve())
            self.uri = self.path

    def __truediv__(self, name: str) -> "Folder":
        child = Folder.__new__(Folder)
        child.filesystem = self.filesystem
        child.path, child.uri = f"{self.path}/{check_name(name)}", f"{self.uri}/{check_name(name)}"
        return child

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Folder) and self.uri == other.uri

    def __hash__(self) -> int:
        return hash(self.uri)

    def __reduce__(self) -> tuple[type["Folder"], tuple[str]]:
        return Folder, (self.uri,)

    def __str__(self) -> str:
        return self.uri

    @property
    def local(self) -> Path:
        """The folder as a local path.

        Raises:
            StorageError: if it lies in a bucket.
        """
        if not isinstance(self.filesystem, pafs.LocalFileSystem):
            raise StorageError(f"{self.uri} lies in a bucket; this step needs a folder on a disk")
        return Path(self.path)

    def exists(self, name: str) -> bool:
        """Whether a file or folder of this name stands in the folder.

        Raises:
            StorageError: if that cannot be found out: no permission, no such bucket, no network.
        """
        try:
            return bool(self.filesystem.get_file_info(f"{self.path}/{check_name(name)}").type != pafs.FileType.NotFound)
        except OSError as error:
            raise StorageError(f"{self.uri} cannot be looked into: {str(error).splitlines()[0]}") from error

    def read(self, name: str, start: int = 0) -> bytes:
        """The bytes of a file, from one on.

        Raises:
            StorageError: if there is no such file, or it cannot be read.
        """
        try:
            with self.filesystem.open_input_file(f"{self.path}/{check_name(name)}") as file:
                file.seek(start)
                return bytes(file.read())
        except FileNotFoundError as error:
            raise StorageError(f"{self.uri}/{name} does not exist") from error
        except OSError as error:
            raise StorageError(f"{self.uri}/{name} cannot be read: {str(error).splitlines()[0]}") from error

    def write(self, name: str, data: bytes) -> None:
        """Writes a file whole, and makes the folder where there is none.

        Raises:
            StorageError: if that is not possible: no permission, no space, a file in the folder's place.
        """
        with self.writing(name) as stream:
            stream.write(data)

    @contextmanager
    def writing(self, name: str) -> Iterator[Any]:
        """A stream that a file is written to, piece by piece.

        Raises:
            StorageError: as of ``write``.
        """
        path = f"{self.path}/{check_name(name)}"
        try:
            self.filesystem.create_dir(self.path, recursive=True)
            with self.filesystem.open_output_stream(path, compression=None) as stream:
                yield stream
        except OSError as error:
            raise StorageError(f"{self.uri}/{name} cannot be written: {str(error).splitlines()[0]}") from error

    def make(self) -> None:
        """Makes the folder and those above it.

        Raises:
            StorageError: if that is not possible: no permission, no such bucket, a file in the way.
        """
        try:
            self.filesystem.create_dir(self.path, recursive=True)
        except OSError as error:
            raise StorageError(f"{self.uri} cannot be made: {str(error).splitlines()[0]}") from error


def check_name(name: str) -> str:
    """The name, if it may become a part of a path.

    Raises:
        StorageError: if not.
    """
    if not _NAME.fullmatch(name) or ".." in name:
        raise StorageError(f"{name!r} is no file name here; use letters, digits, '.', '_', '+' and '-'")
    return name


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardFile:
    """One file of a published table: its name, rows, size in bytes and SHA-256."""

    name: str
    rows: int
    bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a published table consists of; readers follow it and nothing else."""

    table: str
    fingerprint: str
    files: tuple[ShardFile, ...]
    info: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows of all files together."""
        return sum(file.rows for file in self.files)


def write_shard(folder: Folder, name: str, table: pa.Table, stamp: str | None) -> ShardFile:
    """Writes one Parquet file of a table under its final name.

    Args:
        folder: where it belongs.
        name: its file name, fixed by the stage's fingerprint and the shard's number.
        table: rows of one of ``SCHEMAS``; metadata of its own is kept in the file (see ``read_metadata``).
        stamp: the fingerprint that ``find_shard`` must find in the file; None where nothing will look for it: the
            file's hash then says what its rows are, and nothing else.

    Returns:
        The receipt.
    """
    metadata = dict(table.schema.metadata or {})
    if stamp is not None:
        metadata[_FINGERPRINT_KEY] = stamp.encode()
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(metadata), sink, compression="zstd")
    data = sink.getvalue().to_pybytes()
    folder.write(name, data)
    return _receipt(name, table.num_rows, data)


def _receipt(name: str, rows: int, data: bytes) -> ShardFile:
    return ShardFile(name=name, rows=rows, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def find_shard(folder: Folder, name: str, stamp: str) -> ShardFile | None:
    """The receipt of a file that an earlier run wrote whole with this fingerprint, or None."""
    if not folder.exists(name):
        return None
    data = folder.read(name)
    try:
        metadata = pq.read_metadata(pa.BufferReader(data))
    except (pa.ArrowInvalid, OSError):  # cut off by a kill: no readable footer
        return None
    schema_metadata = metadata.schema.to_arrow_schema().metadata or {}
    if schema_metadata.get(_FINGERPRINT_KEY) != stamp.encode():
        return None
    return _receipt(name, metadata.num_rows, data)


def publish(
    folder: Folder, table: str, stamp: str, files: Iterable[ShardFile], info: Mapping[str, Any] | None = None
) -> Manifest:
    """Writes the manifest: from here on the table is there for readers."""
    manifest = Manifest(table=table, fingerprint=stamp, files=tuple(files), info=dict(info or {}))
    text = json.dumps({"schema": 1, **dataclasses.asdict(manifest)}, indent=1, sort_keys=True)
    folder.write(MANIFEST, text.encode())
    return manifest


def read_manifest(folder: Folder) -> Manifest:
    """The manifest of a published table.

    Raises:
        StorageError: if the folder holds none, or a newer one.
    """
    if not folder.exists(MANIFEST):
        raise StorageError(f"{folder} holds no published table (no {MANIFEST}): its stage has not finished")
    try:
        content = json.loads(folder.read(MANIFEST))
        if content["schema"] > 1:
            raise StorageError(f"{folder}/{MANIFEST} was written by a newer version: update xlstance")
        files = tuple(ShardFile(**file) for file in content["files"])
        return Manifest(
            table=content["table"], fingerprint=content["fingerprint"], files=files, info=content.get("info", {})
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{folder}/{MANIFEST} cannot be read ({error}); remove the folder and run again") from error


def is_published(folder: Folder, stamp: str) -> bool:
    """Whether the folder holds a published table of this fingerprint.

    Raises:
        StorageError: if it holds one of another fingerprint: nothing is overwritten.
    """
    if not folder.exists(MANIFEST):
        return False
    try:
        json.loads(folder.read(MANIFEST))
    except ValueError:  # cut off by a kill while it was written
        return False
    found = read_manifest(folder).fingerprint
    if found != stamp:
        raise StorageError(
            f"{folder} holds the result of other settings or inputs (fingerprint {found}, now {stamp}); "
            "choose another --output or remove that folder"
        )
    return True


def read_shard(folder: Folder, file: ShardFile, table: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Reads one file of a published table.

    Raises:
        StorageError: if the file is missing, or its bytes or rows are not as the manifest says.
        DataError: if it is no such table, or one of a newer version.
    """
    found = pq.read_table(pa.BufferReader(_read_whole(folder, file)))
    place = f"{folder}/{file.name}"
    if found.num_rows != file.rows:
        raise StorageError(f"{place} has {found.num_rows} rows, its manifest says {file.rows}")
    check_table(found, table, place)
    found = found.select(SCHEMAS[table].names).cast(SCHEMAS[table])
    return found.select(list(columns)) if columns else found


def read_metadata(folder: Folder, file: ShardFile) -> Mapping[bytes, bytes]:
    """What the writer of a file put beside its rows: the metadata of the table that ``write_shard`` was given.

    Only the file's footer is read.

    Raises:
        StorageError: if the file is missing or no Parquet file.
    """
    try:
        return pq.read_schema(f"{folder.path}/{check_name(file.name)}", filesystem=folder.filesystem).metadata or {}
    except (OSError, pa.ArrowInvalid) as error:
        raise StorageError(f"{folder}/{file.name} cannot be read: {str(error).splitlines()[0]}") from error


def _read_whole(folder: Folder, file: ShardFile) -> bytes:
    """The bytes of a file, once they are known to be those that the manifest's hash stands for."""
    if not folder.exists(file.name):
        raise StorageError(
            f"{folder}/{file.name} is missing though the manifest names it; remove {folder} and run again"
        )
    data = folder.read(file.name)
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise StorageError(
            f"{folder}/{file.name} is not the file that its manifest describes (its SHA-256 differs); "
            f"remove {folder} and run again"
        )
    return data


def read_table(folder: Folder, table: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Reads a published table whole, its files in the manifest's order."""
    manifest = read_manifest(folder)
    if manifest.table != table:
        raise StorageError(f"{folder} holds a table of {manifest.table}, not of {table}")
    shards = [read_shard(folder, file, table, columns) for file in manifest.files]
    empty = SCHEMAS[table].empty_table()
    return pa.concat_tables(shards) if shards else (empty.select(list(columns)) if columns else empty)


def write_table(
    folder: Folder,
    table: str,
    rows: pa.Table,
    stamp: str,
    *,
    shards: int = 1,
    key: pa.ChunkedArray | None = None,
    info: Mapping[str, Any] | None = None,
) -> Manifest:
    """Publishes rows that are at hand, cut into shards by a hash.

    Args:
        folder: where to; a table already published there with the same fingerprint is left as it is.
        table: the name in ``SCHEMAS``.
        rows: the rows.
        stamp: the fingerprint of settings and inputs.
        shards: number of files.
        key: for each row the string whose hash decides the file; the table's first column if None. Rows keep their
            order within a file.
        info: facts to keep in the manifest (licence, counts).

    Returns:
        The manifest.
    """
    if is_published(folder, stamp):
        return read_manifest(folder)
    check_table(rows, table, str(folder))
    part = hash_ids(rows.column(0) if key is None else key) % np.uint64(shards)
    files = []
    for index in range(shards):
        own = rows.take(pa.array(np.flatnonzero(part == index))) if shards > 1 else rows
        files.append(write_shard(folder, f"{stamp}-{index:05d}.parquet", own, None))
    return publish(folder, table, stamp, files, info)
