from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlstance.errors import SettingsError
from xlstance.training.plan import BatchPlan, Partition, SamplerSettings

LANGUAGES = ("de", "en", "fi")


def partition(query, passage, rows, source="s", bitext=False):
    return Partition(source=source, query_lang=query, passage_lang=passage, rows=rows, bitext=bitext)


def full_grid(rows=7, **changes):
    return [partition(a, b, rows, **changes) for a in LANGUAGES for b in LANGUAGES]


def read(partitions, steps, batch_size=8, seed=0, **sampler):
    plan = BatchPlan(partitions, SamplerSettings(**sampler), batch_size, seed)
    return [plan.batch(step) for step in range(steps)]


def places_of(partitions, batches):
    """Rows drawn from each language pair, in the order of the batches, as (partition, row)."""
    drawn = {}
    for batch in batches:
        for index, row in zip(batch.partition.tolist(), batch.row.tolist(), strict=True):
            key = (partitions[index].bitext, partitions[index].query_lang, partitions[index].passage_lang)
            drawn.setdefault(key, []).append((index, row))
    return drawn


sizes = st.lists(st.integers(0, 9), min_size=12, max_size=12).filter(lambda rows: all(rows[:3]) and any(rows[6:]))


@settings(max_examples=60)
@given(
    rows=sizes,
    kind=st.sampled_from(["x-x", "x-x-mono", "x-y", "hybrid"]),
    languages=st.sampled_from(["uniform", "size"]),
    draw=st.sampled_from(["block", "coin"]),
    batch_size=st.sampled_from([1, 4, 10]),
)
def test_each_row_comes_once_per_epoch(rows, kind, languages, draw, batch_size):
    pairs = [(a, a) for a in LANGUAGES] * 2 + [("de", "en"), ("en", "de"), ("fi", "mul")] * 2
    partitions = [partition(a, b, n, source=f"s{i}") for i, ((a, b), n) in enumerate(zip(pairs, rows, strict=True))]
    batches = read(partitions, 60, batch_size, kind=kind, languages=languages, draw=draw)
    for (_, query, passage), drawn in places_of(partitions, batches).items():
        everything = {
            (i, row)
            for i, p in enumerate(partitions)
            if (p.query_lang, p.passage_lang) == (query, passage)
            for row in range(p.rows)
        }
        for start in range(0, len(drawn), len(everything)):
            epoch = drawn[start : start + len(everything)]
            assert len(set(epoch)) == len(epoch)
            assert set(epoch) <= everything


def test_each_row_of_bitext_comes_once_per_epoch():
    partitions = full_grid() + full_grid(rows=5, source="t", bitext=True)
    drawn = places_of(partitions, read(partitions, 90, batch_size=1, bitext_share=0.5, block=2))
    bitext = {key: places for key, places in drawn.items() if key[0]}
    assert len(bitext) == 9
    assert all(set(Counter(places).values()) == {1} and len(places) == 5 for places in bitext.values())


def test_epochs_have_different_orders():
    batches = read([partition("en", "en", 50)], 2, batch_size=50, kind="x-x-mono")
    assert sorted(batches[0].row) == sorted(batches[1].row) == list(range(50))
    assert (batches[0].row == batches[1].row).mean() < 0.2


def test_pools_of_one_size_do_not_share_their_order():
    partitions = full_grid(rows=60)
    drawn = places_of(partitions, read(partitions, 120, batch_size=10))
    orders = {tuple(row for _, row in places[:60]) for places in drawn.values()}
    assert len(orders) == len(drawn) == 9


@pytest.mark.parametrize(
    ("kind", "alpha", "expected"),
    [
        ("x-x", 0.5, {"mixed"}),
        ("x-x-mono", 0.0, {"mono"}),
        ("x-y", 1.0, {"cross"}),
        ("hybrid", 0.0, {"cross"}),
        ("hybrid", 1.0, {"mono"}),
        ("hybrid", 0.5, {"mono", "cross"}),
    ],
)
@pytest.mark.parametrize("draw", ["block", "coin"])
def test_batches_are_of_the_samplers_kinds(kind, alpha, expected, draw):
    partitions = [*full_grid(), partition("en", "mul", 5), partition("mul", "mul", 5)]
    batches = read(partitions, 120, kind=kind, alpha=alpha, draw=draw)
    assert {batch.kind for batch in batches} == expected
    for batch in batches:
        held = [partitions[i] for i in batch.partition]
        same = [p.query_lang == p.passage_lang != "mul" for p in held]
        assert not any(same) if batch.kind == "cross" else all(same)
        if batch.kind == "mono":
            assert len({p.query_lang for p in held}) == 1


@pytest.mark.parametrize(("alpha", "share"), [(0.25, 0.0), (0.35, 0.4), (0.5, 0.1), (1.0, 0.25)])
def test_alpha_is_the_share_among_retrieval_batches_and_bitext_among_all(alpha, share):
    partitions = full_grid() + full_grid(source="t", bitext=True)
    batches = read(partitions, 400, batch_size=2, alpha=alpha, bitext_share=share, block=20)
    kinds = Counter(batch.kind for batch in batches)
    assert kinds["bitext"] == round(400 * share)
    assert kinds["mono"] == pytest.approx(alpha * (400 - kinds["bitext"]), abs=0.5)
    assert all({partitions[i].bitext for i in batch.partition} == {batch.kind == "bitext"} for batch in batches)


def test_texts_of_several_languages_count_as_cross():
    partitions = [partition("en", "en", 4), partition("mul", "mul", 4), partition("en", "mul", 4)]
    seen = {int(i) for batch in read(partitions, 50, kind="x-x-mono") for i in batch.partition}
    assert seen == {0}
    assert {int(i) for batch in read(partitions, 50, kind="x-y") for i in batch.partition} == {1, 2}


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


@settings(max_examples=25)
@given(steps=st.lists(st.integers(0, 300), min_size=1, max_size=12), draw=st.sampled_from(["block", "coin"]))
def test_a_batch_depends_on_its_step_alone(steps, draw):
    sampler = SamplerSettings(draw=draw, bitext_share=0.2, block=7)
    partitions = full_grid() + full_grid(source="t", bitext=True)
    reused = BatchPlan(partitions, sampler, 8, 5)
    for step in steps:
        one, other = reused.batch(step), BatchPlan(partitions, sampler, 8, 5).batch(step)
        assert one.kind == other.kind
        assert np.array_equal(one.partition, other.partition)
        assert np.array_equal(one.row, other.row)


def test_seeds_give_different_streams():
    streams = {tuple(np.concatenate([b.row for b in read(full_grid(), 10, seed=seed)])) for seed in range(5)}
    assert len(streams) == 5


@pytest.mark.parametrize(
    ("partitions", "sampler", "message"),
    [
        ([partition("en", "en", 5)], {"kind": "x-y"}, "needs cross-lingual pairs"),
        ([partition("en", "en", 5)], {"kind": "hybrid"}, "needs cross-lingual pairs"),
        ([partition("en", "de", 5)], {"kind": "hybrid"}, "needs same-language pairs"),
        ([partition("en", "de", 5)], {"kind": "x-x-mono"}, "needs same-language pairs"),
        ([partition("en", "de", 5)], {"kind": "x-x"}, "needs same-language pairs"),
        ([partition("mul", "mul", 5)], {"kind": "x-x-mono"}, "needs same-language pairs"),
        ([partition("en", "en", 0)], {"kind": "x-x-mono"}, "needs same-language pairs"),
        ([partition("en", "en", 5, bitext=True)], {"kind": "x-x-mono"}, "needs same-language pairs"),
        ([], {"kind": "x-x"}, "nothing"),
        ([partition("en", "en", 5)], {"kind": "x-x-mono", "bitext_share": 0.1}, "bitext"),
    ],
)
def test_a_sampler_without_its_kind_of_pairs_is_refused(partitions, sampler, message):
    with pytest.raises(SettingsError, match=message):
        read(partitions, 0, **sampler)


@pytest.mark.parametrize(
    ("partitions", "sampler", "kind"),
    [
        ([partition("en", "en", 5)], {"kind": "hybrid", "alpha": 1.0}, "mono"),
        ([partition("en", "de", 5)], {"kind": "hybrid", "alpha": 0.0}, "cross"),
        ([partition("en", "de", 5, bitext=True)], {"kind": "hybrid", "bitext_share": 1.0}, "bitext"),
    ],
)
def test_pairs_that_no_batch_asks_for_are_not_needed(partitions, sampler, kind):
    assert {batch.kind for batch in read(partitions, 30, **sampler)} == {kind}


@pytest.mark.parametrize("wrong", [{"alpha": -0.1}, {"alpha": 1.1}, {"bitext_share": 2.0}, {"block": 0}])
def test_shares_out_of_range_are_refused(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        SamplerSettings(**wrong)
