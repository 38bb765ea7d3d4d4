"""Ranks against a sort of all passages, by a second implementation in plain Python."""

from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlstance.errors import DataError
from xlstance.ranking import matrix_of, rank_passages, relevant_ranks, scores, vector_scores
from xlstance.tables import hash_ids, make_table


def tables(query_langs, passage_langs, qrels):
    queries = [f"q{row}" for row in range(len(query_langs))]
    passages = [f"p{row}" for row in range(len(passage_langs))]
    return (
        make_table("queries", {"query_id": queries, "lang": query_langs, "text": queries, "group_id": queries}),
        make_table("passages", {"passage_id": passages, "lang": passage_langs, "text": passages, "group_id": passages}),
        make_table(
            "qrels",
            {
                "query_id": [f"q{query}" for query, _, _ in qrels],
                "passage_id": [f"p{passage}" for _, passage, _ in qrels],
                "gain": [gain for _, _, gain in qrels],
            },
        ),
    )


def brute_force(query_vectors, passage_vectors, passage_langs, query, passage):
    """Rank in the passage's own pool and in all, exact in rational numbers, by sorting everything."""
    scores = [
        sum(Fraction(float(a)) * Fraction(float(b)) for a, b in zip(query_vectors[query], p, strict=True))
        for p in passage_vectors
    ]
    ids = [f"p{row}" for row in range(len(passage_langs))]
    order = sorted(range(len(ids)), key=lambda row: (-scores[row], int(hash_ids([ids[row]])[0]), ids[row]))
    own = [row for row in order if passage_langs[row] == passage_langs[passage]]
    ties = sum(score == scores[passage] for score in scores) - 1
    return own.index(passage) + 1, order.index(passage) + 1, ties


def full_order(scores_of_query, names):
    """All passages in the order by score, then by hash."""
    return sorted(
        range(len(names)), key=lambda row: (-scores_of_query[row], int(hash_ids([names[row]])[0]), names[row])
    )


# Few values make many ties, some of them at the end of the list.
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_best_are_the_first_of_a_full_sort(data):
    count, queries, k = (data.draw(st.integers(1, top)) for top in (15, 4, 20))
    rows = st.lists(st.sampled_from([0.0, 0.5, 0.5 + 1e-13, 1.0]), min_size=count, max_size=count)
    given_scores = np.array(data.draw(st.lists(rows, min_size=queries, max_size=queries)))
    _, best = rank_passages(*tables(["en"] * queries, ["en"] * count, []), lambda rows: given_scores[rows], top_k=k)
    for row, found in enumerate(best.passage_index):
        wanted = full_order(np.round(given_scores[row], 9), [f"p{n}" for n in range(count)])[:k]
        assert found.tolist() == wanted
        np.testing.assert_array_equal(best.scores[row], given_scores[row, wanted])


def test_pools_of_one_language_may_have_scores_of_their_own():
    case = tables(["en", "de"], ["en", "de", "en", "de"], [(0, 0, 1), (1, 3, 1)])
    together, alone = np.array([[4.0, 3, 2, 1]] * 2), np.array([[1.0, 2, 3, 4]] * 2)
    ranks, best = rank_passages(*case, lambda r: together[r], in_own_pools=lambda r: alone[r], top_k=2)
    assert ranks.in_all.tolist() == [1, 4]
    assert ranks.in_own_pool.tolist() == [2, 1]
    assert best.passage_index.tolist() == [[0, 1]] * 2
    kept = ranks.where(np.array([False, True]))
    assert (kept.in_all.tolist(), kept.in_own_pool.tolist()) == ([4], [1])


def test_one_pass_gives_what_two_give():
    (queries, passages, qrels), *vectors = random_case()
    both, best = rank_passages(queries, passages, qrels, vector_scores(queries, passages, *vectors), top_k=5)
    np.testing.assert_array_equal(both.before, relevant_ranks(queries, passages, qrels, *vectors).before)
    first = {(query, passage) for query, row in enumerate(best.passage_index.tolist()) for passage in row}
    pairs = zip(both.query_index.tolist(), both.passage_index.tolist(), both.in_all.tolist(), strict=True)
    for query, passage, rank in pairs:
        assert ((query, passage) in first) == (rank <= 5)


# Halves and small whole numbers make many exact ties.
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_ranks_equal_a_full_sort(data):
    langs = ["de", "en", "fi"]
    passage_langs = data.draw(st.lists(st.sampled_from(langs), min_size=1, max_size=12))
    query_langs = data.draw(st.lists(st.sampled_from(langs), min_size=1, max_size=4))
    number = st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0])
    draw = lambda rows: np.array(  # noqa: E731
        data.draw(st.lists(st.lists(number, min_size=2, max_size=2), min_size=rows, max_size=rows)), dtype=np.float32
    )
    query_vectors, passage_vectors = draw(len(query_langs)), draw(len(passage_langs))
    pair = st.tuples(st.integers(0, len(query_langs) - 1), st.integers(0, len(passage_langs) - 1), st.integers(-1, 3))
    qrels = data.draw(st.lists(pair, unique_by=lambda row: row[:2], max_size=15))
    ranks = relevant_ranks(*tables(query_langs, passage_langs, qrels), query_vectors, passage_vectors)

    relevant = sorted(row for row in qrels if row[2] > 0)
    found = zip(ranks.query_index, ranks.passage_index, ranks.gain, strict=True)
    assert [tuple(map(int, row)) for row in found] == relevant
    for item, (query, passage, _) in enumerate(relevant):
        own, overall, ties = brute_force(query_vectors, passage_vectors, passage_langs, query, passage)
        assert (ranks.in_own_pool[item], ranks.in_all[item], ranks.ties[item]) == (own, overall, ties)
    assert ranks.languages == tuple(sorted(set(passage_langs)))
    assert ranks.pool_sizes.tolist() == [passage_langs.count(lang) for lang in ranks.languages]


def random_case(queries=40, passages=300, dimension=16, relevant=5, seed=0):
    rng = np.random.default_rng(seed)
    langs = ["ar", "de", "zh-Hant"]
    query_langs = [langs[row % 3] for row in range(queries)]
    passage_langs = [langs[choice] for choice in rng.integers(0, 3, passages)]
    qrels = [
        (query, int(passage), 1)
        for query in range(queries)
        for passage in rng.choice(passages, relevant, replace=False)
    ]
    vectors = [rng.normal(size=(rows, dimension)) for rows in (queries, passages)]
    unit = [(rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32) for rows in vectors]
    return tables(query_langs, passage_langs, qrels), *unit


def test_block_size_changes_nothing(monkeypatch):
    case = random_case()
    whole = relevant_ranks(*case[0], *case[1:])
    monkeypatch.setattr(scores, "_SCORES_BYTES", 8 * 300 * 7)
    monkeypatch.setattr(scores, "_PASSAGES_PER_PRODUCT", 13)
    parts = relevant_ranks(*case[0], *case[1:])
    np.testing.assert_array_equal(whole.before, parts.before)
    np.testing.assert_array_equal(whole.ties, parts.ties)


def test_order_of_the_tables_changes_no_rank():
    (queries, passages, qrels), query_vectors, passage_vectors = random_case()
    passage_vectors[::3] = passage_vectors[0]  # ties, that the order of rows must not break
    before = relevant_ranks(queries, passages, qrels, query_vectors, passage_vectors)
    turn = np.random.default_rng(1).permutation(passages.num_rows)
    after = relevant_ranks(queries, passages.take(turn), qrels, query_vectors, passage_vectors[turn])

    def by_id(ranks, table):
        names = table.column("passage_id").to_pylist()
        keys = zip(ranks.query_index, ranks.passage_index, strict=True)
        return {(query, names[row]): rank for (query, row), rank in zip(keys, ranks.in_all, strict=True)}

    assert before.ties.any()
    assert by_id(before, passages) == by_id(after, passages.take(turn))


def test_a_collapsed_encoder_gets_chance():
    (queries, passages, qrels), query_vectors, passage_vectors = random_case(queries=300, passages=400, dimension=384)
    # One direction for all, so that the scores differ by nothing but the rounding of the product.
    query_vectors[:], passage_vectors[:] = query_vectors[0], passage_vectors[0]
    ranks = relevant_ranks(queries, passages, qrels, query_vectors, passage_vectors)
    assert (ranks.ties == 399).all()
    assert 180 < ranks.in_all.mean() < 221  # chance is 200.5, its standard error here 3
    share_at_top = (ranks.in_all == 1).mean()
    assert share_at_top < 0.02


def test_scores_apart_by_more_than_the_tolerance_are_no_tie():
    vectors = np.array([[1.0], [1.0 - 2**-23], [1.0]], np.float32)
    ranks = relevant_ranks(*tables(["en"], ["en"] * 3, [(0, 1, 1)]), np.ones((1, 1), np.float32), vectors)
    assert (ranks.in_all.tolist(), ranks.ties.tolist()) == ([3], [0])


def test_queries_without_relevant_passages_have_no_row():
    (queries, passages, qrels), *vectors = random_case(queries=3)
    ranks = relevant_ranks(queries, passages, qrels.slice(0, 0), *vectors)
    assert len(ranks.in_all) == 0
    assert ranks.before.shape == (0, 3)


def test_vectors_are_matched_by_id():
    vectors = make_table("vectors", {"id": ["b", "x", "a"], "lang": ["en"] * 3, "vector": [[1, 2], [0, 0], [3, 4]]})
    found = matrix_of(vectors, pa.chunked_array([["a"], ["b"]]))
    assert found.dtype == np.float32
    assert found.tolist() == [[3, 4], [1, 2]]
    assert matrix_of(vectors.slice(1), pa.chunked_array([["a"]])).tolist() == [[3, 4]]


def test_a_missing_vector_is_an_error():
    vectors = make_table("vectors", {"id": ["a"], "lang": ["en"], "vector": [[1, 2]]})
    with pytest.raises(DataError, match="1 of 2 ids have no vector, among them 'b'"):
        matrix_of(vectors, pa.chunked_array([["a", "b"]]))
    (queries, passages, qrels), query_vectors, passage_vectors = random_case()
    with pytest.raises(DataError, match="passages: 300 rows but vectors of shape"):
        relevant_ranks(queries, passages, qrels, query_vectors, passage_vectors[:-1])
    passage_vectors[7, 3] = np.nan
    with pytest.raises(DataError, match=r"'p7' \(row 7\).*not finite"):
        relevant_ranks(queries, passages, qrels, query_vectors, passage_vectors)


def test_vectors_of_several_lengths_are_an_error():
    vectors = make_table("vectors", {"id": ["a", "b"], "lang": ["en"] * 2, "vector": [[1, 2], [1, 2, 3]]})
    with pytest.raises(DataError, match="several lengths"):
        matrix_of(vectors, pa.chunked_array([["a"]]))
    (queries, passages, qrels), query_vectors, passage_vectors = random_case()
    with pytest.raises(DataError, match="encode both with one model"):
        relevant_ranks(queries, passages, qrels, query_vectors[:, :5], passage_vectors)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query_id": ["q0", "nobody"], "passage_id": ["p0", "p1"], "gain": [1, 1]}, "no query, among them 'nobody'"),
        ({"query_id": ["q0", "q0"], "passage_id": ["p0", "p9999"], "gain": [1, 1]}, "no passage, among them 'p9999'"),
        ({"query_id": ["q0", "q0"], "passage_id": ["p1", "p1"], "gain": [1, 2]}, "'q0' lists the same passage twice"),
    ],
)
def test_bad_qrels_are_errors(change, message):
    (queries, passages, _), *vectors = random_case()
    with pytest.raises(DataError, match=message):
        relevant_ranks(queries, passages, make_table("qrels", change), *vectors)


def test_ids_that_are_not_unique_are_an_error():
    (queries, passages, qrels), query_vectors, passage_vectors = random_case()
    doubled = pa.concat_tables([passages, passages.slice(4, 1)])
    with pytest.raises(DataError, match="'p4' has more than one passage"):
        relevant_ranks(queries, doubled, qrels, query_vectors, np.vstack([passage_vectors, passage_vectors[:1]]))
