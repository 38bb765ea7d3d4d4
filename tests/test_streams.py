import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from xlstance.errors import DataError, StorageError, UserError
from xlstance.storage import MANIFEST, Folder, find_shard, fingerprint, is_published, read_manifest, read_table
from xlstance.streams import Output, Shard, Work, run_stream
from xlstance.tables import make_table


def make_work(log: Path, seconds: float = 0, broken: int | None = None) -> Work:
    """Work that takes a while, notes which shard it did, and may find one shard's input wrong."""

    def work(payload: Mapping[str, Any]) -> dict[str, pa.Table]:
        number = payload["number"]
        if number == broken:
            raise StorageError(f"shard {number}, row 7: broken")
        time.sleep(seconds)
        with log.open("a") as file:
            file.write(f"{number}\n")
        ids = [f"{number}-{row}" for row in range(50)]
        texts = make_table("queries", {"query_id": ids, "lang": ["en"] * 50, "text": ids, "group_id": ids})
        gains = make_table("qrels", {"query_id": ids, "passage_id": ids, "gain": [number] * 50})
        return {"queries": texts, "qrels": gains}

    return work


def fail_to_make() -> Work:
    raise UserError("the lexicon is missing")


def stream(root: Path, log: Path, *, workers: int, count: int = 12, stamp: str = "stamp", **work: Any) -> None:
    outputs = {table: Output(folder=Folder(root) / table, table=table) for table in ("queries", "qrels")}
    shards = [
        Shard(stamp=fingerprint(stamp, number), payload={"number": number}, outputs=outputs) for number in range(count)
    ]
    run_stream(
        partial(make_work, log, **work),
        shards,
        {output.folder.uri: stamp for output in outputs.values()},
        label="test",
        workers=workers,
        info={"kept": 1},
    )


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.*"))}


def done(log: Path) -> list[int]:
    return sorted(map(int, log.read_text().split())) if log.exists() else []


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    root = tmp_path_factory.mktemp("undisturbed")
    stream(root / "out", root / "log", workers=0)
    assert done(root / "log") == list(range(12))
    return content(root / "out")


def test_tables_are_published_with_every_row_once(tmp_path: Path) -> None:
    stream(tmp_path, tmp_path / "log", workers=0, count=3)
    for table in ("queries", "qrels"):
        manifest = read_manifest(Folder(tmp_path) / table)
        assert (manifest.table, manifest.fingerprint, manifest.info) == (table, "stamp", {"kept": 1})
        assert [file.rows for file in manifest.files] == [50] * 3
    assert read_table(Folder(tmp_path) / "qrels", "qrels")["gain"].to_pylist() == [0] * 50 + [1] * 50 + [2] * 50


@pytest.mark.parametrize("workers", [1, 2])
def test_files_are_the_same_for_any_number_of_workers(
    tmp_path: Path, ray_session: None, undisturbed: dict[str, bytes], workers: int
) -> None:
    stream(tmp_path / "out", tmp_path / "log", workers=workers)
    assert done(tmp_path / "log") == list(range(12))
    assert content(tmp_path / "out") == undisturbed
    assert len(undisturbed) == 2 * 12 + 2


def test_a_published_stage_does_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        stream(tmp_path / "out", tmp_path / "log", workers=0, count=3)
    assert done(tmp_path / "log") == [0, 1, 2]


def test_a_half_written_file_is_made_again(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    stream(tmp_path / "out", tmp_path / "log", workers=0)
    out = tmp_path / "out"
    for table in ("queries", "qrels"):
        (out / table / MANIFEST).unlink()
    for number, change in ((3, "cut"), (5, "missing"), (8, "other")):
        path = out / "queries" / f"{fingerprint('stamp', number)}.parquet"
        if change == "cut":
            path.write_bytes(path.read_bytes()[:-1])
        elif change == "missing":
            path.unlink()
        else:  # whole, but made from another input
            path.write_bytes((out / "queries" / f"{fingerprint('stamp', 0)}.parquet").read_bytes())
    (tmp_path / "log").unlink()
    stream(out, tmp_path / "log", workers=0)
    assert done(tmp_path / "log") == [3, 5, 8]
    assert content(out) == undisturbed


def test_a_stage_killed_between_its_manifests_publishes_the_other(tmp_path: Path) -> None:
    stream(tmp_path / "out", tmp_path / "log", workers=0, count=3)
    before = content(tmp_path / "out")
    (tmp_path / "out" / "qrels" / MANIFEST).unlink()
    (tmp_path / "log").unlink()
    stream(tmp_path / "out", tmp_path / "log", workers=0, count=3)
    assert done(tmp_path / "log") == []
    assert content(tmp_path / "out") == before


def test_the_result_of_other_settings_is_refused(tmp_path: Path) -> None:
    stream(tmp_path / "out", tmp_path / "log", workers=0, count=2)
    before = content(tmp_path / "out")
    with pytest.raises(StorageError, match="fingerprint stamp, now other"):
        stream(tmp_path / "out", tmp_path / "log", workers=0, count=2, stamp="other")
    assert content(tmp_path / "out") == before
    assert done(tmp_path / "log") == [0, 1]


def test_a_user_s_mistake_in_a_worker_is_one_error_and_what_is_done_stays(tmp_path: Path, ray_session: None) -> None:
    out, log = tmp_path / "out", tmp_path / "log"
    with pytest.raises(DataError, match=r"^shard 9, row 7: broken$"):
        stream(out, log, workers=2, broken=9)
    first = done(log)
    assert 0 < len(first) < 12
    assert not is_published(Folder(out) / "queries", "stamp")
    log.unlink()
    stream(out, log, workers=0)
    assert 9 in done(log)
    assert sorted(first + done(log)) == list(range(12))


def test_a_mistake_in_this_process_comes_out_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="shard 2, row 7"):
        stream(tmp_path / "out", tmp_path / "log", workers=0, broken=2)
    assert done(tmp_path / "log") == [0, 1]


@pytest.mark.timeout(60)
def test_a_worker_that_cannot_be_made_says_why(tmp_path: Path, ray_session: None) -> None:
    shard = Shard(stamp="s", payload={}, outputs={"qrels": Output(folder=Folder(tmp_path), table="qrels")})
    with pytest.raises(DataError, match=r"^the lexicon is missing$"):
        run_stream(fail_to_make, [shard], {str(Folder(tmp_path)): "s"}, label="test", workers=1)


def finished(root: Path) -> set[int]:
    """The shards whose two files are whole."""

    def whole(number: int) -> bool:
        stamp = fingerprint("stamp", number)
        return all(find_shard(Folder(root) / table, f"{stamp}.parquet", stamp) for table in ("queries", "qrels"))

    return set(filter(whole, range(12)))


def wait_for(condition: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def test_a_killed_job_goes_on_with_what_is_left(
    tmp_path: Path, ray_session: None, undisturbed: dict[str, bytes]
) -> None:
    out, first, second = tmp_path / "out", tmp_path / "first", tmp_path / "second"
    program = "import sys, pathlib, test_streams; test_streams.run_until_killed(*map(pathlib.Path, sys.argv[1:]))"
    with (tmp_path / "output").open("w") as output:
        driver = subprocess.Popen(
            [sys.executable, "-c", program, str(out), str(first)],
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            wait_for(lambda: len(finished(out)) >= 3 or driver.poll() is not None, 120)
            assert driver.poll() is None, (tmp_path / "output").read_text()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(driver.pid, signal.SIGKILL)
            driver.wait()
    time.sleep(1.5)  # Ray's own processes end when they miss the driver
    kept = finished(out)
    assert 3 <= len(kept) < 12
    assert not list(out.rglob(MANIFEST))
    stream(out, second, workers=2)
    assert done(second) == sorted(set(range(12)) - kept)
    assert content(out) == undisturbed


def run_until_killed(out: Path, log: Path) -> None:
    """The driver of the test above, in a process of its own."""
    from xlstance.session import ray_session

    with ray_session(2):
        stream(out, log, workers=2, seconds=0.4)
