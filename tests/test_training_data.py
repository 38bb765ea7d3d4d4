from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from xlstance.collection import TrainingSet
from xlstance.errors import DataError, StorageError
from xlstance.storage import Folder, read_manifest, read_shard, read_table
from xlstance.tables import make_table
from xlstance.training_data import (
    TrainingData,
    colocated,
    is_source_published,
    manifests_of_shard,
    publish_source,
    published,
    read_shard_of,
)

LANGUAGES = ("en", "de", "no")
GROUPS = 30


def parallel_world(*, unpaired: str = "", linked: bool = False) -> TrainingSet:
    """Thirty passage groups with a question each, in three languages, paired within each language.

    Args:
        unpaired: a language whose questions no pair refers to.
        linked: the question of group 0 is also answered by the passages of groups 1 to 9.
    """
    keys = [(group, lang) for group in range(GROUPS) for lang in LANGUAGES]
    text = {
        "lang": [lang for _, lang in keys],
        "text": [f"the cat {group} sees {lang}" for group, lang in keys],
    }
    links = [(group, group, lang) for group, lang in keys if lang != unpaired]
    if linked:
        links += [(0, group, lang) for group in range(1, 10) for lang in LANGUAGES if lang != unpaired]
    return TrainingSet(
        queries=make_table(
            "queries",
            {"query_id": [f"q{g}-{x}" for g, x in keys], "group_id": [f"question-{g}" for g, _ in keys], **text},
        ),
        passages=make_table(
            "passages",
            {"passage_id": [f"p{g}-{x}" for g, x in keys], "group_id": [f"article-{g}" for g, _ in keys], **text},
        ),
        pairs=make_table(
            "pairs",
            {
                "pair_id": [f"{q}-{p}-{x}" for q, p, x in links],
                "query_id": [f"q{q}-{x}" for q, _, x in links],
                "passage_id": [f"p{p}-{x}" for _, p, x in links],
                "source": ["world"] * len(links),
            },
        ),
    )


def publish(folder: Path, source: TrainingSet, shards: int = 4, stamp: str = "stamp") -> TrainingData:
    publish_source(Folder(folder), source.stream, stamp, shards, lambda: {"notes": ["invented"]})
    return published(Folder(folder), "world")


def of_file(folder: Folder, table: str, index: int) -> list[dict[str, Any]]:
    return read_shard(folder, read_manifest(folder).files[index], table).to_pylist()


@pytest.mark.parametrize("unpaired", ["", "no"])
def test_a_shard_holds_its_pairs_texts_in_all_languages(tmp_path: Path, unpaired: str) -> None:
    source = parallel_world(unpaired=unpaired)
    data = publish(tmp_path, source)
    assert colocated(data)
    assert (data.rows, data.shards, len(data.stamps)) == (source.pairs.num_rows, 4, 3)
    seen: list[str] = []
    for index in range(4):
        tables = (
            of_file(data.pairs, "pairs", index),
            of_file(data.queries[0], "queries", index),
            of_file(data.passages[0], "passages", index),
        )
        assert [table.to_pylist() for table in read_shard_of([data], index)] == list(tables)
        pairs, queries, passages = tables
        groups = {query["query_id"]: query["group_id"] for query in queries}
        answers = {passage["passage_id"]: passage["group_id"] for passage in passages}
        for pair in pairs:
            # The pair's own texts are here, and so are their translations.
            asked, answer = groups[pair["query_id"]], answers[pair["passage_id"]]
            assert list(groups.values()).count(asked) == list(answers.values()).count(answer) == len(LANGUAGES)
        seen += [pair["pair_id"] for pair in pairs]
    assert len({len(of_file(data.pairs, "pairs", index)) for index in range(4)}) > 1
    assert sorted(seen) == sorted(source.pairs["pair_id"].to_pylist())


@pytest.mark.parametrize("shards", [1, 2, 7])
def test_every_row_is_published_once(tmp_path: Path, shards: int) -> None:
    source = parallel_world(linked=True)
    data = publish(tmp_path, source, shards)
    for folder, name in ((data.pairs, "pairs"), (data.queries[0], "queries"), (data.passages[0], "passages")):
        key = getattr(source, name).column_names[0]
        assert read_table(folder, name).sort_by(key).equals(getattr(source, name).sort_by(key)), name
        assert read_manifest(folder).info["notes"] == ["invented"]


def test_a_question_of_several_groups_is_looked_for_in_all_shards(tmp_path: Path) -> None:
    data = publish(tmp_path, parallel_world(linked=True))
    assert not colocated(data)
    alone = 0
    for index in range(4):
        pairs, queries, passages = read_shard_of([data], index)
        assert queries.num_rows == GROUPS * len(LANGUAGES)
        assert set(pairs["query_id"].to_pylist()) <= set(queries["query_id"].to_pylist())
        assert set(pairs["passage_id"].to_pylist()) <= set(passages["passage_id"].to_pylist())
        assert passages.num_rows < GROUPS * len(LANGUAGES)
        here = {query["query_id"] for query in of_file(data.queries[0], "queries", index)}
        alone += len(set(pairs["query_id"].to_pylist()) - here)
    assert alone  # or one shard would have been enough
    hashes = [file.sha256 for file in read_manifest(data.queries[0]).files]
    assert all(set(hashes) <= set(manifests_of_shard(data, index)) for index in range(4))


def test_in_one_shard_everything_is_together(tmp_path: Path) -> None:
    assert colocated(publish(tmp_path, parallel_world(linked=True), shards=1))


def test_what_several_sources_share_is_read_once(tmp_path: Path) -> None:
    data = publish(tmp_path / "one", parallel_world())
    other = publish(tmp_path / "two", parallel_world())
    shared = replace(data, pairs=other.pairs)
    pairs, queries, passages = read_shard_of([data], 1)
    more = read_shard_of([data, shared], 1)
    assert more[0].num_rows == 2 * pairs.num_rows
    assert (more[1], more[2]) == (queries, passages)


def test_one_source_that_is_not_colocated_makes_all_queries_read(tmp_path: Path) -> None:
    together = publish(tmp_path / "one", parallel_world())
    apart = publish(tmp_path / "two", parallel_world(linked=True))
    assert read_shard_of([together, apart], 0)[1].num_rows == 2 * GROUPS * len(LANGUAGES)


@pytest.mark.parametrize(("column", "said"), [("query_id", "query_id 'nobody'"), ("passage_id", "passage_id 'nobody'")])
def test_dangling_ids_are_refused(tmp_path: Path, column: str, said: str) -> None:
    source = parallel_world()
    rows = source.pairs.to_pylist()
    rows[5][column] = "nobody"
    broken = make_table("pairs", {name: [row[name] for row in rows] for name in source.pairs.column_names})
    with pytest.raises(DataError, match=f"pair '1-1-no' refers to {said}, which stands in no table"):
        publish(tmp_path, TrainingSet(passages=source.passages, queries=source.queries, pairs=broken))
    assert not list(tmp_path.rglob("*.parquet"))


def test_is_source_published(tmp_path: Path) -> None:
    assert not is_source_published(Folder(tmp_path), "stamp")
    publish(tmp_path, parallel_world())
    assert is_source_published(Folder(tmp_path), "stamp")
    with pytest.raises(StorageError, match="now other"):
        is_source_published(Folder(tmp_path), "other")
    (tmp_path / "pairs" / "manifest.json").unlink()
    assert not is_source_published(Folder(tmp_path), "stamp")


def test_a_changed_row_changes_one_shard(tmp_path: Path) -> None:
    source = parallel_world()
    rows = source.passages.to_pylist()
    rows[40]["text"] = "changed"
    passages = make_table("passages", {name: [row[name] for row in rows] for name in source.passages.column_names})
    before = publish(tmp_path / "before", source)
    changed = TrainingSet(passages=passages, queries=source.queries, pairs=source.pairs)
    after = publish(tmp_path / "after", changed, stamp="other")
    differ = [manifests_of_shard(before, index) != manifests_of_shard(after, index) for index in range(4)]
    assert sum(differ) == 1
