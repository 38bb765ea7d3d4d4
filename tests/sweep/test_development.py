"""The pool that a sweep chooses by: answers in every language, and figures that equal the evaluation's."""

import pytest
from sweep_world import experiment

from xlstance.corpora.miniature import training_set
from xlstance.encoders import EncoderSettings, load_encoder, train_vocabulary
from xlstance.errors import SettingsError
from xlstance.storage import Folder, read_table
from xlstance.sweep.development import measure, publish_pool
from xlstance.training_data import publish_source, published


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = Folder(tmp_path_factory.mktemp("development") / "dev")
    publish_source(folder, training_set(experiment("x").miniature, "dev").stream, "stamp", 2)
    return published(folder, "dev")


@pytest.fixture(scope="module")
def pool(source, tmp_path_factory):
    return publish_pool([source, source], Folder(tmp_path_factory.mktemp("pool")))


def test_what_answers_a_query_answers_it_in_every_language(source, pool):
    pairs = read_table(source.pairs, "pairs").to_pandas()
    passages = read_table(source.passages[0], "passages").to_pandas().set_index("passage_id")
    of_group = passages.reset_index().groupby("group_id")["passage_id"].agg(set)
    expected = {
        (query, answer)
        for query, passage in zip(pairs["query_id"], pairs["passage_id"], strict=True)
        for answer in of_group[passages["group_id"][passage]]
    }
    found = [(row["query_id"], row["passage_id"]) for row in pool.qrels.to_pylist()]
    assert len(found) == len(set(found))
    assert set(found) == expected
    assert len(expected) == 2 * len(pairs)  # two languages
    assert pool.passages.num_rows == len(passages)
    assert set(pool.queries["query_id"].to_pylist()) == set(pairs["query_id"])


def test_a_pool_is_made_once(source, pool, tmp_path):
    first = publish_pool([source], Folder(tmp_path))
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert publish_pool([source], Folder(tmp_path)) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == times


def test_without_development_pairs_there_is_nothing_to_choose_by(tmp_path):
    with pytest.raises(SettingsError, match="development is empty"):
        publish_pool([], Folder(tmp_path))


def test_a_model_has_all_four_figures(pool, tmp_path):
    vocabulary = tmp_path / "tokenizer.json"
    train_vocabulary(pool.passages["text"].to_pylist(), 300).save(str(vocabulary))
    settings = EncoderSettings(kind="static", vocabulary_size=300, dimension=16)
    load_encoder(settings, tokenizer=vocabulary, seed=0).save(tmp_path / "model")
    figures = measure(EncoderSettings(model=str(tmp_path / "model")), pool, None)
    assert set(figures) == {"mono", "cross", "multi", "rank_distance"}
    assert 0 < figures["cross"] < figures["mono"] <= 1  # words are shared within a language
    assert figures["rank_distance"] > 0
    assert figures == measure(EncoderSettings(model=str(tmp_path / "model")), pool, None)
