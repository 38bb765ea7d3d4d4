"""SQuAD's own JSON, its columns as Parquet and JSON lines, and rows that are put aside."""

import contextlib
import copy
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from mutations import mutated_bytes, mutated_gzip, mutated_lines

from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.squad import SquadSettings, read_squad
from xlstance.errors import DataError, UserError

CONTEXT = "\ufeffA red cat. It sleeps."


def question(identity, *answers, **more):
    found = [{"text": text, "answer_start": CONTEXT.find(text)} for text in answers]
    return {"id": identity, "question": f"{identity}?", "answers": found, **more}


def squad(*questions, context=CONTEXT, version="1.1"):
    return {"version": version, "data": [{"title": "T", "paragraphs": [{"context": context, "qas": list(questions)}]}]}


def write(path, content):
    data = json.dumps(content).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def jsonl(path, *rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def read(path, bad=None, **choice):
    return read_squad({"en": path}, name="s", settings=SquadSettings(**choice), bad=bad)


def told(made):
    texts = dict(zip(made.passages["passage_id"].to_pylist(), made.passages["text"].to_pylist(), strict=True))
    ids = (row["query_id"].split("/")[-1] for row in made.pairs.to_pylist())
    return dict(zip(ids, (texts[row["passage_id"]] for row in made.pairs.to_pylist()), strict=True))


@pytest.mark.parametrize("name", ["dev-v1.1.json", "dev.json.gz"])
def test_the_first_version_and_a_mark_that_belongs_to_the_offsets(tmp_path, name):
    path = write(tmp_path / name, squad(question("a", "cat", "red cat"), question("b", "sleeps")))
    assert told(read(path, passage="sentence")) == {"a": "\ufeffA red cat.", "b": "It sleeps."}
    assert told(read(path)) == {"a": CONTEXT, "b": CONTEXT}
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes() if name.endswith("json") else path.read_bytes())
    assert told(read(path)) == {"a": CONTEXT, "b": CONTEXT}


def test_the_second_version_has_questions_without_an_answer(tmp_path):
    possible, impossible = {"is_impossible": False}, {"is_impossible": True, "plausible_answers": [{"text": "x"}]}
    rows = [question("a", "cat", **possible), question("b", **impossible), question("c", "", "sleeps", **possible)]
    path = write(tmp_path / "dev-v2.0.json", squad(*rows, version="v2.0"))
    assert list(told(read(path))) == ["a", "b", "c"]
    assert list(told(read(path, answerable_only=True))) == ["a", "c"]
    assert told(read(path, passage="sentence"))["c"] == "It sleeps."  # of several answers the first with a text
    with pytest.raises(DataError, match="has no column 'split'"):
        read(path, split="dev")


def test_ids_that_are_numbers_are_texts(tmp_path):
    assert list(told(read(write(tmp_path / "en.json", squad(question(7, "cat")))))) == ["7"]


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_columns_with_answers_as_lists(tmp_path, ending):
    answers = {"a": {"text": ["cat", "x"], "answer_start": [7, 0]}, "b": {"text": [], "answer_start": []}}
    rows = [
        {"id": identity, "title": "T", "context": CONTEXT, "question": "?", "answers": found}
        for identity, found in answers.items()
    ]
    path = tmp_path / f"train.{ending}"
    if ending == "jsonl":
        jsonl(path, *rows)
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    assert told(read(path)) == {"a": CONTEXT, "b": CONTEXT}
    assert told(read(path, passage="sentence")) == {"a": "\ufeffA red cat."}


def test_json_lines_with_flat_columns_of_which_a_line_may_lack_some(tmp_path):
    rows = [
        {"id": "a", "question": "a?", "context": CONTEXT, "answer_text": "cat", "answer_start": 7, "split": "dev-v1"},
        {"id": "b", "question": "b?", "context": CONTEXT, "lang": "en"},
        {"id": "c", "question": "c?", "context": CONTEXT, "lang": "de"},
    ]
    path = jsonl(tmp_path / "en.jsonl", *rows[:1])
    made = read(path, split="dev")
    assert told(made) == {"a": CONTEXT}
    assert "no column xquad_paragraph" in made.notes[0]
    bad = BadRows("quarantine")
    assert list(told(read(jsonl(path, rows[0] | {"lang": "en"}, *rows[1:]), bad))) == ["a", "b"]
    assert bad.table.to_pylist()[0]["place"] == "line 3"
    assert "the language is not 'en' as the settings say ('de')" in bad.table.to_pylist()[0]["reason"]


GOOD = [question("a", "cat"), question("z", "sleeps")]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (question("b", "dog"), None),  # not found: -1, so no span
        (
            question("b") | {"answers": [{"text": "cat", "answer_start": 6}]},
            "the answer does not stand at answer_start",
        ),
        (question("b") | {"question": "\ud800"}, ".*surrogates not allowed"),
        (question("b") | {"answers": [{"text": "cat", "answer_start": 600}]}, "the answer does not stand"),
        (question("b") | {"answers": [{"text": "cat", "answer_start": 10**30}]}, "'answers' is no list"),
        (question("b") | {"answers": [{"text": "cat"}]}, "'answers' is no list"),
        (question("b") | {"answers": "cat"}, "'answers' is no list"),
        (question("b") | {"is_impossible": "no"}, "'is_impossible' is neither true nor false"),
        (question("b") | {"question": " \ufeff"}, "empty 'question'"),
        (question("a"), r"this id stands twice; ids are unique within a file \('a'\)"),
        (question(""), "empty 'id'"),
        (question(None), "'id' or 'question' is missing"),
        ("b", "a question is an object"),
    ],
)
def test_a_bad_question_is_an_error_or_put_aside_alone(tmp_path, row, reason):
    path = write(tmp_path / "en.json", squad(GOOD[0], row, GOOD[1]))
    if reason is None:
        assert list(told(read(path))) == ["a", "b", "z"]
        return
    with pytest.raises(DataError, match=rf"en\.json: article 0, paragraph 0, question 1: {reason}"):
        read(path)
    bad = BadRows("quarantine")
    assert list(told(read(path, bad))) == ["a", "z"]
    assert bad.table["place"].to_pylist() == ["article 0, paragraph 0, question 1"]


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda data: data[0].pop("paragraphs"), "article 0"),
        (lambda data: data.insert(0, None), "article 0"),
        (lambda data: data[0]["paragraphs"].__setitem__(0, 5), "article 0, paragraph 0"),
        (lambda data: data[0]["paragraphs"][0].pop("context"), "article 0, paragraph 0"),
        (lambda data: data[0]["paragraphs"][0].__setitem__("qas", {}), "article 0, paragraph 0"),
    ],
)
def test_a_broken_part_is_put_aside_and_the_others_are_read(tmp_path, change, place):
    content = squad(GOOD[0])
    content["data"].append(copy.deepcopy(squad(GOOD[1])["data"][0]))
    change(content["data"])
    path = write(tmp_path / "en.json", content)
    with pytest.raises(DataError, match=rf"en\.json: {place}: "):
        read(path)
    bad = BadRows("quarantine")
    assert "z" in told(read(path, bad))
    assert bad.table["place"].to_pylist() == [place]


def test_a_bad_row_of_parquet_is_put_aside_alone(tmp_path):
    rows = [
        {"id": identity, "question": "?", "context": CONTEXT, "answer_text": text, "answer_start": 7, "lang": lang}
        for identity, text, lang in (("a", "cat", "en"), ("b", "dog", "en"), ("c", "cat", "fi"), ("d", "cat", "en"))
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "en.parquet")
    bad = BadRows("quarantine")
    assert list(told(read(tmp_path / "en.parquet", bad))) == ["a", "d"]
    assert sorted(bad.table["place"].to_pylist()) == ["row 1", "row 2"]
    assert json.loads(bad.table["content"].to_pylist()[0])["id"] == "c"


def test_what_is_wrong_as_a_whole_is_said_at_once(tmp_path):
    cases = {
        "list.json": (b"[]", "has no list 'data'"),
        "no.json": (b"{", "this is not JSON"),
        "deep.json": (b"[" * 100_000, "this is not JSON"),
        "empty.json": (b'{"data": []}', "no row is left of 0"),
        "cut.json.gz": (gzip.compress(b"{}")[:-4], "cut off"),
        "rows.tsv": (b"id\n", "its name tells no format of SQuAD's"),
        "rows.jsonl": (b"", "no row is left of 0"),
    }
    for name, (data, message) in cases.items():
        (tmp_path / name).write_bytes(data)
        for mode in ("error", "quarantine"):
            with pytest.raises(DataError, match=message):
                read(tmp_path / name, BadRows(mode))


ROWS = [{"id": c * 3, "question": "?", "context": CONTEXT, "answer_text": "cat", "answer_start": 7} for c in "abcdef"]
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(mutated=mutated_lines([json.dumps(row).encode() for row in ROWS]))
def test_no_good_row_of_a_damaged_file_is_lost(tmp_path, mutated):
    (tmp_path / "rows.jsonl").write_bytes(mutated.data)
    whole = {ROWS[index]["id"] for index in mutated.untouched}
    whole = {identity for identity in whole if mutated.data.count(identity.encode()) == 1}
    if whole:
        assert whole <= set(told(read(tmp_path / "rows.jsonl", BadRows("quarantine"))))


JSON = json.dumps(squad(*GOOD, question("b", "red"), version="v2.0"), indent=1).encode()


@quick
@given(data=mutated_bytes(JSON) | mutated_gzip(JSON))
def test_a_damaged_json_file_gives_no_other_error(tmp_path, data):
    path = tmp_path / f"rows.json{'.gz' if data[:2] == bytes([31, 139]) else ''}"
    path.write_bytes(data)
    for mode in ("error", "quarantine"):
        with contextlib.suppress(UserError):
            read(path, BadRows(mode))
