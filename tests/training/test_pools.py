import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlstance.training.plan.pools import Partition, PoolRows, make_pools


def partition(query, passage, pieces, source="s", **changes):
    return Partition(
        source=source, query_lang=query, passage_lang=passage, rows=sum(pieces), pieces=tuple(pieces), **changes
    )


def open_pools(partitions, order, window=2, separate=(), key=(0,)):
    pools = make_pools(partitions, set(separate))
    return pools, PoolRows(partitions, pools, order, window, *key)


def read(rows, pool, start, count):
    found = rows.rows(np.full(count, pool), np.arange(start, start + count))
    return list(zip(*(values.tolist() for values in found), strict=True))


def piece_of(partitions, number, row):
    return int(np.searchsorted(np.cumsum(partitions[number].pieces), row, side="right"))


def test_partitions_of_a_language_pair_are_joined_and_those_of_bitext_apart():
    partitions = [
        partition("en", "en", [4], "a"),
        partition("en", "de", [3], "a"),
        partition("en", "en", [2], "b"),
        partition("en", "en", [5], "c", bitext=True),
        partition("en", "fi", [0], "c"),
    ]
    joined = {(p.bitext, p.query_lang, p.passage_lang, p.source): p.members for p in make_pools(partitions, set())}
    assert joined == {
        (False, "en", "de", ""): (1,),
        (False, "en", "en", ""): (0, 2),
        (True, "en", "en", ""): (3,),
    }
    apart = {(p.passage_lang, p.source): (p.members, p.rows) for p in make_pools(partitions, {"a", "b"})}
    assert apart == {("de", "a"): ((1,), 3), ("en", "a"): ((0,), 4), ("en", "b"): ((2,), 2), ("en", ""): ((3,), 5)}


piece_lists = st.lists(st.integers(0, 6), min_size=1, max_size=9).filter(any)


@settings(deadline=None)
@given(
    members=st.lists(piece_lists, min_size=1, max_size=3),
    other=piece_lists,
    order=st.sampled_from(["rows", "blocks"]),
    window=st.integers(1, 10),
)
def test_each_row_comes_once_per_epoch(members, other, order, window):
    partitions = [partition("en", "en", pieces, f"s{i}") for i, pieces in enumerate(members)]
    partitions.append(partition("de", "en", other))
    pools, rows = open_pools(partitions, order, window)
    for number, pool in enumerate(pools):
        everything = {(member, row) for member in pool.members for row in range(partitions[member].rows)}
        drawn = read(rows, number, 0, 3 * pool.rows)
        for epoch in range(3):
            assert set(drawn[epoch * pool.rows : (epoch + 1) * pool.rows]) == everything


@settings(deadline=None)
@given(
    members=st.lists(st.lists(st.integers(0, 6), min_size=9, max_size=9).filter(any), min_size=1, max_size=3),
    window=st.integers(1, 4),
)
def test_blocks_need_few_pieces_at_a_time(members, window):
    partitions = [partition("en", "en", pieces, f"s{i}") for i, pieces in enumerate(members)]
    pools, rows = open_pools(partitions, "blocks", window)
    for epoch in range(2):
        drawn = read(rows, 0, epoch * pools[0].rows, pools[0].rows)
        pieces = [piece_of(partitions, member, row) for member, row in drawn]
        spans = [(pieces.index(piece), len(pieces) - pieces[::-1].index(piece)) for piece in set(pieces)]
        # Pieces of one window are mixed with each other, and with no other.
        assert max(sum(start <= place < end for start, end in spans) for place in range(len(pieces))) <= window


def test_pieces_and_the_rows_of_a_window_are_shuffled_anew_in_every_epoch():
    partitions = [partition("en", "en", [50] * 40)]
    _, rows = open_pools(partitions, "blocks", 4)
    epochs = [np.array([row for _, row in read(rows, 0, 2000 * epoch, 2000)]) for epoch in range(2)]
    together = [[set(window.tolist()) for window in epoch.reshape(10, 200) // 50] for epoch in epochs]
    assert not any(pieces in together[1] for pieces in together[0])
    for epoch in epochs:
        windows = epoch.reshape(10, 200) // 50
        assert all(len(set(window.tolist())) == 4 for window in windows)
        # Inside a window rows of all its pieces stand mixed.
        assert all(len(set(window[:20].tolist())) >= 3 for window in windows)
        assert (np.diff(epoch) == 1).mean() < 0.05


def test_a_single_window_is_shuffled_anew_in_every_epoch():
    _, rows = open_pools([partition("en", "en", [50])], "blocks")
    assert read(rows, 0, 0, 50) != read(rows, 0, 50, 50)


def test_rows_that_are_no_blocks_are_shuffled_over_all_pieces():
    partitions = [partition("en", "en", [50] * 40)]
    _, rows = open_pools(partitions, "rows")
    assert len({row // 50 for _, row in read(rows, 0, 0, 200)}) > 30


def test_parallel_pools_need_the_same_pieces_at_the_same_time():
    partitions = [partition(lang, lang, [50] * 40) for lang in ("de", "en")]
    _, rows = open_pools(partitions, "blocks", 4)
    one, other = (np.array([row for _, row in read(rows, pool, 4000, 2000)]) for pool in (0, 1))
    assert (one != other).mean() > 0.9
    for at in range(0, 2000, 200):
        assert set((one[at : at + 200] // 50).tolist()) == set((other[at : at + 200] // 50).tolist())


@pytest.mark.parametrize("order", ["rows", "blocks"])
def test_places_of_many_pools_and_epochs_are_read_in_one_call(order):
    partitions = [partition(f"l{i:02}", "en", [i % 5 + 1] * (i + 1)) for i in range(30)]
    pools, rows = open_pools(partitions, order, 3)
    random = np.random.default_rng(0)
    chosen, places = random.integers(0, 30, 500), random.integers(0, 300, 500)
    together = list(zip(*(values.tolist() for values in rows.rows(chosen, places)), strict=True))
    again = open_pools(partitions, order, 3)[1]
    assert together == [
        read(again, pool, place, 1)[0] for pool, place in zip(chosen.tolist(), places.tolist(), strict=True)
    ]
    assert all(pools[pool].members == (number,) for pool, (number, _) in zip(chosen, together, strict=True))


@pytest.mark.parametrize("order", ["rows", "blocks"])
def test_keys_and_pools_have_their_own_order(order):
    partitions = [partition(lang, lang, [10] * 20) for lang in ("de", "en")]
    orders = [
        tuple(row for _, row in read(open_pools(partitions, order, key=key)[1], pool, 0, 200))
        for key in ((0, 1), (0, 2), (1, 1))
        for pool in (0, 1)
    ]
    assert len(set(orders)) == 6


def test_a_far_epoch_of_a_huge_pool_takes_no_more_than_its_pieces():
    pieces = [10**6 + i for i in range(1000)]
    _, rows = open_pools([partition("en", "en", pieces)], "blocks", 8)
    drawn = read(rows, 0, 10**12 + 5, 1024)
    assert len(set(drawn)) == 1024
    assert len({piece_of([partition("en", "en", pieces)], *one) for one in drawn}) <= 16
