"""XL-Stance as others read it: BEIR folders, TREC judgements, mteb's tasks."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from xlstance.cli import main
from xlstance.collection import collect_benchmark
from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.beir import read_beir
from xlstance.corpora.trec_runs import read_qrels
from xlstance.corpora.xl_stance.benchmark import StanceTask, stance_benchmark
from xlstance.corpora.xl_stance.collection import EMBEDDED, read_collection
from xlstance.encoders import EncoderSettings, load_encoder, train_vocabulary


@pytest.fixture(scope="module")
def collection():
    return read_collection(EMBEDDED, BadRows())


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "xl-stance"
    assert main(["export", "--output", str(folder)]) == 0
    return folder


def judgements(qrels):
    return Counter(zip(*(qrels[name].to_pylist() for name in ("query_id", "passage_id", "gain")), strict=True))


@pytest.mark.parametrize("task", ["topical", "stance"])
@pytest.mark.parametrize("part", ["test", "valid"])
def test_an_exported_task_comes_back_the_same(exported, collection, task, part):
    made = stance_benchmark(collection, StanceTask(task=task, part=part))
    back = collect_benchmark(read_beir(exported / task, name="x", bad=BadRows(), split=part))
    assert [f"x/{name}" for name in made.passages["passage_id"].to_pylist()] == back.passages["passage_id"].to_pylist()
    for name in ("passages", "queries"):
        for column in ("lang", "text"):
            assert getattr(back, name)[column].to_pylist() == getattr(made, name)[column].to_pylist()
    prefixed = {(f"x/{query}", f"x/{passage}", gain) for query, passage, gain in judgements(made.qrels)}
    assert set(judgements(back.qrels)) == prefixed


def test_trec_judgements_of_each_pool_add_up(exported, collection):
    made = stance_benchmark(collection, StanceTask(task="stance"))
    whole = judgements(read_qrels(exported / "stance" / "trec" / "test.qrels", BadRows()))
    assert whole == judgements(made.qrels)
    parts = [
        judgements(read_qrels(exported / "stance" / "trec" / f"test.{lang}.qrels", BadRows()))
        for lang in set(collection.comments["lang"])
    ]
    assert sum(parts, Counter()) == whole
    assert {len(part) for part in parts} == {50 * 2 * 13 * 4}


def test_the_readme_of_an_export_names_its_version(exported, collection):
    text = (exported / "README.md").read_text()
    assert collection.fingerprint in text
    assert "CC BY 4.0" in text


def test_the_fingerprint_stands_for_every_text(collection):
    assert read_collection(EMBEDDED, BadRows()).fingerprint == collection.fingerprint
    comments = collection.comments.copy()
    comments.loc[0, "text"] += " "
    assert replace(collection, comments=comments).fingerprint != collection.fingerprint
    shuffled = collection.comments.sample(frac=1, random_state=0)
    assert replace(collection, comments=shuffled).fingerprint == collection.fingerprint


def test_the_data_card_is_of_this_version(collection):
    card = Path(__file__).resolve().parents[2] / "docs" / "xl_stance.md"
    assert f"fingerprint `{collection.fingerprint}`" in card.read_text().replace("\n", " ")


def test_an_export_does_not_write_over_anything(exported, capsys):
    assert main(["export", "--output", str(exported)]) == 2
    assert "is there already" in capsys.readouterr().err


def test_mteb_scores_the_tasks_as_we_do(tmp_path, collection):
    """A small static model under mteb, against its mean average precision from the scores themselves."""
    import mteb
    from sentence_transformers import SentenceTransformer

    from xlstance.corpora.xl_stance.mteb_tasks import XLStanceStance, XLStanceTopical

    texts = collection.comments["text"].tolist()
    train_vocabulary(texts, 2000, lowercase=True).save(str(tmp_path / "vocabulary.json"))
    settings = EncoderSettings(kind="static", vocabulary_size=2000, dimension=32)
    load_encoder(settings, tokenizer=str(tmp_path / "vocabulary.json")).save(tmp_path / "model")
    model = SentenceTransformer(str(tmp_path / "model"), device="cpu")
    for task, relevant_from in ((XLStanceTopical(), 1), (XLStanceStance(), 2)):
        task.hf_subsets = ["de", "multilingual"]
        (result,) = mteb.evaluate(model, [task], cache=None, show_progress_bar=False)
        found = {row["hf_subset"]: row["map_at_1000"] for row in result.scores["test"]}
        made = stance_benchmark(collection, StanceTask(task=task.task))
        ours = average_precisions(model, made, relevant_from)
        assert found["de"] == pytest.approx(ours["de"], abs=2e-3)  # ties in another order
        assert found["multilingual"] == pytest.approx(ours["multilingual"], abs=2e-3)


def average_precisions(model, benchmark, relevant_from):
    """Mean average precision of German over German, and of all over the first thousand of all."""
    passages, queries = benchmark.passages.to_pandas(), benchmark.queries.to_pandas()
    vectors = [model.encode(list(table["text"]), normalize_embeddings=True) for table in (queries, passages)]
    scores = vectors[0] @ vectors[1].T
    qrels = benchmark.qrels.to_pandas()
    relevant = qrels[qrels["gain"] >= relevant_from].groupby("query_id")["passage_id"].agg(set)
    figures = {}
    for subset in ("de", "multilingual"):
        rows, pool = ((table["lang"] == "de") | (subset != "de") for table in (queries, passages))
        values = []
        for index in np.flatnonzero(rows):
            ids = passages["passage_id"][pool].to_numpy()
            wanted = np.isin(ids, list(relevant[queries["query_id"][index]]))
            hits = wanted[np.argsort(-scores[index, pool], kind="stable")][:1000]
            values.append((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].sum() / wanted.sum())
        figures[subset] = np.mean(values)
    return figures
