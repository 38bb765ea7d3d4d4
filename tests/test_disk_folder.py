"""Folders whose files have paths: of a bucket, by copies on this node, and of a disk."""

from pathlib import Path

import boto3
import pytest
from s3_server import SECRET

from xlstance.disk_folder import DiskFolder, on_this_node
from xlstance.errors import StorageError
from xlstance.storage import Folder


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
