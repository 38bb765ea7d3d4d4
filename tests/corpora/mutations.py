"""Files as they come in real life: bytes flipped, lines cut, doubled, swapped or lost, gzip broken off.

A strategy of hypothesis for the tests of every reader: ``from mutations import mutated_lines``.
"""

import gzip
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

_JUNK = [b"", b"\xff\xfe", b"{", b"null", b"[]", b'{"a": {"b": 1}}', b'"', b"\t\t\t", b"\x00", "\ufeff".encode(), b"\r"]


@dataclass(frozen=True)
class Mutated:
    """A file's new content, and the indices of the rows that stand in it whole, as they were."""

    data: bytes
    untouched: frozenset[int]


@st.composite
def mutated_lines(draw: st.DrawFn, rows: Sequence[bytes]) -> Mutated:
    """A file of the rows (without line ends) with one to three things wrong.

    Rows whose ids differ in a few characters keep a flipped byte from turning one id into another.
    """
    lines: list[tuple[int | None, bytes]] = list(enumerate(rows))  # a touched row has no index
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(len(lines) - 1, 0)))
        kind = draw(st.sampled_from(["flip", "cut", "double", "swap", "lose", "junk", "join"])) if lines else "junk"
        line = lines[at][1] if lines else b""
        if kind == "flip" and line:
            place = draw(st.integers(0, len(line) - 1))
            byte = draw(st.integers(0, 255).filter(lambda value, old=line[place]: value != old))
            lines[at] = (None, line[:place] + bytes([byte]) + line[place + 1 :])
        elif kind == "cut" and line:
            lines[at] = (None, line[: draw(st.integers(0, len(line) - 1))])
        elif kind == "double":
            lines.insert(at + 1, (None, line))
        elif kind == "swap":
            other = draw(st.integers(0, len(lines) - 1))
            lines[at], lines[other] = lines[other], lines[at]
        elif kind == "lose":
            del lines[at]
        elif kind == "join" and at + 1 < len(lines):
            lines[at : at + 2] = [(None, line + lines[at + 1][1])]
        else:
            lines.insert(at, (None, draw(st.sampled_from(_JUNK))))
    start = draw(st.sampled_from([b"", b"", "\ufeff".encode()]))
    end = draw(st.sampled_from([b"\n", b"", b"\n\n"]))
    ending = draw(st.sampled_from([b"\n", b"\n", b"\r\n"]))
    data = start + ending.join(line for _, line in lines) + end
    return Mutated(data, frozenset(index for index, _ in lines if index is not None))


@st.composite
def mutated_gzip(draw: st.DrawFn, data: bytes) -> bytes:
    """The data as gzip, cut off or with a byte flipped."""
    packed = gzip.compress(data, mtime=0)
    place = draw(st.integers(0, len(packed) - 1))
    if draw(st.booleans()):
        return packed[:place]
    byte = draw(st.integers(0, 255).filter(lambda value: value != packed[place]))
    return packed[:place] + bytes([byte]) + packed[place + 1 :]


@st.composite
def mutated_bytes(draw: st.DrawFn, data: bytes) -> bytes:
    """Any file with one to three bytes changed or stretches cut out."""
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(data)))
        if draw(st.booleans()):
            data = data[:place] + bytes([draw(st.integers(0, 255))]) + data[place + 1 :]
        else:
            data = data[:place] + data[place + draw(st.integers(0, len(data))) :]
    return data
