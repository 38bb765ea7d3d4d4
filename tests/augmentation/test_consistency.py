from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from vector_world import PlainRanking, do, pair_rows, random_world, save_encoder, surroundings, text_rows

from xlstance.augmentation.mining.consistency import Consistency
from xlstance.augmentation.way import Part
from xlstance.collection import TrainingSet
from xlstance.encoders import EncoderSettings
from xlstance.errors import DataError, SettingsError, StorageError
from xlstance.tables import make_table
from xlstance.training_data import colocated


def plain(ranking: PlainRanking, top_k: int, which: str) -> tuple[set[str], Counter[str]]:
    """Pairs kept, and the counts."""
    kept, counts = set(), Counter[str]()
    for pair in ranking.pairs:
        rivals, langs = ranking.rivals(pair, which), ranking.languages(pair)
        own = ranking.score(pair["query_id"], pair["passage_id"])
        found = sum(score >= own for score, _ in rivals) < top_k
        counts[f"{'kept' if found else 'dropped'}/{langs}"] += 1
        counts[f"unopposed/{langs}"] += len(rivals) < top_k
        if found:
            kept.add(pair["pair_id"])
    return kept, Counter({name: number for name, number in counts.items() if number})


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize(
    ("top_k", "pool", "languages"), [(1, 0, "any"), (3, 0, "same"), (2, 5, "same"), (5, 9, "any"), (4, 7, "same")]
)
def test_the_pairs_kept_are_those_that_loops_over_all_passages_keep(
    tmp_path: Path, linked: bool, top_k: int, pool: int, languages: Any
) -> None:
    source, vectors = random_world(top_k, linked)
    encoder = save_encoder(tmp_path / "encoder", vectors)
    way = Consistency(encoder=encoder, top_k=top_k, pool=pool, languages=languages)
    made, counts = do(way, surroundings(tmp_path, source, seed=4))
    kept, expected = plain(PlainRanking(source, vectors, pool, seed=4), top_k, languages)
    assert {row["parent_pair_id"] for row in made} == kept
    assert 0 < len(kept) < len(source.pairs)
    assert counts == expected
    shares = way.summary(counts)["kept_share"]
    for lang, share in shares.items():
        assert share == expected[f"kept/{lang}"] / (expected[f"kept/{lang}"] + expected[f"dropped/{lang}"])


def test_a_pair_that_is_kept_is_its_parent_under_a_new_name(tmp_path: Path) -> None:
    source, vectors = random_world(0, linked=False)
    negatives = [[{"passage_id": "p1-en", "teacher_score": 0.5}], None] * len(source.pairs)
    columns = {name: source.pairs[name] for name in source.pairs.column_names}
    pairs = make_table("pairs", columns | {"negatives": negatives[: len(source.pairs)]})
    encoder = save_encoder(tmp_path / "encoder", vectors)
    made, _ = do(Consistency(name="x", encoder=encoder, top_k=4), surroundings(tmp_path, replace(source, pairs=pairs)))
    parents = {row["pair_id"]: row for row in pairs.to_pylist()}
    for row in made:
        parent = parents[row["parent_pair_id"]]
        names = {"pair_id": f"{parent['pair_id']}~x-kept", "augmentation": "x", "parent_pair_id": parent["pair_id"]}
        assert row == parent | names
    assert {row["negatives"] is None for row in made} == {True, False}


def test_shards_and_workers_change_nothing(tmp_path: Path, ray_session: None) -> None:
    source, vectors = random_world(7, linked=True)
    way = Consistency(encoder=save_encoder(tmp_path / "encoder", vectors), top_k=2, pool=6, languages="any")
    one = do(way, surroundings(tmp_path / "one", source, shards=1))
    around = surroundings(tmp_path / "four", source, shards=4, workers=2)
    assert not colocated(around.parents[0])
    assert do(way, around) == one


def small(tmp_path: Path, vectors: dict[str, list[float]], **settings: Any) -> tuple[list[str], dict[str, int]]:
    """One question with its passage and a translation of it, and three other passages; the parents that are kept."""
    passages = [("p", "en", "p", "P"), ("p-de", "de", "p-de", "P")]
    passages += [(name, "en", name, name) for name in ("r1", "r2")] + [("r3", "de", "r3", "r3")]
    source = TrainingSet(
        passages=text_rows("passages", passages),
        queries=text_rows("queries", [("q", "en", "q", "Q")]),
        pairs=pair_rows([("q", "p")]),
    )
    encoder = save_encoder(tmp_path / "encoder", vectors)
    made, counts = do(Consistency(encoder=encoder, **{"pool": 0} | settings), surroundings(tmp_path, source))
    return [row["parent_pair_id"] for row in made], counts


# A plane: the question lies along the first axis.
FOUND = {"q": [1, 0], "p": [1, 0.1], "p-de": [1, 0], "r1": [1, 0.2], "r2": [1, 1], "r3": [1, 0.01]}


def test_a_translation_of_the_passage_is_no_rival(tmp_path: Path) -> None:
    assert small(tmp_path, FOUND)[0] == ["q+p"]


def test_a_passage_in_another_language_is_a_rival_only_where_all_are(tmp_path: Path) -> None:
    assert small(tmp_path, FOUND, languages="any")[0] == []


def test_an_equally_scored_rival_stands_before_the_passage(tmp_path: Path) -> None:
    # Mirrored at the question: another vector, the same score.
    assert small(tmp_path / "equal", FOUND | {"r1": [1, -0.1]})[0] == []
    assert small(tmp_path / "lower", FOUND | {"r1": [1, -0.1001]})[0] == ["q+p"]
    assert small(tmp_path / "second", FOUND | {"r1": [1, -0.1]}, top_k=2)[0] == ["q+p"]


def test_an_encoder_that_gives_everything_one_vector_keeps_nothing(tmp_path: Path) -> None:
    source, vectors = random_world(1, linked=False)
    same = {text: [0.3, 0.1, 0.7] for text in vectors}
    way = Consistency(encoder=save_encoder(tmp_path / "encoder", same), top_k=3)
    made, counts = do(way, surroundings(tmp_path, source))
    assert made == []
    assert sum(counts.values()) == len(source.pairs)


def test_a_pool_with_too_few_rivals_drops_nothing_and_says_so(tmp_path: Path) -> None:
    far = FOUND | {"p": [-1, 0]}
    assert small(tmp_path, far, top_k=2) == ([], {"dropped/en>en": 1})
    assert small(tmp_path / "3", far, top_k=3) == (["q+p"], {"kept/en>en": 1, "unopposed/en>en": 1})


def test_a_pair_without_its_text_is_refused(tmp_path: Path) -> None:
    source, vectors = random_world(0, linked=False)
    way = Consistency(encoder=save_encoder(tmp_path / "encoder", vectors))
    around = surroundings(tmp_path, source)
    way.before(around)
    work = way.work(around)
    part = Part(pairs=source.pairs, queries=source.queries, passages=source.passages.slice(1))
    with pytest.raises(DataError, match="refers to passage_id 'p0-"):
        work(part)


def test_another_sample_does_not_overwrite_the_first(tmp_path: Path) -> None:
    source, vectors = random_world(0, linked=False)
    way = Consistency(encoder=save_encoder(tmp_path / "encoder", vectors), pool=5)
    around = surroundings(tmp_path, source)
    first = do(way, around)
    assert do(way, around) == first
    with pytest.raises(StorageError, match="holds the result of other settings"):
        way.before(replace(around, seed=9))


def test_the_encoder_counts_by_content_and_lies_below_the_data_root_or_elsewhere(tmp_path: Path) -> None:
    source, vectors = random_world(0, linked=False)
    around = surroundings(tmp_path, source)
    whole = save_encoder(tmp_path / "encoder", vectors)
    below = Consistency(encoder=EncoderSettings(model="encoder"))
    stamp = Consistency(encoder=whole).inputs(around)
    assert below.inputs(replace(around, data=str(tmp_path))) == stamp
    save_encoder(tmp_path / "encoder", vectors | {"p0en": [9.0, 9.0, 9.0, 1.0]})
    assert Consistency(encoder=whole).inputs(around) != stamp
    with pytest.raises(StorageError, match="model 'encoder' is no folder here"):
        below.inputs(around)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"encoder": EncoderSettings()}, "encoder.model is empty"),
        ({"pool": -1}, "pool is -1"),
        ({"top_k": 0}, "top_k is 0"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Consistency(**{"encoder": EncoderSettings(model="m")} | settings)
