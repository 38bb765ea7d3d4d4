"""Unpacking of archives from strangers: every member is looked at before the first one is written.

What is refused: names that lead outside the folder, links, devices, encrypted or repeated members, and archives that
are far larger unpacked than packed. Only plain files and folders are made, by this code and not by the archive's
library, in a new folder that gets its final name when all is there.
"""

import gzip
import lzma
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from xlstance.errors import DataError, StorageError

_CHUNK = 1 << 20
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError, ValueError)


@dataclass(frozen=True, kw_only=True)
class UnpackLimits:
    """What an archive may grow to.

    Attributes:
        bytes: of all members together.
        ratio: how many times the archive's own size they may be; text is rarely packed to less than a 20th.
        always: bytes that are allowed whatever the ratio.
        members: how many files and folders.
    """

    bytes: int = 1 << 38
    ratio: int = 100
    always: int = 1 << 24
    members: int = 200_000


@dataclass(frozen=True)
class _Member:
    """A file or folder in an archive: its checked path, its stated size, how to read it (None: a folder)."""

    path: str
    size: int
    open: Callable[[], AbstractContextManager[IO[bytes]]] | None


def unpack(archive: Path, kind: str, folder: Path, limits: UnpackLimits = UnpackLimits()) -> None:
    """Unpacks an archive into a new folder.

    Args:
        archive: the file.
        kind: ``zip`` or ``tar.gz``.
        folder: where to; must not exist, and does not until everything is in it.
        limits: what the archive may grow to.

    Raises:
        DataError: if the archive is broken or a member is refused; nothing is left behind.
        StorageError: if the disk has no room for it.
    """
    unfinished = folder.with_name(f"{folder.name}.unpacking")
    shutil.rmtree(unfinished, ignore_errors=True)
    opened = _open_zip if kind == "zip" else _open_tar
    try:
        # A tar file has no list of its members: they are read once to be checked and once to be written.
        with opened(archive, limits) as members:
            checked = _check(archive, members, limits)
        unfinished.mkdir(parents=True)
        with opened(archive, limits) as members:
            _write(archive, members, unfinished, checked)
        unfinished.rename(folder)
    except (*_BROKEN, NotImplementedError) as error:
        raise DataError(f"{archive}: the archive cannot be unpacked ({_first_line(error)}); fetch it again") from error
    except OSError as error:
        raise StorageError(f"{folder} cannot be written: {_first_line(error)}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _check(archive: Path, members: Iterable[_Member], limits: UnpackLimits) -> dict[str, int]:
    """The stated size of every member by path; each has passed alone, and all of them together."""
    packed, total = archive.stat().st_size, 0
    allowed = min(limits.bytes, max(limits.always, limits.ratio * packed))
    sizes: dict[str, int] = {}
    files: set[str] = set()
    folders: set[str] = set()
    for member in members:
        if member.path in sizes:
            raise DataError(f"{archive}: {member.path!r} stands in it twice; the archive is refused")
        sizes[member.path] = member.size
        (folders if member.open is None else files).add(member.path)
        parents = member.path.split("/")[:-1]
        folders.update("/".join(parents[: depth + 1]) for depth in range(len(parents)))
        total += member.size
        if total > allowed:
            raise DataError(
                f"{archive}: unpacks to more than {allowed} bytes from {packed}: a bomb, or more than is allowed"
            )
        if len(sizes) > limits.members:
            raise DataError(f"{archive}: has more than {limits.members} members; the archive is refused")
    if both := sorted(files & folders):
        raise DataError(f"{archive}: {both[0]!r} is a file and a folder in it; the archive is refused")
    free = shutil.disk_usage(archive.parent).free
    if total > free:
        raise StorageError(f"{archive} unpacks to {total} bytes and the disk has {free} left; make room and run again")
    return sizes


def _write(archive: Path, members: Iterable[_Member], folder: Path, checked: dict[str, int]) -> None:
    for member in members:
        if checked.get(member.path) != member.size:
            raise DataError(f"{archive} changed while it was unpacked; fetch it again")
        target = folder / member.path
        if member.open is None:
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        written = 0
        with member.open() as source, target.open("xb") as file:
            while chunk := source.read(_CHUNK):
                written += len(chunk)
                if written > member.size:
                    raise DataError(f"{archive}: {member.path!r} is longer than the {member.size} bytes it states")
                file.write(chunk)
        if written < member.size:
            raise DataError(f"{archive}: {member.path!r} has {written} of {member.size} bytes; fetch it again")


def _checked_path(archive: Path, name: str) -> str:
    """The path of a member below the folder, without empty and ``.`` steps; empty for the folder itself."""
    steps = [step for step in name.split("/") if step not in ("", ".")]
    if (
        name.startswith("/")
        or ".." in steps
        or re.match(r"[A-Za-z]:", name)
        or any(character in name for character in "\\\0")
    ):
        raise DataError(f"{archive}: the name {name!r} would lead out of the folder; the archive is refused")
    return "/".join(steps)


@contextmanager
def _open_zip(archive: Path, limits: UnpackLimits) -> Iterator[Iterator[_Member]]:
    with zipfile.ZipFile(archive) as file:

        def members() -> Iterator[_Member]:
            for info in file.infolist():
                # zipfile cuts a name at a NUL: what stands in the archive is `orig_filename`.
                path = _checked_path(archive, info.orig_filename)
                kind = stat.S_IFMT(info.external_attr >> 16)
                if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                    raise DataError(f"{archive}: {path!r} is a link or a device; the archive is refused")
                if info.flag_bits & 1:
                    raise DataError(f"{archive}: {path!r} is encrypted; the archive is refused")
                if path:
                    yield _Member(path, info.file_size, None if info.is_dir() else partial(file.open, info))

        yield members()


class _Bounded:
    """A gzip file from which no single read takes much: a tar header may state that its own text has terabytes."""

    def __init__(self, file: gzip.GzipFile) -> None:
        self._file = file
        self.seek, self.tell, self.close = file.seek, file.tell, file.close

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= 16 * _CHUNK:
            raise ValueError("a header states a length of its own that no header has")
        return self._file.read(size)


def _part(file: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    part = file.extractfile(info)
    if part is None:
        raise ValueError(f"{info.name!r} has no content")
    return part


@contextmanager
def _open_tar(archive: Path, limits: UnpackLimits) -> Iterator[Iterator[_Member]]:
    with gzip.open(archive) as stream, tarfile.open(fileobj=_Bounded(stream), mode="r:") as file:  # type: ignore[call-overload]

        def members() -> Iterator[_Member]:
            for info in file:
                path = _checked_path(archive, info.name)
                if not (info.isreg() or info.isdir()) or info.issparse():
                    raise DataError(f"{archive}: {path!r} is a link, a device or sparse; the archive is refused")
                tarfile.data_filter(info, str(archive.parent / path))  # a second opinion
                if path:
                    yield _Member(
                        path, 0 if info.isdir() else info.size, None if info.isdir() else partial(_part, file, info)
                    )
            # To the end of the gzip stream, where its checksum stands; a tar file ends with a few kilobytes of zeros.
            for _ in range(16):
                if not stream.read(_CHUNK):
                    return
            raise DataError(f"{archive}: much follows after the end of the archive; it is refused")

        yield members()
