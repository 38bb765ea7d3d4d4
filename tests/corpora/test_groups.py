import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from xlstance.corpora.groups import connected, smallest_key

edges = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=30)


def components(rows):
    """Labels by walking the graph, the plain way."""
    labels = []
    for _, key in rows:
        reached, grown = {key}, True
        while grown:
            texts = {text for text, other in rows if other in reached}
            more = {other for text, other in rows if text in texts}
            grown, reached = not more <= reached, reached | more
        labels.append(min(reached))
    return labels


@given(edges)
def test_connected_equals_walking_the_graph(rows):
    texts, keys = np.array(rows, dtype=np.int64).reshape(-1, 2).T
    assert connected(texts, keys).tolist() == components(rows)


@given(edges)
def test_smallest_key_is_the_smallest_of_the_text(rows):
    texts, keys = np.array(rows, dtype=np.int64).reshape(-1, 2).T
    assert smallest_key(texts, keys).tolist() == [min(k for t, k in rows if t == text) for text, _ in rows]


def test_a_chain_is_followed_to_its_end():
    steps = np.arange(50)
    texts, keys = np.concatenate([steps, steps]), np.concatenate([steps, steps + 1])
    assert set(connected(texts, keys).tolist()) == {0}
