"""A model on a benchmark without a cluster: what is published, and that trec_eval finds the same figures in it."""

import gzip

import numpy as np
import pyarrow as pa
import pytest

from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.trec_runs import read_qrels, read_run, write_run
from xlstance.errors import DataError
from xlstance.experiment.rankers import ByMergedLists, ByRun, ByVectors, ByWords
from xlstance.experiment.score import Scoring, score
from xlstance.experiment.trec_files import QRELS, write_trec_qrels
from xlstance.storage import Folder, read_table, write_table
from xlstance.tables import make_table

LANGS = ("de", "en", "fi")


def publish_vectors(folder, kind, ids, langs, vectors):
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    content = {"id": ids, "lang": langs, "vector": list(unit.astype(np.float32))}
    write_table(folder / kind, "vectors", make_table("vectors", content), kind)


def make_benchmark(root, passages=80, queries=12, space="", seed=0):
    """Queries that share words and directions with a few graded passages each."""
    rng = np.random.default_rng(seed)
    names = {"passages": [f"p{space}{n}" for n in range(passages)], "queries": [f"q{n}" for n in range(queries)]}
    langs = {kind: [LANGS[n % 3] for n in range(len(ids))] for kind, ids in names.items()}
    for kind, ids in names.items():
        words = [" ".join(f"w{w}" for w in rng.integers(0, 25, 6)) for _ in ids]
        columns = {f"{kind[:-1] if kind == 'passages' else 'query'}_id": ids}
        table = make_table(kind, {**columns, "lang": langs[kind], "text": words, "group_id": ids})
        write_table(root / "benchmark" / kind, kind, table, "b")
        publish_vectors(root / "vectors", kind, ids, langs[kind], rng.normal(size=(len(ids), 8)))
    judged = [
        (q, p, int(rng.integers(0, 4))) for q in names["queries"] for p in rng.choice(names["passages"], 9, False)
    ]
    columns = zip(*judged, strict=True)
    qrels = make_table("qrels", dict(zip(("query_id", "passage_id", "gain"), columns, strict=True)))
    write_table(root / "benchmark" / "qrels", "qrels", qrels, "b")


def scored(root, ranker, name="model-0", top_k=100):
    scoring = Scoring(
        name=name,
        ranker=ranker,
        benchmark=root / "benchmark",
        run=root / "runs" / name,
        figures=root / "figures" / name,
        trec=root / "trec",
        top_k=top_k,
        without_answer="excluded",
    )
    return score(scoring)


RANKERS = {
    "vectors": lambda root: ByVectors(vectors=root / "vectors", index="Flat"),
    "words": lambda root: ByWords(),  # many ties
    "merged": lambda root: ByMergedLists(
        vectors=root / "vectors", merge="round-robin", name="merged-round-robin", encoder="model"
    ),
}


@pytest.mark.parametrize("kind", RANKERS)
@pytest.mark.parametrize("passages", [80, 250])
def test_trec_eval_finds_our_figures_in_the_files(kind, passages, tmp_path):
    pytrec_eval = pytest.importorskip("pytrec_eval")
    root = Folder(tmp_path)
    make_benchmark(root, passages)
    figures = scored(root, RANKERS[kind](root))["multi"]
    write_trec_qrels(root / "trec", read_table(root / "benchmark" / "qrels", "qrels"))
    qrels, run = {}, {}
    for line in (tmp_path / "trec" / QRELS).read_text().splitlines():
        query, _, passage, gain = line.split()
        qrels.setdefault(query, {})[passage] = int(gain)
    for line in gzip.decompress((tmp_path / "trec" / "model-0.run.gz").read_bytes()).decode().splitlines():
        query, _, passage, _, value, tag = line.split()
        run.setdefault(query, {})[passage] = float(value)
        assert tag == "model-0"
    found = pytrec_eval.RelevanceEvaluator(qrels, {"recall.100", "ndcg_cut.10", "map"}).evaluate(run)
    assert len(found) == figures["queries"] == 12
    mean = {name: np.mean([row[name] for row in found.values()]) for name in ("recall_100", "ndcg_cut_10", "map")}
    assert figures["recall@100_micro"] == pytest.approx(mean["recall_100"], abs=1e-12)
    assert figures["ndcg@10_micro"] == pytest.approx(mean["ndcg_cut_10"], abs=1e-12)
    if passages <= 100:  # the lists are whole
        assert figures["map_micro"] == pytest.approx(mean["map"], abs=1e-12)


def test_files_are_read_back_as_they_were_published(tmp_path):
    root = Folder(tmp_path)
    make_benchmark(root)
    scored(root, ByWords(), top_k=30)
    back, run = read_run(tmp_path / "trec" / "model-0.run.gz", BadRows()), read_table(root / "runs" / "model-0", "runs")
    assert run.num_rows == 12 * 30
    for column in ("query_id", "passage_id", "rank"):
        assert back[column].to_pylist() == run[column].to_pylist()
    assert np.allclose(back["score"], run["score"], rtol=1e-5)
    qrels = read_table(root / "benchmark" / "qrels", "qrels")
    write_trec_qrels(root / "trec", qrels)
    assert read_qrels(tmp_path / "trec" / QRELS, BadRows()) == qrels


def test_an_exported_run_measures_as_what_it_came_from(tmp_path):
    root = Folder(tmp_path)
    make_benchmark(root)  # 80 passages, so the lists are whole
    for kind in ("vectors", "words"):
        first = scored(root, RANKERS[kind](root), f"{kind}-0")
        again = scored(root, ByRun(path=str(tmp_path / "trec" / f"{kind}-0.run.gz"), name="again"), f"{kind}-again-0")
        assert "search" not in again
        gap = {"diagonal_gap"}  # of the pools of one language; for them BM25 has an index of its own
        assert {k: v for k, v in again["multi"].items() if k not in gap} == {
            k: v for k, v in first["multi"].items() if k not in gap
        }
        same = (again["mono"], again["cross"]) == (first["mono"], first["cross"])
        assert same == (kind == "vectors")
        assert any("; 0 of" in note and "not listed" in note for note in again["notes"])


def test_a_short_run_says_what_it_lacks(tmp_path):
    root = Folder(tmp_path)
    make_benchmark(root)
    run = make_table("runs", {"query_id": ["q1"], "passage_id": ["p3"], "rank": [1], "score": [1.0]})
    write_run(tmp_path / "mine.run", run, "mine")
    figures = scored(root, ByRun(path=str(tmp_path / "mine.run"), name="mine"))
    assert any(note.startswith("mine: a run of 1 of 12 queries; ") for note in figures["notes"])
    assert figures["multi"]["queries"] == 12  # what is missing counts
    write_run(tmp_path / "other.run", run.set_column(0, run.schema.field(0), pa.array(["z9"])), "other")
    with pytest.raises(DataError, match=r"other.run: the run names the query 'z9'"):
        scored(root, ByRun(path=str(tmp_path / "other.run"), name="other"), "other-0")


def test_vectors_of_other_texts_are_refused(tmp_path):
    root = Folder(tmp_path)
    make_benchmark(root)
    publish_vectors(root / "few", "queries", ["q0"], ["en"], np.ones((1, 8)))
    publish_vectors(root / "few", "passages", ["p0"], ["en"], np.ones((1, 8)))
    with pytest.raises(DataError, match="few: 11 of 12 ids have no vector, among them 'q1'"):
        scored(root, ByVectors(vectors=root / "few", index="Flat"))


def test_merged_lists_change_the_pool_of_all_languages_alone(tmp_path):
    root = Folder(tmp_path)
    make_benchmark(root)
    plain, merged = (scored(root, RANKERS[kind](root), f"{kind}-0") for kind in ("vectors", "merged"))
    assert (merged["mono"], merged["cross"]) == (plain["mono"], plain["cross"])
    assert merged["multi"]["map"] != plain["multi"]["map"]
    assert any(note.startswith("merged-round-robin: a list for each language by model") for note in merged["notes"])


def test_search_is_held_against_the_exact_lists(tmp_path):
    root = Folder(tmp_path)
    make_benchmark(root, passages=250)
    exact = scored(root, ByVectors(vectors=root / "vectors", index="Flat"), "exact-0")["search"]
    assert exact == {"index": "Flat", "top_k": 100, "agreement@10": 1.0, "overlap@100": 1.0}
    rough = scored(root, ByVectors(vectors=root / "vectors", index="PQ2x4"), "rough-0")["search"]
    assert rough["overlap@100"] < 1
    short = scored(root, ByVectors(vectors=root / "vectors", index="Flat"), "short-0", top_k=20)["search"]
    assert short["overlap@100"] is None


def test_ids_with_spaces_have_no_trec_files(tmp_path):
    root = Folder(tmp_path)
    make_benchmark(root, space=" ")
    figures = scored(root, ByWords())
    assert any(note.startswith("no TREC files: row ") and "white space" in note for note in figures["notes"])
    assert not (tmp_path / "trec").exists()
    assert read_table(root / "runs" / "model-0", "runs").num_rows == 12 * 80
