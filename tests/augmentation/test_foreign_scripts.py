import random
from collections import Counter
from pathlib import Path

import pytest

from xlstance.augmentation.lexicons.foreign_scripts import drop_foreign, script_of
from xlstance.augmentation.lexicons.lexicon import read_lexicon

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "dict"
ARABIC = {"the": ["ال"], "house": ["بيت", "دار"], "water": ["ماء"], "cat": ["قط"], "law": ["قانون", "شريعة"]}


def lexicon(**words):
    return {word: {text: 1 / rank for rank, text in enumerate(found, 1)} for word, found in words.items()}


def dropped(**words):
    """What a lexicon loses, and how many by script."""
    whole = lexicon(**words)
    left, counts = drop_foreign(whole)
    for word, found in left.items():
        assert found == {text: weight for text, weight in whole[word].items() if text in found}
    lost = [(word, text) for word, found in whole.items() for text in found if text not in left.get(word, {})]
    return lost, counts


def test_translations_in_a_script_that_the_list_hardly_uses_go():
    lost, counts = dropped(**ARABIC, to=["אלי", "إلى"], giustizia=["oe"], syr=["egy"])
    assert lost == [("to", "אלי"), ("giustizia", "oe"), ("syr", "egy")]
    assert counts == {"HEBREW": 1, "LATIN": 2}
    left, _ = drop_foreign(lexicon(**ARABIC, to=["אלי", "إلى"], giustizia=["oe"]))
    assert list(left) == [*ARABIC, "to"]  # no word without a translation
    assert left["to"] == {"إلى": 1 / 2}


def test_what_is_written_alike_stays_and_does_not_count():
    names = {name.lower(): [name] for name in ("Berlin", "NASA", "L’Oréal", "Paris", "Rome", "Oslo", "Bonn", "Kyiv")}
    names["l'oréal"] = names.pop("l’oréal")
    lost, _ = dropped(**names, **ARABIC, giustizia=["oe"])
    assert lost == [("giustizia", "oe")]
    assert dropped(**names) == ([], Counter())  # nothing says what the list is written in


def test_digits_marks_and_signs_never_decide():
    signs = {"percent": ["%"], "seven": ["٧", "7"], "kasra": ["\u0650"], "no.": ["№"], "long": ["ـ"], "iv": ["Ⅳ"]}
    assert dropped(**ARABIC, **signs) == ([], Counter())
    assert dropped(**signs) == ([], Counter())
    lost, _ = dropped(cat=["кот"], dog=["пёс"], nasa_x=["x-7"], jet=["Т-34"], **{"number 7": ["٧7٧7٧"]})
    assert lost == [("nasa_x", "x-7")]


def test_a_letter_of_the_own_script_is_enough():
    words = {
        "cafe": ["PC방"],
        "water": ["물"],
        "house": ["집"],
        "cat": ["고양이"],
        "virus": ["DNA바이러스"],
        "dna": ["ADN"],
    }
    lost, counts = dropped(**words)
    assert (lost, counts) == ([("dna", "ADN")], {"LATIN": 1})


def test_another_script_of_the_language_stays_only_if_it_is_as_usual():
    """Serbian lists give both; Wiktionary's Vietnamese and Korean have a quarter and a third in Han characters."""
    serbian = {"cat": ["мачка", "mačka"], "house": ["кућа", "kuća"], "law": ["закон"], "water": ["voda"]}
    assert dropped(**serbian) == ([], Counter())
    korean = {"cat": ["고양이"], "house": ["집"], "law": ["법", "法"], "country": ["나라", "國家"], "water": ["물"]}
    assert dropped(**korean) == ([("law", "法"), ("country", "國家")], {"CJK": 2})


def test_scripts_that_are_written_together_are_one():
    japanese = {"cat": ["猫", "ねこ"], "television": ["テレビ"], "law": ["法律"], "water": ["水"], "eat": ["食べる"]}
    assert dropped(**japanese, television_set=["ﾃﾚﾋﾞ"], kanji=["々"], dvds=["DVD"]) == (
        [("dvds", "DVD")],
        {"LATIN": 1},
    )
    rare = {"come": ["來", "㒴"], "island": ["島"], "stab": ["𠡡"], "hand": ["手"], "water": ["水"]}
    assert dropped(**rare) == ([("come", "㒴"), ("stab", "𠡡")], {"CJK EXTENSION": 2})


@pytest.mark.parametrize(
    ("letters", "script"),
    [
        ("aÉßªᵃﬁ", {"LATIN", ""}), ("Ａｚ", {"LATIN"}), ("µΩώ", {"GREEK"}), ("жЁ", {"CYRILLIC"}), ("אﬠ", {"HEBREW"}),
        ("بﷲ", {"ARABIC"}), ("一ねネﾈㄅ", {"CJK"}), ("㐬𨭎", {"CJK EXTENSION"}), ("한", {"HANGUL"}), ("กะ", {"THAI"}),
        ("7٧%№ ्ーー々_\n\ue000\U000f0000", {""}),
    ],
)  # fmt: skip
def test_scripts_of_letters(letters, script):
    assert {script_of(letter) for letter in letters} == script


def test_an_empty_lexicon_stays():
    assert drop_foreign({}) == ({}, Counter())


def test_equals_a_count_entry_by_entry():
    """Drawn lexicons of several scripts, against the rule told letter by letter."""
    draw = random.Random(4)
    alphabets = ["abcdé", "абвг", "אבגד", "一二三", "09% "]
    for _ in range(40):
        weights = [draw.random() ** 3 for _ in alphabets]
        entries: dict[str, list[str]] = {}
        for number in range(draw.randint(1, 40)):
            letters = "".join(draw.choice(a) for a in draw.choices(alphabets, weights, k=draw.randint(1, 2)))
            entries.setdefault(f"w{number // 2}", []).append(letters)
        scripts = {text: {script_of(c) for c in text} - {""} for found in entries.values() for text in found}
        used = Counter(s for found in entries.values() for text in dict.fromkeys(found) for s in scripts[text])
        own = {s for s, count in used.items() if count >= 2 / 3 * max(used.values())}
        lost, _ = dropped(**entries)
        expected = [
            (word, text) for word, found in entries.items() for text in dict.fromkeys(found)
            if scripts[text] and not scripts[text] & own
        ]  # fmt: skip
        assert lost == expected


@pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data/dict")
def test_real_lists_lose_what_is_foreign():
    lists = {lang: [DATA / name / f"en-{lang}.tsv.gz" for name in ("muse", "wiktionary")] for lang in ("ar", "tr")}
    arabic, lost = drop_foreign(read_lexicon(lists["ar"]))
    assert lost == {"HEBREW": 57, "LATIN": 27, "SYRIAC": 1}
    assert "to" not in arabic  # it had a Hebrew spelling alone
    assert drop_foreign(read_lexicon(lists["tr"]))[1] == {"ARABIC": 1}
