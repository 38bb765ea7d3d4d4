"""The production code against a real S3 protocol server on loopback: tables, resuming, two writers, credentials."""

import json
import multiprocessing
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import boto3
import pyarrow as pa
import pytest
from s3_server import KEY, SECRET

from xlstance.disk_folder import CACHE, DiskFolder, on_this_node
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
XLSTANCE = (sys.executable, "-c", "from xlstance.cli import entry; entry()")
CONFIG = """\
miniature: {languages: 2, concepts: 30, names: 10, train_passages: 40, dev_passages: 8, test_passages: 8, issues: 2,
            arguments: 1}
sources: [{name: world, format: miniature, split: train}]
augmentations:
  - {of: [world], code_switching: {name: switched, lexicons: [miniature]}}
encoder: {kind: static, vocabulary_size: 300, dimension: 16}
training: {steps: 4, batch_size: 8, validation: {every: 0}, checkpoint_every: 2, log_every: 2}
arms: [{name: x-x-mono, sampler: x-x-mono}]
benchmarks: [{name: miniature, format: miniature}]
cluster: {workers: 1, stream_workers: 1, shards: 2}
"""


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


@pytest.mark.slow
def test_a_whole_experiment_in_a_bucket_equals_the_one_on_a_disk(bucket, tmp_path):
    """The command itself, with its workers in processes of their own."""
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    said = ""

    def run_command(output: str) -> str:
        nonlocal said
        done = subprocess.run(
            [*XLSTANCE, "experiment", "--config", tmp_path / "tiny.yaml", "--output", output],
            env={**os.environ, "PYTHONPATH": str(ROOT), CACHE: str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        said += done.stdout + done.stderr
        return done.stdout

    on_disk = run_command(str(tmp_path / "disk"))
    in_bucket = run_command(bucket)
    table = in_bucket[: in_bucket.index("report:")]
    assert table == on_disk[: on_disk.index("report:")]
    root, local = Folder(bucket), tmp_path / "disk"
    results = [json.loads(root.read("results.json")), json.loads((local / "results.json").read_text())]
    assert results[0]["arms"][0]["benchmarks"] == results[1]["arms"][0]["benchmarks"]
    for name in ("report.html", "metrics.jsonl", "events.jsonl", "reproduce.yaml"):
        said += root.read(name).decode()
    model = local / "models" / "x-x-mono-0"
    (weights,) = (path.relative_to(model) for path in model.rglob("*.safetensors") if "checkpoints" not in path.parts)
    place = root / "models" / "x-x-mono-0"
    for part in weights.parts[:-1]:
        place = place / part
    assert place.read(weights.name) == (model / weights).read_bytes()
    assert not (root / "models" / "x-x-mono-0").exists("checkpoints")
    assert table in run_command(bucket)  # it goes on where it stood: at the end
    assert SECRET not in said
    assert SECRET not in json.dumps(results)


def test_files_go_from_one_node_to_another_by_the_bucket(bucket, node):
    here = DiskFolder(f"{bucket}/model")
    assert here.is_copy
    assert here.names() == []
    assert here.fetch() == here.path  # nothing is there yet
    (here.path / "1_Dense").mkdir(parents=True)
    (here.path / "1_Dense" / "weights").write_bytes(bytes(100))
    (here.path / "config.json").write_text("{}")
    here.keep()
    node("second")
    there = DiskFolder(f"{bucket}/model")
    assert there.path != here.path
    assert there.names() == ["1_Dense/weights", "config.json"]
    assert (there.fetch() / "1_Dense" / "weights").read_bytes() == bytes(100)
    assert (there.exists("config.json"), there.exists("other"), there.size("config.json")) == (True, False, 2)
    assert there.read("config.json", 1) == b"}"


def test_fetching_follows_the_bucket_and_copies_what_changed_alone(bucket, node):
    place = DiskFolder(f"{bucket}/model")
    place.path.mkdir(parents=True)
    for name in ("a", "b", "c"):
        (place.path / name).write_text(name)
    place.keep()
    (place.path / "a").write_text("changed here, and not kept")
    (place.path / "more").write_text("not kept")
    node("second")
    other = DiskFolder(place.uri)
    (other.fetch() / "b").write_text("longer")
    other.keep("b")
    before = (place.path / "c").stat().st_ino
    node("first")
    place.fetch()
    assert {path.name: path.read_text() for path in place.path.iterdir()} == {"a": "a", "b": "longer", "c": "c"}
    assert (place.path / "c").stat().st_ino == before  # it was not fetched again


def test_some_files_are_fetched_without_the_others(bucket, node):
    folder = Folder(bucket)
    folder.write("en-de.tsv", b"house\tHaus\n")
    folder.write("corpus", b"large")
    root = on_this_node(bucket, "en-de.tsv", "en-fr.tsv")
    assert [path.name for path in root.iterdir()] == ["en-de.tsv"]
    assert on_this_node("no/bucket") == Path("no/bucket")


def test_a_removed_folder_is_gone_everywhere(bucket, node):
    place = DiskFolder(bucket) / "step-1"
    place.path.mkdir(parents=True)
    (place.path / "listing").write_text("")
    place.keep()
    (place).remove(first="listing")
    assert (place.names(), place.path.exists()) == ([], False)
    place.remove(first="listing")  # nothing is there


def test_a_folder_on_a_disk_is_its_own_copy(tmp_path):
    place = DiskFolder(tmp_path) / "model"
    place.path.mkdir()
    (place.path / "a").write_text("a")
    place.keep()
    assert (place.fetch(), place.is_copy, place.names()) == (tmp_path / "model", False, ["a"])
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    place.remove()
    assert not place.path.exists()


@pytest.mark.parametrize("name", ["../evil", "x/../../evil", "x/ /y"])
def test_a_name_in_a_bucket_does_not_lead_out_of_the_copy(bucket, node, server, name):
    boto3.client("s3", endpoint_url=server).put_object(Bucket=bucket.split("/")[2], Key=f"work/{name}", Body=b"x")
    with pytest.raises(StorageError, match=r"is no (file|folder)|cannot be"):
        DiskFolder(bucket).fetch()


def test_what_the_bucket_refuses_is_said_without_credentials(node, server):
    place = DiskFolder("s3://no-such-bucket/x")
    place.path.mkdir(parents=True)
    (place.path / "a").write_text("a")
    with pytest.raises(StorageError, match="cannot be kept") as refused:
        place.keep()
    assert SECRET not in str(refused.value)
