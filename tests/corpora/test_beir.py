import gzip
import json
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import mutated_gzip, mutated_lines

from xlstance.collection import Benchmark, collect_benchmark
from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.beir import read_beir, write_beir
from xlstance.errors import DataError, StorageError, UserError
from xlstance.tables import make_table

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "eval" / "afriqa"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data/eval/afriqa")
BOM = "\ufeff".encode()
HEADER = "query-id\tcorpus-id\tscore"


def write(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = (line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines)
    data = "".join(f"{row}\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.fixture
def folder(tmp_path):
    """One language; the third passage has a title only, and the third query belongs to another split."""
    write(
        tmp_path / "corpus.jsonl.gz",
        {"_id": "d1", "title": "One", "text": "First.", "metadata": {"url": "x"}},
        {"_id": "d2", "title": "", "text": "Second."},
        {"_id": "d3", "title": "Third", "text": ""},
    )
    write(tmp_path / "queries.jsonl", *({"_id": f"q{n}", "text": f"{n}?", "metadata": {}} for n in (1, 2, 3)))
    write(tmp_path / "qrels/test.tsv", HEADER, "q1\td1\t1", "q1\td3\t2", "q2\td2\t0")
    write(tmp_path / "qrels/dev.tsv.gz", HEADER, "q3\td3\t1")
    return tmp_path


def read(folder, *, bad=None, language="en", **options):
    return collect_benchmark(
        read_beir(folder, name="b", language=language, bad=BadRows() if bad is None else bad, **options)
    )


def test_a_folder_of_one_language(folder):
    made = read(folder)
    assert made.passages.drop_columns(["context", "group_id", "lang"]).to_pylist() == [
        {"passage_id": "b/d1", "text": "First.", "title": "One"},
        {"passage_id": "b/d2", "text": "Second.", "title": None},
        {"passage_id": "b/d3", "text": "Third", "title": "Third"},
    ]
    assert set(made.passages["lang"].to_pylist()) == {"en"}
    assert made.passages["group_id"] == made.passages["passage_id"]
    assert made.queries["query_id"].to_pylist() == ["b/q1", "b/q2"]
    assert [tuple(row.values()) for row in made.qrels.to_pylist()] == [
        ("b/q1", "b/d1", 1),
        ("b/q1", "b/d3", 2),
        ("b/q2", "b/d2", 0),
    ]
    assert made.notes == ("3 passages, 2 queries, 3 judgements", "1 queries without a judgement were left out")


def test_splits_are_joined_and_passages_chosen(folder):
    assert read(folder, split="test+dev").queries.num_rows == 3
    judged = read(folder, split="dev", judged_only=True)
    assert judged.passages["passage_id"].to_pylist() == ["b/d3"]
    assert "2 passages that no judgement names were left out" in judged.notes


def test_where_a_language_comes_from(folder):
    def language_of(**fields):
        write(
            folder / "queries.jsonl", {"_id": "q1", "text": "?"} | fields, {"_id": "sw-q2", "text": "?", "lang": "yo"}
        )
        write(folder / "corpus.jsonl.gz", {"_id": "en-1", "text": "."})
        identity = fields.get("_id", "q1")
        write(folder / "qrels/test.tsv", HEADER, f"{identity}\ten-1\t1", "sw-q2\ten-1\t1")
        made = read(folder, language="")
        assert made.passages["lang"].to_pylist() == ["en"]
        return made.queries["lang"].to_pylist()

    assert language_of(lang="fr", language="de") == ["fr", "yo"]
    assert language_of(language="zh-Hant") == ["zh-Hant", "yo"]
    assert language_of(_id="sw-dev-7") == ["sw", "yo"]
    with pytest.raises(DataError, match=r"queries\.jsonl: line 1: 'lang' is no language code"):
        language_of(lang="english")
    for identity in ("q1", "doc-7"):  # three letters are more often a word than a code
        with pytest.raises(DataError, match=r"line 1: 'lang' is no language code.*\(None\)"):
            language_of(_id=identity)


def test_a_folder_that_says_no_language_wants_the_setting(folder):
    with pytest.raises(DataError, match=r"corpus\.jsonl\.gz: no row says its language; set `language`"):
        read(folder, language="", bad=BadRows("quarantine"))
    with pytest.raises(DataError, match="b: language: 'no way' is no language code"):
        read(folder, language="no way")


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        ("queries.jsonl", '{"_id": "q1", "text": "again"}', r"line 4: the id stands twice.*'q1'"),
        ("queries.jsonl", '{"_id": "q9", "text": "\\ufeff "}', "line 4: 'text' is missing or empty"),
        ("queries.jsonl", '{"_id": "q9", ', "line 4: this is no row"),
        ("queries.jsonl", '{"_id": "q9", "text": ["?"]}', "line 4: this is no row.*text is wanted"),
        ("qrels/test.tsv", "q1\td9\t1", r"line 5: no file has this passage.*'d9'"),
        ("qrels/test.tsv", "q9\td1\t1", r"line 5: no file has this query.*'q9'"),
        ("qrels/test.tsv", "q1\td1\t1", "line 5: this query and passage stand together twice"),
        ("qrels/test.tsv", "q2\td1\tmuch", "line 5: this row cannot be read"),
        ("qrels/test.tsv", "q2\td1", "line 5: .*it has 2 columns; every row has 3"),
    ],
)
def test_a_bad_row_is_named_and_costs_no_other(folder, file, line, message):
    with (folder / file).open("a") as out:
        out.write(f"{line}\n")
    with pytest.raises(DataError, match=message) as error:
        read(folder)
    assert "\n" not in str(error.value)
    bad = BadRows("quarantine")
    made = read(folder, bad=bad)
    assert (len(made.passages), len(made.queries), len(made.qrels), bad.count) == (3, 2, 3, 1)
    assert bad.table["place"].to_pylist() == [message.partition(":")[0]]


def test_what_is_missing_is_said_with_what_is_there(folder):
    with pytest.raises(DataError, match=r"has no train\.tsv\(\.gz\); .*qrels holds dev\.tsv\.gz, test\.tsv"):
        read(folder, split="train")
    with pytest.raises(DataError, match=r"has no corpus\.jsonl\(\.gz\); there is no folder"):
        read(folder / "nowhere")
    write(folder / "qrels/test.tsv", "a\tb\tc", "q1\td1\t1")
    with pytest.raises(DataError, match=r"test\.tsv has no column 'query-id'; its columns are a, b, c"):
        read(folder)
    write(folder / "qrels/test.tsv", HEADER)
    with pytest.raises(DataError, match=r"no query could be read"):
        read(folder)


@needs_data
def test_afriqa_has_its_counts():
    made = read(DATA, language="", split="train+dev+test")
    assert Counter(made.passages["lang"].to_pylist()) == {"en": 5361, "fr": 790}
    assert set(made.queries["lang"].to_pylist()) == {"bem", "fon", "hau", "ibo", "kin", "swa", "twi", "yor", "zul"}
    assert (made.queries.num_rows, made.qrels.num_rows) == (7054, 7054)
    counts = {split: read(DATA, language="", split=split).queries.num_rows for split in ("train", "dev", "test")}
    assert counts == {"train": 2092, "dev": 1855, "test": 3107}


@pytest.fixture
def benchmark():
    return Benchmark(
        passages=make_table(
            "passages",
            {
                "passage_id": ["de/1", "fr/1", "de/2"],
                "lang": ["de", "fr", "zh-Hant"],
                "text": ['Ein\nText\u2028mit "allem"', " texte\t", "文"],
                "title": ["T", None, None],
                "context": [None, "Le contexte", None],
                "group_id": ["1", "1", "de/2"],
            },
        ),
        queries=make_table("queries", {"query_id": ["q"], "lang": ["de"], "text": ["Was?"], "group_id": ["Q"]}),
        qrels=make_table("qrels", {"query_id": ["q", "q"], "passage_id": ["de/1", "fr/1"], "gain": [2, 0]}),
    )


def test_a_benchmark_goes_and_comes(tmp_path, benchmark):
    write_beir(tmp_path / "made" / "out", {"dev": benchmark})
    back = read(tmp_path / "made" / "out", language="", split="dev")
    for name in ("passages", "queries", "qrels"):
        table, found = getattr(benchmark, name), getattr(back, name)
        for column in table.column_names:
            prefix = "b/" if column.endswith("_id") else ""
            values = [prefix + value if prefix else value for value in table[column].to_pylist()]
            assert found[column].to_pylist() == values
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["out"]
    row = json.loads((tmp_path / "made/out/corpus.jsonl").read_text(encoding="utf-8").split("\n")[1])
    assert row == {
        "_id": "fr/1", "title": "", "text": " texte\t", "context": "Le contexte", "lang": "fr", "group_id": "1",
    }  # fmt: skip
    assert (tmp_path / "made/out/qrels/dev.tsv").read_text().splitlines() == [HEADER, "q\tde/1\t2", "q\tfr/1\t0"]


def test_a_folder_comes_whole_or_not_at_all(tmp_path, benchmark):
    qrels = make_table("qrels", {"query_id": ["q", "q"], "passage_id": ["de/1", "a\tb"], "gain": [1, 1]})
    with pytest.raises(DataError, match=r"qrels, row 1: the passage_id 'a\\tb' is empty or has a tab"):
        write_beir(tmp_path / "out", {"test": Benchmark(benchmark.passages, benchmark.queries, qrels)})
    assert not list(tmp_path.iterdir())
    (tmp_path / "out").mkdir()
    write_beir(tmp_path / "out", {"test": benchmark})
    with pytest.raises(StorageError, match="out is there already; choose another folder"):
        write_beir(tmp_path / "out", {"dev": benchmark})
    with pytest.raises(StorageError, match="cannot be written"):
        write_beir(tmp_path / "out/corpus.jsonl/below", {"test": benchmark})


WORDS = ["amber", "birch", "cedar", "dahlia", "elder", "fennel", "ginger", "hazel"]
FILES = {
    "corpus.jsonl": [json.dumps({"_id": f"{word}-1", "lang": "en", "text": f"A {word}."}).encode() for word in WORDS],
    "queries.jsonl": [json.dumps({"_id": word[::-1], "lang": "sw", "text": f"{word}?"}).encode() for word in WORDS],
    "qrels/test.tsv": [f"{word[::-1]}\t{word}-1\t1".encode() for word in WORDS],
}


def write_files(root):
    for name, lines in FILES.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"\n".join([HEADER.encode()] * name.startswith("qrels") + lines) + b"\n")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_mutated_files_raise_nothing_else_and_lose_no_good_row(data):
    name = data.draw(st.sampled_from(list(FILES)))
    mutated = data.draw(mutated_lines(FILES[name]))
    with tempfile.TemporaryDirectory() as made:
        root = Path(made)
        write_files(root)
        head = b"" if name != "qrels/test.tsv" else HEADER.encode() + b"\n"
        body = mutated.data.removeprefix(BOM)  # which stands before the header
        (root / name).write_bytes(mutated.data[: len(mutated.data) - len(body)] + head + body)
        try:
            read(root, language="")
        except UserError as error:
            assert "\n" not in str(error)  # noqa: PT017
        bad = BadRows("quarantine")
        try:
            back = read(root, language="", bad=bad)
        except DataError:
            assert not mutated.untouched
            return
        texts = dict(zip(back.passages["passage_id"].to_pylist(), back.passages["text"].to_pylist(), strict=True))
        asked = dict(zip(back.queries["query_id"].to_pylist(), back.queries["text"].to_pylist(), strict=True))
        judged = {(row["query_id"], row["passage_id"]) for row in back.qrels.to_pylist()}
        for index in mutated.untouched:
            word = WORDS[index]
            assert texts[f"b/{word}-1"] == f"A {word}."
            assert asked[f"b/{word[::-1]}"] == f"{word}?"
            assert (f"b/{word[::-1]}", f"b/{word}-1") in judged


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(list(FILES)), st.data())
def test_broken_gzip_raises_nothing_else(name, data):
    with tempfile.TemporaryDirectory() as made:
        root = Path(made)
        write_files(root)
        whole = (root / name).read_bytes()
        (root / name).unlink()
        (root / f"{name}.gz").write_bytes(data.draw(mutated_gzip(whole)))
        for bad in (BadRows(), BadRows("quarantine")):
            try:
                read(root, language="", bad=bad)
            except UserError as error:
                assert "\n" not in str(error)  # noqa: PT017
