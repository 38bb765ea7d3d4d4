import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from xlstance.ids import IdMap, IdSet

blocks = st.lists(st.lists(st.integers(0, 40), max_size=12), max_size=8)


@given(blocks)
def test_a_set_tells_new_ids_from_known_ones(content):
    ids, known = IdSet(), set()
    for block in content:
        hashes = np.array(block, dtype=np.uint64)
        assert ids.contains(hashes).tolist() == [value in known for value in block]
        new = []
        for value in block:
            new.append(value not in known)
            known.add(value)
        assert ids.add(hashes).tolist() == new
        assert len(ids) == len(known)


def test_a_set_moves_an_id_a_few_times_only():
    ids = IdSet()
    for block in np.random.default_rng(0).integers(0, 1 << 62, (1000, 10)).astype(np.uint64):
        assert ids.add(block).all()
        assert len(ids._runs) <= 15
    assert len(ids) == 10_000


@given(blocks)
def test_a_map_gives_back_what_was_added(content):
    values = {value: number for block in content for number, value in enumerate(block)}
    ids = IdMap()
    asked = np.arange(50, dtype=np.uint64)
    for number, value in enumerate(values.items()):
        ids.add(np.array([value[0]], np.uint64), np.array([value[1]], np.int32))
        if number == 2:
            assert ids.get(asked).max() >= 0  # looked up, and then added to again
    assert ids.get(asked).tolist() == [values.get(int(value), -1) for value in asked]
