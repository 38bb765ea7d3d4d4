import unicodedata
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from xlstance.augmentation import code_points
from xlstance.augmentation.code_points import _ALPHABETS, _IDEOGRAPHS, fold
from xlstance.augmentation.lexicons.index import CHOICES, shares_of
from xlstance.augmentation.switching import switcher as switcher_module
from xlstance.augmentation.switching.segmentation import split_words
from xlstance.augmentation.switching.switcher import Switcher
from xlstance.tables import hash_ids


def entries(**words):
    """A lexicon whose translations weigh as their rank says."""
    return {fold(word.replace("_", " ")): {t: 1 / (i + 1) for i, t in enumerate(ts)} for word, ts in words.items()}


LEXICONS = {
    "de": entries(the=["die", "der", "das", "des"], i=["ich"], cat=["Katze"], house=["haus"], nato=["nato"])
    | entries(new_york=["Neu-York"], new_york_city=["New Yorker Stadt"], york=["Jork"], strasse=["Weg"])
    | {"don't": {"nicht": 1.0}, "well-known": {"bekannt": 1.0}, "猫": {"Katze": 1.0}, "爱": {"lieben": 1.0}}
    | {"我爱": {"ich liebe": 1.0}, "在": {"in": 1.0}, "年": {"Jahr": 1.0}, "แมว": {"Katze": 1.0}, "ก": {"K": 1.0}}
    | {"gdp增": {"Wachstum": 1.0}, "コン": {"kon": 1.0}, "ねこ": {"Katze": 1.0}, "こ": {"k": 1.0}},
    "zh": entries(the=["这"], cat=["猫"], sees=["看"])
    | {"我": {"吾": 1.0}, "爱": {"愛": 1.0}, "new york": {"纽约": 1.0}},
    "ja": entries(the=["その"]),
    "tr": entries(inside=["içinde"], well=["iyi", "ılık"]),
    "xx": {"क़िला": {"fort": 1.0}, "क": {"K": 1.0}, "cat": {"": 1.0, "ßa": 0.5}},
}


def switch(text, lang="de", p=1.0, identity="t", seed=0, **options):
    languages = [lang] if isinstance(lang, str) else lang
    ((switched, counts),) = Switcher(LEXICONS, p=p, seed=seed, **options).switch([text], [([identity], languages)])
    return switched[0].as_py(), counts


@pytest.mark.parametrize(
    ("text", "lang", "switched"),
    [
        ("the cat!", "de", "die Katze!"),
        ("(The  cat),\n\tbird-house.", "de", "(Die  Katze),\n\tbird-haus."),
        ("THE HOUSE of NATO", "de", "DIE HAUS of NATO"),
        ("I THE", "de", "Ich DIE"),
        ("House, houses 3house house3 house_", "de", "Haus, houses 3house house3 house_"),
        ("Don't DON’T don't'", "de", "Nicht NICHT nicht'"),
        ("'the' the's 3'the", "de", "'die' the's 3'die"),
        ("Straße STRASSE straße", "de", "Weg WEG Weg"),
        ("Inside INSIDE inside, Well", "tr", "İçinde İÇİNDE içinde, İyi"),
        ("the cat sees", "zh", "这猫看"),
        ("the, cat", "zh", "这, 猫"),
        ("the red cat sees it", "zh", "这 red 猫看 it"),
        ("red\nthe  cat", "zh", "red\n这猫"),
        (" the cat", "zh", " 这猫"),
        ("क़िला क", "xx", "fort K"),
        ("the\0cat", "de", "die\0Katze"),
        ("new york city, New York", "de", "new Jork city, New Jork"),  # no phrases unless they are asked for
        ("well-known", "de", "well-known"),
        ("", "de", ""),
    ],
)
def test_words_are_replaced_and_the_rest_stays(text, lang, switched):
    assert switch(text, lang)[0] == switched


@pytest.mark.parametrize(
    ("text", "lang", "switched"),
    [
        ("new york city, New York", "de", "New Yorker Stadt, Neu-York"),  # the longest first
        ("NEW\nYORK", "de", "NEU-YORK"),  # any one white-space character stands for the space
        ("new  york", "de", "new  Jork"),
        ("a new york", "de", "a Neu-York"),
        ("new new york york", "de", "new Neu-York Jork"),  # matches do not overlap
        ("new", "de", "new"),
        ("a well-known cat", "de", "a bekannt Katze"),
        ("the new york cat", "zh", "这纽约猫"),
    ],
)
def test_phrases(text, lang, switched):
    found, counts = switch(text, lang, unit="phrase")
    assert found == switched
    assert counts.get(f"replaced/{lang}", 0) <= counts[f"drawn/{lang}"] == counts["tokens"]


@pytest.mark.parametrize(
    ("text", "lang", "switched", "tokens"),
    [
        ("我爱猫。", "de", "ich liebe Katze。", 2),  # the longest first, and spaces where words would touch
        ("我猫他猫", "de", "我 Katze 他 Katze", 4),
        ("猫'猫", "de", "Katze'Katze", 2),
        ("在2008年", "de", "in 2008 Jahr", 2),
        ("GDP增长", "de", "WACHSTUM 长", 2),
        ("我爱the猫", "zh", "吾愛这猫", 4),  # between languages without spaces none is put
        ("the猫", "de", "die Katze", 2),
        ("แมว2", "de", "Katze 2", 1),
        ("กแ ก", "de", "กแ K", 3),  # a single letter of an alphabet is a word only where it stands alone
        ("コンサート ねこね", "de", "コンサート Katze ね", 3),  # a run of katakana is a word of its own
        ("ねここ", "de", "Katze こ", 2),
    ],
)
def test_scripts_without_spaces(text, lang, switched, tokens):
    found, counts = switch(text, lang)
    assert (found, counts["tokens"]) == (switched, tokens)
    assert switch(text, lang, unit="phrase") == (found, counts)


def test_a_phrase_stays_within_its_text():
    switcher = Switcher({"de": {"new\0york": {"Neu-York": 1.0}}}, p=1.0, seed=0, unit="phrase")
    ((switched, _),) = switcher.switch(["new", "york", "new\0york"], [(["a", "b", "c"], ["de"])])
    assert switched.to_pylist() == ["new", "york", "Neu-York"]


def test_nothing_is_replaced_at_p_0():
    assert switch("the cat", p=0.0) == ("the cat", {"tokens": 2})


def test_counts_say_what_was_drawn_and_what_was_found():
    assert switch("the cat flies")[1] == {"tokens": 3, "drawn/de": 3, "replaced/de": 2}
    assert switch("the bird", "zh")[1] == {"tokens": 2, "drawn/zh": 2, "replaced/zh": 1}
    assert switch("the new york bird", unit="phrase")[1] == {"tokens": 3, "drawn/de": 3, "replaced/de": 2}


def test_the_space_between_words_of_two_languages_stays():
    text, _ = switch("the " * 200, ["zh", "ja", "de"])
    for inside in ("这 その", "その 这", "die 这 die", "这这"):
        assert inside in text
    assert "这 这" not in text
    assert "diedie" not in text


def test_copies_are_what_each_is_alone(monkeypatch):
    monkeypatch.setattr(switcher_module, "_BLOCK", 50)  # several blocks
    texts = [f"the Cat and the New York house {i} 我爱猫" for i in range(20)] + [""]
    switcher = Switcher(LEXICONS, p=0.5, seed=3, unit="phrase", translation="weighted")
    copies = [
        ([f"{i}~{label}" for i in range(21)], langs) for label, langs in {"de": ["de"], "mul": ["de", "zh"]}.items()
    ]
    for (ids, langs), (switched, counts) in zip(copies, switcher.switch(texts, copies), strict=True):
        alone = [switcher.switch([text], [([key], langs)])[0] for text, key in zip(texts, ids, strict=True)]
        assert switched.to_pylist() == [text[0].as_py() for text, _ in alone]
        assert counts == {key: sum(own.get(key, 0) for _, own in alone) for key in counts}


# The same thing written plainly, text by text and word by word.

MASK = (1 << 64) - 1


def is_mark(c):
    return unicodedata.category(c)[0] == "M" or c in "\u200c\u200d"


def is_letter(c):
    return c.isalnum() and not c.isdecimal()


def is_character(c, blocks=_ALPHABETS + _IDEOGRAPHS):
    return is_letter(c) and any(first <= ord(c) <= last for first, last in blocks)


def is_body(c):
    return c.isalnum() or c == "_" or is_mark(c)


def plain_words(text):
    runs, at = [], 0
    while at < len(text):
        begin = at
        if is_character(text[at]):
            at += 1
            while at < len(text) and is_mark(text[at]):
                at += 1
        elif is_body(text[at]):
            while at < len(text) and is_body(text[at]) and not is_character(text[at]):
                at += 1
        else:
            at += 1
            continue
        if is_letter(text[begin]):
            joins = runs and not is_character(text[begin]) and not is_character(text[runs[-1][0]])
            if joins and runs[-1][1] == begin - 1 and text[begin - 1] in "'’":
                runs[-1] = (runs[-1][0], at)
            else:
                runs.append((begin, at))
    return runs


def plain_mix(value):
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & MASK
    return value ^ value >> 31


def plain_draw(key, number, which):
    return (plain_mix(key + (3 * number + which) * 0x9E3779B97F4A7C15 & MASK) >> 11) * 2.0**-53


def plain_switch(text, identity, languages, p, seed, unit, translation):
    """The switched text, and which words were replaced."""
    words, key = plain_words(text), plain_mix(int(hash_ids([identity])[0]) ^ plain_mix(seed))
    out, end, at, last, replaced = "", 0, 0, None, []
    while at < len(words):
        begin, lang = words[at][0], languages[int(plain_draw(key, at, 1) * len(languages))]
        length, found = 1, None
        for count in range(len(words) - at, 0, -1):
            run, stop = words[at : at + count], words[at + count - 1][1]
            apart = any(a[1] != b[0] for a, b in pairwise(run))
            if (unit == "phrase" or not apart) and (found := LEXICONS[lang].get(fold(text[begin:stop]))):
                length = count
                break
        stop = words[at + length - 1][1]
        touching = (begin > 0 and is_body(text[begin - 1])) or (stop < len(text) and is_body(text[stop]))
        if length == 1 and touching and is_character(text[begin], _ALPHABETS):
            found = None
        if found and plain_draw(key, at, 0) < p:
            shares, draw = shares_of(list(found.values()), translation), plain_draw(key, at, 2)
            new = list(found)[next(i for i, share in enumerate(shares) if draw < share)]
            word = text[begin:stop]
            if word.isupper() and len(word) > 1:
                new = new.upper()
            elif word[0].isupper():
                new = new[:1].upper() + new[1:]
            between, spaced = text[end:begin], lang not in ("zh", "ja")
            follows = last is not None and last[0] == at - 1
            if follows and between.isspace() and not spaced and last[1] == lang:
                between = ""
            if spaced and begin > 0 and is_body(text[begin - 1]) and not (out.endswith(" ") and begin == end):
                between += " "
            out += between + new + (" " if spaced and stop < len(text) and is_body(text[stop]) else "")
            end = stop
            last = (at + length - 1, lang, spaced)
            replaced.append(at)
        at += length
    return out + text[end:], replaced


PIECES = [
    *("the", "The", "THE", "cat", "Cat", "new", "york", "New York", "city", "well-known", "don't", "DON’T", "sees"),
    *("ßtraße", "Straße", "strasse", "a", "A", "_", "2008", "'", "’", " ", "  ", "\n", ",", "\0", "😀", "é", "\u0301"),
    *(
        "我",
        "爱",
        "我爱",
        "猫",
        "在",
        "年",
        "gdp增",
        "แ",
        "แมว",
        "ก",
        "ねこ",
        "こ",
        "コン",
        "クラ",
        "क",
        "क़िला",
        "\u200d",
    ),
    *("İ", "ŉ", "ǅ"),
]


@settings(max_examples=400, deadline=None)
@given(
    texts=st.lists(st.lists(st.sampled_from(PIECES), max_size=14).map("".join) | st.text(max_size=6), max_size=4),
    languages=st.sampled_from([["de"], ["zh"], ["de", "zh", "ja"], ["xx", "de"], ["zh", "ja"]]),
    p=st.sampled_from([0.3, 0.7, 1.0]),
    seed=st.integers(0, MASK),
    unit=st.sampled_from(["word", "phrase"]),
    translation=st.sampled_from(["first", "uniform", "weighted"]),
)
@example(texts=["a'b'3'c 'd"], languages=["de"], p=1.0, seed=0, unit="word", translation="first")
def test_equals_the_plain_way(texts, languages, p, seed, unit, translation):
    ids = [f"t{row}" for row in range(len(texts))]
    switcher = Switcher(LEXICONS, p=p, seed=seed, unit=unit, translation=translation)
    ((switched, counts),) = switcher.switch(texts, [(ids, languages)])
    plain = [plain_switch(*row, languages, p, seed, unit, translation) for row in zip(texts, ids, strict=True)]
    assert switched.to_pylist() == [text for text, _ in plain]
    assert sum(n for key, n in counts.items() if key.startswith("replaced")) == sum(len(rows) for _, rows in plain)


@settings(max_examples=200, deadline=None)
@given(texts=st.lists(st.lists(st.sampled_from(PIECES), max_size=14).map("".join) | st.text(max_size=8), max_size=5))
def test_words_are_split_as_they_are_plainly(texts):
    words = split_words(texts)
    found = [[] for _ in texts]
    for text, start, end in zip(words.texts, words.starts, words.ends, strict=True):
        found[text].append((int(start - words.bounds[text]), int(end - words.bounds[text])))
    assert found == [plain_words(text) for text in texts]
    assert words.counts.tolist() == [len(runs) for runs in found]
    hashes = {}
    for (text, start, end), value in zip(
        [(t, *run) for t, runs in enumerate(found) for run in runs], words.hashes.tolist(), strict=True
    ):
        assert hashes.setdefault(fold(texts[text][start:end]), value) == value
    assert len(set(hashes.values())) == len(hashes)


@pytest.mark.parametrize("unit", ["word", "phrase"])
def test_what_is_replaced_at_a_smaller_p_is_replaced_at_a_larger(unit):
    text = "the new york city cat house york new " * 20
    chosen = [set(plain_switch(text, "t", ["de"], p, 5, unit, "first")[1]) for p in (0.2, 0.5, 0.9, 1.0)]
    assert chosen[0] < chosen[1] < chosen[2] < chosen[3]
    texts = [switch(text, p=p, seed=5, unit=unit)[0] for p in (0.2, 0.5, 0.9, 1.0)]
    assert texts == [plain_switch(text, "t", ["de"], p, 5, unit, "first")[0] for p in (0.2, 0.5, 0.9, 1.0)]


def test_the_share_of_words_drawn_is_p():
    counts = switch("the cat " * 5000, p=0.3)[1]
    assert counts["drawn/de"] / counts["tokens"] == pytest.approx(0.3, abs=0.02)
    langs = switch("the cat " * 5000, ["de", "zh", "ja"])[1]
    assert [langs[f"drawn/{lang}"] / 10_000 for lang in ("de", "zh", "ja")] == pytest.approx([1 / 3] * 3, abs=0.02)


@pytest.mark.parametrize(
    ("translation", "shares"),
    [("first", [1, 0, 0, 0]), ("uniform", [1 / 3, 1 / 3, 1 / 3, 0]), ("weighted", [12 / 25, 6 / 25, 4 / 25, 3 / 25])],
)
def test_translations_are_drawn_by_their_shares(translation, shares):
    assert CHOICES == 3
    text, _ = switch("the " * 5000, translation=translation)
    words = text.split()
    found = [words.count(word) / len(words) for word in ("die", "der", "das", "des")]
    assert found == pytest.approx(shares, abs=0.02)
    assert all((a == 0) == (b == 0) for a, b in zip(found, shares, strict=True))


def test_different_seeds_and_ids_draw_differently():
    text = "the cat " * 50
    outcomes = {switch(text, p=0.5, seed=seed, identity=key)[0] for seed in (0, 1, -1) for key in ("a", "b")}
    assert len(outcomes) == 6


def test_equal_hashes_of_different_words_do_no_harm(monkeypatch):
    """Every word has the same first hash: then what is found has another second one than what it is taken for."""
    values = code_points._values
    monkeypatch.setattr(code_points, "_values", lambda which: values(which) * np.uint64(which))
    switcher = Switcher({"de": entries(the=["die"], house=["haus"])}, p=1.0, seed=0)
    ((switched, counts),) = switcher.switch(["house the houses tha the"], [(["t"], ["de"])])
    assert switched.to_pylist() == ["house die houses tha die"]
    assert counts == {"tokens": 5, "drawn/de": 5, "replaced/de": 2}


def test_the_two_hashes_have_nothing_to_do_with_each_other():
    words = split_words([" ".join(chr(0x4E00 + number) for number in range(5000))])
    rows = np.arange(5000)
    first, second = words.hashes >> np.uint64(40), words.checks(rows, rows) >> np.uint64(40)
    assert abs(np.corrcoef(first.astype(float), second.astype(float))[0, 1]) < 0.05
    assert len(np.unique(words.checks(rows, rows))) == 5000
