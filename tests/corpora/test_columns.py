"""The generic form, each published source as a small file in its own form with its oddities."""

import contextlib
import csv
import gzip
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from mutations import mutated_bytes, mutated_gzip, mutated_lines

from xlstance.collection import collect_training
from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.columns import Columns, read_columns
from xlstance.errors import DataError, SettingsError, UserError
from xlstance.settings import make_parser, parse


def write(path, content):
    data = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def jsonl(*rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def read(files, bad=None, limit=0, seed=0, **columns):
    files = {lang: paths if isinstance(paths, list) else [paths] for lang, paths in files.items()}
    stream = read_columns(
        files, Columns(**columns), name="s", bad=BadRows() if bad is None else bad, limit=limit, seed=seed
    )
    return collect_training(stream, "s")


def pairs(made):
    """(language, question, passage) of every pair, looked up by id."""
    queries = {row["query_id"]: row for row in made.queries.to_pylist()}
    passages = {row["passage_id"]: row for row in made.passages.to_pylist()}
    rows = made.pairs.to_pylist()
    assert len(rows) == len({row["pair_id"] for row in rows})
    assert {row["query_id"] for row in rows} == set(queries)
    assert {row["passage_id"] for row in rows} == set(passages)
    for row in rows:
        assert queries[row["query_id"]]["lang"] == passages[row["passage_id"]]["lang"]
    return [
        (queries[r["query_id"]]["lang"], queries[r["query_id"]]["text"], passages[r["passage_id"]]["text"])
        for r in rows
    ]


def mkqa(identity, question, answers):
    return {
        "example_id": identity,
        "query": question["en"],
        "queries": question,
        "answers": {
            lang: [{"type": "entity" if text else "unanswerable", "text": text, "aliases": [text, "x"]}]
            for lang, text in answers.items()
        },
    }


MKQA = {"query": "queries.{lang}", "passage": "answers.{lang}.0.text", "query_id": "example_id", "group": "example_id"}


def test_mkqa_is_parallel_by_its_example_id_and_leaves_out_what_has_no_answer(tmp_path):
    rows = [
        mkqa(-7449157003522518870, {"en": "who?", "zh_cn": "谁?"}, {"en": "Ann", "zh_cn": "安"}),
        mkqa(12, {"en": "why?", "zh_cn": "为什么?"}, {"en": None, "zh_cn": None}),
        mkqa(13, {"en": "is it?", "zh_cn": "是吗?"}, {"en": "yes", "zh_cn": "是"}),
        mkqa(14, {"en": "is he?", "zh_cn": "他是吗?"}, {"en": "yes", "zh_cn": "是的"}),
    ]
    rows[1]["answers"]["zh_cn"] = []
    path = write(tmp_path / "mkqa.jsonl.gz", jsonl(*rows))
    made = read({"en": path, "zh-CN": path}, **MKQA, codes={"zh-CN": "zh_cn"}, skip_empty=True)
    assert pairs(made) == [
        *(("en", "who?", "Ann"), ("en", "is it?", "yes"), ("en", "is he?", "yes")),
        *(("zh-CN", "谁?", "安"), ("zh-CN", "是吗?", "是"), ("zh-CN", "他是吗?", "是的")),
    ]
    groups = {row["text"]: row["group_id"] for row in made.passages.to_pylist()}
    assert groups["Ann"] == groups["安"] == "s/-7449157003522518870"
    assert groups["yes"] == groups["是"] == "s/13"  # the first question that it answers
    asked = {row["query_id"]: row["group_id"] for row in made.queries.to_pylist()}
    assert asked["s/en/14"] == asked["s/zh-CN/14"] == "s/14"
    assert "8 rows read; 2 left out: no passage text" in made.notes[0]
    with pytest.raises(DataError, match=r"mkqa\.jsonl\.gz: line 2: 'passage' is missing or empty"):
        read({"en": path}, **MKQA)


def duorc(identity, plot, question, answers):
    return {
        "plot_id": "/m/03vyhn", "plot": plot, "title": "Ghosts of Mars", "question_id": identity, "question": question,
        "answers": answers, "no_answer": not answers,
    }  # fmt: skip


@pytest.mark.parametrize("ending", ["parquet", "json", "jsonl"])
def test_duorc_with_plots_or_answers_for_passages(tmp_path, ending):
    rows = [duorc("a", "A plot.", "Who?", ["Ann", "Anna"]), duorc("b", "A plot.", "Why?", [])]
    path = tmp_path / f"train.{ending}"
    if ending == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        write(path, json.dumps(rows) if ending == "json" else jsonl(*rows))
    plots = read({"en": path}, query="question", passage="plot", query_id="question_id", passage_id="plot_id")
    assert pairs(plots) == [("en", "Who?", "A plot."), ("en", "Why?", "A plot.")]
    assert plots.passages["passage_id"].to_pylist() == ["s/en//m/03vyhn"]
    answers = read({"en": path}, query="question", passage="answers.0", title="title", skip_empty=True)
    assert pairs(answers) == [("en", "Who?", "Ann")]
    assert answers.passages["title"].to_pylist() == ["Ghosts of Mars"]
    every = read({"en": path}, query="question", passage="answers", each="answers")
    assert pairs(every) == [("en", "Who?", "Ann"), ("en", "Who?", "Anna")]


def test_lists_of_questions_below_a_page_as_in_the_original_duorc_and_mfaq(tmp_path):
    plots = [
        {"id": "p", "plot": "A plot.", "title": "T", "qa": [{"id": "a", "question": "Who?", "answers": ["Ann"]}]},
        {"id": "q", "plot": "Other.", "title": "U", "qa": []},
        {"id": "r", "plot": "Third.", "title": "V", "qa": [{"question": "1?"}, {"question": "2?"}, {"answers": ["x"]}]},
    ]
    path = write(tmp_path / "SelfRC_train.json", json.dumps(plots))
    columns = {"query": "qa.question", "passage": "plot", "title": "title", "each": "qa"}
    bad = BadRows("quarantine")
    made = read({"en": path}, bad, **columns)
    assert pairs(made) == [("en", "Who?", "A plot."), ("en", "1?", "Third."), ("en", "2?", "Third.")]
    assert bad.table["place"].to_pylist() == ["row 2, item 2"]
    with pytest.raises(DataError, match="row 2, item 2: 'query' is missing or empty"):
        read({"en": path}, **columns)

    questions = [
        {"question": "Wie?", "answer": "So.", "language": "de"},
        {"question": "How?", "answer": "So!", "language": "en"},
    ]
    page = {"domain": "a.de", "num_pairs": 2, "qa_pairs": questions}
    path = write(tmp_path / "train.jsonl", jsonl(page))
    columns = {"query": "qa_pairs.question", "passage": "qa_pairs.answer", "each": "qa_pairs"}
    made = read({"": path}, **columns, language="qa_pairs.language")
    assert pairs(made) == [("de", "Wie?", "So."), ("en", "How?", "So!")]
    flat = {"domain_id": 1, "pair_id": 7, "language": "de", "domain": "a", "question": "Wie?", "answer": "So."}
    path = write(tmp_path / "flat.jsonl", jsonl(flat, flat | {"language": "no", "question": "Hva?"}))
    made = read({"de": path}, query="question", passage="answer", language="language")
    assert pairs(made) == [("de", "Wie?", "So.")]
    assert "1 left out: the language is not de" in made.notes[0]


def as_csv(*rows):
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return out.getvalue()


def test_newsqa_stories_hold_newlines_quotes_and_commas(tmp_path):
    header = "story_id,question,answer_char_ranges,is_answer_absent,is_question_bad,validated_answers,story_text\n"
    story = 'DELHI (CNN) -- "It is so,"\n\n\nhe said, twice.'
    rows = as_csv(
        ["./cnn/stories/42d.story", "Who said it?", "294:297|None", "0.0", "0.0", "", story],
        ["./cnn/stories/42d.story", "What?", "None", "1.0", "0.5", "", story],
    )
    path = write(tmp_path / "combined-newsqa-data-v1.csv", header + rows)
    columns = {"query": "question", "passage": "story_text", "passage_id": "story_id", "label": "is_answer_absent"}
    made = read({"en": path}, **columns, label_value="0.0")
    assert pairs(made) == [("en", "Who said it?", story)]
    assert "1 left out: is_answer_absent is not '0.0'" in made.notes[0]


def test_natural_questions_as_pairs_open_questions_and_rows_without_names(tmp_path):
    path = write(tmp_path / "train.jsonl", jsonl({"query": "who is he", "answer": "A man."}))
    assert pairs(read({"en": path}, passage="answer")) == [("en", "who is he", "A man.")]
    opened = write(tmp_path / "NQ-open.train.jsonl", jsonl({"question": "when", "answer": ["1990", "in 1990"]}))
    assert pairs(read({"en": opened}, query="question", passage="answer.0")) == [("en", "when", "1990")]
    lists = write(tmp_path / "NQ-train_pairs.jsonl.gz", jsonl(["who is he", "A man."], ["where", "There."]))
    made = read({"en": lists}, query="0", passage="1")
    assert pairs(made) == [("en", "who is he", "A man."), ("en", "where", "There.")]


def test_wikiqa_takes_the_rows_labelled_as_answers(tmp_path):
    lines = [
        "QuestionID\tQuestion\tDocumentID\tDocumentTitle\tSentenceID\tSentence\tLabel",
        'Q1\thow are caves formed?\tD1\tGlacier cave\tD1-0\tA "cave" on Perito Moreno Glacier .\t0',
        'Q1\thow are caves formed?\tD1\tGlacier cave\tD1-3\tA cave is a "cave.\t1',
        "Q2\twhat is ice?\tD2\tIce\tD2-1\tIce is water .\t1",
    ]
    path = write(tmp_path / "WikiQA-train.tsv", "\n".join(lines) + "\n")
    made = read(
        {"en": path}, query="Question", passage="Sentence", query_id="QuestionID", passage_id="SentenceID",
        title="DocumentTitle", label="Label", label_value="1",
    )  # fmt: skip
    assert pairs(made) == [
        ("en", "how are caves formed?", 'A cave is a "cave.'), ("en", "what is ice?", "Ice is water ."),
    ]  # fmt: skip
    assert made.pairs["pair_id"].to_pylist() == ["s/en/Q1>s/en/D1-3", "s/en/Q2>s/en/D2-1"]
    assert made.passages["title"].to_pylist() == ["Glacier cave", "Ice"]


def test_entity_questions_are_one_list(tmp_path):
    rows = [
        {"question": "Where was Ann born?", "answers": ["Rome", "Roma"]},
        {"question": "And Bo?", "answers": ["Oslo"]},
    ]
    path = write(tmp_path / "P19.train.json", json.dumps(rows))
    made = read({"en": path}, query="question", passage="answers.0")
    assert pairs(made) == [("en", "Where was Ann born?", "Rome"), ("en", "And Bo?", "Oslo")]


def test_yahoo_answers_name_no_columns(tmp_path):
    path = write(tmp_path / "train.csv", as_csv(
        ["5", "why does ""it"" rain?", "", "Because, well:\\nwater."], ["6", "empty?", "content", ""],
    ))  # fmt: skip
    header = ["class", "title", "content", "answer"]
    made = read({"en": path}, query="title", passage="answer", header=header, skip_empty=True)
    assert pairs(made) == [("en", "why does it rain?", "Because, well:\\nwater.")]
    path = write(tmp_path / "title-answer.jsonl", jsonl({"title": "why?", "answer": "so."}))
    assert pairs(read({"en": path}, query="title", passage="answer")) == [("en", "why?", "so.")]


def test_a_users_own_pairs_in_several_files_and_languages(tmp_path):
    first = write(tmp_path / "a.tsv", "q\tp\nWas?\tDas.\nWas?\tDas.\n")
    second = write(tmp_path / "b.tsv", "\ufeffq\tp\nWas?\tDies.\n")
    mixed = write(tmp_path / "c.tsv", "q\tp\tl\nQuoi?\tCeci.\tfr\nCosa?\tQuesto.\tit\n")
    made = read({"de": [first, second]}, query="q", passage="p")
    assert pairs(made) == [("de", "Was?", "Das."), ("de", "Was?", "Dies.")]
    assert made.notes == ("s: 2 passages, 1 questions, 2 pairs; 3 rows read; 1 left out: repetitions of a pair",)
    assert pairs(read({"": mixed}, query="q", passage="p", language="l"))[1] == ("it", "Cosa?", "Questo.")
    named = write(tmp_path / "e.tsv", "q\tp\tl\nQuoi?\tCeci.\tfrench\nWas?\tDas.\t\nCosa?\tQuesto.\tit\n")
    bad = BadRows("quarantine")
    told = {"query": "q", "passage": "p", "language": "l", "codes": {"fr": "french"}}
    assert pairs(read({"": named}, bad, **told)) == [("fr", "Quoi?", "Ceci."), ("it", "Cosa?", "Questo.")]
    bad = BadRows("quarantine")
    assert pairs(read({"fr": named}, bad, **told)) == [("fr", "Quoi?", "Ceci.")]
    assert bad.table["place"].to_pylist() == ["line 3"]
    table = pa.table({"q": ["Was?"], "p": ["Das."], "id": pa.array([7], pa.int64())})
    pq.write_table(table, tmp_path / "d.parquet")
    made = read({"de": tmp_path / "d.parquet"}, query="q", passage="p", query_id="id")
    assert made.queries["query_id"].to_pylist() == ["s/de/7"]


def test_limit_draws_the_same_questions_in_every_language(tmp_path):
    rows = [mkqa(i, {"en": f"e{i}", "de": f"d{i}"}, {"en": f"E{i}", "de": f"D{i}"}) for i in range(30)]
    path = write(tmp_path / "mkqa.jsonl", jsonl(*rows))
    drawn = set()
    for seed in range(3):
        made = read({"en": path, "de": path}, limit=4, seed=seed, **{**MKQA, "query_id": ""})
        by_lang = {lang: {q[1:] for found, q, _ in pairs(made) if found == lang} for lang in ("en", "de")}
        assert by_lang["en"] == by_lang["de"]
        assert len(by_lang["en"]) == 4
        assert "52 left out: not drawn" in made.notes[0]
        drawn.add(frozenset(by_lang["en"]))
    assert len(drawn) == 3


@pytest.mark.parametrize(
    ("rows", "place", "reason"),
    [
        ([{"query": " "}], "line 2", "'query' is missing"),
        ([{"answer": "\ufeff"}], "line 2", "'passage' is missing"),
        ([{"lang": None}], "line 2", "'language' is missing"),
        ([{"lang": "german"}], "line 2", r"no language code \('german'\)"),
        ([{"qid": None}], "line 2", "'query_id' is missing"),
        ([{"query": ["x"]}], "line 2", "text is wanted"),
        ([{"qid": "0"}], "line 2", r"this query_id stands for another text before \('s/en/0'\)"),
        ([{"pid": "0"}], "line 2", r"this passage_id stands for another text before \('s/en/0'\)"),
        ([{}, {"qid": "1", "query": "other"}], "line 3", "this query_id"),
    ],
)
def test_a_bad_row_is_an_error_or_put_aside_alone(tmp_path, rows, place, reason):
    row = [{"query": f"q{i}", "answer": f"a{i}", "lang": "en", "qid": str(i), "pid": str(i)} for i in range(6)]
    for index, changes in enumerate(rows, start=1):
        row[index] |= changes
    path = write(tmp_path / "rows.jsonl", jsonl(*row))
    columns = {"passage": "answer", "language": "lang", "query_id": "qid", "passage_id": "pid"}
    with pytest.raises(DataError, match=rf"rows\.jsonl: {place}: .*{reason}"):
        read({"": path}, **columns)
    bad = BadRows("quarantine")
    made = read({"": path}, bad, **columns)
    assert bad.table["place"].to_pylist() == [place]
    number = int(place.split()[1]) - 1
    assert pairs(made) == [("en", f"q{i}", f"a{i}") for i in range(6) if i != number]


def test_a_row_put_aside_gives_no_text_of_its_own(tmp_path):
    rows = [
        {"query": "a", "answer": "A", "qid": "1"},
        {"query": "b", "answer": "B", "qid": "1"},  # b is bad, so B stands nowhere
        {"query": "c", "answer": "B", "qid": "2"},
        {"query": "d", "answer": "D", "qid": "3"},
        {"query": "e", "answer": "E", "qid": "3"},
    ]
    path = write(tmp_path / "rows.jsonl", jsonl(*rows))
    bad = BadRows("quarantine")
    made = read({"en": path}, bad, passage="answer", query_id="qid")
    assert pairs(made) == [("en", "a", "A"), ("en", "c", "B"), ("en", "d", "D")]
    assert bad.table["place"].to_pylist() == ["line 2", "line 5"]


def test_what_is_wrong_as_a_whole_is_said_at_once(tmp_path):
    path = write(tmp_path / "a.tsv", "q\tp\n1\t\n")
    cases = [
        ({"files": {"": path}, "query": "q", "passage": "p"}, "no language; give files by language"),
        ({"files": {"german": path}, "query": "q", "passage": "p"}, "'german' is no language code"),
        ({"files": {"de": path}, "query": "question"}, "has no column 'question'; its columns are q, p"),
        ({"files": {"de": tmp_path / "b.tsv"}}, r"b\.tsv is no file; .* holds a\.tsv"),
        (
            {"files": {"de": path}, "query": "q", "passage": "p", "skip_empty": True},
            "no row is left of .*a.tsv .1 rows",
        ),
    ]
    for arguments, message in cases:
        for mode in ("error", "quarantine"):
            with pytest.raises((DataError, SettingsError), match=message):
                read(**arguments, bad=BadRows(mode))


def test_settings_are_read_from_yaml(tmp_path):
    write(tmp_path / "s.yaml", "query: q\npassage: p\nheader: [q, p]\ncodes: {no: nb}\nskip_empty: true\n")
    made = parse(Columns, make_parser(Columns, "", "columns"), ["--config", str(tmp_path / "s.yaml")])
    assert made == Columns(query="q", passage="p", header=["q", "p"], codes={"no": "nb"}, skip_empty=True)


# ids that no change of one byte makes equal
ROWS = [{"qid": c * 3, "query": f"q{c * 3}", "pid": c * 4, "answer": f"a{c * 3}", "lang": "en"} for c in "abcdefgh"]
LINES = [json.dumps(row).encode() for row in ROWS]
TSV = [b"qid\tquery\tpid\tanswer\tlang", *("\t".join(row.values()).encode() for row in ROWS)]
NAMED = {"passage": "answer", "language": "lang", "query_id": "qid", "passage_id": "pid"}
quick = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def check_mutated(path, data, untouched):
    """Every row that still stands there is read, and nothing but an error of the user's comes out."""
    path.write_bytes(data)
    # a changed copy that comes first may take a row's id, and makes the row a bad one rightly
    ids = {index: ROWS[index]["qid"].encode() for index in untouched}
    rows = [ROWS[index] for index in ids if data.count(ids[index]) == LINES[index].count(ids[index])]
    if not rows:
        return
    bad = BadRows("quarantine")
    found = set(pairs(read({"": path}, bad, **NAMED)))
    assert found >= {("en", row["query"], row["answer"]) for row in rows}
    assert set(bad.table["file"].to_pylist()) <= {str(path)}
    if bad.count:
        with pytest.raises(DataError, match=path.name):
            read({"": path}, **NAMED)
    else:
        assert set(pairs(read({"": path}, **NAMED))) == found


@quick
@given(mutated=mutated_lines(LINES))
def test_no_good_row_of_a_damaged_jsonl_file_is_lost(tmp_path, mutated):
    check_mutated(tmp_path / "rows.jsonl", mutated.data, mutated.untouched)


@quick
@given(mutated=mutated_lines(TSV[1:]))
def test_no_good_row_of_a_damaged_tsv_file_is_lost(tmp_path, mutated):
    check_mutated(tmp_path / "rows.tsv", TSV[0] + b"\n" + mutated.data, mutated.untouched)


def parquet(rows):
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


FILES = {
    "jsonl": b"\n".join(LINES), "json": b"[" + b",".join(LINES) + b"]", "tsv": b"\n".join(TSV),
    "csv": b"\n".join(TSV).replace(b"\t", b","), "parquet": parquet(ROWS),
}  # fmt: skip


@pytest.mark.parametrize("ending", FILES)
def test_a_damaged_file_gives_no_other_error(tmp_path, ending):
    data = FILES[ending]

    @settings(quick, max_examples=40)
    @given(mutated=mutated_bytes(data) | mutated_gzip(data))
    def check(mutated):
        packed = ".gz" if mutated[:2] == b"\x1f\x8b" else ""
        path = tmp_path / f"rows.{ending}{packed}"
        path.write_bytes(mutated)
        for mode in ("error", "quarantine"):
            with contextlib.suppress(UserError):
                read({"": path}, BadRows(mode), **NAMED)

    check()


@pytest.mark.parametrize("row", ["null", " null", "[]", "1", '"x"', "{", ""])
def test_a_first_row_that_is_no_object_is_a_bad_row(tmp_path, row):
    path = write(tmp_path / "rows.jsonl", f"{row}\n" + jsonl({"query": "q", "passage": "p"}))
    bad = BadRows("quarantine")
    assert pairs(read({"de": path}, bad)) == [("de", "q", "p")]
    assert bad.table["place"].to_pylist() == (["line 1"] if row else [])
