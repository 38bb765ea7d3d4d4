import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from xlstance.training.plan.splitmix import GOLDEN, mix, shuffle_rows, stream_key, words


def reference(state):
    """splitmix64 in Python's integers: the first word after a state."""
    mask = (1 << 64) - 1
    z = (state + 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


def test_words_are_those_of_splitmix64():
    # The first three for the state 1234567, as its authors' program prints them.
    assert words(np.uint64(1234567), np.arange(3)).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


@settings(deadline=None)
@given(key=st.integers(0, 2**64 - 1), counter=st.integers(0, 10**15))
def test_a_word_is_had_without_those_before_it(key, counter):
    state = (key + counter * int(GOLDEN)) % 2**64
    assert int(words(np.uint64(key), np.array([counter]))[0]) == reference(state)


def test_keys_and_counters_are_broadcast():
    keys = words(stream_key(1), np.arange(4))
    table = words(keys[:, None], np.arange(5))
    assert table.shape == (4, 5)
    assert table[2, 3] == words(keys[2], np.array([3]))[0]
    assert len(np.unique(table)) == 20


def test_every_input_bit_changes_half_of_the_output():
    values = words(stream_key(0), np.arange(500))
    for bit in range(64):
        changed = mix(values ^ (np.uint64(1) << np.uint64(bit))) ^ mix(values)
        assert abs(np.bitwise_count(changed).mean() - 32) < 1.5


def test_rows_are_shuffled_each_on_its_own_and_evenly():
    rows = np.tile(np.arange(4), (24_000, 1))
    shuffled = shuffle_rows(rows, words(stream_key(5), np.arange(len(rows))))
    assert (np.sort(shuffled, axis=1) == rows).all()
    orders = np.unique(shuffled, axis=0, return_counts=True)[1]
    assert len(orders) == 24
    assert (np.abs(orders - 1000) < 5 * np.sqrt(1000)).all()
    alone = shuffle_rows(rows[:1], words(stream_key(5), np.array([7])))
    assert (alone[0] == shuffled[7]).all()


def test_items_that_stand_several_times_are_kept():
    items = np.array([[0, 0, 7, 2**24 - 1, 7]])
    assert np.sort(shuffle_rows(items, words(stream_key(0), np.array([0])))).tolist() == [[0, 0, 7, 7, 2**24 - 1]]
