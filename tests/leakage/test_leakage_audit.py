import pytest

from xlstance.errors import DataError
from xlstance.leakage import index as index_module
from xlstance.leakage.audit import audit_rows, count_rows, summarise
from xlstance.leakage.index import EvaluationSet, build_index
from xlstance.storage import Folder
from xlstance.tables import SCHEMAS, make_table

ID = "56be4db0acb8001400a502e"  # and one more digit
QUESTION = "In which year did the old harbour of Turku burn down?"
# Twenty-one words, so fourteen 8-grams.
SENTENCE = (
    "The fire, which began at night in a merchant house near the quay, "
    "destroyed warehouses along the banks of the river."
)
OTHER = "Nothing of the kind was ever reported from the northern islands by those who lived there in winter."


def table(kind, column, rows):
    """Rows of (id, text, group id, language, context)."""
    filled = [(row[0], row[1], *row[2:], *(None,) * (5 - len(row))) for row in rows]
    columns = {
        f"{column}_id": [row[0] for row in filled],
        "text": [row[1] for row in filled],
        "group_id": [row[2] or row[0] for row in filled],
        "lang": [row[3] or "en" for row in filled],
    }
    if column == "passage":
        columns["context"] = [row[4] for row in filled]
    return make_table(kind, columns)


def evaluation(name, queries=(), passages=()):
    return EvaluationSet(
        name=name,
        queries=[table("queries", "query", queries)] if queries else [],
        passages=[table("passages", "passage", passages)] if passages else [],
    )


@pytest.fixture
def index(tmp_path):
    sets = [
        evaluation(
            "bench",
            [(f"en/{ID}0", QUESTION, f"{ID}0"), ("en/short", "Who helped them?")],
            [("en/0-0", SENTENCE), ("en/0-1", "Thank you."), ("th/0-0", "ยิ่งไปกว่านั้น"), ("en/0-2", "***")],
        ),
        evaluation("second", [("q", "WHO HELPED THEM")]),
    ]
    return build_index(Folder(tmp_path / "index"), sets, "stamp")


def audit(index, *rows):
    """Findings for pairs of (query, passage), each (id, text, group id, language, context) or a text alone."""
    named = [
        tuple((f"train/{'qp'[side]}{number}", part) if isinstance(part, str) else part for side, part in enumerate(row))
        for number, row in enumerate(rows)
    ]
    queries = {query[0]: query for query, _ in named}
    passages = {passage[0]: passage for _, passage in named}
    found = audit_rows(
        make_table(
            "pairs",
            {
                "pair_id": [str(number) for number in range(len(rows))],
                "query_id": [query[0] for query, _ in named],
                "passage_id": [passage[0] for _, passage in named],
                "source": ["train"] * len(rows),
            },
        ),
        table("queries", "query", queries.values()),
        table("passages", "passage", passages.values()),
        index,
    )
    assert found.schema == SCHEMAS["leaks"]
    return found.to_pylist()


def rules(found, pair=None):
    return {
        (row["benchmark"], row["rule"], row["leak"]) for row in found if pair is None or row["pair_id"] == str(pair)
    }


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize(
    ("text", "rule", "leak"),
    [
        (QUESTION, "question-exact", True),
        (QUESTION.upper().replace("?", " ... "), "question-normalised", True),
        (QUESTION.replace("Turku", "Pori"), "near", False),
        (QUESTION.replace("old ", ""), "near", False),
        (QUESTION.replace("Turku", "Pori").replace("old ", ""), None, None),
        ("Thank you.", "passage-exact", False),
        ("thank you!", "passage-normalised", False),
        ("ยิ่งไปกว่านั้น", "passage-exact", False),
        (OTHER, None, None),
        ("...", None, None),
    ],
)
def test_a_whole_text_of_either_side(index, side, text, rule, leak):
    row = [OTHER, OTHER]
    row[side] = text
    assert rules(audit(index, row)) == ({("bench", rule, leak)} if rule else set())


def test_an_evaluation_sentence_as_a_whole_is_found_by_two_rules(index):
    assert rules(audit(index, (OTHER, SENTENCE))) == {("bench", "passage-exact", True), ("bench", "ngrams", True)}


def test_a_sentence_with_a_word_changed_is_warned_of_whatever_its_grams_say(index):
    found = audit(index, (OTHER, SENTENCE.replace("merchant house", "merchant ship")))  # six of its grams are left
    assert rules(found) == {("bench", "near", False), ("bench", "ngrams", False)}
    found = audit(index, (OTHER, SENTENCE.replace("fire", "blaze")))
    assert rules(found) == {("bench", "near", False), ("bench", "ngrams", True)}


@pytest.mark.parametrize(("words", "share", "leak"), [(7, 0, None), (8, 1, False), (13, 6, False), (14, 7, True)])
def test_half_of_a_sentences_grams_make_a_leak(index, words, share, leak):
    part = " ".join(SENTENCE.split()[:words])
    found = audit(index, (OTHER, f"{OTHER} {part.upper()}; {OTHER}"))
    assert [(row["rule"], row["leak"], row["evaluation_id"]) for row in found] == (
        [("ngrams", leak, "en/0-0")] if share else []
    )
    assert [row["share"] for row in found] == pytest.approx([share / 14] if share else [])


def test_a_gram_counts_once_however_often_it_stands(index):
    part = " ".join(SENTENCE.split()[:8])
    assert [row["share"] for row in audit(index, (OTHER, f"{part}. {part}. {part}."))] == pytest.approx([1 / 14])


def test_the_context_is_read_too_and_the_strongest_overlap_stands(index):
    weak = " ".join(SENTENCE.split()[:9])
    found = audit(index, (weak, ("train/p", OTHER, None, "en", f"{OTHER} {SENTENCE}")))
    assert [(row["rule"], row["share"]) for row in found] == [("ngrams", 1.0)]


def test_a_context_that_is_a_short_passage_is_nothing(index):
    assert audit(index, (OTHER, ("train/p", OTHER, None, "en", "Thank you."))) == []


def test_a_row_says_what_was_found_where(index):
    (row,) = audit(index, (("train/fi/q", QUESTION, "g", "fi"), ("train/fi/p", OTHER)))
    assert row == {
        **{"pair_id": "0", "source": "train", "query_id": "train/fi/q", "passage_id": "train/fi/p", "lang": "fi"},
        **{"benchmark": "bench", "evaluation_id": f"en/{ID}0", "rule": "question-exact", "share": 1.0, "leak": True},
        **{"query_text": QUESTION, "passage_text": OTHER},
    }


def test_every_benchmark_that_has_it_is_named(index):
    found = audit(index, (OTHER, "Who helped them?"), (OTHER, OTHER))
    assert rules(found, 0) == {("bench", "question-exact", True), ("second", "question-normalised", True)}
    assert rules(found, 1) == set()


@pytest.mark.parametrize(
    "query",
    [(f"train/es/{ID}0", "¿En qué año?"), ("train/es/1", "¿En qué año?", f"train/{ID}0")],
    ids=["query", "group"],
)
def test_a_shared_id_spreads_to_the_rows_of_its_context(index, query):
    text = "Un incendio."
    found = audit(
        index,
        (query, ("train/a", text, "g1")),
        ("¿Quién?", ("train/a", text, "g1")),  # the same passage
        ("¿Dónde?", ("train/b", "Eräs palo.", "g1", "fi")),  # its translation
        ("¿Cómo?", ("train/c", "un INCENDIO", "g2")),  # the same text elsewhere
        ("¿Cuándo?", ("train/d", "Otra cosa.", "g3")),
    )
    expected = [("0", "id"), ("1", "id-context"), ("2", "id-context"), ("3", "id-context")]
    assert [(row["pair_id"], row["rule"]) for row in found] == expected
    assert all(row["leak"] and row["evaluation_id"] == f"en/{ID}0" for row in found)


def test_a_shared_id_spreads_to_sentences_of_the_same_paragraph(index):
    rows = [
        ((f"train/{ID}0", "Uno?"), ("train/a", "Uno.", "g1", "es", "Uno. Dos.")),
        ("Dos?", ("train/b", "Dos.", "g2", "es", "Uno. Dos.")),
        ("Tres?", ("train/c", "Tres.", "g3", "es", "Tres.")),
        ("Cuatro?", ("train/d", "Cuatro.", "g4", "es", None)),
    ]
    assert [(row["pair_id"], row["rule"]) for row in audit(index, *rows)] == [("0", "id"), ("1", "id-context")]


def test_texts_without_units_are_no_common_context(index):
    rows = [((f"train/{ID}0", "?"), ("train/a", "...", "g1")), ("!", ("train/b", "!!", "g2"))]
    assert {row["pair_id"] for row in audit(index, *rows)} == {"0"}


def test_a_passage_group_named_by_an_evaluation_question_is_its_context(index):
    assert rules(audit(index, (OTHER, ("train/a", OTHER, f"train/{ID}0")))) == {("bench", "id-context", True)}


def test_every_pair_of_a_text_is_named(index):
    passage = ("train/p", SENTENCE)
    found = audit(index, ("one", passage), ("two", ("train/x", OTHER)), ("three", passage))
    assert [row["pair_id"] for row in found if row["rule"] == "ngrams"] == ["0", "2"]


def test_blocks_change_nothing(index, monkeypatch):
    rows = [(QUESTION if i % 3 else OTHER, f"{i} {SENTENCE if i % 5 else OTHER}") for i in range(50)]
    whole = audit(index, *rows)
    monkeypatch.setattr(index_module, "BLOCK", 200)
    assert audit(index, *rows) == whole
    assert len(whole) > 60


def test_nothing_to_audit(index):
    empty = {name: SCHEMAS[name].empty_table() for name in ("pairs", "queries", "passages")}
    assert audit_rows(empty["pairs"], empty["queries"], empty["passages"], index).num_rows == 0


def test_a_pair_without_its_text_is_named(index):
    pairs = make_table("pairs", {"pair_id": ["x"], "query_id": ["q"], "passage_id": ["p"], "source": ["s"]})
    queries = table("queries", "query", [("q", "Who?")])
    with pytest.raises(DataError, match="pair 'x' refers to passage_id 'p', which stands in no table"):
        audit_rows(pairs, queries, SCHEMAS["passages"].empty_table(), index)


def leaks(*rows):
    columns = ("source", "pair_id", "lang", "benchmark", "rule", "leak")
    filled = {column: [row[i] for row in rows] for i, column in enumerate(columns)}
    texts = dict.fromkeys(("query_id", "passage_id", "evaluation_id", "query_text", "passage_text"), [""] * len(rows))
    return make_table("leaks", {**filled, **texts, "share": [0.5] * len(rows)})


def test_rows_count_once_in_each_place():
    findings = [
        leaks(
            ("s", "1", "en", "x", "id", True),
            ("s", "1", "en", "x", "ngrams", False),
            ("s", "1", "en", "y", "ngrams", True),
            ("s", "2", "en", "x", "ngrams", False),
            ("s", "2", "en", "y", "ngrams", False),
            ("t", "2", "fi", "y", "ngrams", True),
        ),
        leaks(),
        leaks(("s", "3", "en", "x", "near", False)),
    ]
    assert summarise(findings, {"en": 10, "fi": 5, "th": 1}) == {
        "rows": 16,
        "leaking": 2,
        "warned": 2,
        "by_rule": {
            "id": {"leaking": 1, "warned": 0},
            "near": {"leaking": 0, "warned": 1},
            "ngrams": {"leaking": 2, "warned": 1},
        },
        "by_language": {
            "en": {"rows": 10, "leaking": 1, "warned": 2},
            "fi": {"rows": 5, "leaking": 1, "warned": 0},
            "th": {"rows": 1, "leaking": 0, "warned": 0},
        },
        "by_benchmark": {"x": {"leaking": 1, "warned": 2}, "y": {"leaking": 2, "warned": 1}},
    }


def test_rows_are_counted_by_the_language_that_asks():
    queries = table("queries", "query", [("a", "A?", None, "fi"), ("b", "B?"), ("c", "C?")])
    pairs = make_table(
        "pairs",
        {"pair_id": list("123"), "query_id": ["a", "b", "a"], "passage_id": list("ppp"), "source": ["s"] * 3},
    )
    assert count_rows(pairs, queries) == {"fi": 2, "en": 1}
