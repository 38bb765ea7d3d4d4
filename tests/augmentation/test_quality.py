import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlstance.augmentation.text_generation import quality
from xlstance.augmentation.text_generation.quality import Filter, Quality, repeated_share, width
from xlstance.augmentation.text_generation.splitting import join, segments
from xlstance.corpora.xl_stance.collection import EMBEDDED
from xlstance.errors import SettingsError

UNJUDGED = Filter(Quality(probability=0))


def words(texts):
    """A tokenizer of words, in which every Chinese or Thai character is a word."""
    return [sum(len(word) if ord(word[0]) > 0xE00 else 1 for word in text.split()) for text in texts]


@pytest.mark.parametrize(
    ("text", "limit", "pieces"),
    [
        ("One two. Three four.", 9, ["One two. Three four."]),
        ("One two. Three four! Five?", 2, ["One two.", "Three four!", "Five?"]),
        ("One two. Three four! Five?", 4, ["One two. Three four!", "Five?"]),
        ('He said "no." Then left.', 3, ['He said "no."', "Then left."]),
        ("A 3.5 percent rise. More.", 4, ["A 3.5 percent rise.", "More."]),
        ("one two, three four, five", 3, ["one two,", "three four, five"]),
        ("one two three four five", 2, ["one two", "three four", "five"]),
        ("他说：“不行。”然后走了。", 8, ["他说：“不行。”", "然后走了。"]),
        ("今天下雨，明天晴。", 6, ["今天下雨，", "明天晴。"]),
        ("今天下雨", 2, ["今天", "下雨"]),
        ("यह पहला है। यह दूसरा है।", 3, ["यह पहला है।", "यह दूसरा है।"]),
        ("هل هذا صحيح؟ نعم هو صحيح.", 3, ["هل هذا صحيح؟", "نعم هو صحيح."]),
        ("ข้อความ แรก ต่อไป", 11, ["ข้อความ แรก", "ต่อไป"]),
        ("line one\nline two", 2, ["line one", "line two"]),
        ("  \n ", 2, []),
    ],
)
def test_a_long_text_is_cut_at_the_best_place(text, limit, pieces):
    assert segments(text, limit, words) == pieces


@given(st.text(alphabet="ab .,!?\n。，中", max_size=60), st.integers(1, 10))
def test_pieces_hold_all_of_the_text_and_fit(text, limit):
    pieces = segments(text, limit, words)
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(count <= limit for count in words(pieces))


def test_pieces_are_joined_as_the_language_is_written():
    assert join(["Ein Satz.", "Noch einer."], "de") == "Ein Satz. Noch einer."
    assert join(["一句。", "两句。"], "zh-Hant") == "一句。两句。"


@pytest.mark.parametrize(
    ("text", "source", "fault"),
    [
        ("Guten Tag", "Good day", None),
        ("", "Good day", "empty"),
        (" ... ?", "Good day", "empty"),
        ("Gut", "Good day to you", "length"),
        ("Guten Tag und so weiter und so fort", "Good day", "length"),
        ("Guten Tag und so weiter und so fort", None, None),
        ("der Hund und der Hund und der Hund und der Hund", "the dog and so on and on and on", "repeats"),
    ],
)
def test_what_is_at_fault_is_named(text, source, fault):
    assert UNJUDGED.fault(text, "de", source) == fault


def test_characters_of_double_width_count_twice():
    assert width("中文") == width("word") == 4
    assert width("ｗ") == 2
    assert UNJUDGED.fault("我们应该提高税收吗？", "zh", "Should we raise taxes?") is None


def test_repetitions_are_of_words_or_of_characters():
    assert repeated_share("a b c d", "en") == 0
    assert repeated_share("a b c a b c", "en") == pytest.approx(1 / 4)
    assert repeated_share("a b", "en") == 0
    assert repeated_share("北京北京北京北京北京", "zh") == pytest.approx(3 / 5)
    assert repeated_share("ไปไปไปไปไปไปไปไป", "th-TH") > 0.7


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shortest": 2.0, "longest": 1.0}, "shortest is 2.0 and longest 1.0"),
        ({"repeated": 1.5}, "repeated is 1.5; give a share"),
        ({"probability": -0.1}, "probability is -0.1"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, message):
    with pytest.raises(SettingsError, match=message):
        Quality(**changes)


def test_the_library_is_asked_for_only_where_it_is_needed(monkeypatch):
    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    quality.identifier.cache_clear()
    with pytest.raises(SettingsError, match="needs py3langid: pip install"):
        Filter(Quality())
    assert Filter(Quality(probability=0)).knows("tlh")


@pytest.fixture(scope="module")
def judge():
    pytest.importorskip("py3langid", reason="py3langid identifies languages: pip install 'xlstance[generation]'")
    quality.identifier.cache_clear()
    return Filter(Quality())


def test_a_text_in_another_language_is_found(judge):
    assert judge.fault("Should the state tax sugar?", "de", None) == "language"
    assert judge.fault("Soll der Staat Zucker besteuern?", "de", None) is None
    assert judge.fault("应该对糖征税吗？", "zh-Hant", None) is None
    assert judge.fault("砂糖に税金をかけるべきですか。", "zh", None) == "language"


def test_a_language_that_cannot_be_identified_is_refused(judge):
    judge.check(["de", "zh-Hant", "fi", "ja", "ko"])
    assert not judge.knows("tlh")
    with pytest.raises(SettingsError, match="texts in tlh cannot be identified, only af, am, ar"):
        judge.check(["de", "tlh"])


def test_questions_pass_in_their_own_language_and_in_no_other(judge):
    files = sorted(EMBEDDED.glob("questions.*.jsonl"))
    assert len(files) == 13
    for file in files:
        lang = file.name.split(".")[1]
        questions = [json.loads(line)["text"] for line in file.read_text(encoding="utf-8").splitlines()]
        assert [text for text in questions if judge.fault(text, lang)] == []
        others = {"de", "es", "fi", "it", "ja", "tr"} - {lang}
        passed = [(text, other) for text in questions for other in others if not judge.fault(text, other)]
        assert len(passed) <= 0.01 * len(questions) * len(others), passed
