import dataclasses
import json
import pickle
from pathlib import Path

import pyarrow as pa
import pytest

from xlstance.errors import DataError, StorageError
from xlstance.storage import (
    MANIFEST,
    Folder,
    Manifest,
    find_shard,
    fingerprint,
    is_published,
    publish,
    read_manifest,
    read_metadata,
    read_shard,
    read_table,
    write_shard,
    write_table,
)
from xlstance.tables import make_table


def queries(count: int = 20) -> pa.Table:
    return make_table(
        "queries",
        {
            "query_id": [f"q{i}" for i in range(count)],
            "lang": ["en"] * count,
            "text": [f"text {i}" for i in range(count)],
            "group_id": [f"g{i // 2}" for i in range(count)],
        },
    )


def edit_manifest(folder: Folder, **changes: object) -> None:
    path = Path(folder.path) / MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def edit_file(folder: Folder, **changes: object) -> None:
    files = [dataclasses.asdict(file) for file in read_manifest(folder).files]
    edit_manifest(folder, files=[{**files[0], **changes}, *files[1:]])


@pytest.mark.parametrize("name", ["..", ".", "", "../x", "a/b", "/etc/passwd", "a..b", ".hidden", "a\\b", "a b", "x\n"])
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    folder = Folder(tmp_path / "in")
    (tmp_path / "x").write_text("outside")
    for use in (folder.__truediv__, folder.exists, folder.read, lambda name: folder.write(name, b"")):
        with pytest.raises(StorageError, match="is no file name here"):
            use(name)


def test_a_folder_reads_what_it_wrote_and_travels(tmp_path: Path) -> None:
    folder = Folder(tmp_path) / "new" / "deeper"
    assert not folder.exists("a.bin")
    with pytest.raises(StorageError, match=r"deeper/a\.bin does not exist"):
        folder.read("a.bin")
    folder.write("a.bin", b"one")
    folder.write("a.bin", b"two")
    copy = pickle.loads(pickle.dumps(folder))
    assert copy.read("a.bin") == b"two"
    assert copy == folder != Folder(tmp_path)
    assert len({copy, folder}) == 1
    assert copy.uri == str(folder) == str(folder.local) == str(tmp_path / "new" / "deeper")
    assert (Folder(f"file://{tmp_path}/new/") / "deeper").read("a.bin") == b"two"


def test_a_folder_that_cannot_be_used_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=r"file/x cannot be written") as caught:
        Folder(tmp_path / "file").write("x", b"")
    assert "\n" not in str(caught.value)
    with pytest.raises(StorageError, match="nonsense://x is no folder"):
        Folder("nonsense://x")


def test_fingerprints_tell_settings_apart() -> None:
    @dataclasses.dataclass(frozen=True)
    class Red:
        value: object = 1

    @dataclasses.dataclass(frozen=True)
    class Blue:
        value: object = 1

    parts: list[object] = [Red(), Blue(), Red(2), Red([Red()]), {"value": 1}, {"value": "1"}, [1], [[1]], "1", "", None]
    stamps = [fingerprint(part) for part in parts]
    assert len(set(stamps)) == len(parts)
    assert fingerprint("a", "b") != fingerprint("ab") != fingerprint(["a", "b"])
    assert fingerprint({"a": 1, "b": (2,)}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint({"no": "π"}, 0.5) == "604cba63085b22cb"  # another value would refuse every output that exists


def test_a_file_cut_off_anywhere_is_not_whole(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    receipt = write_shard(folder, "a.parquet", queries(), "stamp")
    assert find_shard(folder, "a.parquet", "stamp") == receipt
    whole = folder.read("a.parquet")
    assert receipt.bytes == len(whole)
    for length in range(len(whole)):
        folder.write("a.parquet", whole[:length])
        assert find_shard(folder, "a.parquet", "stamp") is None, length


def test_a_file_of_another_fingerprint_is_not_ours(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    write_shard(folder, "a.parquet", queries(), "stamp")
    write_shard(folder, "b.parquet", queries(), None)
    assert find_shard(folder, "a.parquet", "other") is None
    assert find_shard(folder, "b.parquet", "stamp") is None
    assert find_shard(folder, "absent.parquet", "stamp") is None


@pytest.mark.parametrize("shards", [1, 4, 50])
def test_every_row_comes_back_once_for_any_number_of_shards(tmp_path: Path, shards: int) -> None:
    folder = Folder(tmp_path / "queries")
    manifest = write_table(folder, "queries", queries(), "stamp", shards=shards, info={"licence": "CC0"})
    assert read_manifest(folder) == manifest
    assert (manifest.rows, len(manifest.files), manifest.info) == (20, shards, {"licence": "CC0"})
    table = read_table(folder, "queries")
    assert table.sort_by("query_id").equals(queries().sort_by("query_id"))
    assert read_table(folder, "queries", ["text"]).column_names == ["text"]
    if shards == 4:
        assert min(file.rows for file in manifest.files) < max(file.rows for file in manifest.files) < 20


def test_rows_with_one_key_share_a_file_in_their_order(tmp_path: Path) -> None:
    manifest = write_table(Folder(tmp_path), "queries", queries(), "s", shards=4, key=queries()["group_id"])
    parts = [read_shard(Folder(tmp_path), file, "queries") for file in manifest.files]
    groups = [set(part["group_id"].to_pylist()) for part in parts]
    assert sum(map(len, groups)) == 10
    numbers = [[int(value[1:]) for value in part["query_id"].to_pylist()] for part in parts]
    assert numbers == [sorted(own) for own in numbers]


def test_a_file_s_hash_tells_its_rows_and_nothing_else(tmp_path: Path) -> None:
    manifests = [write_table(Folder(tmp_path / s), "queries", queries(), s, shards=3) for s in ("one", "two")]
    hashes = [[file.sha256 for file in manifest.files] for manifest in manifests]
    assert hashes[0] == hashes[1]
    assert len(set(hashes[0])) == 3


def test_a_table_without_rows_and_one_without_files(tmp_path: Path) -> None:
    write_table(Folder(tmp_path / "rows"), "queries", queries(0), "stamp", shards=2)
    publish(Folder(tmp_path / "files"), "queries", "stamp", [])
    for name in ("rows", "files"):
        assert read_table(Folder(tmp_path / name), "queries").equals(queries(0))
        assert read_table(Folder(tmp_path / name), "queries", ["lang"]).column_names == ["lang"]


def test_a_table_is_written_once(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    first = write_table(folder, "queries", queries(), "stamp")
    assert write_table(folder, "queries", queries(3), "stamp") == first
    assert read_table(folder, "queries").num_rows == 20
    with pytest.raises(StorageError, match=r"holds the result of other settings .*choose another --output"):
        write_table(folder, "queries", queries(), "other")
    with pytest.raises(DataError, match="not of queries"):
        write_table(folder / "wrong", "queries", make_table("qrels", {}), "stamp")


def test_is_published(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "t")
    assert not is_published(folder, "stamp")
    write_shard(folder, "a.parquet", queries(), "stamp")
    assert not is_published(folder, "stamp")  # files alone are no table
    with pytest.raises(StorageError, match="its stage has not finished"):
        read_manifest(folder)
    write_table(folder, "queries", queries(), "stamp")
    assert is_published(folder, "stamp")
    with pytest.raises(StorageError, match="fingerprint stamp, now other"):
        is_published(folder, "other")


def test_a_manifest_cut_off_by_a_kill_is_written_again(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    write_table(folder, "queries", queries(), "stamp")
    whole = folder.read(MANIFEST)
    for length in (0, 1, len(whole) // 2, len(whole) - 1):
        folder.write(MANIFEST, whole[:length])
        assert not is_published(folder, "stamp")
        with pytest.raises(StorageError, match="cannot be read"):
            read_manifest(folder)
    write_table(folder, "queries", queries(), "stamp")
    assert folder.read(MANIFEST) == whole


def test_readers_follow_the_manifest_alone(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    write_table(folder, "queries", queries(), "stamp")
    write_shard(folder, "stray.parquet", queries(), "stamp")
    assert read_table(folder, "queries").num_rows == 20


def published(tmp_path: Path) -> tuple[Folder, Manifest]:
    folder = Folder(tmp_path)
    return folder, write_table(folder, "queries", queries(), "stamp", shards=2)


def test_a_manifest_that_is_not_true_is_refused(tmp_path: Path) -> None:
    folder, manifest = published(tmp_path)
    path = tmp_path / manifest.files[0].name
    data = path.read_bytes()
    edit_file(folder, rows=99)
    with pytest.raises(StorageError, match="rows, its manifest says 99"):
        read_table(folder, "queries")
    edit_file(folder, rows=manifest.files[0].rows)
    assert read_table(folder, "queries").num_rows == 20
    path.write_bytes(data.replace(b"PAR1", b"PAR2"))
    with pytest.raises(StorageError, match="its SHA-256 differs"):
        read_table(folder, "queries")
    path.write_bytes((tmp_path / manifest.files[1].name).read_bytes())  # whole, but another one
    with pytest.raises(StorageError, match="its SHA-256 differs"):
        read_table(folder, "queries")
    path.unlink()
    with pytest.raises(StorageError, match="is missing though"):
        read_table(folder, "queries")
    with pytest.raises(StorageError, match="cannot be read"):
        read_metadata(folder, manifest.files[0])
    edit_file(folder, name="../outside.parquet")
    with pytest.raises(StorageError, match="is no file name here"):
        read_table(folder, "queries")


def test_a_manifest_of_another_kind_or_a_newer_version_is_refused(tmp_path: Path) -> None:
    folder, _ = published(tmp_path)
    with pytest.raises(StorageError, match="a table of queries, not of passages"):
        read_table(folder, "passages")
    edit_manifest(folder, table="passages")
    with pytest.raises(DataError, match="a table of queries, not of passages"):
        read_table(folder, "passages")
    edit_manifest(folder, schema=2)
    with pytest.raises(StorageError, match="newer version: update xlstance"):
        read_manifest(folder)
    for content in ("[]", "{}", '{"schema": 1, "files": [{}]}', '{"schema": "x"}', "\udcff"):
        (tmp_path / MANIFEST).write_bytes(content.encode("utf-8", "surrogateescape"))
        with pytest.raises(StorageError, match=r"cannot be read .*remove the folder"):
            read_manifest(folder)


def test_a_shard_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    newer = queries().replace_schema_metadata({b"xlstance.table": b"queries", b"xlstance.version": b"9"})
    file = write_shard(Folder(tmp_path), "a.parquet", newer, "stamp")
    with pytest.raises(DataError, match=r"a\.parquet: written by a newer version"):
        read_shard(Folder(tmp_path), file, "queries")


def test_metadata_of_a_table_stay_with_its_file(tmp_path: Path) -> None:
    table = queries().replace_schema_metadata({**queries().schema.metadata, b"counts": b"{}"})
    file = write_shard(Folder(tmp_path), "a.parquet", table, "stamp")
    assert read_metadata(Folder(tmp_path), file)[b"counts"] == b"{}"
    assert read_shard(Folder(tmp_path), file, "queries").schema.equals(queries().schema, check_metadata=True)
