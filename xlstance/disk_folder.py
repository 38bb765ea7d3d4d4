"""Loose files that programs open by path, such as a model's: in place on a disk, or a bucket's by a copy on this node.

Tables are read and written through ``Folder``, wherever they lie. Models, checkpoints and mapped indexes need paths:
what belongs into a bucket is written to this node's disk first and then kept, and fetched before it is read.
"""

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs

from xlstance.errors import StorageError
from xlstance.files import locked
from xlstance.storage import Folder, check_name

CACHE = "XLSTANCE_CACHE"
_BLOCK = 1 << 24  # bytes that are copied at a time


def cache_folder() -> Path:
    """Where this node keeps copies: the folder that ``XLSTANCE_CACHE`` names, else ``~/.cache/xlstance``."""
    return Path(os.environ.get(CACHE) or Path.home() / ".cache" / "xlstance")


def on_this_node(folder: str, *names: str) -> Path:
    """A folder's path on this node; a bucket's is fetched first.

    Args:
        folder: a path, which is given back as it is, or a bucket's address.
        names: files to which fetching is limited.

    Raises:
        StorageError: as of ``DiskFolder.fetch``.
    """
    return DiskFolder(folder).fetch(*names) if "://" in folder else Path(folder)


class DiskFolder:
    """A folder whose files have paths on this node.

    On a disk it is the folder itself, and nothing is copied. The folder of a bucket has a copy on this node's disk,
    shared by its processes: ``fetch`` makes the copy equal to the bucket's, ``keep`` puts files of the copy into the
    bucket. The bucket's is the one that counts.

    Args:
        uri: a path, or a bucket's address.
        node_folder: where copies go; empty: ``cache_folder``.

    Attributes:
        path: the folder on this node.
        uri: where it belongs.
        is_copy: whether it lies in a bucket.

    Raises:
        StorageError: for an address that cannot be opened.
    """

    def __init__(self, uri: str | Path, node_folder: str | Path = "") -> None:
        self._folder = Folder(uri)
        self.uri, self._node_folder = self._folder.uri, node_folder
        self.is_copy = not isinstance(self._folder.filesystem, pafs.LocalFileSystem)
        if self.is_copy:
            parts = [check_name(part) for part in self._folder.path.split("/")]
            self.path = Path(node_folder or cache_folder()).resolve().joinpath("copies", *parts)
        else:
            self.path = self._folder.local

    def __truediv__(self, name: str) -> "DiskFolder":
        return DiskFolder((self._folder / name).uri, self._node_folder)

    def __str__(self) -> str:
        return self.uri

    def exists(self, name: str) -> bool:
        """Whether a file or folder of this name stands in the folder that counts.

        Raises:
            StorageError: if that cannot be found out.
        """
        return self._folder.exists(name)

    def size(self, name: str) -> int:
        """The bytes of a file in the folder that counts; 0 where there is none.

        Raises:
            StorageError: if that cannot be found out.
        """
        return sum(info.size for info in self._infos([name]).values())

    def read(self, name: str, start: int = 0) -> bytes:
        """The bytes of a file in the folder that counts, from one on.

        Raises:
            StorageError: if there is no such file, or it cannot be read.
        """
        return self._folder.read(name, start)

    def names(self) -> list[str]:
        """The files of the folder that counts, those in its folders too, as ``1_Pooling/config.json``; sorted.

        Raises:
            StorageError: if it cannot be looked into, or a name could lead out of the folder.
        """
        return sorted(self._infos())

    def fetch(self, *names: str) -> Path:
        """Makes this node's copy equal to the bucket's folder: what is missing or differs comes, what is more goes.

        Args:
            names: files to which that is limited; those that the bucket lacks are not missed.

        Returns:
            ``path``.

        Raises:
            StorageError: if the bucket cannot be read or this node's disk not be written.
        """
        if self.is_copy:
            with locked(self.path.with_name(f"{self.path.name}.lock")):
                self._fetch(names)
        return self.path

    def keep(self, *names: str) -> None:
        """Puts files of this node's copy into the bucket, in this order; those that it has already are left.

        Args:
            names: files or folders, relative to the folder; none: all that is there.

        Raises:
            StorageError: if the bucket refuses them.
        """
        if not self.is_copy:
            return
        for name in names or (".",):
            place = self.path / name
            for file in sorted(path for path in place.rglob("*") if path.is_file()) if place.is_dir() else [place]:
                self._put(file)

    def remove(self, first: str = "") -> None:
        """Removes the folder, in the bucket and on this node.

        Args:
            first: a file that goes before all others, such as the one that says that the rest is whole.

        Raises:
            StorageError: if the bucket refuses.
        """
        if first:
            (self.path / first).unlink(missing_ok=True)
        if self.is_copy:
            try:
                if first and self.exists(first):
                    self._folder.filesystem.delete_file(f"{self._folder.path}/{first}")
                with suppress(FileNotFoundError):
                    self._folder.filesystem.delete_dir(self._folder.path)
            except OSError as error:
                raise StorageError(f"{self} cannot be removed: {str(error).splitlines()[0]}") from error
        shutil.rmtree(self.path, ignore_errors=True)

    def _infos(self, names: Sequence[str] = ()) -> dict[str, pafs.FileInfo]:
        """The files of the folder that counts, all or those named, by name."""
        asked: Any = [f"{self._folder.path}/{name}" for name in names]
        asked = asked or pafs.FileSelector(self._folder.path, recursive=True, allow_not_found=True)
        try:
            found = self._folder.filesystem.get_file_info(asked)
        except OSError as error:
            raise StorageError(f"{self} cannot be looked into: {str(error).splitlines()[0]}") from error
        files = [info for info in found if info.type == pafs.FileType.File]
        infos = {info.path.removeprefix(f"{self._folder.path}/"): info for info in files}
        for name in infos if self.is_copy else ():
            for part in name.split("/"):
                check_name(part)
        return infos

    def _fetch(self, names: Sequence[str]) -> None:
        wanted = self._infos(names)
        try:
            for path in [self.path / name for name in names] if names else list(self.path.rglob("*")):
                if path.is_file() and path.relative_to(self.path).as_posix() not in wanted:
                    path.unlink()
            for name, info in wanted.items():
                path = self.path / name
                if not _is_same(path, info):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    part = path.with_name(f".{path.name}.part")
                    pafs.copy_files(
                        info.path,
                        str(part),
                        source_filesystem=self._folder.filesystem,
                        destination_filesystem=pafs.LocalFileSystem(),
                        chunk_size=_BLOCK,
                    )
                    _mark(part, info)
                    part.replace(path)
        except OSError as error:
            raise StorageError(f"{self} cannot be copied to {self.path}: {str(error).splitlines()[0]}") from error

    def _put(self, path: Path) -> None:
        target = f"{self._folder.path}/{path.relative_to(self.path).as_posix()}"
        bucket = self._folder.filesystem
        try:
            if _is_same(path, bucket.get_file_info(target)):
                return
            pafs.copy_files(
                str(path),
                target,
                source_filesystem=pafs.LocalFileSystem(),
                destination_filesystem=bucket,
                chunk_size=_BLOCK,
            )
            _mark(path, bucket.get_file_info(target))
        except OSError as error:
            raise StorageError(f"{path} cannot be kept in {self}: {str(error).splitlines()[0]}") from error


def _is_same(path: Path, info: pafs.FileInfo) -> bool:
    """Whether a file of the copy is the one in the bucket: its size, and its time as the last copying set it."""
    if info.type != pafs.FileType.File or not path.is_file():
        return False
    found = path.stat()
    return found.st_size == info.size and int(found.st_mtime) == int(info.mtime.timestamp())


def _mark(path: Path, info: pafs.FileInfo) -> None:
    """Gives a file the time of the bucket's: a later change of either shows."""
    os.utime(path, (info.mtime.timestamp(), info.mtime.timestamp()))
