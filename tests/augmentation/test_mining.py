from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from vector_world import PlainRanking, do, pair_rows, random_world, save_encoder, surroundings, text_rows

from xlstance.augmentation.mining.hard_negatives import HardNegatives
from xlstance.augmentation.mining.neighbours import NOTHING, SCALE, nearest
from xlstance.collection import TrainingSet
from xlstance.encoders import EncoderSettings
from xlstance.errors import SettingsError
from xlstance.tables import hash_ids, make_table

NO_MARGIN: dict[str, Any] = {"absolute_margin": None, "relative_margin": None}


def plain(ranking: PlainRanking, way: HardNegatives, seed: int) -> tuple[dict[str, Any], Counter[str]]:
    """The negatives of each pair as (passage, score), and the counts."""
    negatives, counts = {}, Counter[str]()
    for pair in ranking.pairs:
        own = ranking.score(pair["query_id"], pair["passage_id"])
        ranked = ranking.rivals(pair, way.languages)[way.first_rank - 1 : way.last_rank]
        found = [
            (score, passage)
            for score, passage in ranked
            if (way.absolute_margin is None or score <= own - way.absolute_margin)
            and (way.relative_margin is None or score <= own - (1 - way.relative_margin) * abs(own))
        ]
        chosen = found[: way.number]
        if way.draw == "random":
            draws = {passage: hash_ids([f"{pair['pair_id']}#{passage}#{seed}"])[0] for _, passage in found}
            lowest = sorted(draws, key=draws.__getitem__)[: way.number]
            chosen = [item for item in found if item[1] in lowest]
        negatives[pair["pair_id"]] = [(passage, score) for score, passage in chosen]
        what = {0: "none", way.number: "full"}.get(len(chosen), "fewer")
        counts[f"{what}/{ranking.languages(pair)}"] += 1
        counts.update(f"negatives/{ranking.passages[passage]['lang']}" for _, passage in chosen)
        counts.update({"ranked": len(ranked), "too_close": len(ranked) - len(found)})
    return negatives, counts


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize(
    "settings",
    [
        {"languages": "same", **NO_MARGIN},
        {"languages": "other", "absolute_margin": 0.1, "relative_margin": None},
        {"languages": "any", "first_rank": 4, "last_rank": 9, "draw": "random", "number": 3, **NO_MARGIN},
        {"languages": "any", "relative_margin": 0.6, "number": 7},
        {"languages": "any", "absolute_margin": 0.0, "relative_margin": None, "number": 9, "draw": "top"},
        {"languages": "same", "pool": 9, "last_rank": 5, "absolute_margin": 0.2, "draw": "random", "number": 2},
    ],
)
def test_the_negatives_are_those_that_loops_over_all_passages_find(
    tmp_path: Path, linked: bool, settings: dict[str, Any]
) -> None:
    source, vectors = random_world(len(settings), linked)
    way = HardNegatives(name="x", encoder=save_encoder(tmp_path / "encoder", vectors), **settings)
    made, counts = do(way, surroundings(tmp_path, source, seed=3))
    ranking = PlainRanking(source, vectors, way.pool, seed=3)
    expected, tally = plain(ranking, way, seed=3)
    found = {
        row["parent_pair_id"]: [(item["passage_id"], item["teacher_score"]) for item in row["negatives"]]
        for row in made
    }
    assert found == {pair: [(p, np.float32(s)) for p, s in items] for pair, items in expected.items() if items}
    assert counts == tally
    assert len(made) > 0
    parents = {row["pair_id"]: row for row in source.pairs.to_pylist()}
    for row in made:
        parent = parents[row["parent_pair_id"]]
        assert row["pair_id"] == f"{parent['pair_id']}~x-{way.languages}"
        assert row["teacher_score"] == np.float32(ranking.score(parent["query_id"], parent["passage_id"]))
        for column in ("query_id", "passage_id", "source"):
            assert row[column] == parent[column]
        assert row["augmentation"] == "x"
    summary = way.summary(counts)
    assert summary["pairs_with_negatives"] == len(made) / len(parents)
    assert summary["too_close"] == tally["too_close"] / tally["ranked"]


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("pool", [0, 8])
def test_shards_change_nothing(tmp_path: Path, linked: bool, pool: int) -> None:
    source, vectors = random_world(5, linked)
    way = HardNegatives(encoder=save_encoder(tmp_path / "encoder", vectors), languages="any", draw="random", pool=pool)
    one, four = (do(way, surroundings(tmp_path / str(n), source, shards=n)) for n in (1, 4))
    assert one == four


def test_a_passage_that_two_parents_hold_is_one_negative(tmp_path: Path) -> None:
    source, vectors = random_world(6, linked=False)
    columns = {name: source.pairs[name] for name in source.pairs.column_names}
    again = [f"{name}-again" for name in source.pairs["pair_id"].to_pylist()]
    more = replace(source, pairs=make_table("pairs", columns | {"pair_id": again}))
    way = HardNegatives(encoder=save_encoder(tmp_path / "encoder", vectors), languages="any", **NO_MARGIN)
    around = surroundings(tmp_path / "one", source)
    alone, _ = do(way, around)
    other = surroundings(tmp_path / "two", more)
    both, _ = do(way, replace(other, parents=(*around.parents, *other.parents)))
    assert len(both) == 2 * len(alone)
    assert [row for row in both if "again" not in row["pair_id"]] == alone


def small(tmp_path: Path, vectors: dict[str, list[float]], **settings: Any) -> list[str]:
    """Negatives of ``q+p``; ``p-de`` translates ``p``, and ``q-de``, which translates ``q``, has the answer ``r4``."""
    answers = [
        ("p", "en", "p", "P"),
        ("p-de", "de", "p-de", "P"),
        ("r4", "de", "...", "R4"),
        ("r4-en", "en", "s", "R4"),
    ]
    others = [("r1", "en", "P!", "R1"), ("r2", "en", "r2", "R2"), ("r3", "de", "r3", "R3"), ("r5", "en", "-", "R5")]
    others += [("r6", "fi", "S.", "R6"), ("r7", "fi", "r7", "R7")]
    source = TrainingSet(
        passages=text_rows("passages", answers + others),
        queries=text_rows("queries", [("q", "en", "q", "Q"), ("q-de", "de", "q-de", "Q")]),
        pairs=pair_rows([("q", "p"), ("q-de", "r4")]),
    )
    way = HardNegatives(encoder=save_encoder(tmp_path / "encoder", vectors), **settings)
    made, _ = do(way, surroundings(tmp_path, source, shards=8))
    (negatives,) = [row["negatives"] for row in made if row["parent_pair_id"] == "q+p"] or [[]]
    return [item["passage_id"] for item in negatives]


def on_circle(**cosines: float) -> dict[str, list[float]]:
    """Vectors with these cosines with the queries ``q`` and ``q-de``."""
    vectors = {name: [cosine, (1 - cosine**2) ** 0.5] for name, cosine in cosines.items()}
    return {"q": [1, 0], "q-de": [1, 0], **vectors}


KNOWN = {"p": 0.8, "p-de": 0.8, "...": 0.79, "s": 0.78, "P!": 0.77, "S.": 0.76}
CLOSE = on_circle(**KNOWN, **{"r7": 0.71, "r2": 0.7, "r3": 0.6, "-": 0.1})


def test_what_is_known_to_answer_the_query_is_no_negative_in_any_language(tmp_path: Path) -> None:
    # Not the translation p-de, nor the answer of the query's translation (r4) and its translation (r4-en), in another
    # shard, nor what says the same as p (r1) or as r4-en (r6). What holds no word (r5) is one, though r4 holds none.
    assert small(tmp_path, CLOSE, languages="any", **NO_MARGIN) == ["r7", "r2", "r3", "r5"]


@pytest.mark.parametrize(("languages", "expected"), [("same", ["r2", "r5"]), ("other", ["r7", "r3"])])
def test_languages_are_those_of_the_positive_or_the_others(tmp_path: Path, languages: Any, expected: list[str]) -> None:
    assert small(tmp_path, CLOSE, languages=languages, **NO_MARGIN) == expected


@pytest.mark.parametrize(
    ("margins", "expected"),
    [
        ({"absolute_margin": 0.0, "relative_margin": None}, ["r7", "r2", "r3", "r5"]),
        ({"absolute_margin": 0.095, "relative_margin": None}, ["r2", "r3", "r5"]),
        ({"absolute_margin": 0.11, "relative_margin": None}, ["r3", "r5"]),
        ({"relative_margin": 0.88}, ["r2", "r3", "r5"]),
        ({"relative_margin": 0.87}, ["r3", "r5"]),
        ({"relative_margin": 0.9, "absolute_margin": 0.3}, ["r5"]),
    ],
)
def test_margins(tmp_path: Path, margins: dict[str, Any], expected: list[str]) -> None:
    assert small(tmp_path, CLOSE, languages="any", **margins) == expected


def test_a_relative_margin_leaves_room_below_a_score_below_0(tmp_path: Path) -> None:
    below = CLOSE | on_circle(p=-0.1, r2=-0.1001, r3=-0.2)
    assert small(tmp_path, below, languages="any", relative_margin=0.9) == ["r3"]


def test_ranks_count_before_the_margins(tmp_path: Path) -> None:
    chosen = {"languages": "any", "absolute_margin": 0.095, "relative_margin": None}
    assert small(tmp_path / "a", CLOSE, first_rank=2, last_rank=3, **chosen) == ["r2", "r3"]
    assert small(tmp_path / "b", CLOSE, last_rank=2, **chosen) == ["r2"]
    assert small(tmp_path / "c", CLOSE, last_rank=1, **chosen) == []


def test_a_choice_follows_from_seed_and_pair_and_is_spread_over_the_ranks(tmp_path: Path) -> None:
    source, vectors = random_world(2, linked=False)
    encoder = save_encoder(tmp_path / "encoder", vectors)
    way = HardNegatives(encoder=encoder, languages="any", draw="random", number=2, last_rank=10, **NO_MARGIN)
    top = replace(way, draw="top", number=10)
    runs = [do(way, surroundings(tmp_path / str(seed), source, seed=seed))[0] for seed in (0, 1)]
    assert runs[0] != runs[1]
    ranked = do(top, surroundings(tmp_path / "top", source))[0]
    places = Counter[int]()
    for row, whole in zip(runs[0], ranked, strict=True):
        order = [item["passage_id"] for item in whole["negatives"]]
        own = [order.index(item["passage_id"]) for item in row["negatives"]]
        assert own == sorted(own)
        places.update(own)
    assert set(places) == set(range(10))
    # Another pair less, and nothing else changes.
    fewer = replace(source, pairs=source.pairs.slice(0, 40))
    parents = {row["parent_pair_id"]: row for row in runs[0]}
    rows = do(way, surroundings(tmp_path / "fewer", fewer, seed=0))[0]
    assert sum(row == parents[row["parent_pair_id"]] for row in rows) > 30  # those whose answers are still known


corners = st.tuples(*[st.integers(-1, 1)] * 3).filter(any)


@hypothesis_settings(deadline=None)
@given(
    queries=st.lists(corners, min_size=1, max_size=6),
    pool=st.lists(st.tuples(corners, st.integers(0, 2)), min_size=1, max_size=20),
    which=st.sampled_from(["same", "other", "any"]),
    count=st.integers(1, 6),
    data=st.data(),
)
def test_the_nearest_are_the_first_of_a_sorted_list_however_the_pool_is_cut(
    queries: Any, pool: Any, which: Any, count: int, data: st.DataObject
) -> None:
    languages = np.array(data.draw(st.lists(st.integers(-1, 2), min_size=len(queries), max_size=len(queries))))
    places = np.array(data.draw(st.permutations(range(len(pool)))))
    cells = st.sets(st.tuples(st.integers(0, len(pool) - 1), st.integers(0, len(queries) - 1)))
    hidden = sorted(data.draw(cells))
    cuts = [0, *sorted(data.draw(st.sets(st.integers(1, len(pool))))), len(pool)]
    left = np.array(queries, np.float32) / np.linalg.norm(queries, axis=1, keepdims=True).astype(np.float32)
    right = np.array([vector for vector, _ in pool], np.float32)
    codes = np.array([code for _, code in pool])
    pairs = np.array(hidden, np.int64).reshape(-1, 2)
    scores, rows = nearest(
        left,
        languages,
        [(a, right[a:b]) for a, b in pairwise(cuts) if b > a],
        codes,
        places,
        (pairs[:, 1], pairs[:, 0]),
        which=which,
        count=count,
    )
    for query in range(len(queries)):
        found = []
        for row in range(len(pool)):
            if (row, query) in hidden or (which != "any" and (codes[row] == languages[query]) != (which == "same")):
                continue
            score = round(sum(float(a) * float(b) for a, b in zip(left[query], right[row], strict=True)) * SCALE)
            found.append((-score, places[row], row))
        expected = [(-score, row) for score, _, row in sorted(found)[:count]]
        expected += [(NOTHING, -1)] * (count - len(expected))
        assert list(zip(scores[query].tolist(), rows[query].tolist(), strict=True)) == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"encoder": EncoderSettings()}, "encoder.model is empty"),
        ({"pool": -1}, "pool is -1"),
        ({"first_rank": 0}, "from first_rank 0"),
        ({"first_rank": 9, "last_rank": 8}, "to last_rank 8"),
        ({"number": 0}, "number is 0"),
        ({"absolute_margin": -0.1}, "absolute_margin is -0.1"),
        ({"relative_margin": 1.5}, "relative_margin is 1.5"),
        ({"relative_margin": 0.0}, "relative_margin is 0.0"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        HardNegatives(**{"encoder": EncoderSettings(model="m")} | settings)
