import json
import sys
import types
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xlstance.collection import CorpusStream
from xlstance.corpora.registry import BenchmarkSource, Source, file_hashes, read_benchmark, read_source
from xlstance.corpora.trec import TrecFiles
from xlstance.errors import DataError, SettingsError


@pytest.fixture
def data(tmp_path):
    (tmp_path / "bitext").mkdir()
    (tmp_path / "bitext" / "en-de.tsv").write_text("a\tb\n")
    (tmp_path / "bitext" / "special.tsv").write_text("a\tc\n")
    item = {
        "id": "q",
        "question": "Who?",
        "context": "It is me. Yes.",
        "answer_text": "me",
        "answer_start": 6,
        "lang": "en",
    }
    pq.write_table(pa.Table.from_pylist([item]), tmp_path / "en.parquet")
    (tmp_path / "r").mkdir()
    paragraph = {
        "context": "It is me.", "sentences": ["It is me."], "sentence_breaks": [[0, 9]],
        "qas": [{"id": "q", "question": "Who?", "answers": [{"text": "me", "answer_start": 6}]}],
    }  # fmt: skip
    (tmp_path / "r" / "en.json").write_text(json.dumps({"data": [{"title": "T", "paragraphs": [paragraph]}]}))
    return str(tmp_path)


def test_paths_stand_below_the_data_root_with_files_beside_a_pattern(data):
    source = Source(
        name="b", format="bitext", path="bitext/en-{lang}.tsv", languages=["de"], files={"fr": "bitext/special.tsv"}
    )
    assert set(read_source(source, data, 0, None).queries["lang"].to_pylist()) == {"en", "de", "fr"}


def test_settings_reach_the_squad_reader(data):
    source = Source(name="s", format="squad", split="", files={"en": "en.parquet"}, passage="sentence")
    made = read_source(source, data, 0, None)
    assert made.passages["text"].to_pylist() == ["It is me."]
    assert made.pairs["source"].to_pylist() == ["s"]
    dev = BenchmarkSource(name="d", format="squad", split="", path="{lang}.parquet", languages=["en"])
    assert read_benchmark(dev, data, None).qrels.num_rows == 1


def test_settings_reach_the_lareqa_reader(data):
    source = BenchmarkSource(name="r", format="lareqa", path="r", passage="sentence+context")
    assert read_benchmark(source, data, None).passages["context"].to_pylist() == ["It is me."]


def test_the_miniature_is_asked_for_its_split_and_part(data, monkeypatch):
    fake = types.ModuleType("xlstance.corpora.miniature")
    asked = []
    empty = SimpleNamespace(stream=CorpusStream([], [], []))
    fake.training_set = lambda settings, split: asked.append((settings, split)) or empty
    fake.benchmark = lambda settings: asked.append((settings, "benchmark")) or empty
    fake.stance_benchmark = lambda settings: asked.append((settings, "stance")) or empty
    monkeypatch.setitem(sys.modules, fake.__name__, fake)
    read_source(Source(name="m", format="miniature", split="dev"), data, 0, "world")
    read_benchmark(BenchmarkSource(name="m", format="miniature"), data, "world")
    read_benchmark(BenchmarkSource(name="m", format="miniature-stance"), data, "world")
    assert asked == [("world", "dev"), ("world", "benchmark"), ("world", "stance")]
    with pytest.raises(SettingsError, match="has train and dev"):
        read_source(Source(name="m", format="miniature", split="test"), data, 0, "world")


@pytest.mark.parametrize(
    "settings", [{}, {"path": "en-{lang}.tsv"}, {"languages": ["de"]}, {"path": "en-de.tsv", "languages": ["de"]}]
)
def test_a_source_without_its_files_is_refused(data, settings):
    with pytest.raises(SettingsError, match=r"source 'b': .*\{lang\}"):
        read_source(Source(name="b", format="bitext", **settings), data, 0, None)


def test_a_lareqa_benchmark_needs_its_folder(data):
    with pytest.raises(SettingsError, match="'r': path is empty"):
        read_benchmark(BenchmarkSource(name="r", format="lareqa"), data, None)


def test_a_collection_needs_a_layout_that_is_known(data):
    source = BenchmarkSource(name="c", format="trec", path=".", languages=["de"], layout="mircal")
    with pytest.raises(SettingsError, match="layout is 'mircal'; give one of miracl, mmarco"):
        read_benchmark(source, data, None)


def test_training_takes_the_judged_passages_of_a_collection_and_evaluation_all(data):
    root = Path(data)
    (root / "corpus.tsv").write_text("1\tone\n2\ttwo\n3\tthree\n")
    (root / "topics.dev.tsv").write_text("7\tWhich?\n")
    (root / "qrels.dev.txt").write_text("7 0 2 1\n")
    files = TrecFiles(corpus="corpus.tsv", topics="topics.{split}.tsv", qrels="qrels.{split}.txt")
    place = {"format": "trec", "path": ".", "languages": ["en"], "trec": files, "split": "dev"}
    evaluated = read_benchmark(BenchmarkSource(name="c", **place), data, None)
    assert evaluated.passages["text"].to_pylist() == ["one", "two", "three"]
    trained = read_source(Source(name="c", **place), data, 0, None)
    assert trained.passages["text"].to_pylist() == ["two"]
    assert trained.pairs["pair_id"].to_pylist() == ["c/en/7>c/en/2"]
    assert len(file_hashes(BenchmarkSource(name="c", **place), data)) == 3


def test_files_of_many_shards_and_languages_are_found(data):
    root = Path(data)
    for lang in ("de", "en"):
        for shard in (0, 1):
            row = {"query": f"{lang} {shard}?", "passage": f"{lang} {shard}."}
            (root / f"{lang}-{shard}.jsonl").write_text(json.dumps(row))
    source = Source(name="c", format="columns", path="{lang}-*.jsonl", languages=["de", "en"])
    assert read_source(source, data, 0, None).queries["text"].to_pylist() == ["de 0?", "de 1?", "en 0?", "en 1?"]
    assert len(file_hashes(source, data)) == 4
    with pytest.raises(DataError, match=r"fr-\*\.jsonl: no file is named so; .* holds"):
        read_source(Source(name="c", format="columns", path="{lang}-*.jsonl", languages=["fr"]), data, 0, None)


def test_bad_rows_are_put_aside_where_the_settings_say_so(data):
    (Path(data) / "rows.jsonl").write_text('{"query": "Who?", "passage": "Me."}\nkaputt\n')
    source = Source(name="c", format="columns", path="rows.jsonl", language="en", on_bad_row="quarantine")
    assert len(read_source(source, data, 0, None).pairs) == 1
    with pytest.raises(DataError, match=r"rows\.jsonl: line 2"):
        read_source(replace(source, on_bad_row="error"), data, 0, None)
