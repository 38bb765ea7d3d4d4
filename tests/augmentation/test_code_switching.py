import gzip

import pyarrow as pa
import pytest

from xlstance.augmentation.code_switching import CodeSwitching, read_lexicons, switch_pairs
from xlstance.augmentation.switching import CHOICES, SwitchCounts, switch_texts
from xlstance.errors import DataError, SettingsError
from xlstance.tables import make_table

GERMAN = {
    "the": ("die", "der", "das", "des"),
    "cat": ("Katze",),
    "house": ("haus",),
    "don't": ("nicht",),
    "nato": ("nato",),
}
LEXICONS = {
    "de": GERMAN,
    "zh": {"the": ("这",), "cat": ("猫",), "sees": ("看",)},
    "xx": {"क़िला": ("fort",), "क": ("K",)},
}


def switch(text, lang="de", p=1.0, translation="first", seed=0, identity="t"):
    languages = [lang] if isinstance(lang, str) else lang
    (switched,), counts = switch_texts([text], [identity], LEXICONS, languages, p=p, translation=translation, seed=seed)
    return switched, counts


@pytest.mark.parametrize(
    ("text", "lang", "switched"),
    [
        ("the cat!", "de", "die Katze!"),
        ("(The  cat),\n\tbird-house.", "de", "(Die  Katze),\n\tbird-haus."),
        ("THE HOUSE of NATO", "de", "DIE HAUS of NATO"),
        ("House, houses 3house house3", "de", "Haus, houses 3house house3"),
        ("Don't", "de", "Nicht"),
        ("the cat sees", "zh", "这猫看"),
        ("the, cat", "zh", "这, 猫"),
        ("the red cat sees it", "zh", "这 red 猫看 it"),
        ("red\nthe cat", "zh", "red\n这猫"),
        (" the cat", "zh", " 这猫"),
        ("क़िला क", "xx", "fort K"),
        ("", "de", ""),
    ],
)
def test_words_are_replaced_and_the_rest_stays(text, lang, switched):
    assert switch(text, lang)[0] == switched


def test_nothing_is_replaced_at_p_0():
    assert switch("the cat", p=0.0) == ("the cat", SwitchCounts(2, {}, {}))


def test_counts_say_what_was_drawn_and_what_was_found():
    counts = switch("the cat flies")[1] + switch("the bird", ["zh"])[1]
    assert counts == SwitchCounts(5, {"de": 3, "zh": 2}, {"de": 2, "zh": 1})
    assert counts.switch_ratio == pytest.approx(3 / 5)
    assert counts.out_of_lexicon == pytest.approx({"de": 1 / 3, "zh": 1 / 2})
    assert SwitchCounts().switch_ratio == 0.0


def test_the_space_between_words_of_two_languages_stays():
    lexicons = {"zh": {"the": ("这",)}, "ja": {"the": ("その",)}, "de": {"the": ("die",)}}
    (text,), _ = switch_texts(["the " * 200], ["t"], lexicons, ["zh", "ja", "de"], p=1.0, translation="first", seed=0)
    assert "这 その" in text
    assert "その 这" in text
    assert "die 这 die" in text
    assert "这这" in text
    assert "这 这" not in text
    assert "diedie" not in text


def test_a_text_comes_out_the_same_whatever_the_batch():
    texts, ids = [f"the cat and the house {i}" for i in range(20)], [f"t{i}" for i in range(20)]
    settings = {"p": 0.5, "translation": "uniform", "seed": 3}
    whole, _ = switch_texts(texts, ids, LEXICONS, ["de", "zh"], **settings)
    parts = [switch_texts([t], [i], LEXICONS, ["de", "zh"], **settings)[0][0] for t, i in zip(texts, ids, strict=True)]
    assert whole == parts
    assert whole != switch_texts(texts, ids, LEXICONS, ["de", "zh"], **{**settings, "seed": 4})[0]
    assert len({text.rsplit(" ", 1)[0] for text in whole}) > 10  # each id has draws of its own


def test_draws_follow_p_and_are_uniform_over_languages_and_translations():
    text = "the " * 20_000
    switched, counts = switch(text, ["de", "zh"], p=0.25, translation="uniform")
    assert counts.switch_ratio == pytest.approx(0.25, abs=0.015)
    assert counts.drawn["de"] == pytest.approx(2500, abs=180)
    words = switched.replace("这", " ").split()
    found = {word: words.count(word) for word in GERMAN["the"]}
    assert found["des"] == 0  # beyond the first few
    assert all(found[word] == pytest.approx(2500 / CHOICES, abs=120) for word in GERMAN["the"][:CHOICES])


def test_a_larger_p_replaces_what_a_smaller_one_replaced():
    text = "the " * 50
    low, high = (switch(text, p=p)[0].split() for p in (0.25, 0.75))
    assert all(b == "die" for a, b in zip(low, high, strict=True) if a == "die")
    assert low.count("die") < high.count("die")


@pytest.fixture
def shard():
    queries = make_table(
        "queries",
        {
            "query_id": ["q1", "q2", "q3", "other"],
            "lang": ["en", "en", "fi", "en"],
            "text": ["the cat", "the house", "talo", "the"],
            "group_id": ["g1", "g2", "g2", "g9"],
        },
    )
    passages = make_table(
        "passages",
        {
            "passage_id": ["p1", "p2", "unused"],
            "lang": ["en", "fi", "en"],
            "text": ["The cat and the house.", "Kissa.", "the"],
            "title": ["Cat", None, None],
            "context": ["See the cat.", None, None],
            "group_id": ["h1", "h1", "h9"],
        },
    )
    pairs = make_table(
        "pairs",
        {
            "pair_id": ["a", "b", "c", "d"],
            "query_id": ["q1", "q2", "q3", "q1"],
            "passage_id": ["p1", "p1", "p1", "p2"],
            "negatives": [[{"passage_id": "unused"}], None, None, None],
            "source": ["s"] * 4,
        },
    )
    return pairs, queries, passages


def settings(**changes):
    return CodeSwitching(**{"languages": ["de", "zh"], "p": 1.0, "name": "cs", **changes})


def test_bilingual_makes_a_copy_for_each_language_of_the_pairs_in_the_source_language(shard):
    made, counts = switch_pairs(*shard, settings(), LEXICONS, 0)
    queries = {row["query_id"]: row for row in made.queries.to_pylist()}
    passages = {row["passage_id"]: row for row in made.passages.to_pylist()}
    assert list(queries) == ["q1~cs-de", "q2~cs-de", "q1~cs-zh", "q2~cs-zh"]
    assert list(passages) == ["p1~cs-de", "p1~cs-zh"]  # shared by two pairs, switched once
    assert queries["q1~cs-zh"] == {"query_id": "q1~cs-zh", "lang": "zh", "text": "这猫", "group_id": "g1"}
    assert passages["p1~cs-de"]["text"] == "Die Katze and die haus."
    assert (passages["p1~cs-de"]["title"], passages["p1~cs-de"]["context"]) == ("Katze", "See die Katze.")
    assert passages["p1~cs-de"]["group_id"] == "h1"
    assert made.pairs.num_rows == 4
    first = made.pairs.to_pylist()[0]
    assert first == {
        "pair_id": "a~cs-de", "query_id": "q1~cs-de", "passage_id": "p1~cs-de", "negatives": None,
        "teacher_score": None, "source": "s", "augmentation": "cs", "parent_pair_id": "a",
    }  # fmt: skip
    assert counts.tokens == 2 * (2 + 2 + 5 + 1 + 3)


def test_multilingual_makes_one_copy_labelled_mul(shard):
    made, _ = switch_pairs(*shard, settings(mode="multilingual"), LEXICONS, 0)
    assert made.pairs["pair_id"].to_pylist() == ["a~cs-mul", "b~cs-mul"]
    assert set(made.queries["lang"].to_pylist() + made.passages["lang"].to_pylist()) == {"mul"}


@pytest.mark.parametrize(
    ("side", "query", "passage", "negatives"),
    [
        ("query", "q1~cs-de", "p1", [{"passage_id": "unused", "teacher_score": None}]),
        ("passage", "q1", "p1~cs-de", None),
    ],
)
def test_one_side_makes_the_pair_cross_lingual(shard, side, query, passage, negatives):
    made, _ = switch_pairs(*shard, settings(side=side), LEXICONS, 0)
    first = made.pairs.to_pylist()[0]
    assert (first["query_id"], first["passage_id"], first["negatives"]) == (query, passage, negatives)
    assert (made.queries.num_rows, made.passages.num_rows) == ((4, 0) if side == "query" else (0, 2))


def test_shards_give_what_the_whole_gives(shard):
    pairs, queries, passages = shard
    whole, _ = switch_pairs(pairs, queries, passages, settings(p=0.5), LEXICONS, 7)
    parts = [switch_pairs(pairs.slice(i, 1), queries, passages, settings(p=0.5), LEXICONS, 7)[0] for i in range(4)]
    for name in ("queries", "passages", "pairs"):
        together = {str(row) for part in parts for row in getattr(part, name).to_pylist()}
        assert together == {str(row) for row in getattr(whole, name).to_pylist()}


def test_a_shard_without_pairs_to_switch_gives_empty_tables(shard):
    pairs, queries, passages = shard
    made, counts = switch_pairs(pairs.slice(2, 2), queries, passages, settings(), LEXICONS, 0)
    assert (made.pairs.num_rows, made.queries.num_rows, made.passages.num_rows, counts.tokens) == (0, 0, 0, 0)


def test_what_does_not_fit_is_refused(shard):
    pairs, queries, passages = shard
    with pytest.raises(SettingsError, match="no lexicon for fr; there are de, zh, xx"):
        switch_pairs(pairs, queries, passages, settings(languages=["fr"]), LEXICONS, 0)
    with pytest.raises(DataError, match="pair 'a' refers to query_id 'q1'"):
        switch_pairs(pairs, queries.slice(1), passages, settings(), LEXICONS, 0)
    for changes, message in [
        ({"p": 1.5}, "p is 1.5"), ({"languages": []}, "languages is empty"), ({"languages": ["en"]}, "source language"),
    ]:  # fmt: skip
        with pytest.raises(SettingsError, match=message):
            settings(**changes)
    with pytest.raises(DataError, match="'German' is no language code"):
        settings(languages=["German"])


def test_lexicons_merge_the_files_that_are_there(tmp_path):
    for name, text in {
        "a/en-de.tsv.gz": "cat\tKatze\n",
        "b/en-de.tsv.gz": "cat\tKater\n",
        "a/en-el.tsv.gz": "cat\tγάτα\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(gzip.compress(text.encode()))
    both = settings(languages=["de", "el"], lexicons=["b/en-{lang}.tsv.gz", "a/{source}-{lang}.tsv.gz"])
    assert read_lexicons(both, str(tmp_path)) == {"de": {"cat": ("Kater", "Katze")}, "el": {"cat": ("γάτα",)}}
    back = settings(source_language="de", languages=["en"], lexicons=["a/{lang}-{source}.tsv.gz"], reverse=True)
    assert read_lexicons(back, str(tmp_path)) == {"en": {"katze": ("cat",)}}
    with pytest.raises(DataError, match=r"no lexicon for fr: .*holds en-de\.tsv\.gz, en-el\.tsv\.gz"):
        read_lexicons(settings(languages=["fr"], lexicons=["a/en-{lang}.tsv.gz"]), str(tmp_path))


def test_a_chunked_table_is_switched_like_a_whole_one(shard):
    pairs, queries, passages = shard
    cut = pa.concat_tables([queries.slice(0, 1), queries.slice(1)])
    assert switch_pairs(pairs, cut, passages, settings(), LEXICONS, 0)[0].queries == (
        switch_pairs(*shard, settings(), LEXICONS, 0)[0].queries
    )
