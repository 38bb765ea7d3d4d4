"""A copy of a store on each node's own disk, made once by whichever process comes first."""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from xlstance.errors import StorageError
from xlstance.files import locked, sha256_of, write_whole
from xlstance.storage import MANIFEST, Folder, ShardFile
from xlstance.training.store.files import read_store_manifest

_BLOCK = 1 << 22  # bytes that are copied at a time


def local_store(folder: Folder, node_folder: Path) -> Path:
    """Copies a finished store to this node's disk, once; other processes wait for the copy and share it.

    A copy that was cut short is gone on with. It counts as whole when its manifest stands there, which is written last.

    Args:
        folder: the store, on any filesystem.
        node_folder: where copies go; each store has its own folder there.

    Returns:
        The folder of the copy.

    Raises:
        StorageError: if the disk lacks room, cannot be written, or a file is not what the manifest says.
    """
    manifest = read_store_manifest(folder)
    copy = node_folder / manifest.fingerprint
    with locked(copy.with_suffix(".lock")):
        if not (copy / MANIFEST).exists():
            copy_files(folder, manifest.files, copy)
            write_whole(copy / MANIFEST, folder.read(MANIFEST))
    return copy


def copy_files(folder: Folder, files: Sequence[ShardFile], copy: Path) -> None:
    """Copies files that are not there whole yet.

    Raises:
        StorageError: if the disk lacks room, cannot be written, or a file is not what its hash stands for.
    """
    left = [file for file in files if not _is_whole(copy / file.name, file)]
    copy.mkdir(parents=True, exist_ok=True)
    there = sum((copy / file.name).stat().st_size for file in left if (copy / file.name).exists())
    needed, free = sum(file.bytes for file in left) - there, shutil.disk_usage(copy).free
    if needed > free:
        raise StorageError(
            f"{copy} lacks room for {folder}: {needed:,} bytes are needed, {free:,} are free; "
            "choose another node folder or make room"
        )
    for file in left:
        _copy(folder, file, copy / file.name)


def _is_whole(path: Path, file: ShardFile) -> bool:
    return path.exists() and path.stat().st_size == file.bytes and sha256_of(path) == file.sha256


def _copy(folder: Folder, file: ShardFile, path: Path) -> None:
    hashed = hashlib.sha256()
    try:
        with folder.filesystem.open_input_stream(f"{folder.path}/{file.name}") as source, path.open("wb") as target:
            while block := source.read(_BLOCK):
                hashed.update(block)
                target.write(block)
    except OSError as error:
        raise StorageError(f"{folder}/{file.name} cannot be copied to {path}: {error}") from error
    if hashed.hexdigest() != file.sha256:
        path.unlink()
        raise StorageError(
            f"{folder}/{file.name} is not the file that its manifest describes (its SHA-256 differs); "
            f"remove {folder} and prepare the store again"
        )
