"""Stance pairs without a model: what a pair becomes."""

import unicodedata
from collections import defaultdict

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlstance.augmentation.stance import Stance, excerpt, stance_pairs
from xlstance.augmentation.way import Made, Part, Surroundings
from xlstance.errors import DataError, SettingsError, UserError
from xlstance.stance_templates import SIDES, stance_templates
from xlstance.storage import Folder
from xlstance.tables import SCHEMAS, make_table


def table(name, rows):
    return make_table(name, {column: [row.get(column) for row in rows] for column in SCHEMAS[name].names})


def part_of(pairs, queries, passages) -> Part:
    """Pairs as (id, query, passage); texts as (id, language, text, group)."""
    return Part(
        pairs=table("pairs", [{"pair_id": a, "query_id": q, "passage_id": p, "source": "s"} for a, q, p in pairs]),
        queries=table("queries", [dict(zip(SCHEMAS["queries"].names, row, strict=True)) for row in queries]),
        passages=table(
            "passages",
            [{"passage_id": i, "lang": lang, "text": text, "group_id": group} for i, lang, text, group in passages],
        ),
    )


def made_of(part: Part, way: Stance, seed: int) -> Made:
    """What a way makes of a part with the library's templates."""
    return stance_pairs(part, way, way.templates_below(""), seed)


def rows(made: pa.Table) -> dict[str, dict]:
    found = {row[made.column_names[0]]: row for row in made.to_pylist()}
    assert len(found) == made.num_rows
    return found


def by_frame(text: str, lang: str, said: str) -> set[str]:
    """The sides whose frames around a text give this comment."""
    return {s for s in SIDES for frame in stance_templates()[lang][s].frame if frame.replace("{text}", said) == text}


def test_a_pair_becomes_a_pair_for_each_side_with_the_other_side_as_its_negative():
    part = part_of(
        [("x", "q", "p")],
        [("q", "en", "Should the state tax sugar?", "Q")],
        [("p", "en", "Sugar is sweet. It grows in beets.", "P")],
    )
    made = made_of(part, Stance(), 7)
    queries, passages, pairs = rows(made.queries), rows(made.passages), rows(made.pairs)
    assert set(pairs) == {"x~stance-favour", "x~stance-against"}
    for side, other in zip(SIDES, reversed(SIDES), strict=True):
        assert pairs[f"x~stance-{side}"] == {
            "pair_id": f"x~stance-{side}",
            "query_id": f"q~stance-{side}",
            "passage_id": f"p~stance-{side}",
            "negatives": [
                {"passage_id": f"p~stance-{other}", "teacher_score": None},
                {"passage_id": f"q~stance-claim-{other}", "teacher_score": None},
            ],
            "teacher_score": None,
            "source": "s",
            "augmentation": "stance",
            "parent_pair_id": "x",
        }
        query, passage = queries[f"q~stance-{side}"], passages[f"p~stance-{side}"]
        assert (query["lang"], query["group_id"]) == ("en", f"Q~stance-{side}")
        assert (passage["lang"], passage["group_id"]) == ("en", f"P~stance-{side}")
        assert by_frame(passage["text"], "en", "Sugar is sweet. It grows in beets.") == {side}
        asked = stance_templates()["en"][side].queries("Should the state tax sugar?", "The state should tax sugar.")
        assert query["text"] in asked
    assert passages["q~stance-claim-favour"]["text"] == "The state should tax sugar."
    assert passages["q~stance-claim-against"]["text"] == "The state should not tax sugar."
    assert passages["q~stance-claim-against"]["group_id"] == "Q~stance-claim-against"
    assert made.counts == {"pairs": 1, "questions": 1, "claims": 1}
    assert Stance().summary(made.counts) == {"level": "Z0", "claims_per_question": 1.0}


def test_claims_are_negatives_in_the_language_of_the_positive_alone_and_can_be_left_out():
    queries = [("q", "en", "Should the state tax sugar?", "Q")]
    passages = [("p", "fi", "Sokeri on makeaa.", "P"), ("r", "en", "Sugar is sweet.", "P")]
    part = part_of([("x", "q", "p")], queries, passages)
    crossed = made_of(part, Stance(), 7)
    assert set(rows(crossed.passages)) == {"p~stance-favour", "p~stance-against"}
    assert {row["lang"] for row in crossed.queries.to_pylist()} == {"en"}
    assert by_frame(rows(crossed.passages)["p~stance-favour"]["text"], "fi", "Sokeri on makeaa.") == {"favour"}
    without = made_of(part_of([("x", "q", "r")], queries, passages), Stance(claims=False), 7)
    assert set(rows(without.passages)) == {"r~stance-favour", "r~stance-against"}
    assert without.counts["claims"] == 0


def test_a_claim_that_cannot_be_negated_is_a_negative_of_one_side():
    part = part_of(
        [("x", "q", "p")], [("q", "en", "Should all shops be closed?", "Q")], [("p", "en", "Shops sell bread.", "P")]
    )
    pairs = rows(made_of(part, Stance(), 0).pairs)
    assert len(pairs["x~stance-favour"]["negatives"]) == 1
    assert len(pairs["x~stance-against"]["negatives"]) == 2


TEXTS = {
    "en": "Rain fell on the town.",
    "de": "Regen fiel auf die Stadt.",
    "zh": "城里下了雨。",
    "mul": "Rain fiel.",
    "ja": "雨。",
}


@st.composite
def worlds(draw) -> Part:
    """Queries and passages of few groups in several languages, with pairs among them."""
    langs = st.sampled_from(sorted(TEXTS))
    asks = st.sampled_from(["Should dogs be banned?", "Who wrote it?", "Sollen Hunde verboten werden?"])
    groups = st.integers(0, 3)
    texts = st.lists(st.tuples(langs, groups), min_size=1, max_size=6)
    queries = [(f"q{i}", lang, draw(asks), f"Q{group}") for i, (lang, group) in enumerate(draw(texts))]
    passages = [(f"p{i}", lang, TEXTS[lang], f"P{group}") for i, (lang, group) in enumerate(draw(texts))]
    links = draw(st.lists(st.tuples(st.sampled_from(queries), st.sampled_from(passages)), max_size=8, unique=True))
    return part_of([(f"x{i}", q[0], p[0]) for i, (q, p) in enumerate(links)], queries, passages)


@settings(max_examples=60, deadline=None)
@given(worlds(), st.integers(1, 3), st.booleans())
def test_what_is_made_holds_together(part, wordings, claims):
    made = made_of(part, Stance(wordings=wordings, claims=claims), 1)
    queries, passages, pairs = rows(made.queries), rows(made.passages), rows(made.pairs)
    parents, lang_of = rows(part.pairs), {**rows(part.queries), **rows(part.passages)}
    fits = [row for row in parents.values() if all(lang_of[row[c]]["lang"] != "ja" for c in ("query_id", "passage_id"))]
    assert made.counts.get("pairs", 0) == len(fits)
    assert made.counts.get("left_out/ja", 0) == len(parents) - len(fits)
    assert len(pairs) == len(fits) * 2 * wordings
    positives = defaultdict(set)
    for row in pairs.values():
        positives[queries[row["query_id"]]["group_id"]].add(passages[row["passage_id"]]["group_id"])
        parent = parents[row["parent_pair_id"]]
        for column, texts in (("query_id", queries), ("passage_id", passages)):
            assert texts[row[column]]["lang"] == lang_of[parent[column]]["lang"]
    used = {row["query_id"] for row in pairs.values()} | {row["passage_id"] for row in pairs.values()}
    for row in pairs.values():
        assert row["negatives"]
        for negative in row["negatives"]:
            text = passages[negative["passage_id"]]
            used.add(text["passage_id"])
            # Never masked as a false negative, and no hint by its language.
            assert text["group_id"] not in positives[queries[row["query_id"]]["group_id"]]
            assert text["lang"] == passages[row["passage_id"]]["lang"]
    assert used == {*queries, *passages}
    sides = {side: {t["group_id"] for t in passages.values() if t["group_id"].endswith(side)} for side in SIDES}
    assert not sides["favour"] & sides["against"]


@settings(max_examples=30, deadline=None)
@given(worlds(), st.randoms(use_true_random=False))
def test_a_row_follows_from_its_id_whatever_stands_beside_it(part, draw):
    whole = made_of(part, Stance(), 5)
    order = list(range(part.pairs.num_rows))
    draw.shuffle(order)
    cut = len(order) // 2
    for own in (order[:cut], order[cut:]):
        piece = Part(pairs=part.pairs.take(pa.array(own, pa.int64())), queries=part.queries, passages=part.passages)
        made = made_of(piece, Stance(), 5)
        for name in ("pairs", "queries", "passages"):
            assert rows(getattr(made, name)).items() <= rows(getattr(whole, name)).items()


def many(count: int = 300, question: str = "Who knows?") -> Part:
    return part_of(
        [(f"x{i}", f"q{i}", f"p{i}") for i in range(count)],
        [(f"q{i}", "en", question, f"Q{i}") for i in range(count)],
        [(f"p{i}", "en", "Rain fell.", f"P{i}") for i in range(count)],
    )


def test_every_wording_is_drawn_and_the_seed_draws_anew():
    made = made_of(many(), Stance(), 0)
    for side in SIDES:
        own = [row["text"] for row in made.passages.to_pylist() if row["passage_id"].endswith(side)]
        frames = stance_templates()["en"][side].frame
        assert set(own) == {frame.replace("{text}", "Rain fell.") for frame in frames}
        assert max(own.count(text) for text in set(own)) < 3 * 300 / len(frames)
        asked = {row["text"] for row in made.queries.to_pylist() if row["query_id"].endswith(side)}
        assert asked == set(stance_templates()["en"][side].queries("Who knows?"))
    again = made_of(many(), Stance(), 0)
    assert again == made
    assert made_of(many(), Stance(), 1).passages != made.passages


def test_a_claim_is_asked_for_as_well_as_its_question():
    made = made_of(many(question="Should dogs be banned?"), Stance(), 0)
    for side in SIDES:
        words = stance_templates()["en"][side]
        asked = {row["text"] for row in made.queries.to_pylist() if row["query_id"].endswith(side)}
        assert asked == {
            *(template.replace("{question}", "Should dogs be banned?") for template in words.question),
            *(template.replace("{claim}", "Dogs should be banned.") for template in words.claim),
        }


def test_more_wordings_keep_the_first_and_never_repeat():
    one, three = (made_of(many(20), Stance(wordings=count), 0) for count in (1, 3))
    for name in ("pairs", "queries", "passages"):
        assert rows(getattr(one, name)).items() <= rows(getattr(three, name)).items()
    assert "x0~stance-favour3" in rows(three.pairs)
    assert rows(three.pairs)["x0~stance-favour3"]["negatives"][0]["passage_id"] == "p0~stance-against3"
    texts = defaultdict(list)
    for row in three.passages.to_pylist():
        texts[row["passage_id"].rstrip("23")].append(row["text"])
    assert all(len(own) == len(set(own)) == 3 for own in texts.values())


def test_translations_of_a_comment_are_parallel_and_a_shared_text_is_made_once():
    part = part_of(
        [("x1", "q1", "p1"), ("x2", "q2", "p2"), ("x3", "q3", "p1"), ("x4", "q1", "p2")],
        [("q1", "en", "Who?", "Q"), ("q2", "de", "Wer?", "Q"), ("q3", "en", "When?", "R")],
        [("p1", "en", TEXTS["en"], "P"), ("p2", "de", TEXTS["de"], "P")],
    )
    made = made_of(part, Stance(name="s"), 0)
    assert (made.pairs.num_rows, made.queries.num_rows, made.passages.num_rows) == (8, 6, 4)
    assert made.counts == {"pairs": 4, "questions": 3, "claims": 0}
    assert {row["group_id"] for row in made.passages.to_pylist()} == {"P~s-favour", "P~s-against"}
    queries = rows(made.queries)
    assert (
        queries["q1~s-favour"]["group_id"] == queries["q2~s-favour"]["group_id"] != queries["q3~s-favour"]["group_id"]
    )


def test_texts_in_several_languages_take_one_of_the_languages_asked_for():
    part = part_of([("x", "q", "p")], [("q", "mul", "Wer fell?", "Q")], [("p", "mul", "Rain fiel.", "P")])
    made = made_of(part, Stance(languages=["de"]), 0)
    assert by_frame(rows(made.passages)["p~stance-favour"]["text"], "de", "Rain fiel.") == {"favour"}
    assert {row["lang"] for row in (*made.queries.to_pylist(), *made.passages.to_pylist())} == {"mul"}


def test_other_languages_are_left_out_and_counted():
    part = part_of([("x", "q", "p")], [("q", "en", "Who?", "Q")], [("p", "fi", "Sataa.", "P")])
    made = made_of(part, Stance(languages=["en"]), 0)
    assert (made.pairs.num_rows, made.queries.num_rows, made.passages.num_rows) == (0, 0, 0)
    assert made.counts == {"left_out/fi": 1}
    assert Stance().summary(made.counts)["claims_per_question"] == 0.0


def test_what_does_not_fit_is_refused():
    with pytest.raises(SettingsError, match=r"no stance templates for 'ja'; there are ar, de.*a file that templates"):
        Stance(languages=["ja"])
    with pytest.raises(DataError, match="'English' is no language code"):
        Stance(languages=["English"])
    with pytest.raises(SettingsError, match="wordings is 5; give 1 to 4, as many as templates are in ar"):
        Stance(wordings=5)
    with pytest.raises(SettingsError, match="wordings is 0"):
        Stance(wordings=0)
    with pytest.raises(SettingsError, match="longest is 5; give 20 characters or more"):
        Stance(longest=5)
    part = part_of([("x", "q", "p")], [], [("p", "en", "Rain.", "P")])
    with pytest.raises(DataError, match="pair 'x' refers to query_id 'q'"):
        made_of(part, Stance(), 0)


def test_the_way_does_what_its_function_does(tmp_path):
    around = Surroundings(parents=(), folder=Folder(tmp_path), seed=3)
    way = Stance(wordings=2)
    assert way.work(around)(many(5)) == made_of(many(5), way, 3)
    assert way.inputs(around) == Stance().inputs(around) != Stance(languages=["de"]).inputs(around)
    assert way.writes_texts


# An invented language, and German in other words.
OWN = """
qaa:
  favour: {question: ['ba {question}'], claim: ['ba {claim}'], frame: ['bo {text}', '{text} bo']}
  against: {question: ['du {question}'], claim: ['du {claim}'], frame: ['di {text}', '{text} di']}
de:
  favour: {question: ['dafür {question}'], claim: ['dafür {claim}'], frame: ['gut {text}']}
  against: {question: ['dawider {question}'], claim: ['dawider {claim}'], frame: ['schlecht {text}']}
"""


@pytest.fixture
def own(tmp_path) -> Surroundings:
    """Surroundings whose data root has a file of templates."""
    (tmp_path / "own.yaml").write_text(OWN)
    return Surroundings(parents=(), folder=Folder(tmp_path / "out"), data=str(tmp_path), seed=3)


def test_templates_of_a_file_stand_beside_the_librarys_and_before_those_of_the_same_language(own):
    part = part_of(
        [("x", "q1", "p1"), ("y", "q2", "p2"), ("z", "q3", "p3")],
        [("q1", "qaa", "Ka?", "Q"), ("q2", "de", "Wer?", "Q"), ("q3", "en", "Who?", "Q")],
        [("p1", "qaa", "Ka to.", "P"), ("p2", "de", "Er.", "P"), ("p3", "en", "He.", "P")],
    )
    made = Stance(templates="own.yaml").work(own)(part)
    queries, passages = rows(made.queries), rows(made.passages)
    assert made.counts == {"pairs": 3, "questions": 3, "claims": 0}
    assert queries["q1~stance-favour"]["text"] == "ba Ka?"
    assert queries["q1~stance-against"]["text"] == "du Ka?"
    assert passages["p1~stance-favour"]["text"] in ("bo Ka to.", "Ka to. bo")
    assert passages["p2~stance-against"]["text"] == "schlecht Er."
    assert queries["q3~stance-favour"]["text"] in stance_templates()["en"]["favour"].queries("Who?")
    assert Stance().work(own)(part).counts == {"pairs": 2, "left_out/qaa": 1, "questions": 2, "claims": 0}
    assert Stance(templates="own.yaml", languages=["qaa"]).work(own)(part).counts["left_out/en"] == 1


def test_what_a_file_holds_decides_the_fingerprint(own, tmp_path):
    way = Stance(templates="own.yaml")
    first = way.inputs(own)
    assert first == way.inputs(own) != Stance().inputs(own)
    (tmp_path / "own.yaml").write_text(OWN.replace("'bo {text}'", "'bos {text}'"))
    assert way.inputs(own) != first
    # The order decides what a text in several languages draws.
    assert Stance(languages=["de", "en"]).inputs(own) != Stance(languages=["en", "de"]).inputs(own)


@pytest.mark.parametrize("method", ["inputs", "work"])
def test_a_file_that_does_not_fit_is_refused_before_any_work(own, method, tmp_path):
    def error(**changes) -> str:
        with pytest.raises(UserError) as caught:
            getattr(Stance(**{"name": "s", "templates": "own.yaml", **changes}), method)(own)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "no stance templates for 'qab'; there are ar, de" in error(languages=["qab"])
    assert "wordings is 2; give 1 to 1, as many as templates are in de" in error(wordings=2)
    assert f"{tmp_path}/none.yaml is no file" in error(templates="none.yaml")
    (tmp_path / "own.yaml").write_text(OWN.replace("qaa:", "Invented:"))
    assert f"{tmp_path}/own.yaml: 'Invented' is no language code" in error()
    (tmp_path / "own.yaml").write_text(OWN.replace("frame: ['gut {text}']", "frames: ['gut {text}']"))
    assert f"{tmp_path}/own.yaml: de.favour.frame is missing" in error()


@pytest.mark.parametrize(
    ("lang", "text", "longest", "expected"),
    [
        ("en", "One two. Three four. Five six.", 25, "One two. Three four."),
        ("en", "One two. Three four. Five six.", 20, "One two. Three four."),
        ("en", "One two. Three four. Five six.", 19, "One two."),
        ("en", "One two. Three four. Five six.", 1000, "One two. Three four. Five six."),
        ("en", "He met J. R. Smith in St. Louis. They ate.", 35, "He met J. R. Smith in St. Louis."),
        ("en", "It cost 3.5 million. Nobody paid.", 25, "It cost 3.5 million."),
        ("en", 'He said "no." Then he left.', 15, 'He said "no."'),
        ("en", "Oh! she said that to me. Then she left.", 20, "Oh! she said that…"),
        ("de", "Am 3. Mai regnete es. Dann nicht.", 25, "Am 3. Mai regnete es."),
        ("en", "Rain fell. The rest has none", 100, "Rain fell. The rest has none."),
        ("en", "Rain fell.[2][citation needed]", 100, "Rain fell.[2][citation needed]"),
        ("en", "A heading without a stop", 100, "A heading without a stop."),
        ("en", "\ufeffOne\n two,", 100, "One two."),
        ("en", "one two three four five six", 20, "one two three four…"),
        ("hi", "पहला वाक्य है। दूसरा वाक्य है।", 20, "पहला वाक्य है।"),
        ("hi", "बिना विराम", 100, "बिना विराम।"),
        ("zh", "城里下了雨。大家都回家了。", 8, "城里下了雨。"),
        ("zh", "城里下了雨大家都回家了", 100, "城里下了雨大家都回家了。"),
        ("th", "ฝนตกในเมือง", 100, "ฝนตกในเมือง"),
        ("th", "กี่" * 20, 20, "กี่" * 7 + "…"),
    ],
)  # fmt: skip
def test_a_comment_is_made_of_whole_sentences(lang, text, longest, expected):
    assert excerpt(text, lang, longest) == expected


@given(st.text(min_size=1).filter(str.strip), st.sampled_from(["en", "th", "zh"]), st.integers(20, 60))
def test_an_excerpt_is_never_empty_nor_much_longer_than_asked_for(text, lang, longest):
    made = excerpt(text, lang, longest)
    assert made.strip()
    marks = sum(unicodedata.category(letter).startswith("M") for letter in text)
    assert len(made) <= longest + marks + 1
