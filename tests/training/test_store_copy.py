"""A store is copied to a node once and whole, or a window of its shards at a time."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.fs as pafs
import pytest
from store_worlds import Letters, Plain, parallel, prepare
from test_store import check_equal

from xlstance.errors import SettingsError, StorageError
from xlstance.storage import MANIFEST, Folder, read_manifest
from xlstance.training.store import TrainingStore, node_copy, open_store
from xlstance.training.store.node_copy import local_store
from xlstance.training.store.preparation import prepare_store
from xlstance.training.store.shards import LocalShards
from xlstance.training.store.window import WindowedShards
from xlstance.training_data import TrainingData

PROGRAM = Path(__file__).with_name("copy_store.py")
SHARDS = 6


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return parallel(30).publish_together(tmp_path_factory.mktemp("source") / "world", SHARDS)


@pytest.fixture(scope="module")
def store(source: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    prepare([source], folder)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def bucket_of(folder: Path) -> Folder:
    """The folder on a filesystem that is not the local one, as a bucket is."""
    found = Folder(folder)
    found.filesystem = pafs.SubTreeFileSystem("/", pafs.LocalFileSystem())
    return found


def test_a_copy_is_the_store(store: Path, source: TrainingData, tmp_path: Path) -> None:
    copy = local_store(bucket_of(store), tmp_path / "node")
    assert content(copy) == content(store)
    check_equal(TrainingStore(copy), Plain([source]))
    assert copy.parent == tmp_path / "node"


def test_a_store_can_be_made_in_a_bucket(store: Path, source: TrainingData, tmp_path: Path) -> None:
    prepare_store([source], Letters, "letters", bucket_of(tmp_path))
    assert content(tmp_path) == content(store)
    with pytest.raises(StorageError, match="lies in a bucket"):
        TrainingStore(LocalShards(bucket_of(tmp_path)))


def test_a_store_is_opened_where_it_lies_or_on_the_node(store: Path, tmp_path: Path) -> None:
    node = str(tmp_path / "node")
    rows = np.arange(90)
    opened = [open_store(str(store)), open_store(str(store), node), open_store(str(store), node, 2)]
    tokens = [[ids.tolist() for ids in one.query_tokens(rows)] for one in opened]
    assert tokens[0] == tokens[1] == tokens[2]
    stamp = read_manifest(Folder(store)).fingerprint
    assert sorted(path.name for path in (tmp_path / "node").iterdir()) == [
        *(stamp, f"{stamp}-window", f"{stamp}-window.lock", f"{stamp}.lock")
    ]


def test_a_finished_copy_is_left_alone(store: Path, tmp_path: Path) -> None:
    copy = local_store(Folder(store), tmp_path)
    before = {path: path.stat().st_mtime_ns for path in copy.iterdir()}
    local_store(Folder(store), tmp_path)
    assert before == {path: path.stat().st_mtime_ns for path in copy.iterdir()}


def run(store: Path, node: Path, log: Path, seconds: float) -> "subprocess.Popen[str]":
    command = [sys.executable, str(PROGRAM), str(store), str(node), str(log), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_processes_of_a_node_share_one_copy(store: Path, tmp_path: Path) -> None:
    processes = [run(store, tmp_path / "node", tmp_path / "log", 0.02) for _ in range(3)]
    said = {process.communicate()[0].strip() for process in processes}
    assert len(said) == 1
    assert content(Path(said.pop())) == content(store)
    assert sorted((tmp_path / "log").read_text().splitlines()) == sorted(set(content(store)) - {MANIFEST})


def test_a_killed_copier_leaves_nothing_that_is_taken_for_whole(store: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    first = run(store, tmp_path / "node", log, 0.2)
    deadline = time.monotonic() + 60
    while not (log.exists() and len(log.read_text().splitlines()) >= 3) and time.monotonic() < deadline:
        time.sleep(0.01)
    second = run(store, tmp_path / "node", log, 0)  # waits for the first
    first.send_signal(signal.SIGKILL)
    first.communicate()
    copy = tmp_path / "node" / read_manifest(Folder(store)).fingerprint
    done = log.read_text().splitlines()
    assert 3 <= len(done) < 4 * SHARDS
    assert Path(second.communicate()[0].strip()) == copy
    assert content(copy) == content(store)
    copied = log.read_text().splitlines()  # the one that was being written is written again, no other
    assert sorted(copied) == sorted(set(content(store)) - {MANIFEST})


@pytest.mark.parametrize("damage", [b"cut", None])
def test_a_torn_copy_is_mended(store: Path, tmp_path: Path, damage: bytes | None) -> None:
    copy = local_store(Folder(store), tmp_path)
    (copy / MANIFEST).unlink()
    torn = next(copy.glob("*-pairs-00001.arrow"))
    torn.write_bytes(damage if damage else torn.read_bytes()[:-1] + b"!")  # the same size, another last byte
    assert content(local_store(Folder(store), tmp_path)) == content(store)


def test_a_disk_without_room_is_refused(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = sum(file.bytes for file in read_manifest(Folder(store)).files)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=needed - 1))
    with pytest.raises(StorageError, match=f"lacks room for .*: {needed:,} bytes are needed, {needed - 1:,} are free"):
        local_store(Folder(store), tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=needed))
    assert content(local_store(Folder(store), tmp_path)) == content(store)


def test_a_changed_source_is_noticed(store: Path, tmp_path: Path) -> None:
    changed = tmp_path / "store"
    shutil.copytree(store, changed)
    name = next(changed.glob("*-queries-00002.arrow")).name
    (changed / name).write_bytes(b"other")
    with pytest.raises(StorageError, match=rf"{name} is not the file that its manifest describes"):
        local_store(Folder(changed), tmp_path / "node")
    assert not list((tmp_path / "node").rglob(f"{name}"))
    assert not list((tmp_path / "node").rglob(MANIFEST))


def test_a_node_folder_that_cannot_be_written_is_refused(store: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        local_store(Folder(store), tmp_path / "file" / "node")


class Counted(WindowedShards):
    """Counts what is on the disk whenever a shard is asked for."""

    most = 0

    def __getitem__(self, index: int) -> Any:
        shard = super().__getitem__(index)
        on_disk = {path.name.rpartition("-")[2] for path in self._copy.iterdir()}
        self.most = max(self.most, len(on_disk), len(self._open))
        return shard


@pytest.mark.parametrize("kept", [1, 3])
def test_a_window_says_what_the_whole_says(store: Path, source: TrainingData, tmp_path: Path, kept: int) -> None:
    shards = Counted(bucket_of(store), tmp_path, kept)
    check_equal(TrainingStore(shards), Plain([source]))
    assert shards.most == kept


def test_a_window_fetches_a_shard_once_while_it_is_kept(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = counted_fetches(monkeypatch)
    shards = WindowedShards(Folder(store), tmp_path, 2)
    opened = [shards[index] for index in (0, 1, 0, 2, 0, 1)]
    assert opened[0] is opened[2] is opened[4]
    assert fetched == [0, 1, 2, 1]  # 1 went for 2, since 0 was used after it
    again = WindowedShards(Folder(store), tmp_path, 2)
    again[0], again[1]
    assert fetched == [0, 1, 2, 1]  # another process finds them there
    again[5]
    assert shards[0].queries.tokens.lengths(np.arange(2)).tolist()  # though their files have gone


def counted_fetches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    fetched: list[int] = []
    copy = node_copy._copy

    def counted(folder: Folder, file: Any, path: Path) -> None:
        if "-queries-" in file.name:
            fetched.append(int(file.name[-11:-6]))
        copy(folder, file, path)

    monkeypatch.setattr(node_copy, "_copy", counted)
    return fetched


def test_a_window_needs_pairs_whose_texts_stand_together(tmp_path: Path) -> None:
    together = parallel(12, negatives=1).publish_together(tmp_path / "world", 3)
    prepare([together], tmp_path / "store")
    with pytest.raises(SettingsError, match=r"cannot be read through a window.*negatives of other shards"):
        WindowedShards(Folder(tmp_path / "store"), tmp_path / "node", 2)
