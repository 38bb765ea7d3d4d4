import json
import sys
import types

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xlstance.corpora.registry import BenchmarkSource, Source, read_benchmark, read_source
from xlstance.errors import SettingsError


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
    fake.training_set = lambda settings, split: (settings, split)
    fake.benchmark = lambda settings: (settings, "benchmark")
    fake.stance_benchmark = lambda settings: (settings, "stance")
    monkeypatch.setitem(sys.modules, fake.__name__, fake)
    assert read_source(Source(name="m", format="miniature", split="dev"), data, 0, "world") == ("world", "dev")
    assert read_benchmark(BenchmarkSource(name="m", format="miniature"), data, "world") == ("world", "benchmark")
    assert read_benchmark(BenchmarkSource(name="m", format="miniature-stance"), data, "world") == ("world", "stance")
    with pytest.raises(SettingsError, match="has train and dev"):
        read_source(Source(name="m", format="miniature", split="test"), data, 0, "world")


@pytest.mark.parametrize(
    "settings", [{}, {"path": "en-{lang}.tsv"}, {"languages": ["de"]}, {"path": "en-de.tsv", "languages": ["de"]}]
)
def test_a_source_without_its_files_is_refused(data, settings):
    with pytest.raises(SettingsError, match=r"source 'b': .*\{lang\}"):
        read_source(Source(name="b", format="bitext", **settings), data, 0, None)


def test_a_lareqa_benchmark_needs_its_folder(data):
    with pytest.raises(SettingsError, match="benchmark 'r': path is empty"):
        read_benchmark(BenchmarkSource(name="r", format="lareqa"), data, None)
