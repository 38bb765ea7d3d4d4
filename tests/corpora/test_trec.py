import gzip
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import mutated_gzip, mutated_lines

from xlstance.collection import collect_benchmark, collect_training
from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.topics import read_topics
from xlstance.corpora.trec import PRESETS, TrecFiles, read_trec
from xlstance.corpora.trec_runs import read_qrels, read_run, write_qrels, write_run
from xlstance.errors import DataError, SettingsError, UserError
from xlstance.tables import make_table


def write(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = (line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines)
    data = "".join(f"{row}\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def passage(docid, title, text):
    return {"docid": docid, "title": title, "text": text}


@pytest.fixture
def miracl(tmp_path):
    """Two languages; Finnish has eleven shards and a topic that nobody judged."""
    for lang, shards in (("fi", 11), ("sw", 1)):
        for shard in range(shards):
            rows = [passage(f"{shard}#{n}", f"T{shard}", f"{lang} text {shard}-{n}") for n in range(2)]
            write(tmp_path / f"miracl-corpus-v1.0-{lang}/docs-{shard}.jsonl.gz", *rows)
        folder = tmp_path / f"miracl-v1.0-{lang}"
        write(folder / f"topics/topics.miracl-v1.0-{lang}-dev.tsv", "7\tKuka?", '8\tMikä "se" on?', "9\tMissä?")
        write(folder / f"qrels/qrels.miracl-v1.0-{lang}-dev.tsv", "7\tQ0\t0#0\t1", "7\tQ0\t0#1\t0", "8 Q0  0#1 1 ")
    return tmp_path


def test_miracl(miracl):
    read = collect_benchmark(read_trec(PRESETS["miracl"], miracl, ["fi", "sw"], name="miracl", bad=BadRows()))
    assert read.passages["passage_id"].to_pylist()[:3] == ["miracl/fi/0#0", "miracl/fi/0#1", "miracl/fi/1#0"]
    assert read.passages["text"].to_pylist()[20] == "fi text 10-0"  # shard 10 stands behind shard 9
    assert read.passages["title"].to_pylist()[4] == "T2"
    assert read.passages["group_id"] == read.passages["passage_id"]  # the same id is another text in Swahili
    assert read.passages["lang"].to_pylist() == ["fi"] * 22 + ["sw"] * 2
    assert [row["query_id"] for row in read.queries.to_pylist()] == [
        f"miracl/{lang}/{number}" for lang in ("fi", "sw") for number in (7, 8)
    ]
    assert read.queries["text"].to_pylist()[1] == 'Mikä "se" on?'
    assert read.qrels.to_pylist()[:3] == [
        {"query_id": "miracl/fi/7", "passage_id": "miracl/fi/0#0", "gain": 1},
        {"query_id": "miracl/fi/7", "passage_id": "miracl/fi/0#1", "gain": 0},
        {"query_id": "miracl/fi/8", "passage_id": "miracl/fi/0#1", "gain": 1},
    ]
    assert read.notes == (
        "2 languages (fi, sw)",
        "24 passages, 4 queries, 6 judgements",
        "2 queries without a judgement were left out",
    )


def test_only_the_judged_passages(miracl):
    stream = read_trec(PRESETS["miracl"], miracl, ["fi"], name="m", judged_only=True, bad=BadRows())
    read = collect_training(stream, "m")
    assert read.passages["passage_id"].to_pylist() == ["m/fi/0#0", "m/fi/0#1"]
    assert read.pairs["pair_id"].to_pylist() == ["m/fi/7>m/fi/0#0", "m/fi/8>m/fi/0#1"]
    assert "20 passages that no judgement names were left out" in read.notes


def test_mmarco(tmp_path):
    for language, words in (("german", "Rot Blau Grün Gelb"), ("chinese", "红 蓝 绿 黄")):
        rows = [f"{number}\t{word}" for number, word in enumerate(words.split())]
        write(tmp_path / f"google/collections/{language}_collection.tsv", *rows, *(["9\t"] * (language == "german")))
        write(tmp_path / f"google/queries/train/{language}_queries.train.tsv", "1\tWas?", "2\tWie?", "3\tUnbenutzt?")
    write(tmp_path / "triples.train.ids.small.tsv", "1\t0\t2", "1\t0\t3", "2\t9\t3")
    bad = BadRows("quarantine")
    stream = read_trec(PRESETS["mmarco"], tmp_path, ["de", "zh"], name="mm", split="train", judged_only=True, bad=bad)
    read = collect_training(stream, "mm")
    assert read.passages["text"].to_pylist() == ["Rot", "Grün", "Gelb", "红", "绿", "黄"]
    assert read.passages["group_id"].to_pylist() == ["mm/0", "mm/2", "mm/3"] * 2
    assert read.queries["group_id"].to_pylist() == ["mm/1", "mm/2"] * 2
    assert read.pairs.select(["pair_id", "query_id", "passage_id", "source"]).to_pylist()[2:] == [
        {"pair_id": f"mm/zh/{line}", "query_id": "mm/zh/1", "passage_id": "mm/zh/0", "source": "mm"} for line in (1, 2)
    ]
    assert read.pairs["negatives"].to_pylist()[1] == [{"passage_id": "mm/de/3", "teacher_score": None}]
    # an empty translation, and the triple that needs it
    places = {(Path(row["file"]).name, row["place"]): row["reason"] for row in bad.table.to_pylist()}
    assert places.keys() == {("german_collection.tsv", "line 5"), ("triples.train.ids.small.tsv", "line 3")}
    with pytest.raises(DataError, match=r"german_collection\.tsv: line 5: 'text' is missing or empty"):
        collect_training(read_trec(PRESETS["mmarco"], tmp_path, ["de"], name="mm", split="train", bad=BadRows()), "mm")


@pytest.mark.parametrize(
    ("preset", "corpus", "topics", "qrels", "rows"),
    [
        (
            *("mr-tydi", "collection/docs.jsonl.gz", "topic.test.tsv", "qrels.test.txt"),
            [{"id": "1#0", "contents": "Mto\n\nMto ni\nmkubwa."}, {"id": "1#1", "contents": "Bila kichwa."}],
        ),
        (
            *("mr-tydi-hub", "corpus.jsonl.gz", "ir-format-data/topics.test.txt", "ir-format-data/qrels.test.txt"),
            [passage("1#0", "Mto", "Mto ni\nmkubwa."), passage("1#1", "", "Bila kichwa.")],
        ),
    ],
)
def test_mr_tydi(tmp_path, preset, corpus, topics, qrels, rows):
    folder = tmp_path / "mrtydi-v1.1-swahili"
    write(folder / corpus, *rows)
    write(folder / topics, "0\tMto gani?")
    write(folder / qrels, "0 Q0 1#0 1")
    stream = read_trec(PRESETS[preset], tmp_path, ["sw"], name="t", split="test", bad=BadRows())
    read = collect_benchmark(stream)
    assert read.passages.select(["title", "text"]).to_pylist() == [
        {"title": "Mto", "text": "Mto ni\nmkubwa."},
        {"title": None, "text": "Bila kichwa."},
    ]
    assert read.qrels.num_rows == 1


TAGGED = """
<top>
<num> Number: 301
<title> International
  Organized Crime &amp; Co.

<desc> Description:
What is a < b?
</top>
<top lang="en"><num>Number: 302</num><title>Topic: Poliomyelitis</title></top>
<topic number="C-303" type="faceted">
  <query>hubble telescope</query>
</topic>
<top>
<num> Number: 304
<EN-title> Endangered Species
"""


def test_tagged_topics(tmp_path):
    (tmp_path / "topics.301-304").write_text(TAGGED)
    (block,) = read_topics(tmp_path / "topics.301-304", BadRows())
    assert list(zip(*block.table.to_pydict().values(), strict=True)) == [
        ("301", "International Organized Crime & Co."),
        ("302", "Poliomyelitis"),
        ("C-303", "hubble telescope"),
        ("304", "Endangered Species"),
    ]
    assert block.numbers.tolist() == [3, 10, 11, 15]


@pytest.mark.parametrize(
    ("old", "new", "line", "reason", "left"),
    [
        (b"<title> International", b"International", 3, "'301' has no title", 3),
        (b"<num> Number: 301", b"", 4, "a title without a number", 3),
        (b"Poliomyelitis", b"", 10, "or an empty one", 3),
        (b"hubble", b"\xff", 12, "not UTF-8", 3),
        (b"<EN-title> Endangered Species\n", b"", 15, "'304' has no title", 3),
    ],
)
def test_a_broken_topic_costs_no_other(tmp_path, old, new, line, reason, left):
    path = tmp_path / "topics.txt"
    path.write_bytes(TAGGED.encode().replace(old, new))
    bad = BadRows("quarantine")
    (block,) = read_topics(path, bad)
    assert len(block.table) == left
    assert bad.table["place"].to_pylist() == [f"line {line}"]
    with pytest.raises(DataError, match=f"line {line}: .*{reason}"):
        list(read_topics(path, BadRows()))


def test_pairs_of_several_files_have_their_own_ids(tmp_path):
    write(tmp_path / "c.tsv", "1\ta", "2\tb")
    write(tmp_path / "q.tsv", "1\tc")
    for number in (2, 10):
        write(tmp_path / f"t-{number}.tsv", "1\t1\t2", "1\t2\t1")
    files = TrecFiles(corpus="c.tsv", topics="q.tsv", triples="t-*.tsv")
    read = collect_training(read_trec(files, tmp_path, ["en"], name="m", bad=BadRows()), "m")
    assert read.pairs["pair_id"].to_pylist() == ["m/en/1", "m/en/2", "m/en/1-1", "m/en/1-2"]


def test_topics_of_json_lines(tmp_path):
    path = write(tmp_path / "t.jsonl", {"query_id": 3, "query": "A?"}, {"qid": "b", "title": "B?"}, {"id": "c"})
    bad = BadRows("quarantine")
    assert [row for block in read_topics(path, bad) for row in block.table.to_pylist()] == [
        {"id": "3", "text": "A?"},
        {"id": "b", "text": "B?"},
    ]
    assert bad.table["place"].to_pylist() == ["line 3"]


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        (
            "qrels/qrels.miracl-v1.0-sw-dev.tsv",
            "7 Q0 5#5 1",
            r"sw-dev\.tsv: line 4: no file has this passage.* \('5#5'\)",
        ),
        ("qrels/qrels.miracl-v1.0-sw-dev.tsv", "77 Q0 0#0 1", r"line 4: no file has this query.*'77'"),
        ("qrels/qrels.miracl-v1.0-sw-dev.tsv", "7 Q0 0#0 2", "line 4: this query and passage stand together twice"),
        ("qrels/qrels.miracl-v1.0-sw-dev.tsv", "7 Q0 0#0 yes", "line 4"),
        ("qrels/qrels.miracl-v1.0-sw-dev.tsv", "7 Q0 0#0", "line 4: .*it has 3 columns"),
        ("topics/topics.miracl-v1.0-sw-dev.tsv", "7\tNani?", r"line 4: the id stands twice.*'7'"),
        ("topics/topics.miracl-v1.0-sw-dev.tsv", "10\t ", "line 4: 'text' is missing or empty"),
        ("../miracl-corpus-v1.0-sw/docs-0.jsonl.gz", '{"docid": "0#0", "text": "x"}', r"line 3: the id stands twice"),
        ("../miracl-corpus-v1.0-sw/docs-0.jsonl.gz", '{"docid": "0#2"}', "line 3: 'text' is missing"),
        ("../miracl-corpus-v1.0-sw/docs-0.jsonl.gz", '{"title": "x", "text": "x"}', "line 3: 'id' is missing"),
    ],
)
def test_a_bad_row_is_named_and_costs_no_other(miracl, file, line, message):
    path = miracl / "miracl-v1.0-sw" / file
    unpack, pack = (gzip.decompress, gzip.compress) if path.suffix == ".gz" else (bytes, bytes)
    path.write_bytes(pack(unpack(path.read_bytes()) + line.encode() + b"\n"))

    def read(bad):
        return collect_benchmark(read_trec(PRESETS["miracl"], miracl, ["sw"], name="m", bad=bad))

    with pytest.raises(DataError, match=message) as error:
        read(BadRows())
    assert "\n" not in str(error.value)
    bad = BadRows("quarantine")
    tables = read(bad)
    assert (len(tables.passages), len(tables.queries), len(tables.qrels), bad.count) == (2, 2, 3, 1)


def test_what_does_not_fit_together_is_said(miracl):
    def read(root=miracl, languages=("sw",), split="dev", **changed):
        files = TrecFiles(**({"corpus": "c-*", "topics": "t", "qrels": "q"} | changed))
        collect_benchmark(read_trec(files, root, languages, name="m", split=split, bad=BadRows("quarantine")))

    with pytest.raises(SettingsError, match="give qrels or triples"):
        read(triples="t")
    with pytest.raises(SettingsError, match="no language"):
        read(languages=())
    with pytest.raises(SettingsError, match=r"no English name of 'yo' .* known are ar, bn"):
        read(languages=["yo"], corpus="{language}.tsv")
    with pytest.raises(DataError, match=r"'\.\./x' is no language code"):
        read(languages=["../x"])
    with pytest.raises(DataError, match=r"c-\* matches no file; .* holds miracl-corpus"):
        read()
    with pytest.raises(DataError, match=r"is no file; .*topics holds topics\.miracl-v1\.0-sw-dev\.tsv"):
        collect_benchmark(read_trec(PRESETS["miracl"], miracl, ["sw"], name="m", split="test", bad=BadRows()))
    (miracl / "empty.tsv").touch()
    with pytest.raises(DataError, match=r"empty\.tsv: no passage could be read"):
        read(corpus="empty.tsv")


WORDS = ["amber", "birch", "cedar", "dahlia", "elder", "fennel", "ginger", "hazel"]
CORPUS = [json.dumps(passage(f"{word}#{n}", "T", f"A {word}.")).encode() for n, word in enumerate(WORDS)]
TOPICS = [f"{word[::-1]}\tWhat is {word}?".encode() for word in WORDS]
QRELS = [f"{word[::-1]} Q0 {word}#{n} 1".encode() for n, word in enumerate(WORDS)]
FILES = TrecFiles(corpus="corpus.jsonl", topics="topics.tsv", qrels="qrels.txt")


def rows_of(root, bad):
    read = collect_benchmark(read_trec(FILES, root, ["en"], name="m", bad=bad))
    passages = {row["passage_id"][5:]: row["text"] for row in read.passages.to_pylist()}
    queries = {row["query_id"][5:]: row["text"] for row in read.queries.to_pylist()}
    return passages, queries, {(row["query_id"][5:], row["passage_id"][5:]) for row in read.qrels.to_pylist()}


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_mutated_files_raise_nothing_else_and_lose_no_good_row(data):
    name = data.draw(st.sampled_from(["corpus.jsonl", "topics.tsv", "qrels.txt"]))
    rows = {"corpus.jsonl": CORPUS, "topics.tsv": TOPICS, "qrels.txt": QRELS}
    mutated = data.draw(mutated_lines(rows[name]))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for other, lines in rows.items():
            (root / other).write_bytes(b"\n".join(lines) + b"\n")
        (root / name).write_bytes(mutated.data)
        try:
            rows_of(root, BadRows())
        except UserError as error:
            assert "\n" not in str(error)  # noqa: PT017
        bad = BadRows("quarantine")
        try:
            passages, queries, qrels = rows_of(root, bad)
        except DataError:
            assert not mutated.untouched
            return
        good = {WORDS[index] for index in mutated.untouched}
        for number, word in enumerate(WORDS):
            if word in good:
                assert (word[::-1], f"{word}#{number}") in qrels
                assert passages[f"{word}#{number}"] == f"A {word}."
                assert queries[word[::-1]] == f"What is {word}?"
            elif name != "qrels.txt":
                # the row is lost or changed, so its judgement came through or was put aside
                assert (word[::-1], f"{word}#{number}") in qrels or f'"{word[::-1]}"' in "".join(
                    bad.table["content"].to_pylist()
                )


@settings(max_examples=60, deadline=None)
@given(mutated_gzip(b"\n".join(CORPUS) + b"\n"))
def test_broken_gzip_raises_nothing_else(packed):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "corpus.jsonl.gz").write_bytes(packed)
        (root / "topics.tsv").write_bytes(b"\n".join(TOPICS))
        (root / "qrels.txt").write_bytes(b"\n".join(QRELS))
        files = TrecFiles(corpus="corpus.jsonl.gz", topics="topics.tsv", qrels="qrels.txt")
        for bad in (BadRows(), BadRows("quarantine")):
            try:
                collect_benchmark(read_trec(files, root, ["en"], name="m", bad=bad))
            except UserError as error:
                assert "\n" not in str(error)  # noqa: PT017


@settings(max_examples=100, deadline=None)
@given(mutated_lines(TAGGED.encode().splitlines()))
def test_mutated_tagged_topics_raise_nothing_else(mutated):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "topics"
        path.write_bytes(mutated.data)
        for bad in (BadRows(), BadRows("quarantine")):
            try:
                list(read_topics(path, bad))
            except UserError as error:
                assert "\n" not in str(error)  # noqa: PT017


def test_qrels_go_and_come(tmp_path):
    qrels = make_table(
        "qrels", {"query_id": ["q1", "q1", "q2"], "passage_id": ["d#1", "d2", "d#1"], "gain": [1, 0, -1]}
    )
    write_qrels(tmp_path / "q.txt", qrels)
    assert (tmp_path / "q.txt").read_text() == "q1 0 d#1 1\nq1 0 d2 0\nq2 0 d#1 -1\n"
    assert read_qrels(tmp_path / "q.txt", BadRows()) == qrels
    with pytest.raises(DataError, match="stand together twice"):
        read_qrels(write(tmp_path / "twice.txt", "q1 0 d 1", "q1 0 d 1"), BadRows())


def run(**columns):
    return make_table("runs", columns)


def test_runs_go_and_come(tmp_path):
    runs = run(
        query_id=["b", "b", "b", "a"],
        passage_id=["x", "y", "z", "x"],
        rank=[1, 2, 3, 1],
        score=[0.1, 0.1, -1e-9, 3e38],
    )
    write_run(tmp_path / "run.txt", runs, "mine")
    assert (tmp_path / "run.txt").read_text().splitlines()[0] == "b Q0 x 1 0.1 mine"
    assert read_run(tmp_path / "run.txt", BadRows()) == runs
    write_run(tmp_path / "run.txt", runs.take([2, 3, 1, 0]), "mine")
    assert read_run(tmp_path / "run.txt", BadRows()) == runs  # ranks, not rows, order what is written


@pytest.mark.parametrize("end", [[], [""]])  # a blank line makes the block be read row by row
def test_a_run_is_ranked_by_its_scores(tmp_path, end):
    lines = [
        "q Q0 a 1 1.5 t",
        "r Q0 a 1 9 t",
        "q\tQ0\tb\t2\t2.5\tt",
        "q Q0 c 3 1.5 t",
        "q Q0 d 4 nan t",
        "q Q0 a 5 7 t",
    ]
    bad = BadRows("quarantine")
    read = read_run(write(tmp_path / "run.gz", *lines, *end), bad)
    assert [tuple(row.values()) for row in read.to_pylist()] == [
        ("q", "b", 1, 2.5),
        ("q", "a", 2, 1.5),
        ("q", "c", 3, 1.5),
        ("r", "a", 1, 9.0),
    ]
    assert bad.table["place"].to_pylist() == ["line 5", "line 6"]


def test_ids_with_white_space_are_not_written(tmp_path):
    runs = run(query_id=["q", "q"], passage_id=["a", "a\u00a0b"], rank=[1, 2], score=[1, 0])
    with pytest.raises(DataError, match=r"row 1: the passage_id 'a.xa0b' is empty or has white space"):
        write_run(tmp_path / "run.txt", runs, "mine")
    with pytest.raises(DataError, match="the tag is 'a b'"):
        write_run(tmp_path / "run.txt", runs.slice(0, 1), "a b")
    assert not list(tmp_path.iterdir())
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        write_run(tmp_path / "folder", runs.slice(0, 1), "mine")
