"""Lists of several languages merged into one, against lists made by hand."""

import numpy as np
import pytest

from xlstance.ranking import rank_passages
from xlstance.retrieval.merging import merged
from xlstance.tables import hash_ids, make_table


def passages_of(langs):
    names = [f"p{n}" for n in range(len(langs))]
    return make_table("passages", {"passage_id": names, "lang": langs, "text": names, "group_id": names})


def blind(columns):
    """Columns in the order that breaks ties."""
    return sorted(columns, key=lambda column: int(hash_ids([f"p{column}"])[0]))


def listed(scores, langs, merge, in_own_pools=None):
    """All passages of each query in the merged order."""
    names = [f"q{n}" for n in range(len(scores))]
    queries = make_table("queries", {"query_id": names, "lang": ["en"] * len(names), "text": names, "group_id": names})
    qrels = make_table("qrels", {"query_id": [], "passage_id": [], "gain": []})
    by_rule = merged(lambda rows: scores[rows], passages_of(langs), merge)
    return rank_passages(queries, passages_of(langs), qrels, by_rule, top_k=len(langs))[1].passage_index.tolist()


def test_round_robin_takes_from_each_list_in_turn():
    langs = ["de", "en", "de", "fi", "en", "de"]
    scores = np.array([[0.9, 0.1, 0.8, 0.5, 0.2, 0.7], [0.1, 0.9, 0.2, 0.5, 0.8, 0.3]])
    assert listed(scores, langs, "round-robin") == [
        [*blind([0, 4, 3]), *blind([2, 1]), 5],
        [*blind([5, 1, 3]), *blind([2, 4]), 0],
    ]


def test_ties_in_a_list_are_broken_as_everywhere():
    langs = ["de"] * 4 + ["en"]
    first, second, third, fourth = blind([0, 1, 2, 3])
    scores = np.array([[0.5, 0.5, 0.5, 0.5, 0.1]])
    scores[0, first] += 1e-13  # the last digits of a product are a tie too
    scores[0, fourth] += 5e-13
    assert listed(scores, langs, "round-robin") == [[*blind([first, 4]), second, third, fourth]]


def test_normalised_scores_run_from_nought_to_one_in_each_list():
    langs = ["de", "de", "de", "en", "en", "en", "fi"]
    scores = np.array([[10.0, 4.0, 0.0, 0.9, 0.8, 0.5, 7.0]])
    by_rule = merged(lambda rows: scores[rows], passages_of(langs), "normalised")
    np.testing.assert_allclose(by_rule(np.array([0])), [[1, 0.4, 0, 1, 0.75, 0, 0]])
    assert listed(scores, langs, "normalised") == [[*blind([0, 3]), 4, 1, *blind([2, 5, 6])]]


@pytest.mark.parametrize("merge", ["round-robin", "normalised"])
def test_the_order_within_a_language_stays(merge):
    rng = np.random.default_rng(3)
    langs = [("de", "en", "fi")[n] for n in rng.integers(0, 3, 50)]
    scores = rng.integers(0, 8, (6, 50)) / 8  # many ties
    for row, order in enumerate(listed(scores, langs, merge)):
        for lang in set(langs):
            columns = [column for column in range(50) if langs[column] == lang]
            wanted = sorted(blind(columns), key=lambda column: -scores[row, column])
            assert [column for column in order if langs[column] == lang] == wanted
