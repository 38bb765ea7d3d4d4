import threading
import time
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xlstance.errors import DataError, StorageError
from xlstance.shard_writers import ShardWriters, ahead, write_stream
from xlstance.storage import Folder, read_manifest, read_table, write_table
from xlstance.tables import make_table


def queries(first: int, last: int) -> pa.Table:
    ids = [f"q{number}" for number in range(first, last)]
    return make_table("queries", {"query_id": ids, "lang": ["en"] * len(ids), "text": ids, "group_id": ids})


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("cuts", [(0, 1000), (0, 1, 400, 400, 1000)])
def test_a_stream_lands_in_the_same_shards_as_a_whole_table(tmp_path, shards, cuts):
    blocks = (queries(first, last) for first, last in pairwise(cuts))
    streamed = write_stream(Folder(tmp_path / "s"), "queries", blocks, "x", shards=shards, info=lambda: {"a": 1})
    whole = write_table(Folder(tmp_path / "w"), "queries", queries(0, 1000), "x", shards=shards, info={"a": 1})
    assert [(file.name, file.rows) for file in streamed.files] == [(file.name, file.rows) for file in whole.files]
    # Reading checks the receipts' SHA-256 and rows.
    assert read_table(Folder(tmp_path / "s"), "queries") == read_table(Folder(tmp_path / "w"), "queries")
    assert read_manifest(Folder(tmp_path / "s")).info == {"a": 1}


def test_a_small_stream_writes_the_same_bytes_again(tmp_path):
    manifests = []
    for folder in ("a", "b"):
        blocks = iter([queries(0, 40_000), queries(40_000, 80_000)])
        manifests.append(write_stream(Folder(tmp_path / folder), "queries", blocks, "x", shards=2))
    assert manifests[0] == manifests[1]
    file = pq.ParquetFile(tmp_path / "a" / manifests[0].files[0].name)
    assert file.metadata.num_row_groups > 1  # written in pieces and not kept to the end


def test_a_stream_that_breaks_off_leaves_nothing(tmp_path):
    def blocks():
        yield queries(0, 40_000)
        raise DataError("a bad row")

    with pytest.raises(DataError, match="a bad row"):
        write_stream(Folder(tmp_path), "queries", blocks(), "x", shards=2)
    assert list(tmp_path.iterdir()) == []


def test_rows_of_another_table_are_refused(tmp_path):
    with pytest.raises(DataError, match="a table of qrels"), ShardWriters(Folder(tmp_path), "queries", "x", 2) as files:
        files.write(make_table("qrels", {}), np.array([], np.int64))


def test_a_place_that_cannot_be_written_is_said_in_one_line(tmp_path):
    (tmp_path / "x-00000.parquet").mkdir()
    with pytest.raises(StorageError, match="cannot be written"):
        write_stream(Folder(tmp_path), "queries", [queries(0, 1)], "x")


def test_the_next_item_is_made_while_one_is_used():
    made = []

    def items():
        for number in range(3):
            made.append((number, threading.current_thread() is threading.main_thread()))
            yield number

    for number in ahead(items()):
        time.sleep(0.2)
        assert made[-1] == (min(number + 1, 2), False)
    assert list(ahead([])) == []
