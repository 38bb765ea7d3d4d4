"""Text files as chunks of whole lines, plain or gzip, in the memory of one chunk whatever the file's size."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from xlstance.corpora.bad_rows import BadRows
from xlstance.errors import DataError
from xlstance.files import what_is_there

CHUNK = 1 << 24  # bytes of text parsed at a time
_LONGEST = 1 << 28  # bytes that may come without the end of a row
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Chunk:
    """Whole lines of a file.

    Attributes:
        first: number of its first line, counted from 1.
        data: the lines; all but a file's last one end with a newline.
    """

    first: int
    data: bytes


def read_chunks(path: Path, bad: BadRows, *, quoted: bool = False, size: int = CHUNK) -> Iterator[Chunk]:
    """Reads a file in chunks; ``.gz`` is unpacked, a byte-order mark before the first line dropped.

    Args:
        path: the file.
        bad: told of what is lost where a gzip file is cut off; the lines before stay.
        quoted: whether a newline between double quotes is text, as in CSV.
        size: bytes to read at a time.

    Raises:
        DataError: if there is no such file, or a row has no end within 256 MiB.
    """
    carry, line, start = b"", 1, True
    for piece in _pieces(path, size):
        if isinstance(piece, zlib.error):
            place = f"line {line + carry.count(bytes([10]))}"
            reason = f"the gzip file is cut off or broken here ({piece}); fetch it again"
            bad.add(path, place, reason, carry.decode("utf-8", "backslashreplace"))
            return
        data = carry + piece
        if start and len(data) >= len(_BOM):
            data, start = data.removeprefix(_BOM), False
        end = _end_of_rows(data, quoted)
        if end:
            yield Chunk(line, data[:end])
            line += data.count(b"\n", 0, end)
        carry = data[end:]
        if len(carry) > _LONGEST:
            what = "a quote is opened and not closed" if quoted else "the line does not end"
            raise DataError(f"{path}: line {line}: {what} within {_LONGEST >> 20} MiB; is this the file's format?")
    carry = carry.removeprefix(_BOM) if start else carry
    if carry:
        yield Chunk(line, carry)


def row_ends(data: bytes, quoted: bool) -> npt.NDArray[np.int64]:
    """Where rows end, just behind their newlines; a row without one is not counted; ``[rows] int64``."""
    values = np.frombuffer(data, dtype=np.uint8)
    newlines = np.flatnonzero(values == ord("\n"))
    if quoted:
        # A quote inside a quoted value is doubled, so outside of quotes an even number stands before.
        newlines = newlines[np.searchsorted(np.flatnonzero(values == ord('"')), newlines) % 2 == 0]
    return newlines + 1


def _end_of_rows(data: bytes, quoted: bool) -> int:
    """Where the last whole row ends."""
    if not quoted:
        return data.rfind(b"\n") + 1
    return int(row_ends(data, quoted)[-1:].sum())


def _pieces(path: Path, size: int) -> Iterator[bytes | zlib.error]:
    """The file's bytes, unpacked; at last the error that ends them before their time."""
    try:
        file = path.open("rb")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise DataError(f"{path} is no file; {what_is_there(path.parent)}") from error
    with file:
        if path.suffix == ".gz":
            yield from _unpacked(file, size)
        else:
            while piece := file.read(size):
                yield piece


def _unpacked(file: IO[bytes], size: int) -> Iterator[bytes | zlib.error]:
    """What a gzip file holds: one member or several, with nothing but zeros after the last."""
    packed, unpacker = b"", zlib.decompressobj(wbits=31)
    while packed := packed or file.read(1 << 20):
        if unpacker.eof:
            packed = packed.lstrip(b"\0")
            if not packed:
                continue
            unpacker = zlib.decompressobj(wbits=31)
        before = unpacker.copy()
        try:
            data = unpacker.decompress(packed, size)
        except zlib.error as error:
            for index in range(len(packed)):  # byte by byte: what can be unpacked before the error is good
                try:
                    yield before.decompress(packed[index : index + 1])
                except zlib.error:
                    break
            yield error
            return
        packed = unpacker.unconsumed_tail or unpacker.unused_data
        if data:
            yield data
    if not unpacker.eof:
        yield unpacker.flush()
        yield zlib.error("its end is missing")
