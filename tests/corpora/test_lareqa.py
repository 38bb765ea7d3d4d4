import bisect
import contextlib
import gzip
import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from mutations import mutated_bytes

from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.lareqa import read_lareqa
from xlstance.errors import DataError, UserError

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "eval"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data/eval (XQuAD-R, MLQA-R)")

# The tables published with LAReQA: candidate sentences; questions and candidate sentences.
XQUAD_SENTENCES = {
    "ar": 1222, "de": 1276, "el": 1234, "en": 1180, "es": 1215, "hi": 1244, "ru": 1219, "th": 852, "tr": 1167,
    "vi": 1209, "zh": 1196,
}  # fmt: skip
MLQA = {
    "ar": (517, 2545), "de": (512, 2362), "en": (1148, 6264), "es": (500, 1787), "hi": (507, 2426), "vi": (511, 2828),
    "zh": (504, 2322),
}  # fmt: skip


def counts(table, column="lang"):
    return table.to_pandas()[column].value_counts().to_dict()


def article(context, sentences, questions, title="T"):
    breaks, end = [], 0
    for sentence in sentences:
        start = context.index(sentence, end)
        end = start + len(sentence)
        breaks.append([start, end])
    qas = [
        {"id": key, "question": f"{key}?", "answers": [{"text": answer, "answer_start": context.index(answer)}]}
        for key, answer in questions.items()
    ]
    paragraph = {"context": context, "sentences": sentences, "sentence_breaks": breaks, "qas": qas}
    return {"title": title, "paragraphs": [paragraph]}


def write(folder, lang, *articles):
    folder.mkdir(exist_ok=True)
    (folder / f"{lang}.json").write_text(json.dumps({"data": articles}, ensure_ascii=False), encoding="utf-8")
    return folder


@pytest.fixture
def world(tmp_path):
    """English has three sentences, German joins the first two of them, and lacks one question."""
    write(
        tmp_path / "set",
        "en",
        article("One red. Two blue. Three.", ["One red.", "Two blue.", "Three."], {"a": "red", "b": "blue"}),
    )
    return write(
        tmp_path / "set",
        "de",
        article("\ufeffEins rot, zwei blau. Drei.", ["\ufeffEins rot, zwei blau.", "Drei."], {"b": "blau"}),
    )


def test_relevant_is_the_sentence_that_holds_the_answer_in_every_language_with_the_question(world):
    benchmark = read_lareqa(world)
    texts = dict(zip(benchmark.passages["passage_id"].to_pylist(), benchmark.passages["text"].to_pylist(), strict=True))
    found = {(row["query_id"], texts[row["passage_id"]]) for row in benchmark.qrels.to_pylist()}
    german = "\ufeffEins rot, zwei blau."  # a byte-order mark counts as a character of the offsets
    assert found == {
        ("en/a", "One red."),
        ("en/b", "Two blue."),
        ("en/b", german),
        ("de/b", "Two blue."),
        ("de/b", german),
    }


def test_groups_do_not_chain_sentences_that_languages_cut_differently(tmp_path):
    folder = write(tmp_path / "s", "en", article("Red. Blue.", ["Red.", "Blue."], {"a": "Red", "b": "Blue"}))
    write(folder, "de", article("Rot, blau.", ["Rot, blau."], {"a": "Rot", "b": "blau"}))
    groups = {row["text"]: row["group_id"] for row in read_lareqa(folder).passages.to_pylist()}
    assert groups == {"Red.": "a", "Blue.": "b", "Rot, blau.": "a"}


def test_a_passage_that_answers_nothing_is_its_own_group(world):
    rows = read_lareqa(world).passages.to_pylist()
    assert [row["group_id"] for row in rows if row["text"] in ("Three.", "Drei.")] == ["de/0-0-1", "en/0-0-2"]


@pytest.mark.parametrize(
    ("passage", "texts", "context"), [("paragraph", 2, 0), ("sentence", 5, 0), ("sentence+context", 5, 5)]
)
def test_what_a_candidate_is(world, passage, texts, context):
    passages = read_lareqa(world, passage=passage).passages
    assert (passages.num_rows, passages.num_rows - passages["context"].null_count) == (texts, context)


def test_limit_takes_the_first_ids_and_leaves_the_pools_whole(world):
    benchmark = read_lareqa(world, limit=1)
    assert benchmark.queries["query_id"].to_pylist() == ["en/a"]
    assert benchmark.passages.num_rows == 5
    assert read_lareqa(world).passages == benchmark.passages


def test_a_language_that_is_left_out_is_relevant_nowhere(world):
    assert read_lareqa(world, languages=["en"]).qrels.num_rows == 2


def broken(**changes):
    item = article("Red. Blue.", ["Red.", "Blue."], {"a": "Red"})
    paragraph = item["paragraphs"][0]
    answers = changes.pop("answers", None)
    paragraph.update(changes)
    if answers is not None:
        paragraph["qas"][0]["answers"] = answers
    return item


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (broken(context=""), "paragraph 0: empty context"),
        (broken(sentences=["Red."]), "1 sentences but 2 sentence_breaks"),
        (broken(sentences=["Red.", " "]), "sentence 1 is empty"),
        (broken(sentence_breaks=[[0, 4], [5, 99]]), "outside the context of 10"),
        (broken(sentence_breaks=[[0, 4], "x"]), r"give \[start, end\)"),
        (broken(sentence_breaks=[[1, 4], [5, 10]]), r"question 0 \(a\): answer_start 0 lies in 0 sentences"),
        (broken(answers=[{"text": "Green", "answer_start": 0}]), "'Green' does not stand at character 0"),
        (broken(answers=[]), "no answer"),
        (broken(qas=None), "'qas' is missing"),
    ],
)
def test_a_broken_paragraph_is_named(tmp_path, item, message):
    with pytest.raises(DataError, match=message) as error:
        read_lareqa(write(tmp_path / "s", "en", item))
    assert "en.json: article 0" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "place", "left"),
    [
        (lambda item: item["qas"][0].update(answers=[]), "article 1, paragraph 0, question 0 (b)", {"a", "c"}),
        (lambda item: item["qas"][0].update(id="a"), "article 1, paragraph 0, question 0", {"a", "c"}),
        (lambda item: item["qas"][0].update(question="\ud800"), "article 1, paragraph 0, question 0", {"a", "c"}),
        (lambda item: item.update(sentence_breaks=[]), "article 1, paragraph 0", {"a"}),
        (lambda item: item.update(qas=None), "article 1, paragraph 0", {"a"}),
        (lambda item: item.update(context="\ud800"), "article 1, paragraph 0", {"a"}),
    ],
)
def test_what_is_bad_is_put_aside_and_the_others_read(tmp_path, change, place, left):
    second = article("Blue. Green.", ["Blue.", "Green."], {"b": "Blue", "c": "Green"})
    change(second["paragraphs"][0])
    (tmp_path / "en.json").write_text(json.dumps({"data": [article("Red.", ["Red."], {"a": "Red"}), second]}))
    bad = BadRows("quarantine")
    made = read_lareqa(tmp_path, bad=bad)
    assert set(made.queries["group_id"].to_pylist()) == left
    assert bad.table["place"].to_pylist() == [place]
    with pytest.raises(DataError, match=re.escape(f"en.json: {place}: ")):
        read_lareqa(tmp_path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=mutated_bytes(json.dumps({"data": [article("Red. Blue.", ["Red.", "Blue."], {"a": "Red"})]}).encode()))
def test_a_damaged_file_gives_no_other_error(tmp_path, data):
    (tmp_path / "en.json").write_bytes(data)
    for mode in ("error", "quarantine"):
        with contextlib.suppress(UserError):
            read_lareqa(tmp_path, bad=BadRows(mode))


def test_an_id_that_stands_twice_is_refused(tmp_path):
    item = article("Red.", ["Red."], {"a": "Red"})
    with pytest.raises(DataError, match="article 1, paragraph 0, question 0: the id 'a' stands twice"):
        read_lareqa(write(tmp_path / "s", "en", item, item))


def test_broken_files_are_named(tmp_path):
    whole = gzip.compress(json.dumps({"data": []}).encode())
    for content, message in [
        (whole[:-6], "cut off"),
        (b"plain", "cut off or broken"),
        (gzip.compress(b'{"data":\n [}'), "line 2, column 3"),
        (gzip.compress(b'{"data":\n "\xff"}'), "line 2: byte 11 is not UTF-8"),
        (gzip.compress(b"[]"), "'data' is missing"),
        (whole, "no question"),
    ]:
        (tmp_path / "en.json.gz").write_bytes(content)
        with pytest.raises(DataError, match=message):
            read_lareqa(tmp_path)


def test_what_is_missing_is_said_with_what_is_there(world):
    with pytest.raises(DataError, match=r"no fr\.json\(\.gz\).*holds de\.json, en\.json"):
        read_lareqa(world, languages=["en", "fr"])
    with pytest.raises(DataError, match="holds set"):
        read_lareqa(world.parent / "nowhere")


@needs_data
def test_xquad_r_has_its_published_counts():
    benchmark = read_lareqa(DATA / "xquad_r")
    assert counts(benchmark.passages) == XQUAD_SENTENCES
    assert counts(benchmark.queries) == dict.fromkeys(XQUAD_SENTENCES, 1190)
    assert set(counts(benchmark.qrels, "query_id").values()) == {11}
    assert len(set(benchmark.passages["title"].to_pylist())) == 48
    assert read_lareqa(DATA / "xquad_r", passage="paragraph").passages.num_rows == 240 * 11


@needs_data
def test_mlqa_r_has_its_published_counts_and_answers_where_an_independent_reading_finds_them():
    benchmark = read_lareqa(DATA / "mlqa_r")
    assert counts(benchmark.queries) == {lang: count for lang, (count, _) in MLQA.items()}
    assert counts(benchmark.passages) == {lang: count for lang, (_, count) in MLQA.items()}
    pairs = [(row["query_id"].split("/"), row["passage_id"].split("/")[0]) for row in benchmark.qrels.to_pylist()]
    assert sum(query[0] == "ar" and lang == "de" for query, lang in pairs) == 207
    languages = {}
    for (_, question), lang in pairs:
        languages.setdefault(question, set()).add(lang)
    sizes = [len(found) for found in languages.values()]
    assert [sizes.count(size) for size in (4, 3, 2)] == [820, 263, 65]

    texts = dict(zip(benchmark.passages["passage_id"].to_pylist(), benchmark.passages["text"].to_pylist(), strict=True))
    found = {
        row["query_id"]: texts[row["passage_id"]]
        for row in benchmark.qrels.to_pylist()
        if row["passage_id"][:2] == row["query_id"][:2]
    }
    for lang in ("en", "zh"):
        for item in json.loads(gzip.decompress((DATA / "mlqa_r" / f"{lang}.json.gz").read_bytes()))["data"]:
            for paragraph in item["paragraphs"]:
                ends = [end for _, end in paragraph["sentence_breaks"]]
                for question in paragraph["qas"]:
                    index = bisect.bisect_right(ends, question["answers"][0]["answer_start"])
                    assert found[f"{lang}/{question['id']}"] == paragraph["sentences"][index]


@needs_data
def test_a_group_of_real_sentences_has_one_of_each_language_at_most():
    passages = read_lareqa(DATA / "xquad_r").passages.to_pandas()
    assert passages.groupby(["group_id", "lang"]).size().max() == 1
    assert passages.groupby("group_id").size().max() == 11
