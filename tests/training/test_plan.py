from collections import Counter
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import KINDS, LANGUAGES, full_grid, partition, read

from xlstance.errors import SettingsError
from xlstance.training.plan import BatchPlan, SamplerSettings


def places_of(partitions, batches):
    """Rows drawn from each language pair, in the order of the batches, as (partition, row)."""
    drawn = {}
    for batch in batches:
        for index, row in zip(batch.partition.tolist(), batch.row.tolist(), strict=True):
            key = (partitions[index].bitext, partitions[index].query_lang, partitions[index].passage_lang)
            drawn.setdefault(key, []).append((index, row))
    return drawn


sizes = st.lists(st.integers(0, 9), min_size=12, max_size=12).filter(lambda rows: all(rows[:3]) and any(rows[6:]))


@settings(max_examples=80, deadline=None)
@given(
    rows=sizes,
    kind=st.sampled_from(KINDS),
    languages=st.sampled_from(["uniform", "size", "temperature"]),
    draw=st.sampled_from(["block", "coin"]),
    order=st.sampled_from(["rows", "blocks"]),
    batch_size=st.sampled_from([1, 4, 10]),
    weighted=st.booleans(),
)
def test_each_row_comes_once_per_epoch(rows, kind, languages, draw, order, batch_size, weighted):
    pairs = [(a, a) for a in LANGUAGES] * 2 + [("de", "en"), ("en", "de"), ("fi", "mul")] * 2
    partitions = [
        replace(partition(a, b, n, source=f"s{i}"), pieces=(n // 2, 0, n - n // 2))
        for i, ((a, b), n) in enumerate(zip(pairs, rows, strict=True))
    ]
    weights = {p.source: 1.0 + i % 3 for i, p in enumerate(partitions)} if weighted else {}
    batches = read(
        partitions,
        60,
        batch_size,
        kind=kind,
        languages=languages,
        draw=draw,
        order=order,
        window=1,
        source_weights=weights,
    )
    for (_, query, passage), together in places_of(partitions, batches).items():
        # Sources that have weights go through their own epochs.
        for source in {partitions[i].source for i, _ in together} if weighted else {None}:
            drawn = [(i, row) for i, row in together if source in (None, partitions[i].source)]
            everything = {
                (i, row)
                for i, p in enumerate(partitions)
                if (p.query_lang, p.passage_lang) == (query, passage) and source in (None, p.source)
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
        ("mix-entries", 0.5, {"mix-entries"}),
        ("mix-passages", 0.5, {"mix-passages"}),
        ("round-robin", 0.5, {"round-robin"}),
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
        if batch.kind in ("cross", "mono", "mixed"):
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


@settings(max_examples=25, deadline=None)
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
        ([partition("en", "en", 5, bitext=True)], {"kind": "mix-entries"}, "no bitext"),
        ([partition("en", "de", 5)], {"alpha_schedule": {0: 0.0, 10: 0.1}}, "needs same-language pairs"),
        ([partition("en", "en", 5)], {"alpha_schedule": {0: 1.0, 10: 0.9}}, "needs cross-lingual pairs"),
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


def test_both_ends_of_alpha_are_the_plain_samplers():
    partitions = full_grid(rows=11) + full_grid(source="t", bitext=True)
    for alpha, kind in ((0.0, "x-y"), (1.0, "x-x-mono")):
        for draw in ("block", "coin"):
            for given_alpha in ({"alpha": alpha}, {"alpha_schedule": {5: alpha, 50: alpha}}):
                hybrid = read(partitions, 60, draw=draw, bitext_share=0.25, kind="hybrid", **given_alpha)
                plain = read(partitions, 60, draw=draw, bitext_share=0.25, kind=kind, alpha=0.3)
                for one, other in zip(hybrid, plain, strict=True):
                    assert one.kind == other.kind
                    assert np.array_equal(one.partition, other.partition)
                    assert np.array_equal(one.row, other.row)


@settings(max_examples=15, deadline=None)
@given(
    points=st.dictionaries(st.integers(0, 250), st.sampled_from([0.0, 0.2, 0.5, 0.75, 1.0]), min_size=1, max_size=5),
    shape=st.sampled_from(["linear", "steps"]),
    share=st.sampled_from([0.0, 0.25, 0.4]),
    block=st.sampled_from([5, 20]),
)
def test_a_schedule_is_kept_through_every_block(points, shape, share, block):
    partitions = full_grid() + full_grid(source="t", bitext=True)
    sampler = {"alpha_schedule": points, "alpha_shape": shape, "bitext_share": share, "block": block}
    kinds = [batch.kind for batch in read(partitions, 300, batch_size=1, **sampler)]
    alphas = SamplerSettings(**sampler).alphas()
    for through in range(block, 301, block):
        mono = kinds[:through].count("mono")
        assert abs(mono - (1 - share) * float(alphas.total(Fraction(through)))) <= 1 + 1e-9
        assert abs(kinds[:through].count("bitext") - share * through) <= 0.5


def test_a_schedule_holds_at_once_and_far_away():
    sampler = SamplerSettings(alpha_schedule={0: 1.0, 100: 0.0, 10**6: 0.25}, alpha_shape="steps")
    plan = BatchPlan(full_grid(), sampler, 4, 0)
    kinds = {start: Counter(plan.batch(n).kind for n in range(start, start + 100)) for start in (0, 100, 10**6, 10**9)}
    assert kinds == {
        0: {"mono": 100},
        100: {"cross": 100},
        10**6: {"mono": 25, "cross": 75},
        10**9: {"mono": 25, "cross": 75},
    }


@settings(max_examples=30, deadline=None)
@given(kind=st.sampled_from(KINDS), draw=st.sampled_from(["block", "coin"]), step=st.integers(0, 10**9))
def test_ranks_share_out_the_same_global_batch(kind, draw, step):
    sampler = SamplerSettings(kind=kind, draw=draw, bitext_share=0.2)
    partitions = full_grid(rows=1000) + full_grid(rows=500, source="t", bitext=True)
    streams = []
    for ranks in (1, 2, 3, 8):
        share = 24 // ranks
        plans = [BatchPlan(partitions, sampler, 24, 7) for _ in range(ranks)]  # every rank makes its own
        parts = [plan.batch(step) for plan in plans]
        assert len({part.kind for part in parts}) == 1
        slices = [slice(rank * share, (rank + 1) * share) for rank in range(ranks)]
        held = [
            list(zip(part.partition[own].tolist(), part.row[own].tolist(), strict=True))
            for part, own in zip(parts, slices, strict=True)
        ]
        rows = [row for own in held for row in own]
        assert len(set(rows)) == 24  # no row stands on two ranks
        streams.append(rows)
    assert all(stream == streams[0] for stream in streams)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("draw", ["block", "coin"])
def test_a_plan_opened_anywhere_goes_on_as_the_one_that_read_from_there(kind, draw):
    partitions = full_grid(rows=1000) + full_grid(source="t", bitext=True)
    sampler = SamplerSettings(kind=kind, draw=draw, bitext_share=0.2, languages="temperature")
    for start in (13, 10**9 + 3):
        read_on = BatchPlan(partitions, sampler, 64, 1)
        before = [read_on.batch(n) for n in range(start, start + 12)]
        for n in (11, 4):
            resumed = BatchPlan(partitions, sampler, 64, 1).batch(start + n)
            assert np.array_equal(resumed.partition, before[n].partition)
            assert np.array_equal(resumed.row, before[n].row)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("draw", ["block", "coin"])
def test_far_into_a_billion_pairs_rows_still_come_without_replacement(kind, draw):
    partitions = [partition(a, b, 10**9 // 9) for a in LANGUAGES for b in LANGUAGES]
    plan = BatchPlan(partitions, SamplerSettings(kind=kind, draw=draw), 256, 0)
    batches = [plan.batch(10**9 + n) for n in range(40)]
    rows = [pair for b in batches for pair in zip(b.partition.tolist(), b.row.tolist(), strict=True)]
    assert len(set(rows)) == len(rows)
    assert all(0 <= row < 10**9 // 9 for _, row in rows)
