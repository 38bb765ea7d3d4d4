"""A training store is the same however it came about, and nothing that is wrong with its input passes unseen."""

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from killable_store import work_on
from store_worlds import parallel, prepare

from xlstance.encoders import load_encoder
from xlstance.errors import DataError, SettingsError, StorageError
from xlstance.storage import MANIFEST, Folder, read_manifest
from xlstance.tables import hash_ids
from xlstance.training.store import TrainingStore, preparation
from xlstance.training.store.files import cut_by_key, map_batch
from xlstance.training.store.preparation import prepare_store
from xlstance.training_data import TrainingData, published

PROGRAM = Path(__file__).with_name("killable_store.py")
SHARDS = 8


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.*"))}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    """Queries stand anywhere and negatives are of any shard: every pass has something to do."""
    return parallel(24, negatives=2).publish(tmp_path_factory.mktemp("source") / "world", SHARDS)


@pytest.fixture(scope="module")
def undisturbed(source: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed")
    prepare([source], folder)
    return content(folder)


def test_a_store_holds_what_its_manifest_names_and_no_more(source: TrainingData, undisturbed: dict[str, bytes]) -> None:
    assert len(undisturbed) == 4 * SHARDS + 1
    assert {name.split("-")[1] for name in undisturbed if name != MANIFEST} == {
        "queries",
        "passages",
        "pairs",
        "answers",
    }


def test_a_second_store_is_equal_to_the_byte(
    source: TrainingData, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    prepare([source], tmp_path)
    assert content(tmp_path) == undisturbed


@pytest.mark.slow  # starts workers
def test_workers_give_the_same_bytes(world, tmp_path: Path, ray_session: None) -> None:
    alone = world.prepare("spread", world.tables, shards=3)
    load = partial(load_encoder, world.settings, tokenizer=world.vocabulary)
    sources = [published(Folder(world.root / "spread"), "spread")]
    prepare_store(sources, load, "tokenizer", Folder(tmp_path), workers=2)
    assert content(tmp_path) == content(alone)


def test_a_finished_store_is_left_alone(source: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare([source], tmp_path)
    monkeypatch.setattr(preparation, "run_stream", None)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    prepare([source], tmp_path)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}


def test_what_a_kill_after_the_manifest_left_is_removed(source: TrainingData, tmp_path: Path) -> None:
    prepare([source], tmp_path)
    scratch = tmp_path / f"{read_manifest(Folder(tmp_path)).fingerprint}-scratch"
    (scratch / "tokens").mkdir(parents=True)
    prepare([source], tmp_path)
    assert not scratch.exists()


@pytest.mark.parametrize(
    "broken", ["tokenise_shard", "answer", "write_pairs", "gather_answers", "write_answers", "publish"]
)
def test_only_what_is_missing_is_done_again(
    source: TrainingData,
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
) -> None:
    """Stopped in the middle of each pass, the preparation goes on with the shards of that pass that are left."""
    names = ["tokenise_shard", "answer", "write_pairs", "gather_answers", "write_answers", "publish"]
    calls: Counter[str] = Counter()
    original = {name: getattr(preparation, name) for name in names}

    def counted(name: str, stop_after: int) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            if calls[name] == stop_after:
                raise KeyboardInterrupt
            calls[name] += 1
            return original[name](*arguments, **more)

        return call

    for name in names:
        stop_after = {broken: 0 if broken == "publish" else 3}.get(name, -1)
        monkeypatch.setattr(preparation, name, counted(name, stop_after))
    with pytest.raises(KeyboardInterrupt):
        prepare([source], tmp_path)
    with pytest.raises(StorageError, match="has not finished"):
        TrainingStore(tmp_path)
    for name in names:
        monkeypatch.setattr(preparation, name, counted(name, -1))
    prepare([source], tmp_path)
    assert content(tmp_path) == undisturbed
    assert calls == {**dict.fromkeys(names, SHARDS), "publish": 1}


def test_a_killed_preparation_goes_on(source: TrainingData, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    output, log = tmp_path / "store", tmp_path / "log"
    command = [sys.executable, str(PROGRAM), str(Path(source.pairs.path).parent), str(output), str(log)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while len(list(output.glob("*-scratch/tokens/*.parquet"))) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    done = len(list(output.glob("*-scratch/tokens/*.parquet")))
    assert 3 <= done < SHARDS
    seen = Counter(log.read_text().splitlines())
    work_on(Path(source.pairs.path).parent, output, log)
    assert content(output) == undisturbed
    again = Counter(log.read_text().splitlines()) - seen
    texts = [f"{lang} {i}{mark}" for i in range(24) for lang in ("en", "de", "fi") for mark in "?."]
    assert set(seen) | set(again) == set(texts)
    assert 0 < len(set(again)) < len(texts)
    # At most the shard that was being done when it was killed is tokenised twice.
    twice = {text for text, count in Counter(log.read_text().splitlines()).items() if count > 1}
    assert len(twice) < len(texts) / 2
    assert max(Counter(log.read_text().splitlines()).values()) <= 2


def almost(monkeypatch: pytest.MonkeyPatch, source: TrainingData, folder: Path) -> None:
    """Prepares a store up to its manifest."""
    with monkeypatch.context() as patch:
        patch.setattr(preparation, "publish", None)
        with pytest.raises(TypeError):
            prepare([source], folder)


def test_a_file_that_changed_before_the_end_is_noticed(
    source: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    almost(monkeypatch, source, tmp_path)
    next(tmp_path.glob("*-passages-00002.arrow")).write_bytes(b"cut")
    with pytest.raises(StorageError, match=r"passages-00002.*is not what was written"):
        prepare([source], tmp_path)


def test_what_another_preparation_left_is_not_taken_for_its_own(
    source: TrainingData, undisturbed: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    almost(monkeypatch, replace(source, name="other"), tmp_path)
    prepare([source], tmp_path)
    store = content(tmp_path)
    assert {name: store[name] for name in undisturbed} == undisturbed
    assert {partition.source for partition in TrainingStore(tmp_path).partitions} == {"world"}


def test_a_store_of_other_inputs_is_refused(source: TrainingData, tmp_path: Path) -> None:
    prepare([source], tmp_path)
    for other in ([replace(source, bitext=True)], [source, replace(source, name="again")]):
        with pytest.raises(StorageError, match="other settings or inputs"):
            prepare(other, tmp_path)


@pytest.mark.parametrize(
    ("column", "kept"),
    [("query", {"queries": slice(1, None)}), ("passage", {"passages": slice(1, None)}), ("negative", {})],
)
@pytest.mark.parametrize("shards", [1, 3])
def test_a_pair_without_its_text_is_refused(tmp_path: Path, column: str, kept: dict[str, slice], shards: int) -> None:
    whole = parallel(6)
    world = replace(whole, **{table: getattr(whole, table)[rows] for table, rows in kept.items()})
    if column == "negative":
        pair = world.pairs[7]
        world = replace(world, pairs=[*world.pairs, ("wrong", *pair[1:3], ["p0-en", "nowhere"])])
    data = world.publish(tmp_path / "world", shards)
    missing = {"query": "q0-en", "passage": "p0-en", "negative": "nowhere"}[column]
    with pytest.raises(DataError, match=rf"pairs: pair '.*' names the {column} '{missing}', which no table holds"):
        prepare([data], tmp_path / "store")
    with pytest.raises(StorageError):
        TrainingStore(tmp_path / "store")


def test_the_pair_of_a_missing_negative_is_named(tmp_path: Path) -> None:
    world = parallel(6, negatives=2)
    pairs = [
        (name, query, passage, None if number % 3 else wrong)
        for number, (name, query, passage, wrong) in enumerate(world.pairs)
    ]
    pairs[9] = (*pairs[9][:3], ["nowhere", "p0-en"])
    data = replace(world, pairs=pairs).publish(tmp_path / "world", 1)
    with pytest.raises(DataError, match=f"pair '{pairs[9][0]}' names the negative 'nowhere'"):
        prepare([data], tmp_path / "store")


def test_no_pairs_at_all_are_refused(tmp_path: Path) -> None:
    data = replace(parallel(3), pairs=[]).publish(tmp_path / "world", 2)
    with pytest.raises(DataError, match="no pairs"):
        prepare([data], tmp_path / "store")


def test_other_numbers_of_shards_are_refused(tmp_path: Path) -> None:
    data = [parallel(4).publish(tmp_path / f"world-{shards}", shards) for shards in (2, 3)]
    with pytest.raises(SettingsError, match=r"same number of shards.*world-2/pairs has 2.*world-3/pairs has 3"):
        prepare(data, tmp_path / "store")


def test_what_is_no_store_is_refused(source: TrainingData, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="has not finished"):
        TrainingStore(tmp_path)
    with pytest.raises(StorageError, match="a table of pairs, not a training store"):
        TrainingStore(Path(source.pairs.path))


def test_texts_are_stored_once_for_sources_that_share_them(tmp_path: Path) -> None:
    world = parallel(10)
    first = world.publish(tmp_path / "first", 2)
    half = replace(world, pairs=world.pairs[:45]).publish(tmp_path / "half", 2, bitext=True)
    second = replace(half, queries=first.queries, passages=first.passages)
    prepare([first, second], tmp_path / "store")
    files = read_manifest(Folder(tmp_path / "store")).files
    rows = Counter[str]()
    for file in files:
        rows[file.name.split("-")[1]] += file.rows
    assert (rows["queries"], rows["passages"], rows["pairs"]) == (30, 30, 135)
    partitions = TrainingStore(tmp_path / "store").partitions
    assert sum(partition.rows for partition in partitions if partition.bitext) == 45
    assert {partition.source for partition in partitions if partition.bitext} == {"half"}


def test_an_answer_is_listed_once_however_many_pairs_and_shards_give_it(source: TrainingData, tmp_path: Path) -> None:
    prepare([source], tmp_path)
    for path in tmp_path.glob("*-answers-*"):
        lists = map_batch(path)["answers"].to_pylist()
        assert lists
        assert all(own == sorted(set(own)) for own in lists)


def test_ranges_of_keys_have_about_equal_shares() -> None:
    keys = hash_ids([str(number) for number in range(4000)])
    batches = cut_by_key(pa.table({"key": keys}), keys, 4)
    assert [batch.num_rows for batch in batches] == pytest.approx([1000] * 4, rel=0.1)
    assert np.concatenate([batch["key"].to_numpy() for batch in batches]).tolist() == sorted(keys.tolist())
