import faiss
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from xlstance.errors import SettingsError
from xlstance.retrieval.search import build_index, overlap, search
from xlstance.tables import SCHEMAS, make_table


def unit_vectors(count: int, seed: int, dimension: int = 16) -> npt.NDArray[np.float32]:
    vectors = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def ids(prefix: str, count: int) -> pa.Array:
    return pa.array([f"{prefix}{number}" for number in range(count)])


PASSAGES, QUERIES = unit_vectors(300, 0), unit_vectors(7, 1)


def run(factory: str, top_k: int, passages: npt.NDArray[np.float32] = PASSAGES) -> pa.Table:
    index = build_index(passages, factory)
    return search(index, ids("q", len(QUERIES)), QUERIES, ids("p", len(passages)), top_k)


@pytest.mark.parametrize("top_k", [1, 10, 300])
def test_a_flat_index_finds_what_counting_finds(top_k: int) -> None:
    table = run("Flat", top_k)
    assert table.schema.equals(SCHEMAS["runs"], check_metadata=True)
    scores = QUERIES.astype(np.float64) @ PASSAGES.T.astype(np.float64)
    best = np.argsort(-scores, axis=1)[:, :top_k]
    assert table["query_id"].to_pylist() == [f"q{query}" for query in range(7) for _ in range(top_k)]
    assert table["passage_id"].to_pylist() == [f"p{passage}" for passage in best.ravel()]
    assert table["rank"].to_pylist() == list(range(1, top_k + 1)) * 7
    np.testing.assert_allclose(table["score"].to_numpy(), np.take_along_axis(scores, best, 1).ravel(), atol=1e-6)


def test_more_than_there_is_gives_all() -> None:
    table = run("Flat", 1000, PASSAGES[:5])
    assert table.num_rows == 7 * 5
    assert max(table["rank"].to_pylist()) == 5


@pytest.mark.parametrize("factory", ["HNSW16", "IVF4,Flat", "PQ4x4"])
def test_an_approximate_index_ranks_without_gaps(factory: str) -> None:
    table = run(factory, 20).to_pandas()
    assert set(table["query_id"]) == {f"q{query}" for query in range(7)}
    for _, own in table.groupby("query_id"):
        assert own["rank"].tolist() == list(range(1, len(own) + 1))
        assert own["score"].is_monotonic_decreasing
        assert own["passage_id"].is_unique


def test_what_an_approximate_index_does_not_find_is_left_out() -> None:
    # An inverted file looks into one of its ten lists: most of the three hundred are not found.
    factory = "IVF10,Flat"
    table = run(factory, 300)
    _, rows = build_index(PASSAGES, factory).search(QUERIES, 300)
    assert (rows < 0).any()
    assert table.num_rows == (rows >= 0).sum() < 7 * 300
    assert table["passage_id"].to_pylist() == [f"p{row}" for row in rows.ravel() if row >= 0]
    exact = QUERIES @ PASSAGES.T
    row_of = [int(value[1:]) for value in table["passage_id"].to_pylist()]
    query_of = [int(value[1:]) for value in table["query_id"].to_pylist()]
    np.testing.assert_allclose(table["score"].to_numpy(), exact[query_of, row_of], atol=1e-6)


@pytest.mark.parametrize(
    ("factory", "count", "said"),
    [
        ("IVF64,Flat", 10, "cannot be built from 10 vectors of 16 numbers: .*64"),
        ("PQ5x4", 300, "cannot be built from 300 vectors of 16 numbers"),
        ("Flatt", 300, "'Flatt' cannot be built .*Flatt"),
        ("", 300, "retrieval.index '' cannot be built"),
    ],
)
def test_an_index_that_cannot_be_built_is_a_user_s_mistake(factory: str, count: int, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        build_index(PASSAGES[:count], factory)
    assert "\n" not in str(caught.value)
    assert "faiss/" not in str(caught.value)  # no places in another project's source


def test_no_passages_asked_for() -> None:
    with pytest.raises(SettingsError, match="top_k is 0; it must be at least 1"):
        search(faiss.IndexFlatIP(16), ids("q", 7), QUERIES, ids("p", 0), 0)


def lists(rows: list[tuple[str, str, int]]) -> pa.Table:
    queries, passages, ranks = zip(*rows, strict=True)
    return make_table("runs", {"query_id": queries, "passage_id": passages, "rank": ranks, "score": [0.0] * len(rows)})


def test_overlap_is_the_share_of_the_exact_lists() -> None:
    names = pa.chunked_array([["p0", "p1", "p2", "p3"]]), pa.chunked_array([["a", "b"]])
    exact = np.array([[2, 0], [1, 3]])
    run = lists([("a", "p0", 1), ("a", "p2", 2), ("b", "p0", 1), ("b", "p1", 2), ("b", "p3", 3)])
    assert (
        overlap(run, exact, names[1], names[0]) == 0.75
    )  # order within the lists is none of it, nor is what comes later
    assert overlap(run.slice(2), exact, names[1], names[0]) == 0.25  # a query without a list found nothing


def test_overlap_of_an_exact_index_is_whole() -> None:
    exact = np.argsort(-(QUERIES.astype(np.float64) @ PASSAGES.T.astype(np.float64)), axis=1)[:, :100]
    names = pa.chunked_array([ids("q", 7)]), pa.chunked_array([ids("p", 300)])
    assert overlap(run("Flat", 100), exact, *names) == 1.0
    assert overlap(run("PQ4x4", 100), exact, *names) < 1.0
