import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xlstance.corpora.detect import evaluation_source, training_source
from xlstance.corpora.miniature import MiniatureSettings
from xlstance.corpora.registry import BenchmarkSource, read_benchmark, read_source
from xlstance.errors import DataError

SQUAD = {"id": "1", "question": "Who?", "context": "It is me.", "lang": "fi", "xquad_paragraph": True}
DOCUMENT = {"docid": "d", "title": "", "text": "Me."}
FILES = {
    "squad.parquet": (SQUAD, "squad", "fi"),
    "de_rows.jsonl": ({**SQUAD, "lang": "de"}, "squad", "de"),
    "tevatron.jsonl": ({"query_id": "1", "query": "Who?", "positive_passages": [DOCUMENT]}, "tevatron", "und"),
    "it.flag.jsonl.gz": ({"query": "Chi?", "pos": ["Io."], "neg": ["Tu."]}, "flagembedding", "it"),
    "own.csv": ({"query": "Who?", "passage": "Me."}, "columns", "und"),
    "own.json": ({"query": "Who?", "passage": "Me.", "lang": "en"}, "columns", "en"),
    "en-el.tsv": ({"Who?": "Ποιος;"}, "bitext", "el"),
}


def write(path, row):
    if path.name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist([row]), path)
    elif ".json" in path.name:
        text = json.dumps(row) + "\n" if "jsonl" in path.name else json.dumps([row])
        path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    elif path.name.startswith("en-"):
        path.write_text("".join(f"{left}\t{right}\n" for left, right in row.items()))
    else:
        path.write_text(",".join(row) + "\n" + ",".join(row.values()) + "\n")
    return path


@pytest.mark.parametrize("name", FILES)
def test_files_of_pairs_are_read_as_what_they_are(tmp_path, name):
    row, kind, lang = FILES[name]
    source = training_source(write(tmp_path / name, row), "t")
    assert source.format == kind
    read = read_source(source, ".", 0, MiniatureSettings())
    assert len(read.pairs) == (2 if kind == "bitext" else 1)  # the flag column keeps no row out
    assert lang in read.queries["lang"].to_pylist()
    assert evaluation_source(tmp_path / name, "t") == source


def test_squad_json_is_told_by_its_data(tmp_path):
    question = {"id": "1", "question": "Who?", "answers": [{"text": "me", "answer_start": 6}]}
    paragraphs = [{"context": "It is me.", "qas": [question]}]
    (tmp_path / "en.json").write_text(
        json.dumps({"version": "1.1", "data": [{"title": "T", "paragraphs": paragraphs}]})
    )
    read = read_source(training_source(tmp_path / "en.json", "t"), ".", 0, MiniatureSettings())
    assert read.queries["text"].to_pylist() == ["Who?"]


def test_a_beir_folder_is_evaluated_on_all_its_splits(tmp_path):
    (tmp_path / "qrels").mkdir()
    write(tmp_path / "corpus.jsonl", {"_id": "en-1", "title": "", "text": "Me."})
    rows = [{"_id": f"q{n}", "text": f"Who {n}?", "lang": "en"} for n in range(2)]
    (tmp_path / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for number, split in enumerate(("dev", "test")):
        (tmp_path / "qrels" / f"{split}.tsv").write_text(f"query-id\tcorpus-id\tscore\nq{number}\ten-1\t1\n")
    source = evaluation_source(tmp_path, "b")
    assert isinstance(source, BenchmarkSource)
    assert (source.format, source.split) == ("beir", "dev+test")
    assert len(read_benchmark(source, ".", MiniatureSettings()).queries) == 2


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.parquet", b"no", "cannot be read"),
        ("a.jsonl", b"", "cannot be read (it is empty)"),
        ("a.jsonl", b"{", "cannot be read"),
        ("a.jsonl", b'{"other": 1}', "no training data that can be told"),
        ("a.txt", b"text", "no training data that can be told"),
        ("absent.jsonl", None, "is no file"),
    ],
)
def test_what_cannot_be_told_is_said(tmp_path, name, content, said):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as error:
        training_source(tmp_path / name, "t")
    assert said in str(error.value)
    assert str(tmp_path / name) in str(error.value)


def test_an_unknown_folder_is_said(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(DataError, match=r"no evaluation set that can be told .*holds notes\.txt"):
        evaluation_source(tmp_path, "t")
