import numpy as np
import pyarrow as pa
import pytest

from xlstance.errors import DataError, StorageError
from xlstance.storage import Folder, write_table
from xlstance.tables import make_table
from xlstance.training.batches import validation_sampler
from xlstance.training.plan import SamplerSettings
from xlstance.training.store import TrainingStore, prepare_store
from xlstance.training_data import published

KEYS = {"queries": "query_id", "passages": "passage_id"}


def silent(done, total):
    pass


def rows_of(store):
    """All pairs of each partition as (query tokens, passage tokens), in their order."""
    found = {}
    for index, partition in enumerate(store.partitions):
        everything = np.arange(partition.rows)
        queries, passages = store.locate(np.full_like(everything, index), everything)
        texts = zip(store.query_tokens(queries), store.passage_tokens(passages), strict=True)
        key = (partition.source, partition.query_lang, partition.passage_lang)
        found[key] = [(tuple(query.tolist()), tuple(passage.tolist())) for query, passage in texts]
    return found


def test_pairs_come_back_as_their_tokens(world):
    tables = {name: table.to_pylist() for name, table in world.tables.items()}
    queries, passages = ({row[key]: row for row in tables[name]} for name, key in KEYS.items())
    expected = {}
    for pair in tables["pairs"]:
        query, passage = queries[pair["query_id"]], passages[pair["passage_id"]]
        tokens = [
            tuple(world.encoder.tokenize([text["text"]], kind)[0].tolist())
            for text, kind in ((query, "query"), (passage, "passage"))
        ]
        expected.setdefault(("world", query["lang"], passage["lang"]), []).append(tuple(tokens))
    found = rows_of(TrainingStore(world.store))
    assert len(found) == 9
    assert {key: sorted(rows) for key, rows in found.items()} == {key: sorted(rows) for key, rows in expected.items()}
    assert any(rows != expected[key] for key, rows in found.items())  # shuffled


def test_the_counts_are_those_of_the_pairs(world):
    store = TrainingStore(world.store)
    assert sum(partition.rows for partition in store.partitions) == world.tables["pairs"].num_rows
    assert {partition.source for partition in store.partitions} == {"world"}


def known_by_brute_force(tables):
    """(query_id, passage_id) where some pair links the query, a translation or a copy of it, to the passage or one."""
    queries, passages = tables["queries"].to_pylist(), tables["passages"].to_pylist()
    query, passage = (
        {row[key]: row for row in rows} for rows, key in ((queries, "query_id"), (passages, "passage_id"))
    )

    def alike(one, other):
        return one["group_id"] == other["group_id"] or one["text"] == other["text"]

    known = set()
    for pair in tables["pairs"].to_pylist():
        asking = [row["query_id"] for row in queries if alike(row, query[pair["query_id"]])]
        answering = [row["passage_id"] for row in passages if alike(row, passage[pair["passage_id"]])]
        known |= {(a, b) for a in asking for b in answering}
    return known


def test_known_positives_equal_brute_force(world):
    known = known_by_brute_force(world.tables)
    queries, passages = world.tables["queries"].to_pylist(), world.tables["passages"].to_pylist()
    expected = np.array([[(q["query_id"], p["passage_id"]) in known for p in passages] for q in queries])
    store = TrainingStore(world.store)
    assert np.array_equal(store.known_positives(np.arange(len(queries)), np.arange(len(passages))), expected)
    # Translations, copies under other ids and second answers are all among them.
    assert expected.sum() > world.tables["pairs"].num_rows


@pytest.mark.parametrize("seed", range(3))
def test_known_positives_of_batches_with_repeats_are_cut_from_the_whole(world, seed):
    store = TrainingStore(world.store)
    whole = store.known_positives(np.arange(180), np.arange(180))
    queries, passages = np.random.default_rng(seed).integers(0, 180, size=(2, 64))
    assert np.array_equal(store.known_positives(queries, passages), whole[np.ix_(queries, passages)])


def test_a_passage_known_by_its_text_alone_is_no_negative(world, tmp_path):
    """A copy of the passage under another id and group, asked for by a copied question."""
    tables = {
        "queries": make_table(
            "queries",
            {
                "query_id": ["q1", "q2", "q3"],
                "lang": ["aa"] * 3,
                "text": ["aa1 aa2", "aa1 aa2", "aa3"],
                "group_id": ["1", "2", "3"],
            },
        ),
        "passages": make_table(
            "passages",
            {
                "passage_id": ["p1", "p2", "p3", "p4"],
                "lang": ["aa", "aa", "bb", "aa"],
                "text": ["aa5", "aa5", "bb5", "3"],
                "group_id": ["x", "y", "y", "aa5"],  # a group called like another's text is still no match
            },
        ),
        "pairs": make_table(
            "pairs",
            {"pair_id": ["a", "b"], "query_id": ["q1", "q3"], "passage_id": ["p1", "p4"], "source": ["s", "s"]},
        ),
    }
    store = TrainingStore(world.prepare("copies", tables))
    known = store.known_positives(np.arange(3), np.arange(4))
    assert known.tolist() == [[True, True, False, False]] * 2 + [[False, False, False, True]]


def test_a_second_store_is_equal_to_the_byte(world, tmp_path):
    data = published(Folder(world.root / "world"), "world")
    prepare_store([data], world.encoder, "tokenizer", tmp_path, silent)
    names = sorted(path.name for path in world.store.iterdir())
    assert names == sorted(path.name for path in tmp_path.iterdir())
    assert all((tmp_path / name).read_bytes() == (world.store / name).read_bytes() for name in names)


def test_the_number_of_shards_changes_nothing_but_row_numbers(world):
    sharded = TrainingStore(world.prepare("sharded", world.tables, shards=5))
    found = {key[1:]: rows for key, rows in rows_of(sharded).items()}
    assert found == {key[1:]: rows for key, rows in rows_of(TrainingStore(world.store)).items()}


def test_a_finished_store_is_left_alone(world):
    before = {path.name: path.stat().st_mtime_ns for path in world.store.iterdir()}
    world.prepare("world", world.tables)
    assert before == {path.name: path.stat().st_mtime_ns for path in world.store.iterdir()}


def test_an_unfinished_store_is_made_again(world, tmp_path):
    data = published(Folder(world.root / "world"), "world")
    prepare_store([data], world.encoder, "tokenizer", tmp_path, silent)
    (tmp_path / "manifest.json").unlink()
    (tmp_path / "passages.arrow").write_bytes(b"cut")
    with pytest.raises(StorageError, match="no finished training store"):
        TrainingStore(tmp_path)
    prepare_store([data], world.encoder, "tokenizer", tmp_path, silent)
    assert (tmp_path / "passages.arrow").read_bytes() == (world.store / "passages.arrow").read_bytes()


def test_a_store_of_other_inputs_is_refused(world):
    data = published(Folder(world.root / "world"), "world")
    with pytest.raises(StorageError, match="other tables or another tokenizer"):
        prepare_store([data], world.encoder, "another tokenizer", world.store, silent)
    with pytest.raises(StorageError, match="other tables or another tokenizer"):
        prepare_store([data, data], world.encoder, "tokenizer", world.store, silent)


@pytest.mark.parametrize(("column", "table"), [("query", "queries"), ("passage", "passages")])
def test_a_pair_without_its_text_is_refused(world, tmp_path, column, table):
    tables = dict(world.tables)
    tables[table] = tables[table].slice(1)
    for name, rows in tables.items():
        write_table(Folder(tmp_path) / name, name, rows, "stamp")
    missing = world.tables[table][f"{column}_id"][0].as_py()
    with pytest.raises(DataError, match=f"{column} '{missing}'"):
        prepare_store([published(Folder(tmp_path), "w")], world.encoder, "tokenizer", tmp_path / "store", silent)
    with pytest.raises(StorageError):
        TrainingStore(tmp_path / "store")


def test_sources_that_share_texts_keep_their_own_pairs(world, tmp_path):
    data = published(Folder(world.root / "world"), "world")
    half = world.tables["pairs"].slice(0, 270).set_column(5, "source", pa.array(["half"] * 270))
    write_table(Folder(tmp_path) / "pairs", "pairs", half.cast(world.tables["pairs"].schema), "stamp")
    second = type(data)(
        name="half", pairs=Folder(tmp_path) / "pairs", queries=data.queries, passages=data.passages, bitext=True
    )
    prepare_store([data, second], world.encoder, "tokenizer", tmp_path / "store", silent)
    store = TrainingStore(tmp_path / "store")
    both, alone = rows_of(store), rows_of(TrainingStore(world.store))
    assert {key: rows for key, rows in both.items() if key[0] == "world"} == alone
    assert all(set(rows) <= set(alone["world", *key[1:]]) for key, rows in both.items() if key[0] == "half")
    assert {p.source for p in store.partitions if p.bitext} == {"half"}


def test_progress_counts_all_texts(world, tmp_path):
    seen = []
    data = published(Folder(world.root / "world"), "world")
    prepare_store([data], world.encoder, "tokenizer", tmp_path, lambda done, total: seen.append((done, total)))
    assert seen == [(180, 360), (360, 360)]


def test_no_pairs_at_all_are_refused(world, tmp_path):
    for name, rows in world.tables.items():
        write_table(Folder(tmp_path) / name, name, rows.slice(0, 0), "stamp")
    with pytest.raises(DataError, match="no pairs"):
        prepare_store([published(Folder(tmp_path), "w")], world.encoder, "tokenizer", tmp_path / "store", silent)


@pytest.mark.parametrize(
    ("pairs", "bitext", "expected"),
    [
        (["aa-aa", "aa-bb"], False, SamplerSettings(kind="hybrid", alpha=0.5, block=2)),
        (["aa-aa", "bb-bb"], False, SamplerSettings(kind="x-x-mono")),
        (["aa-bb"], False, SamplerSettings(kind="x-y")),
        (["aa-bb"], True, SamplerSettings(bitext_share=1.0)),
    ],
)
def test_validation_takes_the_kinds_of_pairs_that_are_there(world, tmp_path, pairs, bitext, expected):
    ids = world.tables["pairs"]["pair_id"].to_pylist()
    kept = world.tables["pairs"].filter(pa.array([any(i.endswith(pair) for pair in pairs) for i in ids]))
    for name, rows in (world.tables | {"pairs": kept}).items():
        write_table(Folder(tmp_path) / name, name, rows, "stamp")
    data = published(Folder(tmp_path), "w", bitext=bitext)
    prepare_store([data], world.encoder, "tokenizer", tmp_path / "store", silent)
    assert validation_sampler(TrainingStore(tmp_path / "store")) == expected
