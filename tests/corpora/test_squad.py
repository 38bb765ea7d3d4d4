from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xlstance.corpora.sentences import sentence_at
from xlstance.corpora.squad import SquadSettings, read_squad, read_squad_benchmark
from xlstance.errors import DataError

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "train"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data/train (SQuAD, native QA)")


def row(identity, context, answer="", lang="en", split="train-v1.1", impossible=None, xquad=False):
    start = context.index(answer) if answer else -1
    return {
        "id": identity, "question": f"{identity} in {lang}?", "context": context, "answer_text": answer,
        "answer_start": start, "title": "T", "lang": lang, "split": split, "is_impossible": impossible,
        "xquad_paragraph": xquad,
    }  # fmt: skip


def write(path, rows, **changes):
    table = pa.Table.from_pylist([{**item, **changes} for item in rows])
    pq.write_table(table, path)
    return path


ENGLISH = [
    row("a", "A red cat. It sleeps.", "cat", impossible=False),
    row("b", "A red cat. It sleeps.", "sleeps", impossible=False),
    row("c", "A dog.", impossible=True),
    row("d", "A bird.", "bird", split="dev-v1.1", impossible=False),
    row("e", "A fish.", "fish", xquad=True, impossible=False),
    row("f", "A horse.", "horse", xquad=None, impossible=False),
]
FINNISH = [
    row("a", "Punainen kissa.", lang="fi"),
    row("b", "Se nukkuu.", lang="fi"),  # the translator split the paragraph
    row("c", "Koira.", lang="fi"),
]


@pytest.fixture
def files(tmp_path):
    return {"en": write(tmp_path / "en.parquet", ENGLISH), "fi": write(tmp_path / "fi.parquet", FINNISH)}


def read(files, **settings):
    return read_squad(files, name="qa", settings=SquadSettings(**settings))


def ids(training_set):
    return [identity.removeprefix("qa/") for identity in training_set.queries["query_id"].to_pylist()]


def test_pairs_are_monolingual_and_a_paragraph_stands_once(files):
    made = read(files, split="train")
    assert ids(made) == ["en/a", "en/b", "en/c", "fi/a", "fi/b", "fi/c"]
    passages = {item["passage_id"]: item for item in made.passages.to_pylist()}
    assert len(passages) == 5
    for pair, query in zip(made.pairs.to_pylist(), made.queries.to_pylist(), strict=True):
        assert pair["query_id"] == query["query_id"]
        assert passages[pair["passage_id"]]["lang"] == query["lang"]
        assert query["group_id"] == "qa/" + query["query_id"].split("/")[2]
        assert pair["source"] == "qa"


def test_paragraphs_that_share_questions_are_one_group_over_any_number_of_steps(files):
    groups = {item["text"]: item["group_id"] for item in read(files, split="train").passages.to_pylist()}
    assert groups == {
        "A red cat. It sleeps.": "qa/a", "Punainen kissa.": "qa/a", "Se nukkuu.": "qa/a",
        "A dog.": "qa/c", "Koira.": "qa/c",
    }  # fmt: skip


def test_what_is_left_out_is_counted(files):
    made = read({"en": files["en"]}, split="train", passage="sentence", answerable_only=True)
    assert ids(made) == ["en/a", "en/b"]
    assert made.passages["text"].to_pylist() == ["A red cat.", "It sleeps."]
    (note,) = made.notes
    assert note.startswith(
        "en: 2 of 6 questions used; 1 left out: not of split train; 2 left out: of an XQuAD paragraph"
    )
    assert "1 left out: not known to be answerable" in note
    assert "2 of those used are not known to have an answer" not in note
    assert "3 of those used are not known to have an answer" in read({"fi": files["fi"]}).notes[0]


def test_xquad_paragraphs_can_be_kept_and_a_missing_column_is_noted(files, tmp_path):
    assert ids(read({"en": files["en"]}, exclude_xquad=False, split="train"))[-2:] == ["en/e", "en/f"]
    bare = pq.read_table(files["en"]).drop_columns(["xquad_paragraph", "split", "is_impossible"])
    pq.write_table(bare, tmp_path / "bare.parquet")
    made = read({"en": tmp_path / "bare.parquet"})
    assert len(ids(made)) == 6
    assert "no column xquad_paragraph" in made.notes[0]
    with pytest.raises(DataError, match="no column 'split'"):
        read({"en": tmp_path / "bare.parquet"}, split="train")


def test_limit_draws_parallel_ids_the_same_in_every_language_and_leaves_groups_as_they_are(files):
    drawn = {seed: read_squad(files, name="qa", settings=SquadSettings(limit=2), seed=seed) for seed in range(8)}
    for made in drawn.values():
        chosen = {identity.split("/")[1] for identity in ids(made)}
        assert len(chosen) == 2
        assert chosen < {"a", "b", "c"}  # d stands in English only
        assert sorted(ids(made)) == sorted(f"{lang}/{i}" for i in chosen for lang in ("en", "fi"))
        assert set(made.passages["group_id"].to_pylist()) <= {"qa/a", "qa/c"}
    assert len({tuple(ids(made)) for made in drawn.values()}) > 1
    assert read(files, limit=2).pairs == read(files, limit=2).pairs


def test_a_sentence_with_its_paragraph(files):
    passages = read({"en": files["en"]}, split="train", passage="sentence+context").passages
    assert passages["text"].to_pylist() == ["A red cat.", "It sleeps."]
    assert set(passages["context"].to_pylist()) == {"A red cat. It sleeps."}


def test_an_empty_answer_is_no_span(tmp_path):
    rows = [row("a", "X. Y.", "Y"), row("b", "X. Y.") | {"answer_start": 3}]
    made = read({"en": write(tmp_path / "en.parquet", rows)}, passage="sentence")
    assert ids(made) == ["en/a"]


def test_benchmark_counts_the_passage_in_every_language(files):
    made = read_squad_benchmark(files, name="dev", settings=SquadSettings(split="train"))
    texts = dict(zip(made.passages["passage_id"].to_pylist(), made.passages["text"].to_pylist(), strict=True))
    relevant = {(item["query_id"], texts[item["passage_id"]]) for item in made.qrels.to_pylist()}
    assert {text for query, text in relevant if query == "dev/fi/b"} == {"Se nukkuu.", "A red cat. It sleeps."}
    assert made.qrels.num_rows == 12


@pytest.mark.parametrize(
    ("text", "start", "sentence"),
    [
        ("One. Two! Three", 5, "Two!"),
        ("One. Two! Three", 12, "Three"),
        ("He said 3.5 apples. Done.", 12, "He said 3.5 apples."),
        ("他来了。她走了。", 4, "她走了。"),
        ("वह आया। वह गया।", 8, "वह गया।"),
        ("First\nline. Next", 1, "First\nline."),
    ],
)
def test_the_sentence_of_an_offset(text, start, sentence):
    assert sentence_at(text, start) == sentence


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row("a", "X."), row("a", "Y.")], r"row 1: this id stands twice.*'a'"),
        ([row("a", "X."), row("b", " ")], "row 1: empty 'context'"),
        ([row("a", "X.") | {"question": None}], "row 0: empty 'question'"),
        ([row("a", "X.", lang="fi")], "row 0: the language is not 'en'"),
        (
            [row("a", "X.") | {"answer_text": "Y", "answer_start": 1}],
            "row 0: the answer does not stand at answer_start",
        ),
        ([row("a", "X.", split="dev")], "no split 'train'; its splits are dev"),
        ([row("a", "X.", xquad=True)], "no row is left of 1 .*XQuAD"),
    ],
)
def test_a_broken_row_is_named(tmp_path, rows, message):
    with pytest.raises(DataError, match=message) as error:
        read({"en": write(tmp_path / "en.parquet", rows)}, split="train")
    assert "en.parquet" in str(error.value)


def test_broken_and_missing_files_are_named(files, tmp_path):
    whole = files["en"].read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[:-9])
    with pytest.raises(DataError, match=r"cut\.parquet is no readable Parquet"):
        read({"en": tmp_path / "cut.parquet"})
    with pytest.raises(DataError, match=r"de\.parquet is no file; .*holds cut\.parquet, en\.parquet, fi\.parquet"):
        read({"de": tmp_path / "de.parquet"})
    pq.write_table(pq.read_table(files["en"]).drop_columns(["context"]), tmp_path / "less.parquet")
    with pytest.raises(DataError, match="no column 'context'; its columns are id, question"):
        read({"en": tmp_path / "less.parquet"})


@needs_data
def test_real_development_sets_have_their_documented_counts():
    squad = {lang: DATA / "squad" / f"{lang}.parquet" for lang in ("en", "es", "it")}
    settings = SquadSettings(split="dev+test", answerable_only=True)
    made = read_squad_benchmark(squad, name="dev", settings=settings)
    assert made.queries.to_pandas()["lang"].value_counts().to_dict() == {"en": 9380, "es": 5851, "it": 6117}


@needs_data
@pytest.mark.parametrize(("file", "count"), [("zh-Hant_drcd", 7017), ("ar_arcd", 1389), ("ko_tydiqa_goldp", 1901)])
def test_native_sets_load_with_their_sentences(file, count):
    path = DATA / "native_qa" / f"{file.lower()}.parquet"
    made = read_squad({file.split("_")[0]: path}, name="n", settings=SquadSettings(passage="sentence"))
    assert made.pairs.num_rows == count
