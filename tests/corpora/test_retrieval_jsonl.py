import contextlib
import gzip
import json

import pytest
from hypothesis import HealthCheck, given, settings
from mutations import mutated_bytes, mutated_gzip, mutated_lines

from xlstance.collection import TrainingSet, collect_training
from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.flagembedding import read_flagembedding, write_flagembedding
from xlstance.corpora.tevatron import read_tevatron, write_tevatron
from xlstance.errors import DataError, StorageError, UserError
from xlstance.tables import make_table


def write(path, *rows):
    data = b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def read(reader, path, lang="", bad=None):
    return collect_training(reader({lang: [path]}, name="s", bad=BadRows() if bad is None else bad), "s")


def told(made):
    """Every pair by its texts: (query, passage, score, negatives with scores)."""
    queries = {row["query_id"]: (row["lang"], row["text"]) for row in made.queries.to_pylist()}
    passages = {row["passage_id"]: (row["lang"], row["text"]) for row in made.passages.to_pylist()}
    assert len(queries) == len(made.queries)
    assert len(passages) == len(made.passages)
    return [
        (
            queries[row["query_id"]],
            passages[row["passage_id"]],
            row["teacher_score"],
            [(passages[item["passage_id"]], item["teacher_score"]) for item in row["negatives"] or []],
        )
        for row in made.pairs.to_pylist()
    ]


def tevatron(identity, positive, negative=(), **more):
    """A row whose passages are named by letters, or by what else."""
    passages = [[{"docid": c, "title": f"T{c}", "text": f"text {c}"} for c in side] for side in (positive, negative)]
    row = {"query_id": identity, "query": f"query {identity}", "answers": ["x"], "positive_passages": passages[0]}
    return {**row, "negative_passages": passages[1], **more}


def test_a_row_of_tevatron_is_a_pair_for_each_positive_with_the_rows_negatives(tmp_path):
    rows = [tevatron("1", "ab", "c"), tevatron("2", "c"), tevatron("3", "a", "bd")]
    made = read(read_tevatron, write(tmp_path / "train.jsonl.gz", *rows), "de")
    asked = {identity: ("de", f"query {identity}") for identity in "123"}
    text = {c: ("de", f"text {c}") for c in "abcd"}
    assert told(made) == [
        (asked["1"], text["a"], None, [(text["c"], None)]),
        (asked["1"], text["b"], None, [(text["c"], None)]),
        (asked["2"], text["c"], None, []),
        (asked["3"], text["a"], None, [(text["b"], None), (text["d"], None)]),
    ]
    assert made.passages["title"].to_pylist() == ["Ta", "Tb", "Tc", "Td"]
    assert made.passages["passage_id"].to_pylist()[0] == "s/de/a"
    assert made.pairs["pair_id"].to_pylist()[0] == "s/de/1>s/de/a"
    assert made.pairs["negatives"].null_count == 1
    assert set(made.pairs["source"].to_pylist()) == {"s"}


def test_languages_come_from_the_row_and_its_passages(tmp_path):
    row = tevatron("1", "a", "b", lang="fi")
    row["positive_passages"][0]["lang"] = "en"
    row["positive_passages"][0]["score"] = 0.5
    path = write(tmp_path / "train.jsonl", row, tevatron("2", "a"))
    made = read(read_tevatron, path, "sv")
    assert told(made)[0] == (("fi", "query 1"), ("en", "text a"), 0.5, [(("fi", "text b"), None)])
    assert told(made)[1][:2] == (("sv", "query 2"), ("sv", "text a"))
    with pytest.raises(DataError, match=r"line 2: no 'lang'; add it to the row"):
        read(read_tevatron, path)


def test_rows_of_flagembedding_have_scores_or_none(tmp_path):
    rows = [
        {"query": "q", "pos": ["a", "b"], "neg": ["c"], "pos_scores": [1, 0.5], "neg_scores": [-2], "prompt": "p: "},
        {"query": "r", "pos": ["a"], "neg": [], "type": "normal"},
        {"query": "q", "pos": ["a"]},
        {"query": "t", "pos": ["d"], "neg": ["a", "d"], "pos_scores": None},
    ]
    made = read(read_flagembedding, write(tmp_path / "train.jsonl", *rows), "en")
    assert [(q[1], p[1], score, [(n[1], s) for n, s in negatives]) for q, p, score, negatives in told(made)] == [
        ("q", "a", 1.0, [("c", -2.0)]),
        ("q", "b", 0.5, [("c", -2.0)]),
        ("r", "a", None, []),
        ("t", "d", None, [("a", None), ("d", None)]),
    ]
    assert "1 repetitions of a pair left out" in made.notes[0]


@pytest.fixture
def training_set():
    texts = {"a": ("de", "Katze, \u2028Hund", "T"), "b": ("en", "cat", None), "c": ("fr", "chat", None)}
    passages = [
        {"passage_id": f"x/{k}", "lang": lang, "text": text, "title": title, "context": None, "group_id": k}
        for k, (lang, text, title) in texts.items()
    ]
    queries = [
        {"query_id": f"x/q{i}", "lang": lang, "text": f"q{i}", "group_id": "g"} for i, lang in enumerate(["de", "en"])
    ]

    def pair(query, passage, negatives, score):
        negatives = [{"passage_id": f"x/{c}", "teacher_score": s} for c, s in negatives.items()] or None
        ids = {"query_id": f"x/q{query}", "passage_id": f"x/{passage}", "pair_id": f"{query}{passage}"}
        return {**ids, "negatives": negatives, "teacher_score": score, "source": "s"}

    pairs = [
        pair(0, "a", {"c": 0.25}, 1.0), pair(0, "b", {"c": 0.25}, 0.75), pair(1, "b", {}, None),
        pair(1, "a", {"c": None}, 0.5), pair(0, "c", {"b": 0.1}, 0.3),
    ]  # fmt: skip

    def table(name, rows):
        return make_table(name, {key: [row.get(key) for row in rows] for key in rows[0]})

    return TrainingSet(table("passages", passages), table("queries", queries), table("pairs", pairs))


@pytest.mark.parametrize("file", ["train.jsonl", "deep/train.jsonl.gz"])
def test_what_is_written_as_tevatron_comes_back(tmp_path, training_set, file):
    path = tmp_path / file
    assert write_tevatron(path, training_set) == 4  # the first two pairs share their negatives
    made = read(read_tevatron, path)
    key = str
    assert sorted(told(made), key=key) == sorted(told(training_set), key=key)
    assert sorted(map(str, made.passages["title"].to_pylist())) == ["", "", "T"]
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    if path.suffix == ".gz":
        assert path.read_bytes()[4:8] == bytes(4)  # no time: the same rows give the same bytes


def test_what_is_written_as_tevatron_has_its_documented_fields(tmp_path, training_set):
    write_tevatron(tmp_path / "t.jsonl", training_set)
    row = json.loads((tmp_path / "t.jsonl").read_text(encoding="utf-8").split("\n")[0])
    assert {"query_id", "query", "positive_passages", "negative_passages"} <= set(row)
    assert row["query_id"] == "x/q0"
    assert row["positive_passages"][0] == {
        "docid": "x/a", "title": "T", "text": "Katze, \u2028Hund", "lang": "de", "score": 1.0,
    }  # fmt: skip


def test_what_is_written_as_flagembedding_comes_back(tmp_path, training_set):
    path = tmp_path / "train.jsonl"
    write_flagembedding(path, training_set)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").removesuffix("\n").split("\n")]
    assert [row["query"] for row in rows] == ["q0", "q1", "q1", "q0"]
    assert rows[0]["pos"] == ["Katze, \u2028Hund", "cat"]
    assert (rows[0]["pos_scores"], rows[0]["neg_scores"]) == ([1.0, 0.75], [0.25])
    assert "pos_scores" not in rows[2]  # its negative has no score
    made = sorted(told(read(read_flagembedding, path)), key=str)
    kept = [(q, p, None if (q[1], p[1]) == ("q1", "Katze, \u2028Hund") else s, n) for q, p, s, n in told(training_set)]
    assert made == sorted(kept, key=str)


def test_a_file_that_cannot_be_written_is_said(tmp_path, training_set):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="cannot be written"):
        write_tevatron(tmp_path / "file" / "train.jsonl", training_set)
    with pytest.raises(StorageError, match="cannot be written"):
        write_flagembedding(tmp_path, training_set)


FLAG = {"query": "q", "pos": ["a"], "neg": ["b"]}


@pytest.mark.parametrize(
    ("reader", "row", "reason"),
    [
        (read_tevatron, tevatron("1", ""), "'positive_passages' is empty"),
        (read_tevatron, tevatron("1", "a", positive_passages=None), "'positive_passages' is missing"),
        (read_tevatron, tevatron(" ", "a"), "'query_id' is missing"),
        (read_tevatron, tevatron("1", "a", query=""), "'query' is missing"),
        (read_tevatron, tevatron("1", "a", negative_passages=[{"docid": "z", "text": " "}]), "a passage's 'text'"),
        (read_tevatron, tevatron("1", "a", negative_passages=[{"text": "z"}]), "a passage's 'docid'"),
        (read_tevatron, tevatron("1", "a", negative_passages=[None]), "a passage's 'text'"),
        (read_tevatron, tevatron("1", "a", negative_passages="z"), "this is no row as wanted here"),
        (read_tevatron, tevatron("1", "a", lang="deutsch"), r"no language code \('deutsch'\)"),
        (read_tevatron, tevatron("1", "", "", positive_passages=[{"docid": "z", "text": "z", "lang": "x"}]), "'lang'"),
        (read_tevatron, tevatron("0", "a", query="other"), "an id of this row stands for another text before"),
        (read_tevatron, tevatron("1", "b", "a", positive_passages=[{"docid": "a", "text": "other"}]), "an id of this"),
        (read_flagembedding, {**FLAG, "pos": []}, "'pos' is empty"),
        (read_flagembedding, {**FLAG, "pos": [""]}, "a passage's 'text'"),
        (read_flagembedding, {**FLAG, "neg": [None]}, "a passage's 'text'"),
        (read_flagembedding, {**FLAG, "pos_scores": [1, 2]}, "'pos' and 'pos_scores' are not of one length"),
        (read_flagembedding, {**FLAG, "neg_scores": []}, "'neg' and 'neg_scores' are not of one length"),
        (read_flagembedding, {**FLAG, "neg_scores": ["x"]}, "this is no row as wanted here"),
        (read_flagembedding, {"pos": ["a"]}, "'query' is missing"),
    ],
)
def test_a_bad_row_is_an_error_or_put_aside_alone(tmp_path, reader, row, reason):
    good = {
        read_tevatron: [tevatron("0", "a", "b"), tevatron("7", "a", "c")],
        read_flagembedding: [{"query": "0", "pos": ["a"], "neg": ["b"]}, {"query": "7", "pos": ["a"]}],
    }[reader]
    path = write(tmp_path / "rows.jsonl", good[0], row, good[1])
    with pytest.raises(DataError, match=rf"rows\.jsonl: line 2: .*{reason}"):
        read(reader, path, "de")
    bad = BadRows("quarantine")
    made = told(read(reader, path, "de", bad))
    assert bad.table["place"].to_pylist() == ["line 2"]
    assert made == told(read(reader, write(tmp_path / "good.jsonl", *good), "de"))


def test_a_row_put_aside_leaves_its_passages_to_others(tmp_path):
    first = tevatron("1", "a")
    second = tevatron("2", "ab")
    second["positive_passages"][0]["text"] = "another a"  # so row 2 is bad, and b is not yet said
    third = tevatron("3", "b")
    third["positive_passages"][0]["text"] = "another b"
    bad = BadRows("quarantine")
    made = told(read(read_tevatron, write(tmp_path / "rows.jsonl", first, second, third), "de", bad))
    assert [passage[1] for _, passage, _, _ in made] == ["text a", "another b"]
    assert bad.table["place"].to_pylist() == ["line 2"]


def test_json_lines_may_be_called_json(tmp_path):
    path = write(tmp_path / "toy_finetune_data.json", {"query": "q", "pos": ["a"]}, {"query": "r", "pos": ["b"]})
    assert [query[1] for query, *_ in told(read(read_flagembedding, path, "en"))] == ["q", "r"]


def test_a_file_without_a_good_row_is_an_error(tmp_path):
    path = write(tmp_path / "rows.jsonl", {"a": 1})
    with pytest.raises(DataError, match=r"no row is left of .*rows\.jsonl"):
        read(read_tevatron, path, "de", BadRows("quarantine"))
    with pytest.raises(DataError, match="is no file"):
        read(read_tevatron, tmp_path / "other.jsonl", "de")


ROWS = {
    read_tevatron: [tevatron(c * 3, [c * 4], [c.upper() * 4], query=c * 3) for c in "abcdefgh"],
    read_flagembedding: [
        {"query": c * 3, "pos": [f"{c * 3}1"], "neg": [f"{c * 3}2"], "pos_scores": [1], "neg_scores": [0.5]}
        for c in "abcdefgh"
    ],
}
quick = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("reader", ROWS)
def test_no_good_row_of_a_damaged_file_is_lost(tmp_path, reader):
    lines = [json.dumps(row).encode() for row in ROWS[reader]]

    @quick
    @given(mutated=mutated_lines(lines))
    def check(mutated):
        path = tmp_path / "rows.jsonl"
        path.write_bytes(mutated.data)
        # a changed copy that comes first may take a row's id, and makes the row a bad one rightly
        names = {index: ROWS[reader][index]["query"].encode() for index in mutated.untouched}
        alone = {names[i].decode() for i in names if mutated.data.count(names[i]) == lines[i].count(names[i])}
        if alone:
            made = read(reader, path, "de", BadRows("quarantine"))
            assert alone <= {query[1] for query, *_ in told(made)}

    @quick
    @given(data=mutated_bytes(b"\n".join(lines)) | mutated_gzip(b"\n".join(lines)))
    def check_bytes(data):
        path = tmp_path / f"rows.jsonl{'.gz' if data[:2] == bytes([31, 139]) else ''}"
        path.write_bytes(data)
        for mode in ("error", "quarantine"):
            with contextlib.suppress(UserError):
                read(reader, path, "de", BadRows(mode))

    check()
    check_bytes()
