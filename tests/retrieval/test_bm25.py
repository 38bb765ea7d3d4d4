"""BM25 against the formula, term by term, and what its terms are."""

import math
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from xlstance.ranking import rank_passages
from xlstance.retrieval.bm25 import K1, B, bm25_scores, terms_of
from xlstance.tables import hash_ids, make_table


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Where is Mr. O'Neill's HOUSE, in 1999?", "where is mr o neill s house in 1999"),
        ("Straße STRASSE", "strasse strasse"),
        ("東京タワー は2020年", "東京 京タ タワ ワー ーは 2020 年"),
        ("ไทย", "ไท ทย"),
        ("iPhone 手机", "iphone 手机"),
        ("हिन्दी में", "हिन्दी में"),
        ("?! …", ""),
    ],
)
def test_terms_are_words_or_bigrams_of_characters(text, terms):
    assert terms_of(text) == terms.split()


def by_formula(query, pool):
    """The scores of a pool, as textbooks have them."""
    mean = sum(map(len, pool)) / len(pool)
    found = []
    for passage in pool:
        counts, score = Counter(passage), 0.0
        for term in query:
            having, times = sum(term in other for other in pool), counts[term]
            idf = math.log(1 + (len(pool) - having + 0.5) / (having + 0.5))
            score += idf * times / (times + K1 * (1 - B + B * len(passage) / mean)) if times else 0.0
        found.append(score)
    return found


@pytest.fixture
def texts():
    """Queries and passages of few words, so that scores tie and terms stand twice; two pools."""
    rng = np.random.default_rng(5)
    draw = lambda count: [  # noqa: E731
        [f"w{word}" for word in rng.integers(0, 12, rng.integers(1, 9))] for _ in range(count)
    ]
    queries, passages = draw(9), draw(60)
    passages[7] = passages[3]  # the same text twice
    return queries, passages, [("de", "fi")[n] for n in rng.integers(0, 2, 60)]


def test_scores_follow_the_formula_in_each_pool(texts):
    queries, passages, pools = texts
    other = [[*query, "w1", "unheard"] for query in queries]
    scores = bm25_scores({"de": queries, "fi": other}, passages, pa.chunked_array([pools]))
    rows = np.array([2, 0, 8])
    found = scores(rows)
    for pool, asked in (("de", queries), ("fi", other)):
        columns = [column for column, name in enumerate(pools) if name == pool]
        wanted = [by_formula(asked[row], [passages[column] for column in columns]) for row in rows]
        np.testing.assert_allclose(found[:, columns], wanted, rtol=0, atol=1e-12)


def test_ranks_are_those_of_a_full_sort(texts):
    queries, passages, pools = texts
    names = [f"p{n}" for n in range(len(passages))]
    asked = [f"q{n}" for n in range(len(queries))]
    tables = (
        make_table("queries", {"query_id": asked, "lang": ["de"] * 9, "text": asked, "group_id": asked}),
        make_table("passages", {"passage_id": names, "lang": pools, "text": names, "group_id": names}),
    )
    every = [(query, name) for query in asked for name in names]
    qrels = make_table(
        "qrels", {"query_id": [q for q, _ in every], "passage_id": [p for _, p in every], "gain": [1] * len(every)}
    )
    together = bm25_scores({"": queries}, passages, pa.chunked_array([[""] * len(passages)]))
    alone = bm25_scores({"de": queries, "fi": queries}, passages, pa.chunked_array([pools]))
    ranks, _ = rank_passages(*tables, qrels, together, in_own_pools=alone)
    assert ranks.ties.any()

    def order(query, columns):
        found = by_formula(query, [passages[column] for column in columns])
        scored = {column: round(score, 9) for column, score in zip(columns, found, strict=True)}
        return sorted(columns, key=lambda column: (-scored[column], int(hash_ids([names[column]])[0])))

    for row, query in enumerate(queries):
        own = ranks.where(ranks.query_index == row)
        whole = order(query, list(range(len(passages))))
        assert [whole.index(passage) + 1 for passage in own.passage_index] == own.in_all.tolist()
        for number, lang in enumerate(("de", "fi")):
            part = own.where(own.language == number)
            listed = order(query, [column for column, name in enumerate(pools) if name == lang])
            assert [listed.index(passage) + 1 for passage in part.passage_index] == part.in_own_pool.tolist()


def test_nothing_is_found_where_there_are_no_words():
    scores = bm25_scores(
        {"en": [["a"], []], "zh": [["a"], []]}, [["a"], [], []], pa.chunked_array([["en", "en", "zh"]])
    )
    found = scores(np.arange(2))
    assert found[0, 0] > 0
    assert np.count_nonzero(found) == 1
