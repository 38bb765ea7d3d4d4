import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_worlds import ID, Letters, Plain, World, parallel, prepare, worlds

from xlstance.errors import SettingsError
from xlstance.storage import Folder, read_manifest
from xlstance.training.batches import validation_sampler
from xlstance.training.plan import SamplerSettings
from xlstance.training.store import TrainingStore


def check_equal(store: TrainingStore, plain: Plain) -> None:
    """Whether a store says in every way what the plain implementation says."""
    letters = Letters()
    readers = {
        "queries": (store.query_tokens, store.query_lengths, store.query_languages),
        "passages": (store.passage_tokens, store.passage_lengths, store.passage_languages),
    }
    for table, (tokens, lengths, languages) in readers.items():
        texts = plain.texts[table]
        rows = np.random.default_rng(0).permutation(len(texts))  # readers get rows in any order
        kind = "query" if table == "queries" else "passage"
        expected = letters.tokenize([texts[row]["text"] for row in rows], kind)
        assert [ids.tolist() for ids in tokens(rows)] == [ids.tolist() for ids in expected]
        assert lengths(rows).tolist() == [len(ids) for ids in expected]
        assert [store.languages[code] for code in languages(rows)] == [texts[row]["lang"] for row in rows]
    check_pairs(store, plain)
    queries, passages = (np.arange(len(plain.texts[table])) for table in ID)
    known = [[plain.known(q, p) for p in plain.texts["passages"]] for q in plain.texts["queries"]]
    assert store.known_positives(queries, passages).tolist() == known
    if plain.scattered():
        with pytest.raises(SettingsError, match="several shards"):
            store.translations(passages)
    else:
        rows = passages[::-1]
        assert [found.tolist() for found in store.translations(rows)] == [plain.translations(row) for row in rows]


def check_pairs(store: TrainingStore, plain: Plain) -> None:
    assert len(store.partitions) == len(plain.partitions)
    partition, row, expected = [], [], []
    for index, key in enumerate(sorted(plain.partitions)):
        found, pieces = store.partitions[index], plain.partitions[key]
        assert (found.query_lang, found.passage_lang) == key[1:]
        assert found.pieces == tuple(len(piece) for piece in pieces)
        assert found.rows == sum(found.pieces)
        pairs = [pair for piece in pieces for pair in piece]
        partition += [index] * len(pairs)
        row += range(len(pairs))
        expected += pairs
    mixed = np.random.default_rng(1).permutation(len(expected))
    queries, passages = store.locate(np.array(partition)[mixed], np.array(row)[mixed])
    assert queries.tolist() == [expected[i]["query"] for i in mixed]
    assert passages.tolist() == [expected[i]["passage"] for i in mixed]
    for count in (0, 1, 3):
        found = store.negatives(np.array(partition)[mixed], np.array(row)[mixed], count)
        assert found.shape == (len(mixed), count)
        assert found.tolist() == [(expected[i]["negatives"] + [-1] * count)[:count] for i in mixed]


@settings(max_examples=20, deadline=None)
@given(first=worlds(), second=worlds(), shards=st.integers(1, 4), by_group=st.booleans(), shared=st.booleans())
def test_a_store_says_what_the_plain_implementation_says(
    first: World, second: World, shards: int, by_group: bool, shared: bool
) -> None:
    with tempfile.TemporaryDirectory() as made:
        root = Path(made)
        one = first.publish(root / "one", shards, by_group=by_group)
        other = second.publish(root / "other", shards, by_group=by_group, bitext=True)
        if shared:  # an augmentation refers to its parents' texts; ids of both are the same, their texts differ
            queries, passages = (*other.queries, *one.queries), (*other.passages, *one.passages)
            other = replace(other, queries=queries, passages=passages)
        store = prepare([one, other], root / "store")
        check_equal(store, Plain([one, other]))
        assert {p.source for p in store.partitions if p.bitext} <= {"other"}


@pytest.mark.parametrize("shards", [1, 3, 8])
def test_parallel_pairs_with_negatives_come_back(tmp_path: Path, shards: int) -> None:
    data = parallel(12, negatives=2).publish(tmp_path / "world", shards)
    store = prepare([data], tmp_path / "store")
    check_equal(store, Plain([data]))
    assert len(store.partitions) == 9
    assert store.languages == ("de", "en", "fi")


def pairs_of(store: TrainingStore) -> list[tuple[str, ...]]:
    """All pairs with their negatives, as (source, languages, tokens), sorted."""
    found = []
    for index, partition in enumerate(store.partitions):
        rows = np.arange(partition.rows)
        where = np.full_like(rows, index)
        queries, passages = store.locate(where, rows)
        negatives = store.negatives(where, rows, 2)
        wrong = store.passage_tokens(negatives.ravel())
        for i, (query, passage) in enumerate(
            zip(store.query_tokens(queries), store.passage_tokens(passages), strict=True)
        ):
            texts = [ids.tobytes().hex() for ids in (query, passage, *wrong[2 * i : 2 * i + 2])]
            found.append((partition.source, partition.query_lang, partition.passage_lang, *texts))
    return sorted(found)


def test_the_number_of_shards_changes_nothing_but_the_order(tmp_path: Path) -> None:
    world = parallel(20, negatives=2)
    stores = [
        prepare([world.publish(tmp_path / f"{shards}" / "world", shards)], tmp_path / f"store-{shards}")
        for shards in (1, 2, 7)
    ]
    one, *others = (pairs_of(store) for store in stores)
    assert len(one) == len(world.pairs)
    assert all(other == one for other in others)


def test_rows_of_a_piece_are_shuffled(tmp_path: Path) -> None:
    world = parallel(60)
    data = world.publish(tmp_path / "world", 1)
    store = prepare([data], tmp_path / "store")
    index = next(i for i, p in enumerate(store.partitions) if (p.query_lang, p.passage_lang) == ("en", "en"))
    queries, _ = store.locate(np.full(60, index), np.arange(60))
    texts = Plain([data]).texts["queries"]
    ids, expected = (
        [texts[row]["id"] for row in queries],
        [row["query_id"] for row in world.queries if row["lang"] == "en"],
    )
    assert sorted(ids) == sorted(expected)
    assert ids not in (sorted(ids), expected)


def test_two_ids_with_one_hash_are_kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xlstance.training.store.references.hash_ids", lambda ids: np.zeros(len(ids), np.uint64))
    data = parallel(6, negatives=1).publish(tmp_path / "world", 3)
    check_equal(prepare([data], tmp_path / "store"), Plain([data]))


def test_published_sources_need_nothing_of_other_shards(tmp_path: Path) -> None:
    """Sources as the stages publish them: queries and pairs stand where the passage's group is."""
    data = parallel(20).publish_together(tmp_path / "world", shards=3)
    prepare([data], tmp_path / "store")
    info = read_manifest(Folder(tmp_path / "store")).info
    assert (info["apart"], info["scattered"]) == (False, False)
    check_equal(TrainingStore(tmp_path / "store"), Plain([data]))


def test_rows_outside_the_store_are_refused(tmp_path: Path) -> None:
    store = prepare([parallel(4).publish(tmp_path / "world", 2)], tmp_path / "store")
    with pytest.raises(IndexError):
        store.query_tokens(np.array([12]))


def test_a_passage_known_by_its_text_alone_is_no_negative(tmp_path: Path) -> None:
    """A copy of the passage under another id and group, asked for by a copied question."""
    texts = ("lang", "text", "group_id")
    queries = [("q1", "aa", "ask", "1"), ("q2", "aa", "ask", "2"), ("q3", "aa", "other", "3")]
    # A group called like another's text is still no match.
    passages = [("p1", "aa", "same", "x"), ("p2", "aa", "same", "y"), ("p3", "bb", "b", "y"), ("p4", "aa", "3", "same")]
    world = World(
        [dict(zip(("query_id", *texts), row, strict=True)) for row in queries],
        [dict(zip(("passage_id", *texts), row, strict=True)) for row in passages],
        [("a", "q1", "p1", None), ("b", "q3", "p4", None)],
    )
    data = world.publish(tmp_path / "world", 1)
    store, plain = prepare([data], tmp_path / "store"), Plain([data])
    known = store.known_positives(np.arange(3), np.arange(4))
    names = [[text["id"] for text in plain.texts[table]] for table in ID]
    found = {(names[0][query], names[1][passage]) for query, passage in zip(*known.nonzero(), strict=True)}
    assert found == {("q1", "p1"), ("q1", "p2"), ("q2", "p1"), ("q2", "p2"), ("q3", "p4")}


@pytest.mark.parametrize("seed", range(3))
def test_known_positives_of_batches_with_repeats_are_cut_from_the_whole(world, seed: int) -> None:
    store = TrainingStore(world.store)
    whole = store.known_positives(np.arange(180), np.arange(180))
    queries, passages = np.random.default_rng(seed).integers(0, 180, size=(2, 64))
    assert np.array_equal(store.known_positives(queries, passages), whole[np.ix_(queries, passages)])
    assert whole.sum() > world.tables["pairs"].num_rows  # translations, copies and second answers are among them


def test_texts_are_tokenised_as_the_encoder_does(world) -> None:
    store = TrainingStore(world.store)
    for kind, table, tokens in (
        ("query", "queries", store.query_tokens),
        ("passage", "passages", store.passage_tokens),
    ):
        expected = world.encoder.tokenize(world.tables[table]["text"].to_pylist(), kind)
        found = tokens(np.arange(len(expected)))
        assert sorted(ids.tolist() for ids in found) == sorted(ids.tolist() for ids in expected)


@pytest.mark.parametrize(
    ("pairs", "bitext", "expected"),
    [
        (["en-en", "en-de"], False, SamplerSettings(kind="hybrid", alpha=0.5, block=2)),
        (["en-en", "de-de"], False, SamplerSettings(kind="x-x-mono")),
        (["en-de"], False, SamplerSettings(kind="x-y")),
        (["en-de"], True, SamplerSettings(bitext_share=1.0)),
    ],
)
def test_validation_takes_the_kinds_of_pairs_that_are_there(
    tmp_path: Path, pairs: Sequence[str], bitext: bool, expected: SamplerSettings
) -> None:
    world = parallel(4)
    kept = replace(world, pairs=[pair for pair in world.pairs if pair[0].partition("-")[2] in pairs])
    store = prepare([kept.publish(tmp_path / "world", 2, bitext=bitext)], tmp_path / "store")
    assert validation_sampler(store) == expected
