from collections import Counter, defaultdict

import numpy as np
import pytest
from plans import LANGUAGES, full_grid, partition, read

from xlstance.errors import SettingsError


def test_uniform_languages_come_equally_often_whatever_their_size():
    partitions = [partition("de", "de", 1000), partition("en", "en", 3), partition("fi", "fi", 40)]
    batches = read(partitions, 90, kind="x-x-mono")
    assert Counter(partitions[batch.partition[0]].query_lang for batch in batches) == {"de": 30, "en": 30, "fi": 30}
    cross = [partition("de", "en", 1000), partition("en", "de", 3)]
    drawn = np.concatenate([batch.partition for batch in read(cross, 50, kind="x-y")])
    assert np.bincount(drawn).tolist() == [200, 200]


def test_languages_by_size_come_by_their_number_of_rows():
    partitions = [partition("de", "de", 700), partition("en", "en", 100), partition("fi", "fi", 200)]
    batches = read(partitions, 1000, batch_size=1, kind="x-x-mono", languages="size")
    assert Counter(partitions[batch.partition[0]].query_lang for batch in batches) == {"de": 700, "en": 100, "fi": 200}
    cross = [partition("de", "en", 900), partition("en", "de", 100)]
    drawn = np.concatenate([batch.partition for batch in read(cross, 125, kind="x-y", languages="size")])
    assert np.bincount(drawn).tolist() == [900, 100]


def test_partitions_of_one_language_pair_are_drawn_by_size():
    partitions = [partition("en", "en", 30, source="a"), partition("en", "en", 10, source="b")]
    drawn = np.concatenate([batch.partition for batch in read(partitions, 50, kind="x-x-mono")])
    assert np.bincount(drawn).tolist() == [300, 100]


def pairs_drawn(partitions, batches):
    """How often each (query language, passage language) came."""
    drawn = np.concatenate([batch.partition for batch in batches]).tolist()
    return Counter((partitions[i].query_lang, partitions[i].passage_lang) for i in drawn)


@pytest.mark.parametrize("kind", ["mix-entries", "mix-passages"])
def test_mixed_entries_draw_the_passage_language_then_a_listed_pair(kind):
    partitions = [
        partition("en", "en", 9),
        partition("de", "en", 50),
        partition("de", "de", 4),
        partition("fi", "mul", 3),
    ]
    drawn = pairs_drawn(partitions, read(partitions, 300, batch_size=10, kind=kind))
    assert drawn == {("en", "en"): 500, ("de", "en"): 500, ("de", "de"): 1000, ("fi", "mul"): 1000}
    by_size = pairs_drawn(partitions, read(partitions, 330, batch_size=20, kind=kind, languages="size"))
    for pair, rows in {("en", "en"): 9, ("de", "en"): 50, ("de", "de"): 4, ("fi", "mul"): 3}.items():
        assert by_size[pair] == pytest.approx(6600 * rows / 66, abs=30)


def test_mixed_entries_and_mixed_passages_draw_the_same_rows():
    one, other = (read(full_grid(), 20, kind=kind) for kind in ("mix-entries", "mix-passages"))
    assert all(
        np.array_equal(a.row, b.row) and (a.partition == b.partition).all() for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("draw", ["block", "coin"])
def test_round_robin_takes_passage_languages_in_turn(draw):
    partitions = [*full_grid(rows=30), partition("en", "mul", 5)]
    batches = read(partitions, 40, batch_size=12, kind="round-robin", draw=draw)
    for step, batch in enumerate(batches):
        held = [partitions[i] for i in batch.partition]
        assert {p.passage_lang for p in held} == {("de", "en", "fi", "mul")[step % 4]}
    queries = Counter(partitions[i].query_lang for batch in batches[:2] for i in batch.partition)
    assert set(queries) == set(LANGUAGES)  # same-language and cross-lingual pairs alike
    if draw == "block":
        assert set(queries.values()) == {8}


def test_round_robin_goes_on_in_turn_between_bitext_batches():
    partitions = full_grid() + full_grid(source="t", bitext=True)
    batches = [b for b in read(partitions, 60, kind="round-robin", bitext_share=0.3) if b.kind != "bitext"]
    turns = [partitions[batch.partition[0]].passage_lang for batch in batches]
    assert turns == [LANGUAGES[n % 3] for n in range(len(turns))]


def test_languages_by_temperature_come_by_a_power_of_their_rows():
    partitions = [partition("de", "de", 4900), partition("en", "en", 100), partition("fi", "fi", 400)]
    sampler = {"languages": "temperature", "language_temperature": 2.0}
    mono = read(partitions, 1000, batch_size=1, kind="x-x-mono", **sampler)
    assert Counter(partitions[batch.partition[0]].query_lang for batch in mono) == {"de": 700, "en": 100, "fi": 200}
    mixed = pairs_drawn(partitions, read(partitions, 10, batch_size=1000, kind="x-x", **sampler))
    assert mixed == {("de", "de"): 7000, ("en", "en"): 1000, ("fi", "fi"): 2000}


SOURCES = [
    partition("en", "en", 900, source="big"),
    partition("en", "en", 10, source="small"),
    partition("de", "de", 7, source="small"),
    partition("en", "de", 50, source="big"),
    partition("en", "de", 50, source="small"),
    partition("en", "de", 30, source="text", bitext=True),
    partition("en", "de", 10, source="words", bitext=True),
]


@pytest.mark.parametrize("kind", ["x-x-mono", "x-x", "x-y", "mix-entries", "round-robin"])
@pytest.mark.parametrize("draw", ["block", "coin"])
def test_sources_with_weights_keep_their_shares_inside_each_language_pair(kind, draw):
    sampler = {"kind": kind, "draw": draw, "source_weights": {"big": 1.0, "small": 3.0}}
    drawn = Counter(np.concatenate([b.partition for b in read(SOURCES, 200, batch_size=40, **sampler)]).tolist())
    of_pair = defaultdict(dict)
    for i, count in drawn.items():
        of_pair[SOURCES[i].query_lang, SOURCES[i].passage_lang][SOURCES[i].source] = count
    for pair, counts in of_pair.items():
        total = sum(counts.values())
        if pair == ("de", "de"):
            assert set(counts) == {"small"}
        else:
            tolerance = 20 if draw == "block" else 5 * np.sqrt(total * 0.25 * 0.75)
            assert counts["small"] == pytest.approx(0.75 * total, abs=tolerance)


def test_languages_draw_their_sources_each_on_its_own():
    partitions = [partition(lang, lang, 999, source=source) for lang in ("de", "en") for source in ("a", "b")]
    batches = read(partitions, 20, batch_size=64, kind="x-x-mono", source_weights={"a": 1.0, "b": 2.0})
    drawn = {
        lang: [b.partition % 2 for b in batches if b.partition[0] // 2 == n] for n, lang in enumerate(("de", "en"))
    }
    assert len(drawn["de"]) == len(drawn["en"]) == 10
    same = np.mean([(de == en).mean() for de, en in zip(drawn["de"], drawn["en"], strict=True)])
    assert same == pytest.approx(5 / 9, abs=0.1)


def test_weights_of_sources_leave_the_shares_of_languages_as_they_are():
    plain, weighted = (
        pairs_drawn(SOURCES, read(SOURCES, 100, batch_size=40, kind="x-x", source_weights=weights))
        for weights in ({}, {"big": 1.0, "small": 3.0})
    )
    assert plain == weighted == {("en", "en"): 2000, ("de", "de"): 2000}


def test_bitext_sources_may_have_weights_too():
    weights = {"big": 1.0, "small": 1.0}
    for named, expected in (({}, 0.75), ({"text": 1.0, "words": 4.0}, 0.2)):
        batches = read(SOURCES, 100, batch_size=40, bitext_share=1.0, source_weights=weights | named)
        drawn = np.bincount(np.concatenate([batch.partition for batch in batches]), minlength=7)
        assert drawn[5] / drawn.sum() == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"big": 1.0}, "no weight to small"),
        ({"big": 1.0, "small": 1.0, "smal": 1.0}, "names smal, .* big, small, text, words"),
        ({"big": 1.0, "small": 1.0, "text": 1.0}, "no weight to words"),
    ],
)
def test_weights_name_the_sources_that_there_are(weights, message):
    with pytest.raises(SettingsError, match=message):
        read(SOURCES, 0, source_weights=weights)
