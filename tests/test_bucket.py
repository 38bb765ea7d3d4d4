"""The production code against a real S3 protocol server on loopback: tables, resuming, two writers, credentials."""

import multiprocessing
import time
from functools import partial
from pathlib import Path

import boto3
import pyarrow as pa
import pytest
from s3_server import KEY, SECRET

from xlstance.errors import StorageError
from xlstance.storage import (
    Folder,
    find_shard,
    is_published,
    publish,
    read_manifest,
    read_table,
    write_shard,
    write_table,
)
from xlstance.streams import Output, Shard, run_stream
from xlstance.tables import make_table

ROOT = Path(__file__).resolve().parents[1]


def passages(start: int, count: int) -> pa.Table:
    ids = [f"p{number}" for number in range(start, start + count)]
    return make_table(
        "passages", {"passage_id": ids, "lang": ["de"] * count, "text": [f"text {i}" for i in ids], "group_id": ids}
    )


def test_a_table_comes_back_as_it_was_written(bucket):
    folder = Folder(bucket) / "passages"
    rows = passages(0, 100)
    write_table(folder, "passages", rows, "stamp", shards=3)
    assert is_published(folder, "stamp")
    assert len(read_manifest(folder).files) == 3
    assert read_table(folder, "passages").sort_by("passage_id").to_pylist() == rows.sort_by("passage_id").to_pylist()
    with pytest.raises(StorageError, match="other settings or inputs"):
        is_published(folder, "another")


def test_nothing_is_read_before_the_manifest_is_written(bucket):
    folder = Folder(bucket) / "passages"
    receipt = write_shard(folder, "stamp.parquet", passages(0, 4), "stamp")
    with pytest.raises(StorageError, match="holds no published table"):
        read_table(folder, "passages")
    publish(folder, "passages", "stamp", [receipt])
    assert len(read_table(folder, "passages")) == 4


def test_a_cut_file_is_no_shard(bucket):
    folder = Folder(bucket) / "passages"
    write_shard(folder, "stamp.parquet", passages(0, 40), "stamp")
    folder.write("stamp.parquet", folder.read("stamp.parquet")[:-10])
    assert find_shard(folder, "stamp.parquet", "stamp") is None


def make_work(killed_at: int | None):
    def work(payload):
        if payload["start"] == killed_at:
            raise KeyboardInterrupt
        return {"passages": passages(payload["start"], 10)}

    return work


def shards(folder: Folder) -> list[Shard]:
    return [
        Shard(
            stamp=f"stamp{start}",
            payload={"start": start},
            outputs={"passages": Output(folder=folder, table="passages")},
        )
        for start in range(0, 60, 10)
    ]


def run(folder: Folder, killed_at: int | None = None) -> None:
    run_stream(partial(make_work, killed_at), shards(folder), {folder.uri: "all"}, label="test", workers=0)


def test_a_killed_stage_goes_on_with_what_is_missing(bucket, server):
    folder = Folder(bucket) / "passages"
    with pytest.raises(KeyboardInterrupt):
        run(folder, killed_at=30)
    assert not folder.exists("manifest.json")
    client = boto3.client("s3", endpoint_url=server)
    name = folder.path.partition("/")[0]

    def written() -> dict:
        entries = client.list_objects(Bucket=name)["Contents"]
        return {entry["Key"]: entry["LastModified"] for entry in entries if entry["Key"].endswith(".parquet")}

    before = written()
    assert len(before) == 3
    time.sleep(1)  # times are whole seconds
    run(folder)
    assert {key: written()[key] for key in before} == before  # they were not written again
    assert len(read_table(folder, "passages")) == 60


def _write(uri: str) -> None:
    run(Folder(uri))


def test_two_writers_at_once_leave_one_whole_table(bucket):
    folder = Folder(bucket) / "passages"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(folder.uri,)) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert len(read_manifest(folder).files) == 6
    assert read_table(folder, "passages")["passage_id"].to_pylist() == [f"p{number}" for number in range(60)]


@pytest.mark.parametrize("place", ["s3://key:{}@bucket/x", "s3://bucket/x?access_key=key&secret_key={}"])
def test_a_password_in_an_address_is_refused_and_not_repeated(place):
    with pytest.raises(StorageError, match="holds a password") as refused:
        Folder(place.format(SECRET))
    assert SECRET not in str(refused.value)


def test_a_refusal_of_the_server_is_one_line_without_credentials(server):
    folder = Folder("s3://no-such-bucket/x")
    for fail in (lambda: folder.write("a", b""), lambda: folder.read("a"), lambda: folder.make()):
        with pytest.raises(StorageError) as refused:
            fail()
        text = str(refused.value)
        assert "\n" not in text
        assert SECRET not in text
        assert KEY not in text
