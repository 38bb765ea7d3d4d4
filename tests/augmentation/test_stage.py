import json
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import pyarrow as pa
import pytest
from paired_world import GROUPS, PAIR, SWITCH, files, publish, rows, run, world, write_lexicons

from xlstance.augmentation.pairing import Pairing
from xlstance.augmentation.stage import COUNTS, Augmentation
from xlstance.augmentation.way import Made, Part, Surroundings
from xlstance.collection import TrainingSet
from xlstance.errors import DataError, SettingsError, StorageError
from xlstance.storage import Folder, read_manifest, read_table
from xlstance.training_data import TrainingData, read_shard_of


@pytest.fixture
def lexicons(tmp_path: Path) -> Path:
    return write_lexicons(tmp_path / "lexicons")


def switched_at_once(source: TrainingSet, lexicons: Path) -> Made:
    """All pairs of a source in one part."""
    around = Surroundings(parents=(), folder=Folder(lexicons), data=str(lexicons), seed=1)
    return SWITCH.way.work(around)(Part(pairs=source.pairs, queries=source.queries, passages=source.passages))


def both(
    root: Path, lexicons: Path, source: TrainingSet, shards: int, workers: int = 0, pairing: Augmentation = PAIR
) -> tuple[TrainingData, TrainingData, TrainingData]:
    """Code switching, then pairing over the source and what was switched."""
    data = publish(root / "source", source, shards)
    switched = run(SWITCH, [data], root, lexicons, workers)
    return data, switched, run(pairing, [data, switched], root, lexicons, workers)


@pytest.mark.parametrize("linked", [False, True])
def test_the_same_rows_come_out_for_any_number_of_shards(tmp_path: Path, lexicons: Path, linked: bool) -> None:
    runs = [both(tmp_path / str(shards), lexicons, world(linked), shards) for shards in (1, 4)]
    for one, four in zip(*(made[1:] for made in runs), strict=True):
        assert (one.shards, four.shards) == (1, 4)
        assert one.rows == four.rows > 0
        assert rows(one.pairs, "pairs") == rows(four.pairs, "pairs")
        for name in ("queries", "passages"):
            texts = [[rows(folder, name) for folder in getattr(data, name)] for data in (one, four)]
            assert texts[0] == texts[1]


def test_the_stage_does_what_its_functions_do(tmp_path: Path, lexicons: Path) -> None:
    source = world()
    _, switched, crossed = both(tmp_path, lexicons, source, 4)
    made = switched_at_once(source, lexicons)
    assert made.queries is not None
    assert read_table(switched.pairs, "pairs").sort_by("pair_id").equals(made.pairs.sort_by("pair_id"))
    assert read_table(switched.queries[0], "queries").sort_by("query_id").equals(made.queries.sort_by("query_id"))
    # Pairing, once more in plain Python: every link of groups, every two languages that both sides have.
    langs = {row["query_id"]: row["lang"] for f in crossed.queries for row in read_table(f, "queries").to_pylist()}
    langs |= {row["passage_id"]: row["lang"] for f in crossed.passages for row in read_table(f, "passages").to_pylist()}
    found = [
        (int(row["query_id"].split("-")[0][1:]), langs[row["query_id"]], langs[row["passage_id"]])
        for row in read_table(crossed.pairs, "pairs").to_pylist()
    ]
    asked, told = ("en", "de", "fi"), ("en", "de", "fi")  # no question is in fi but the switched ones
    assert sorted(found) == sorted((g, a, b) for g in range(GROUPS) for a in asked for b in told if a != b)


def test_new_pairs_name_what_made_them_and_refer_to_texts_that_are_there(tmp_path: Path, lexicons: Path) -> None:
    data, switched, crossed = both(tmp_path, lexicons, world(), 4)
    parents = {row["pair_id"] for row in read_table(data.pairs, "pairs").to_pylist()}
    for made, name in ((switched, "cs"), (crossed, "cross")):
        pairs = read_table(made.pairs, "pairs")
        assert set(pairs["augmentation"].to_pylist()) == {name}
        assert set(pairs["source"].to_pylist()) == {"world"}
        assert set(pairs["parent_pair_id"].to_pylist()) <= parents
        assert len(set(pairs["pair_id"].to_pylist())) == pairs.num_rows == made.rows
        parents |= set(pairs["pair_id"].to_pylist())
        for folders, table in ((made.queries, "queries"), (made.passages, "passages")):
            ids = {value for folder in folders for value in read_table(folder, table)[0].to_pylist()}
            assert set(pairs["query_id" if table == "queries" else "passage_id"].to_pylist()) <= ids
    # Each folder of texts once, though both parents name the source's.
    assert [str(folder) for folder in crossed.queries] == [f"{tmp_path}/source/queries", f"{tmp_path}/cs/queries"]
    assert len(crossed.passages) == 2


@pytest.mark.parametrize("side", ["both", "query", "passage"])
def test_what_is_made_of_what_was_made_finds_its_texts(tmp_path: Path, lexicons: Path, side: str) -> None:
    # A question of several groups stands in one shard, its pairs in several; so do the pairs made of them.
    data = publish(tmp_path / "source", world(linked=True))
    own = replace(SWITCH, code_switching=replace(SWITCH.code_switching, side=side))
    switched = run(own, [data], tmp_path, lexicons)
    again = run(Augmentation(of=["cs"], pairing=Pairing(name="cross")), [switched], tmp_path, lexicons)
    third = run(Augmentation(of=["cross"], pairing=Pairing(name="third")), [again], tmp_path, lexicons)
    for made in (switched, again, third):
        for index in range(made.shards):
            pairs, queries, passages = read_shard_of([made], index)
            assert set(pairs["query_id"].to_pylist()) <= set(queries["query_id"].to_pylist())
            assert set(pairs["passage_id"].to_pylist()) <= set(passages["passage_id"].to_pylist())
    assert again.rows > 0


def test_ray_writes_the_same_files(tmp_path: Path, ray_session: None, lexicons: Path) -> None:
    for name, workers in (("alone", 0), ("ray", 2)):
        both(tmp_path / name, lexicons, world(), 4, workers)
    found = [
        {str(path.relative_to(tmp_path / name)): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in ("alone", "ray")
    ]
    assert found[0] == found[1]
    assert len(found[0]) == 7 * (4 + 1) + 2  # shards and manifests, and the counts of both augmentations


@pytest.mark.parametrize("limit", [3, 10])
def test_pairs_per_language_pair_are_limited(tmp_path: Path, lexicons: Path, limit: int) -> None:
    limited = Augmentation(of=["world", "cs"], pairing=Pairing(name="cross", per_language_pair=limit))
    everything = both(tmp_path / "all", lexicons, world(), 4)[2]
    *_, some = both(tmp_path / "some", lexicons, world(), 4, pairing=limited)
    langs = {row["query_id"]: row["lang"] for f in some.queries for row in read_table(f, "queries").to_pylist()}
    langs |= {row["passage_id"]: row["lang"] for f in some.passages for row in read_table(f, "passages").to_pylist()}
    pairs = read_table(some.pairs, "pairs").to_pylist()
    counts = Counter((langs[row["query_id"]], langs[row["passage_id"]]) for row in pairs)
    assert len(counts) == 6
    assert set(counts.values()) == {limit}
    kept = {row["pair_id"] for row in pairs}
    assert kept < {row["pair_id"] for row in read_table(everything.pairs, "pairs").to_pylist()}


def test_a_changed_row_touches_one_shard(tmp_path: Path, lexicons: Path) -> None:
    source = world()
    texts = source.passages["text"].to_pylist()
    texts[40] = "the dog sees nothing"
    passages = source.passages.set_column(2, source.passages.schema.field("text"), pa.array(texts))
    before = both(tmp_path / "before", lexicons, source, 4)
    data = publish(tmp_path / "after" / "source", replace(source, passages=passages), stamp="another")
    switched = run(SWITCH, [data], tmp_path / "after", lexicons)
    crossed = run(PAIR, [data, switched], tmp_path / "after", lexicons)
    for old, new in zip(before[1:], (switched, crossed), strict=True):
        assert sum(a != b for a, b in zip(files(old), files(new), strict=True)) == 1
        assert read_manifest(old.pairs).fingerprint != read_manifest(new.pairs).fingerprint


def test_other_words_in_a_lexicon_make_another_stage(tmp_path: Path, lexicons: Path) -> None:
    data = publish(tmp_path / "source", world())
    first = run(SWITCH, [data], tmp_path / "out", lexicons)
    assert files(run(SWITCH, [data], tmp_path / "out", lexicons)) == files(first)
    (lexicons / "en-de.tsv").write_text("the\tder\n", encoding="utf-8")
    with pytest.raises(StorageError, match="holds the result of other settings or inputs"):
        run(SWITCH, [data], tmp_path / "out", lexicons)
    second = run(SWITCH, [data], tmp_path / "new", lexicons)
    assert not set(files(first)) & set(files(second))


def test_what_was_switched_is_published(tmp_path: Path, lexicons: Path) -> None:
    source = world()
    made = switched_at_once(source, lexicons)
    data = publish(tmp_path / "source", source)
    switched = run(SWITCH, [data], tmp_path, lexicons)
    path = tmp_path / "cs" / COUNTS
    content = json.loads(path.read_text())
    settings = {"of": ["world"], "code_switching": asdict(SWITCH.code_switching)}
    counts = {**made.counts, "made": switched.rows}
    assert content == {"counts": counts, **SWITCH.way.summary(made.counts), "settings": settings}
    # The German lexicon has "the" too.
    assert 0 < content["out_of_lexicon"]["de"] < content["out_of_lexicon"]["fi"] < 1
    # The counts are kept in the shards, so a job killed before it added them up still can.
    path.unlink()
    (tmp_path / "cs" / "pairs" / "manifest.json").unlink()
    assert files(run(SWITCH, [data], tmp_path, lexicons)) == files(switched)
    assert json.loads(path.read_text()) == content


def test_a_missing_lexicon_is_said_before_any_work(tmp_path: Path, lexicons: Path) -> None:
    (lexicons / "en-fi.tsv").unlink()
    data = publish(tmp_path / "source", world())
    with pytest.raises(DataError, match="no lexicon for fi"):
        run(SWITCH, [data], tmp_path / "out", lexicons, workers=2)
    assert not (tmp_path / "out").exists()


def test_exactly_one_way() -> None:
    with pytest.raises(SettingsError, match="exactly one of code_switching, pairing, sampling"):
        Augmentation(of=["world"])
    with pytest.raises(SettingsError, match="exactly one of code_switching, pairing, sampling"):
        Augmentation(of=["world"], code_switching=SWITCH.code_switching, pairing=Pairing())
