"""Data sets in local folders, read through the library; nothing is fetched."""

import json
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xlstance.collection import collect_training
from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.columns import Columns
from xlstance.corpora.huggingface import read_huggingface
from xlstance.errors import DataError, SettingsError


@pytest.fixture
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("set")  # the library takes a folder "test_..." on the way for a split


@pytest.fixture
def library(monkeypatch, tmp_path):
    pytest.importorskip("datasets", reason="needs the library datasets (pip install datasets)")
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def read(path, bad=None, columns=None, **arguments):
    columns = Columns(query="question", passage="answers.0") if columns is None else columns
    bad = BadRows() if bad is None else bad
    return collect_training(read_huggingface(str(path), columns, name="s", bad=bad, **arguments), "s")


def told(made):
    texts = dict(zip(made.passages["passage_id"].to_pylist(), made.passages["text"].to_pylist(), strict=True))
    asked = dict(zip(made.queries["query_id"].to_pylist(), made.queries["text"].to_pylist(), strict=True))
    return [(asked[row["query_id"]], texts[row["passage_id"]]) for row in made.pairs.to_pylist()]


def rows(lang, count=3):
    return [{"id": i, "question": f"{lang} {i}?", "answers": [f"{lang} {i}.", "x"], "lang": lang} for i in range(count)]


def test_without_the_library_the_way_to_it_is_said(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(SettingsError, match="pip install datasets"):
        read(tmp_path, languages=["en"])


def test_a_folder_of_parquet_by_splits(library, folder):
    pq.write_table(pa.Table.from_pylist(rows("en")), folder / "train-00000-of-00001.parquet")
    pq.write_table(pa.Table.from_pylist(rows("dev", 1)), folder / "validation-00000-of-00001.parquet")
    made = read(folder, languages=["en"], columns=Columns(query="question", passage="answers.0", query_id="id"))
    assert told(made) == [(f"en {i}?", f"en {i}.") for i in range(3)]
    assert made.queries["query_id"].to_pylist() == ["s/en/0", "s/en/1", "s/en/2"]
    assert told(read(folder, languages=["en"], split="validation")) == [("dev 0?", "dev 0.")]
    assert len(told(read(folder, languages=["en"], limit=2))) == 2


def test_configurations_by_language_and_languages_by_row(library, folder):
    lines = ["---", "configs:"]
    for code, lang in (("de", "de"), ("zh_cn", "zh-CN")):
        (folder / code).mkdir()
        data = "".join(json.dumps(row) + "\n" for row in rows(lang))
        (folder / code / "train.jsonl").write_text(data, encoding="utf-8")
        lines += [f"- config_name: qa-{code}", f"  data_files: {code}/train.jsonl"]
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]), encoding="utf-8")
    columns = Columns(query="question", passage="answers.0", codes={"zh-CN": "zh_cn"}, query_id="id", group="id")
    made = read(folder, columns=columns, languages=["de", "zh-CN"], config="qa-{lang}")
    assert set(made.queries["lang"].to_pylist()) == {"de", "zh-CN"}
    assert len(set(made.queries["group_id"].to_pylist())) == 3
    columns = Columns(query="question", passage="answers.0", language="lang")
    made = read(folder, columns=columns, config="qa-zh_cn")
    assert made.queries["lang"].to_pylist() == ["zh-CN"] * 3


def test_a_bad_row_is_put_aside_alone(library, folder):
    data = [*rows("en"), {"id": 9, "question": None, "answers": ["x"], "lang": "en"}]
    pq.write_table(pa.Table.from_pylist(data), folder / "train.parquet")
    with pytest.raises(DataError, match="row 3: 'query' is missing or empty"):
        read(folder, languages=["en"])
    bad = BadRows("quarantine")
    assert len(told(read(folder, bad, languages=["en"]))) == 3
    assert bad.table["place"].to_pylist() == ["row 3"]


def test_what_the_library_cannot_read_is_one_line(library, folder):
    pq.write_table(pa.Table.from_pylist(rows("en")), folder / "train.parquet")
    cases = [
        ({"path": folder / "nowhere"}, "cannot be read by the library datasets"),
        ({"path": folder, "split": "dev"}, "cannot be read by the library datasets .*dev"),
        ({"path": folder, "config": "other"}, "cannot be read by the library datasets .*other"),
        ({"path": folder, "columns": Columns(query="q")}, "has no column 'q'; its columns are id, question"),
    ]
    for arguments, message in cases:
        with pytest.raises(DataError, match=message) as error:
            read(languages=["en"], **arguments)
        assert "\n" not in str(error.value)
    (folder / "train.parquet").write_bytes(b"PAR1 broken PAR1")
    with pytest.raises(DataError, match="cannot be read by the library datasets"):
        read(folder, languages=["en"])
    with pytest.raises(SettingsError, match="no language"):
        read(folder)
