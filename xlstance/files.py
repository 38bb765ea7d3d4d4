"""Reading of text files, plain or gzip, with errors that name the file and the place in it; what comes whole or not."""

import fcntl
import gzip
import hashlib
import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xlstance.errors import DataError, StorageError


def read_text(path: Path) -> str:
    """The text of a UTF-8 file; ``.gz`` is unpacked, a byte-order mark before the first line dropped.

    Raises:
        DataError: if the file is missing, cut off, or not UTF-8.
    """
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise DataError(f"{path} is no file; {what_is_there(path.parent)}") from error
    if path.suffix == ".gz":
        try:
            data = gzip.decompress(data)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DataError(f"{path}: the gzip file is cut off or broken ({error}); fetch it again") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}: line {line}: byte {error.start} is not UTF-8; convert the file to UTF-8") from error


def read_tsv(path: Path) -> list[tuple[str, str]]:
    """The rows of a file of two columns, ``left TAB right``, without a header; spaces around a side are dropped.

    Raises:
        DataError: if the file cannot be read, or a row has not two columns or an empty side.
    """
    rows = []
    # Only "\n" ends a row: str.splitlines() would also cut at the line separators that web text holds.
    for number, line in enumerate(read_text(path).removesuffix("\n").split("\n"), start=1):
        columns = [column.strip() for column in line.split("\t")]
        if len(columns) != 2:
            raise DataError(f"{path}: row {number} has {len(columns)} columns; every row is 'left TAB right'")
        if not (columns[0] and columns[1]):
            raise DataError(f"{path}: row {number} has an empty side; remove the row or fill it")
        rows.append((columns[0], columns[1]))
    return rows


def what_is_there(folder: Path) -> str:
    """A clause for messages that names what a folder holds, at most twelve names."""
    if not folder.is_dir():
        return f"there is no folder {folder} either"
    names = sorted(entry.name for entry in folder.iterdir())
    shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    return f"{folder} holds {shown or 'nothing'}"


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes a file in one go, text as UTF-8: whoever kills this process, the file is the former one or the new one.

    Raises:
        OSError: if it cannot be written; the former file stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_name(f".{path.name}.new")
    made.write_bytes(content.encode() if isinstance(content, str) else content)
    made.replace(path)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a lock between the processes of a node; it goes with the process that holds it.

    Args:
        path: of the lock's own file.

    Raises:
        StorageError: if its folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as error:
        raise StorageError(f"{path.parent} cannot be written: {error.strerror}; choose another node folder") from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """An empty folder to write into; it stands at its place, whole, when the block ends well, and else not at all.

    Args:
        folder: where it comes to stand: nothing, or an empty folder.

    Raises:
        StorageError: if something stands there already, or it cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StorageError(f"{folder} is there already; choose another folder or remove it")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as made:
            whole = Path(made) / "whole"
            whole.mkdir()
            yield whole
            os.replace(whole, folder)
    except OSError as error:
        raise StorageError(f"{folder} cannot be written: {error.strerror}") from error
