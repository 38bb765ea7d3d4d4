"""Graded figures and stance retrieval, against second implementations."""

from itertools import permutations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from xlstance.evaluation import metrics
from xlstance.evaluation.protocol import evaluate
from xlstance.ranking import relevant_ranks
from xlstance.tables import make_table

LANGUAGES = ("de", "en", "th")


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=30), st.randoms(use_true_random=False))
def test_auc_is_the_wilcoxon_statistic(rows, random):
    query = np.array([q for q, _ in rows], np.int64)
    positive = np.array([p for _, p in rows], bool)
    rank = np.array(random.sample(range(1, 100), len(rows)), np.int64)
    for number, value in enumerate(metrics.auc(query, rank, positive, 4)):
        own = query == number
        first, others = rank[own & positive], rank[own & ~positive]
        if not (len(first) and len(others)):
            assert np.isnan(value)
            continue
        assert value == pytest.approx(mannwhitneyu(-first, -others).statistic / (len(first) * len(others)))


@given(st.lists(st.integers(1, 3), min_size=1, max_size=5), st.integers(1, 5))
def test_blind_ndcg_is_the_mean_over_all_orders(gains, k):
    gain = np.array(gains)
    query, count = np.zeros(len(gains), np.int64), len(gains)
    orders = [metrics.ndcg(query, np.array(order), gain, 1, k)[0] for order in permutations(range(1, count + 1))]
    assert metrics.ndcg_blind_to_grades(query, gain, 1, k)[0] == pytest.approx(np.mean(orders))


def test_blind_ndcg_of_two_and_two_is_the_published_figure():
    query = np.zeros(4, np.int64)
    assert metrics.ndcg_blind_to_grades(query, np.array([2, 2, 1, 1]), 1, 10)[0] == pytest.approx(0.916, abs=5e-4)


def world(seed=0):
    """Three questions of two sides, two arguments a side in three languages, among distractors; random vectors."""
    rng = np.random.default_rng(seed)
    groups = [f"{q}/{side}{n}" for q in range(3) for side in "fa" for n in (1, 2)] + [f"x{n}" for n in range(5)]
    passages = [(f"{lang}/{group}", lang, group) for group in groups for lang in LANGUAGES]
    queries = [(f"{lang}/{q}/{side}", lang, q, side) for q in range(3) for side in "fa" for lang in LANGUAGES]
    qrels = [
        (query_id, passage_id, 2 if group.startswith(f"{q}/{side}") else 1)
        for query_id, _, q, side in queries
        for passage_id, _, group in passages
        if group.startswith(f"{q}/")
    ]

    def text_table(table, key, rows, group):
        ids, langs = [row[0] for row in rows], [row[1] for row in rows]
        return make_table(table, {key: ids, "lang": langs, "text": ids, "group_id": [group(row) for row in rows]})

    def unit(count):
        vectors = rng.normal(size=(count, 8)).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    return (
        text_table("queries", "query_id", queries, lambda row: f"{row[2]}/{row[3]}"),
        text_table("passages", "passage_id", passages, lambda row: row[2]),
        make_table(
            "qrels",
            {name: [row[n] for row in qrels] for n, name in enumerate(("query_id", "passage_id", "gain"))},
        ),
        unit(len(queries)),
        unit(len(passages)),
    )  # fmt: skip


def brute_force(queries, passages, qrels, query_vectors, passage_vectors):
    """Macro means of AP of one side, AUC and nDCG in mono, cross and multi pools, by loops over ranked lists."""
    gain = {(row["query_id"], row["passage_id"]): row["gain"] for row in qrels.to_pylist()}
    rows, documents = queries.to_pylist(), passages.to_pylist()
    cells: dict = {}
    for query, vector in zip(rows, query_vectors, strict=True):
        scores = passage_vectors.astype(np.float64) @ vector.astype(np.float64)
        ranked = [documents[i] for i in np.argsort(-scores)]
        pools = {lang: [d for d in ranked if d["lang"] == lang] for lang in LANGUAGES} | {"multi": ranked}
        for pool, listed in pools.items():
            gains = [gain.get((query["query_id"], d["passage_id"]), 0) for d in listed]
            hits = [i + 1 for i, g in enumerate(gains) if g == 2]
            pairs = [(i, j) for i, g in enumerate(gains) for j, h in enumerate(gains) if g == 2 and h == 1]
            dcg = [sum(g / np.log2(i + 2) for i, g in enumerate(order[:10])) for order in (gains, sorted(gains)[::-1])]
            distances = []
            for group in {d["group_id"] for d, g in zip(listed, gains, strict=True) if g == 2}:
                places = [i for i, d in enumerate(listed) if d["group_id"] == group]
                distances.append(max(places) - min(places))
            figures = {
                "map": np.mean([(n + 1) / rank for n, rank in enumerate(hits)]),
                "auc": np.mean([i < j for i, j in pairs]),
                "ndcg@10": dcg[0] / dcg[1],
                "rank_distance": np.mean(distances),
            }
            setting = "multi" if pool == "multi" else "mono" if pool == query["lang"] else "cross"
            cells.setdefault(setting, {}).setdefault((query["lang"], pool), []).append(figures)
    return {
        setting: {
            name: np.mean([np.mean([f[name] for f in figures]) for figures in of_pair.values()])
            for name in ("map", "auc", "ndcg@10", "rank_distance")
        }
        for setting, of_pair in cells.items()
    }


@pytest.mark.parametrize("seed", range(3))
def test_stance_figures_are_those_of_a_second_implementation(seed):
    queries, passages, qrels, query_vectors, passage_vectors = made = world(seed)
    ranks = relevant_ranks(queries, passages, qrels, query_vectors, passage_vectors)
    groups = passages["group_id"].to_pandas().astype("category").cat.codes.to_numpy()
    figures = evaluate(queries, ranks, relevant_from=2, argument=groups[ranks.passage_index].astype(np.int64))
    expected = brute_force(*made)
    for setting in ("mono", "cross", "multi"):
        for name in ("map", "auc", "ndcg@10"):
            assert figures[setting][name] == pytest.approx(expected[setting][name]), (setting, name)
    assert figures["multi"]["rank_distance"] == pytest.approx(expected["multi"]["rank_distance"])
    size = len(passages)
    assert figures["multi"]["rank_distance_chance"] == pytest.approx((size + 1) * 2 / 4)
    assert figures["mono"]["ndcg@10_blind"] == pytest.approx(0.916, abs=5e-4)
    assert figures["per_language"]["th"]["mono"]["auc"] is not None


def test_without_grades_nothing_changes():
    queries, passages, qrels, query_vectors, passage_vectors = world()
    ones = qrels.set_column(2, "gain", pa.array([1] * len(qrels), pa.int32())).cast(qrels.schema)
    figures = evaluate(queries, relevant_ranks(queries, passages, ones, query_vectors, passage_vectors))
    assert "auc" not in figures["multi"]
    graded = evaluate(queries, relevant_ranks(queries, passages, qrels, query_vectors, passage_vectors))
    differing = {
        setting: {name for name, value in graded[setting].items() if figures[setting][name] != value}
        for setting in ("mono", "multi")
    }
    by_grade = {f"{name}{mean}" for name in ("ndcg@10", "ndcg_exponential@10") for mean in ("", "_micro")}
    assert differing == {"mono": by_grade, "multi": by_grade | {"peer@20", "peer@1000"}}
