import gzip
import json

import pytest
from hypothesis import HealthCheck, given, settings
from mutations import mutated_lines

from xlstance.collection import collect_benchmark, collect_training
from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.xstance import read_xstance
from xlstance.errors import DataError, SettingsError


def comment(identity, question, lang="de", **changes):
    return {
        "id": identity, "language": lang, "question_id": question, "question": "?", "comment": f"comment {identity}",
        "label": "AGAINST", "numerical_label": 0, "author": "8aa829c3b86f", "topic": "Welfare", **changes,
    }  # fmt: skip


def jsonl(*rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


COMMENTS = [comment(20, 1), comment(21, 1, "fr", label="FAVOR"), comment(22, 2, "it", test_set="new_comments_it")]


@pytest.fixture
def folder(tmp_path):
    for lang in ("de", "en", "fr", "it"):
        key = "ID" if lang == "en" else "id"  # both spellings are about
        questions = [{key: i, "text": f"question {i} in {lang}", "topic": "Welfare"} for i in (1, 2, 3)]
        (tmp_path / f"questions.{lang}.jsonl").write_bytes(jsonl(*questions[: 1 if lang == "it" else 3]))
    (tmp_path / "test.jsonl").write_bytes(jsonl(*COMMENTS))
    (tmp_path / "train.jsonl.gz").write_bytes(gzip.compress(jsonl(comment(5, 3))))
    return tmp_path


def read(folder, split="test", bad=None):
    return collect_benchmark(read_xstance(folder, split=split, name="xs", bad=BadRows() if bad is None else bad))


def test_a_question_in_every_language_finds_every_comment_on_it(folder):
    made = read(folder)
    assert made.passages.select(["passage_id", "lang", "text", "group_id"]).to_pylist() == [
        {"passage_id": f"xs/{i}", "lang": lang, "text": f"comment {i}", "group_id": f"xs/{i}"}
        for i, lang in ((20, "de"), (21, "fr"), (22, "it"))
    ]
    queries = {row["query_id"]: row for row in made.queries.to_pylist()}
    assert sorted(queries) == [*("xs/de/1", "xs/de/2", "xs/en/1", "xs/en/2"), *("xs/fr/1", "xs/fr/2", "xs/it/1")]
    assert queries["xs/en/2"] == {
        "query_id": "xs/en/2", "lang": "en", "text": "question 2 in en", "group_id": "xs/2",
    }  # fmt: skip
    qrels = {(row["query_id"], row["passage_id"]) for row in made.qrels.to_pylist()}
    first = {(f"xs/{lang}/1", f"xs/{i}") for lang in ("de", "en", "fr", "it") for i in (20, 21)}
    assert qrels == first | {(f"xs/{lang}/2", "xs/22") for lang in ("de", "en", "fr")}
    assert made.qrels.num_rows == len(qrels)
    assert set(made.qrels["gain"].to_pylist()) == {1}
    assert made.notes == ("xs: 3 comments, 7 questions (2 in de, en, fr, it); 1 others have no comment here",)


def test_the_same_as_training_pairs_and_from_gzip(folder):
    stream = read_xstance(folder, split="train", name="xs", bad=BadRows())
    made = collect_training(stream, "xs")
    assert made.pairs["pair_id"].to_pylist() == ["xs/de/3>xs/5", "xs/en/3>xs/5", "xs/fr/3>xs/5"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"label": "NONE"}, r"the label is neither FAVOR nor AGAINST \('NONE'\)"),
        ({"language": "german"}, r"no language code \('german'\)"),
        ({"comment": " "}, "'comment' is missing"),
        ({"question_id": 9}, r"the question stands in no file of questions \(9\)"),
        ({"question_id": None}, "'question_id' is missing"),
        ({"id": 20}, r"this id stands twice \(20\)"),
        ({"id": "x"}, "this is no row as wanted here"),
    ],
)
def test_a_bad_comment_is_an_error_or_put_aside_alone(folder, changes, reason):
    whole = read(folder)
    rows = [COMMENTS[0], comment(30, 1) | changes, *COMMENTS[1:]]
    (folder / "test.jsonl").write_bytes(jsonl(*rows))
    with pytest.raises(DataError, match=rf"test\.jsonl: line 2: {reason}"):
        read(folder)
    bad = BadRows("quarantine")
    made = read(folder, bad=bad)
    assert (made.passages, made.queries) == (whole.passages, whole.queries)
    assert made.qrels == whole.qrels
    assert bad.table["place"].to_pylist() == ["line 2"]


def test_a_bad_question_is_put_aside_alone(folder):
    rows = [{"id": 1, "text": "first"}, {"text": "no id"}, {"id": 2, "text": ""}, {"id": 1, "text": "again"}]
    (folder / "questions.de.jsonl").write_bytes(jsonl(*rows))
    with pytest.raises(DataError, match=r"questions\.de\.jsonl: line [23]: '(id|text)' is missing"):
        read(folder)
    bad = BadRows("quarantine")
    made = read(folder, bad=bad)
    assert [row["text"] for row in made.queries.to_pylist() if row["lang"] == "de"] == ["first"]
    assert sorted(bad.table["place"].to_pylist()) == ["line 2", "line 3", "line 4"]


def test_what_is_missing_is_said_with_what_is_there(folder, tmp_path):
    with pytest.raises(SettingsError, match="split is 'dev'; X-Stance has train, valid, test"):
        read(folder, "dev")
    with pytest.raises(DataError, match=r"has no valid\.jsonl; .* holds questions\.de\.jsonl"):
        read(folder, "valid")
    with pytest.raises(DataError, match="no folder"):
        read(tmp_path / "nowhere")
    (folder / "test.jsonl").write_bytes(b"{}\n")
    with pytest.raises(DataError, match="no comment is left"):
        read(folder, bad=BadRows("quarantine"))
    for path in folder.glob("questions.*"):
        path.unlink()
    with pytest.raises(DataError, match=r"has no questions\.\{lang\}\.jsonl with a question"):
        read(folder)


ROWS = [comment(100 * i + i, 1) for i in range(1, 8)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mutated=mutated_lines([json.dumps(row).encode() for row in ROWS]))
def test_no_good_comment_of_a_damaged_file_is_lost(folder, mutated):
    (folder / "test.jsonl").write_bytes(mutated.data)
    whole = {ROWS[index]["comment"] for index in mutated.untouched}
    # a changed copy that comes first may take a row's id, and makes the row a bad one rightly
    whole = {text for text in whole if mutated.data.count(text.encode()) == 1}
    if whole:
        assert whole <= set(read(folder, bad=BadRows("quarantine")).passages["text"].to_pylist())
