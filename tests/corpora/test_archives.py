"""Unpacking of archives that mean harm."""

import gzip
import hashlib
import io
import tarfile

import pytest
from archive_files import PACKERS, names, special, tarred, zip_link, zipped

from xlstance.corpora.archives import UnpackLimits, unpack
from xlstance.errors import DataError, StorageError


def test_folders_in_archives_are_made(tmp_path):
    folder = tarfile.TarInfo("top")
    folder.type, folder.mode = tarfile.DIRTYPE, 0o000
    (tmp_path / "a.tar.gz").write_bytes(tarred(folder, ("top/x", b"1")))
    unpack(tmp_path / "a.tar.gz", "tar.gz", tmp_path / "tar")
    (tmp_path / "a.zip").write_bytes(zipped(("top/", b""), ("top/x", b"1")))
    unpack(tmp_path / "a.zip", "zip", tmp_path / "zip")
    assert names(tmp_path) == ["a.tar.gz", "a.zip", "tar/top/x", "zip/top/x"]


BOMB = b"\0" * 40_000_000


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([special("link", tarfile.SYMTYPE, "/etc"), ("link/x", b"1")], "'link' is a link"),
        ([("link", b"1"), special("link2", tarfile.SYMTYPE, "link")], "'link2' is a link"),
        ([special("link", tarfile.LNKTYPE, "/etc/passwd")], "'link' is a link"),
        ([("x", b"1"), special("y", tarfile.LNKTYPE, "x")], "'y' is a link"),
        ([special("dev", tarfile.CHRTYPE)], "'dev' is a link, a device"),
        ([special("dev", tarfile.BLKTYPE)], "'dev' is a link, a device"),
        ([special("pipe", tarfile.FIFOTYPE)], "'pipe' is a link, a device"),
        ([special("sparse", tarfile.GNUTYPE_SPARSE)], "refused|cannot be unpacked"),
        ([("x", b"1"), ("x", b"2")], "'x' stands in it twice"),
        ([("x", b"1"), ("./x", b"2")], "'x' stands in it twice"),
        ([("x", b"1"), ("x/y", b"2")], "'x' is a file and a folder"),
        ([("x/y", b"1"), ("x", b"2")], "'x' is a file and a folder"),
        ([("bomb", BOMB)], "unpacks to more than 16777216 bytes"),
        ([(f"{i}", BOMB[:6_000_000]) for i in range(3)], "unpacks to more than 16777216 bytes"),
        ([(f"{i}", b"") for i in range(300)], "more than 200 members"),
        ([("x" * 300, b"1")], "cannot be written"),
    ],
)
def test_what_is_no_plain_file_or_too_much_is_refused(tmp_path, members, message):
    archives = {"tar.gz": tarred(*members)}
    if not any(isinstance(member, tarfile.TarInfo) for member in members):
        archives["zip"] = zipped(*members)
    for kind, data in archives.items():
        (tmp_path / "a").write_bytes(data)
        with pytest.raises((DataError, StorageError), match=message):
            unpack(tmp_path / "a", kind, tmp_path / "out", UnpackLimits(members=200))
        assert names(tmp_path) == ["a"]
        assert not (tmp_path / "out").exists()


def test_much_after_the_end_of_a_tar_is_refused(tmp_path):
    stream = io.BytesIO()
    with gzip.open(stream, "wb") as file:
        file.write(gzip.decompress(tarred(("x", b"1"))) + BOMB)
    (tmp_path / "a").write_bytes(stream.getvalue())
    with pytest.raises(DataError, match="much follows after the end"):
        unpack(tmp_path / "a", "tar.gz", tmp_path / "out")


def test_links_and_encrypted_members_of_a_zip_are_refused(tmp_path):
    archive = tmp_path / "a.zip"
    archive.write_bytes(zipped(("good", b"1"), (zip_link("link"), b"/etc")))
    with pytest.raises(DataError, match="'link' is a link or a device"):
        unpack(archive, "zip", tmp_path / "out")
    data = bytearray(zipped(("x", b"1")))
    data[6] |= 1  # the flag "encrypted" of the local header, and that of the directory
    data[data.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(bytes(data))
    with pytest.raises(DataError, match="'x' is encrypted"):
        unpack(archive, "zip", tmp_path / "out")
    archive.write_bytes(zipped(("abc", b"1")).replace(b"abc", b"a\0c"))
    with pytest.raises(DataError, match="would lead out"):
        unpack(archive, "zip", tmp_path / "out")
    assert names(tmp_path) == ["a.zip"]


def test_a_member_that_is_longer_than_it_states_is_refused(tmp_path):
    data = bytearray(zipped(("x", b"1" * 100_000)))
    start = data.index(b"PK\x01\x02")
    data[start + 24 : start + 28] = (10).to_bytes(4, "little")  # the size that the directory states
    (tmp_path / "a.zip").write_bytes(bytes(data))
    with pytest.raises(DataError, match=r"cannot be unpacked|longer than"):
        unpack(tmp_path / "a.zip", "zip", tmp_path / "out")
    assert names(tmp_path) == ["a.zip"]


def test_a_header_that_states_a_huge_header_takes_no_memory(tmp_path):
    info = tarfile.TarInfo("name")
    info.type, info.size = tarfile.XHDTYPE, (8 << 30) - 1
    data = info.tobuf(format=tarfile.USTAR_FORMAT)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as file:
        file.fileobj.write(data)
    (tmp_path / "a.tar.gz").write_bytes(stream.getvalue())
    with pytest.raises(DataError, match=r"cannot be unpacked \(a header states a length"):
        unpack(tmp_path / "a.tar.gz", "tar.gz", tmp_path / "out")


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize("harm", ["cut", "flipped", "nothing", "text"])
def test_a_broken_archive_is_one_clear_error(tmp_path, kind, harm):
    noise = hashlib.shake_128(b"seed").digest(100_000)
    data = bytearray(PACKERS[kind](("x", noise), ("y", noise[::-1])))
    if harm == "flipped":
        data[50_000] ^= 0xFF
    data = {"cut": data[: len(data) // 2], "flipped": data, "nothing": b"", "text": b"<html>not found</html>"}[harm]
    (tmp_path / "a").write_bytes(bytes(data))
    with pytest.raises(DataError, match=r"cannot be unpacked|bytes; fetch it again"):
        unpack(tmp_path / "a", kind, tmp_path / "out")
    assert names(tmp_path) == ["a"]
