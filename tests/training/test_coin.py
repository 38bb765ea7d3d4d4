import math

import numpy as np
import pytest

from xlstance.training.plan import coin
from xlstance.training.plan.coin import CoinMixture, choose
from xlstance.training.plan.schedule import AlphaSchedule, KindShares
from xlstance.training.plan.shares import Stretch
from xlstance.training.plan.splitmix import stream_key, words


def make_coin(*shares, key=0):
    return CoinMixture([Stretch(0, shares)], stream_key(key))


def chi_square(counts, expected):
    """The statistic over its degrees of freedom: near 1 where the counts are of this law."""
    return ((counts - expected) ** 2 / expected).sum() / (len(counts) - 1)


@pytest.mark.parametrize("leaf", [1, 4])
def test_short_sequences_are_exactly_as_likely_as_independent_draws_make_them(monkeypatch, leaf):
    monkeypatch.setattr(coin, "_LEAF", leaf)  # so that spans and splits decide
    monkeypatch.setattr(coin, "_END", 64)
    shares, runs = np.array([0.5, 0.3, 0.2]), 1500
    code = np.zeros(runs, dtype=np.int64)
    for run, key in enumerate(words(stream_key(11), np.arange(runs))):
        # Places of two spans: the middle of one and the start of the next.
        code[run] = CoinMixture([Stretch(0, tuple(shares))], key).draw(6, 4)[0] @ np.array([27, 9, 3, 1])
    digits = np.array(np.unravel_index(np.arange(81), (3, 3, 3, 3)))
    expected = shares[digits].prod(axis=0) * runs
    assert abs(chi_square(np.bincount(code, minlength=81), expected) - 1) < 5 * math.sqrt(2 / 80)


def test_a_share_is_kept_with_the_variance_of_independent_draws():
    places, share = 40_000, 0.3
    items, _ = make_coin(share, 1 - share, key=4).draw(0, places)
    ones = items == 0
    assert abs(ones.sum() - share * places) < 4 * np.sqrt(places * share * (1 - share))
    for width in (20, 200):  # an exact mixture would show no variance
        counts = ones.reshape(-1, width).sum(axis=1)
        assert abs(counts.var() / (width * share * (1 - share)) - 1) < 5 * math.sqrt(2 / len(counts))
    assert abs(np.corrcoef(ones[:-1], ones[1:])[0, 1]) < 5 / math.sqrt(places)


@pytest.mark.parametrize("place", [10**6, 10**9, 10**12])
def test_counts_before_a_far_place_are_binomial(place):
    share, runs = 0.25, 400
    keys = words(stream_key(2, place), np.arange(runs))
    found = [CoinMixture([Stretch(0, (share, 1 - share))], key).draw(place, 1) for key in keys]
    # The drawn item came so often before, the other one the other times.
    before = np.array([n[0] if item[0] == 0 else place - n[0] for item, n in found])
    standard = (before - share * place) / math.sqrt(place * share * (1 - share))
    assert abs(standard.mean()) < 4 / math.sqrt(runs)
    assert abs(standard.var() - 1) < 5 * math.sqrt(2 / runs)


@pytest.mark.parametrize(("small", "few"), [(0, 0), (0, 3), (10**9, 0)])
def test_elements_are_chosen_as_if_drawn_one_by_one(monkeypatch, small, few):
    monkeypatch.setattr(coin, "_SMALL", small)
    monkeypatch.setattr(coin, "_FEW", max(few, 1))
    counts, size, runs = np.array([5, 3, 0, 2]), 4, 6000
    random = np.random.default_rng(3)
    chosen = np.array([choose(counts, size, random) for _ in range(runs)])
    assert (chosen.sum(axis=1) == size).all()
    assert (chosen <= counts).all()
    laws = {
        (a, b, 0, c): math.comb(5, a) * math.comb(3, b) * math.comb(2, c) / math.comb(10, 4)
        for a in range(5)
        for b in range(4)
        for c in range(3)
        if a + b + c == 4
    }
    seen = np.array([(chosen == outcome).all(axis=1).sum() for outcome in laws])
    assert seen.sum() == runs
    assert chi_square(seen, runs * np.array(list(laws.values()))) < 1 + 5 * math.sqrt(2 / (len(laws) - 1))


def test_huge_choices_have_the_right_variance():
    counts, random = np.array([6 * 10**11, 3 * 10**11, 10**11]), np.random.default_rng(1)
    size = int(counts.sum()) // 2
    chosen = np.array([choose(counts, size, random) for _ in range(600)])
    assert (chosen.sum(axis=1) == size).all()
    shares = counts / counts.sum()
    variance = size * shares * (1 - shares) / 2  # half of the elements stay behind
    assert (np.abs(chosen.var(axis=0) / variance - 1) < 5 * math.sqrt(2 / 600)).all()
    assert (np.abs(chosen.mean(axis=0) - size * shares) < 5 * np.sqrt(variance / 600)).all()


def test_a_share_of_zero_stays_at_zero_for_ever():
    mixture = make_coin(0.1, 0.9, 0.0, key=9)
    assert all(set(mixture.draw(place, 3000)[0].tolist()) == {0, 1} for place in (0, 10**9, 10**14))
    # Rounding leaves a little of thirteen equal shares, which 10**15 places would find.
    assert not any(make_coin(*[1 / 13] * 13, 0.0, key=key)._totals[:, 13].any() for key in range(10))


def test_a_coin_follows_a_schedule():
    schedule = AlphaSchedule({0: 0.0, 10_000: 1.0, 20_000: 0.2}, "linear")
    stretches = KindShares(0.25, schedule).stretches(20)
    runs = [CoinMixture(stretches, stream_key(key)).draw(0, 25_000)[0] for key in range(8)]
    shares = np.array(
        [np.bincount(run[at : at + 1000], minlength=3) / 1000 for run in runs for at in (0, 9500, 22_000)]
    )
    shares = shares.reshape(8, 3, 3).mean(axis=0)
    expected = [[0.25, 0.75 * 0.05, 0.75 * 0.95], [0.25, 0.75 * 0.9675, 0.75 * 0.0325], [0.25, 0.15, 0.6]]
    assert np.abs(shares - expected).max() < 4 * math.sqrt(0.25 / 8000)


def test_memory_does_not_grow_with_what_was_read():
    mixture = make_coin(*[1 / 132] * 132)
    for place in np.random.default_rng(0).integers(0, 10**12, 300):
        mixture.draw(int(place), 10)
    assert len(mixture._halves) <= coin._KEPT
    assert len(mixture._starts) < 60
