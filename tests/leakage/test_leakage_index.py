import json
import string

import numpy as np
import pyarrow as pa
import pytest

from xlstance.errors import StorageError
from xlstance.leakage.index import EvaluationIndex, EvaluationSet, build_index, hash_blocks, id_keys
from xlstance.leakage.postings import COPIES, Postings, PostingsWriter
from xlstance.leakage.text import hash_texts
from xlstance.storage import Folder
from xlstance.tables import make_table


def post(folder, keys, entries, *, parts=(0,), run=1 << 20, call=7):
    """Postings of the records, added a few at a time."""
    scratch = folder / "scratch"
    scratch.mkdir(parents=True)
    writer = PostingsWriter(folder / "p", scratch, run)
    for start in range(0, len(keys), call):
        writer.add(keys[start : start + call], entries[start : start + call])
    counts = set(writer.finish(np.array(parts)).values())
    assert len(counts) == 1
    return Postings(folder / "p"), counts.pop()


@pytest.mark.parametrize("run", [10, 100, 1 << 20])
def test_postings_find_every_entry_of_a_key_however_they_were_written(tmp_path, run):
    rng = np.random.default_rng(run)
    keys = rng.integers(0, 200, 1000).astype(np.uint64) * np.uint64((1 << 64) // 200)  # over all ranges
    entries = np.arange(1000)
    postings, count = post(tmp_path, keys, entries, run=run)
    asked = np.append(rng.permutation(np.unique(keys))[:50], np.array([1, (1 << 64) - 1], np.uint64))
    rows, found = postings.find(asked)
    expected = {(row, entry) for row, key in enumerate(asked) for entry in entries[keys == key]}
    assert count == 1000
    assert set(zip(rows.tolist(), found.tolist(), strict=True)) == expected
    assert len(rows) == len(expected) > 200


def test_runs_make_the_same_files(tmp_path):
    rng = np.random.default_rng(1)
    keys, entries = rng.integers(0, 1 << 63, 1000).astype(np.uint64).repeat(3) << np.uint64(1), np.arange(3000)
    order = rng.permutation(3000)
    for run in (50, 1 << 20):
        post(tmp_path / str(run), keys[order], entries, run=run)
    for name in ("p.keys", "p.entries"):
        assert (tmp_path / "50" / name).read_bytes() == (tmp_path / str(1 << 20) / name).read_bytes()


def test_records_are_not_held_beyond_a_run(tmp_path):
    post(tmp_path, np.arange(100, dtype=np.uint64), np.arange(100), run=10, call=5)
    assert len(list((tmp_path / "scratch").glob("*.keys"))) == 10


def test_of_many_copies_the_first_of_each_part_stand(tmp_path):
    many = 3 * COPIES
    keys = np.full(many, 5, np.uint64)
    postings, _ = post(tmp_path, keys, np.arange(many), parts=(0, 2 * COPIES), run=64)
    expected = [*range(COPIES), *range(2 * COPIES, 3 * COPIES)]
    assert postings.find(np.array([5], np.uint64))[1].tolist() == expected


def test_no_records_are_found_in_nothing(tmp_path):
    postings, count = post(tmp_path, np.zeros(0, np.uint64), np.zeros(0, np.int64))
    assert (count, len(postings.find(np.array([5], np.uint64))[0])) == (0, 0)


@pytest.mark.parametrize(
    "identity",
    [
        "squad/es/56be4db0acb8001400a502ec",
        "56BE4DB0ACB8001400A502EC",
        "mlqa/en/9c923c953103d22707977a66944dc8c05a8d5d05",
        "123e4567-e89b-12d3-a456-426614174000",
        "arabic-2387335860751143628-1",
    ],
)
def test_ids_that_come_from_one_source_tell(identity):
    assert id_keys(pa.chunked_array([["17", identity]]))[0].tolist() == [1]


@pytest.mark.parametrize(
    "identity",
    [
        *("17", "en-00012", "squad-v1.1-train-123", "sq2t-1-2-3", "d286", "en/0-0-1", "00000000000000000000000017"),
        "bitext/en/0f1e2d3c4b5a6978",  # a hash of the text, as readers make them
        "56be4db0acb8001400a502ec/17",  # a name before the slash
        "",
    ],
)
def test_ids_that_are_shared_by_chance_do_not(identity):
    assert not len(id_keys(pa.chunked_array([[identity]]))[0])


def test_an_id_is_known_whatever_stands_before_it():
    ids = ["squad/es/56be4db0acb8001400a502ec", "en/56be4db0acb8001400a502ec", "56be4db0acb8001400a502ed"]
    keys = id_keys(pa.chunked_array([ids]))[1]
    assert keys[0] == keys[1] != keys[2]


def test_blocks_cover_a_column_in_order():
    texts = [letter * size for letter, size in zip(string.ascii_letters, range(0, 52_000, 1000), strict=True)]
    blocks = list(hash_blocks(pa.chunked_array([texts[:20], texts[20:]])))
    assert [text for _, block, _ in blocks for text in block] == texts
    assert [start for start, _, _ in blocks] == np.cumsum([0, *(len(block) for _, block, _ in blocks[:-1])]).tolist()
    assert len(blocks) > 3
    assert list(hash_blocks(pa.chunked_array([], pa.string()))) == []


def evaluation_set(name, questions=(), sentences=()):
    def table(kind, column, texts):
        ids = [f"{name}-{column}-{i}" for i in range(len(texts))]
        columns = {f"{column}_id": ids, "lang": ["en"] * len(texts), "text": list(texts), "group_id": ids}
        return make_table(kind, columns)

    return EvaluationSet(
        name=name,
        queries=[table("queries", "query", questions)],
        passages=[table("passages", "passage", sentences), table("passages", "passage", ())],
    )


def test_an_index_says_what_it_holds_and_opens_again(tmp_path):
    folder = Folder(tmp_path / "index")
    eight = "one two three four five six seven eight"
    nine, twice = f"{eight} nine", f"{eight} {eight}"
    sets = [
        evaluation_set("a", ["Who?"]),
        evaluation_set("b"),
        evaluation_set("c", ["Where?"], [nine, "Thank you.", twice]),
    ]
    build_index(folder, sets, "stamp")
    index = build_index(folder, [], "stamp")  # nothing is read again
    assert index.benchmarks == ["a", "b", "c"]
    assert index.entries["part"].tolist() == [0, 2, 2, 2, 2]
    assert index.entries["question"].tolist() == [True, True, False, False, False]
    assert index.entries["grams"].tolist() == [0, 0, 2, 0, 8]
    assert index.grams.find(hash_texts([eight]).grams)[1].tolist() == [2, 4]
    assert index.name(np.array([3, 0, 3])).to_pylist() == ["c-passage-1", "a-query-0", "c-passage-1"]
    assert index.texts.find(hash_texts(["WHERE"]).texts)[1].tolist() == [1]
    assert sorted(file.name for file in (tmp_path / "index").iterdir()) == sorted(
        ["manifest.json", "entries", "names.arrow"]
        + [f"{kind}.{ending}" for kind in ("ids", "texts", "near", "grams") for ending in ("keys", "entries")]
    )


def test_another_fingerprint_is_refused(tmp_path):
    build_index(Folder(tmp_path), [evaluation_set("a", ["Who?"])], "stamp")
    with pytest.raises(StorageError, match="fingerprint stamp, now other"):
        build_index(Folder(tmp_path), [], "other")


@pytest.mark.parametrize("damage", ["cut", "gone", "unfinished"])
def test_an_index_that_is_not_whole_is_refused(tmp_path, damage):
    build_index(Folder(tmp_path), [evaluation_set("a", ["Who?"])], "stamp")
    if damage == "cut":
        (tmp_path / "texts.keys").write_bytes(b"1234")
    elif damage == "gone":
        (tmp_path / "entries").unlink()
    else:
        (tmp_path / "manifest.json").unlink()
    with pytest.raises(StorageError, match=r"remove|has not finished"):
        EvaluationIndex(Folder(tmp_path))


def test_a_table_is_no_index(tmp_path):
    build_index(Folder(tmp_path), [], "stamp")
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "table": "pairs"}))
    with pytest.raises(StorageError, match="not as its manifest says"):
        EvaluationIndex(Folder(tmp_path))


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written there"):
        build_index(Folder(tmp_path / "file" / "index"), [], "stamp")
