"""A run's lists as ranks: what it lists, what it lacks, and what it cannot name."""

import numpy as np
import pytest

from xlstance.errors import DataError
from xlstance.ranking import rank_passages
from xlstance.retrieval.listed import listed
from xlstance.tables import hash_ids, make_table

LANGS = ["en", "de", "en", "de", "en"]
NAMES = [f"p{n}" for n in range(5)]
QUERIES = make_table("queries", {"query_id": ["a", "b"], "lang": ["en"] * 2, "text": ["", ""], "group_id": ["a", "b"]})
PASSAGES = make_table("passages", {"passage_id": NAMES, "lang": LANGS, "text": NAMES, "group_id": NAMES})
QRELS = make_table(
    "qrels", {"query_id": ["a"] * 4 + ["b"], "passage_id": ["p4", "p1", "p0", "p2", "p3"], "gain": [1, 2, 1, 0, 1]}
)


def run_of(rows):
    queries, passages, ranks = zip(*rows, strict=True)
    return make_table("runs", {"query_id": queries, "passage_id": passages, "rank": ranks, "score": [0.0] * len(rows)})


def ranks_of(run):
    ranks, _ = rank_passages(QUERIES, PASSAGES, QRELS, listed(run, QUERIES, PASSAGES, QRELS).scores)
    names = zip(ranks.query_index.tolist(), ranks.passage_index.tolist(), strict=True)
    return {
        ("ab"[query], f"p{passage}"): (int(own), int(whole))
        for (query, passage), own, whole in zip(names, ranks.in_own_pool, ranks.in_all, strict=True)
    }


def test_listed_passages_keep_their_ranks_and_a_pool_is_the_list_without_the_rest():
    found = ranks_of(run_of([("a", "p4", 3), ("a", "p1", 1), ("a", "p2", 2), ("b", "p3", 1)]))
    assert found["a", "p1"] == (1, 1)
    assert found["a", "p4"] == (2, 3)  # behind p2 in English, and behind p1 in all
    assert found["b", "p3"] == (1, 1)


def test_what_is_not_listed_comes_behind_in_the_order_of_ties():
    found = ranks_of(run_of([("a", "p1", 1)]))
    rest = sorted(["p0", "p2", "p3", "p4"], key=lambda name: int(hash_ids([name])[0]))
    assert found["a", "p0"][1] == 2 + rest.index("p0")
    assert found["a", "p4"][1] == 2 + rest.index("p4")
    missing = sorted(NAMES, key=lambda name: int(hash_ids([name])[0]))  # of a query that the run lacks
    assert found["b", "p3"][1] == 1 + missing.index("p3")


def test_what_is_missing_is_told():
    about = listed(run_of([("a", "p1", 1), ("a", "p2", 2)]), QUERIES, PASSAGES, QRELS).about
    assert "a run of 1 of 2 queries; 3 of 4 relevant passages are not listed" in about


@pytest.mark.parametrize(
    ("row", "said"), [(("c", "p1", 1), "names the query 'c'"), (("a", "px", 1), "names the passage 'px'")]
)
def test_a_run_of_another_benchmark_is_refused(row, said):
    with pytest.raises(DataError, match=f"{said}, which the benchmark has not"):
        listed(run_of([row]), QUERIES, PASSAGES, QRELS)


def test_rows_may_be_asked_for_in_any_order():
    scores = listed(run_of([("b", "p3", 1), ("a", "p0", 1)]), QUERIES, PASSAGES, QRELS).scores
    np.testing.assert_array_equal(scores(np.array([1, 0])), scores(np.array([0, 1]))[::-1])
