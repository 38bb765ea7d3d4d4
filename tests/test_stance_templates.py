"""Stance templates: the wording of the library's own, and what is read of files and refused."""

import re

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.xl_stance.benchmark import templates as benchmark_templates
from xlstance.corpora.xl_stance.collection import EMBEDDED, read_collection
from xlstance.errors import DataError
from xlstance.leakage.text import normalise
from xlstance.stance_templates import SIDES, Wordings, format_templates, parse_templates, stance_templates

LANGUAGES = ("ar", "de", "el", "en", "es", "fi", "fr", "hi", "it", "ru", "th", "tr", "vi", "zh")
# Words of the benchmark's templates that stand in any text; all others are content.
FUNCTION_WORDS = {
    "ar": {"إلى"}, "de": {"für", "ein"}, "el": {"να"}, "en": {"to"}, "es": {"para", "que"}, "fr": {"de"},
    "hi": {"के"}, "it": {"per"}, "tr": {"için"}, "vi": {"để"},
}  # fmt: skip
STEM = 5  # letters that two forms of a word share
# In a comment a negation is no wording of a query.
NEGATIONS = {"es": {"no"}, "it": {"no"}, "vi": {"không", "có"}, "fr": {"non"}, "th": {"ไม่"}}
GRAMS = {"th": 3, "zh": 2}  # letters, where no space parts the words
COMMON_GRAMS = {"th": {"ที่", "ว่า"}}


def units(text: str, lang: str) -> set[str]:
    """What a text shares with another one if they share wording: words, or runs of letters."""
    text = normalise(re.sub(r"\{\w+\}", " ", text))
    if lang not in GRAMS:
        return set(text.split()) - FUNCTION_WORDS.get(lang, set())
    size = GRAMS[lang]
    letters = text.replace(" ", "")
    return {letters[i : i + size] for i in range(len(letters) - size + 1)} - COMMON_GRAMS.get(lang, set())


def shared(text: str, other: str, lang: str) -> set[str]:
    """The units of a text that stand in the other one, in any form of the word."""
    theirs = units(other, lang)
    return {own for own in units(text, lang) if any(own == it or own[:STEM] == it[:STEM] for it in theirs)}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_language_asks_for_both_sides_and_has_comments_of_both(lang):
    assert tuple(stance_templates()) == LANGUAGES
    own = stance_templates()[lang]
    for side in SIDES:
        words = own[side]
        assert (len(words.question), len(words.claim), len(words.frame)) >= (4, 3, 8)
        for slot, texts in {"{question}": words.question, "{claim}": words.claim, "{text}": words.frame}.items():
            assert all(re.findall(r"\{.*?\}", text) == [slot] for text in texts)
        # Said before and after, so that the place of the text does not tell the side.
        assert sum(text.startswith("{text}") for text in words.frame) == 4
        assert sum(text.endswith("{text}") for text in words.frame) == 4
    everything = [
        text for side in SIDES for words in [own[side]] for text in (*words.question, *words.claim, *words.frame)
    ]
    assert len({normalise(text) for text in everything}) == len(everything)
    assert all(text == text.strip() and "  " not in text for text in everything)


@pytest.mark.parametrize("lang", sorted(benchmark_templates()))
def test_no_query_shares_wording_with_the_benchmark(lang):
    for theirs in benchmark_templates()[lang].values():
        for side in SIDES:
            words = stance_templates()[lang][side]
            for text in (*words.question, *words.claim):
                assert not shared(text, theirs, lang), text
            for text in words.frame:
                assert not shared(text, theirs, lang) - NEGATIONS.get(lang, set()), text


def test_shared_wording_would_be_found():
    assert shared("A good reason: {text}", "Reasons to say yes: {question}", "en")
    assert shared("他的理由：{text}", "回答“是”的理由：{question}", "zh")
    assert shared("ขอเหตุผล {text}", "เหตุผลที่จะตอบว่าใช่: {question}", "th")
    assert not shared("A good thing: {text}", "Reasons to say yes: {question}", "en")


def test_no_comment_of_the_benchmark_holds_a_sentence_of_a_frame():
    comments = normalise("\n".join(read_collection(EMBEDDED, BadRows()).comments["text"]))
    for lang, own in stance_templates().items():
        for side in SIDES:
            for frame in own[side].frame:
                said = [normalise(each) for each in frame.split("{text}") if len(normalise(each).split()) > 3]
                assert not [each for each in said if each in comments], (lang, frame)


WHOLE = {
    "no": {
        "favour": {"question": ["for {question}"], "claim": ["ja {claim}"], "frame": ["bra {text}", "{text} bra"]},
        "against": {"question": ["mot {question}"], "claim": ["nei {claim}"], "frame": ["ille {text}", "{text} ille"]},
    }
}


def changed(*path, value=None, keep=True) -> str:
    """The file with another value at a key, or without the key."""
    content = yaml.safe_load(yaml.safe_dump(WHOLE))
    place = content
    for key in path[:-1]:
        place = place[key]
    if keep:
        place[path[-1]] = value
    else:
        del place[path[-1]]
    return yaml.safe_dump(content, allow_unicode=True)


def test_a_file_is_read_with_norwegian_as_a_language():
    text = "no:\n" + "".join(f"  {side}: {own}\n" for side, own in WHOLE["no"].items())
    assert yaml.safe_load(text).keys() == {False}  # what YAML 1.1 makes of it
    own = parse_templates(text, "f.yaml")["no"]
    assert own["favour"] == Wordings(
        question=("for {question}",), claim=("ja {claim}",), frame=("bra {text}", "{text} bra")
    )
    assert own["against"].queries("Q?", "C.") == ["mot Q?", "nei C."]


def test_what_is_written_is_read():
    assert parse_templates(format_templates(stance_templates()), "f.yaml") == stance_templates()
    assert list(parse_templates(format_templates(stance_templates()), "f.yaml")) == list(stance_templates())


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(exclude_characters="{}", exclude_categories=["C", "Zl", "Zp"]), max_size=12))
def test_any_wording_is_read_as_it_was_written(word):
    content = {
        lang: {
            side: Wordings(
                question=(f"{word}{side}{{question}}",), claim=(f"{side}{{claim}}",), frame=(f"{side}{{text}}",)
            )
            for side in SIDES
        }
        for lang in ("no", "on", "de")
    }
    assert parse_templates(format_templates(content), "f.yaml") == content


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f.yaml holds no languages; begin with a language code"),
        ("- de", "f.yaml holds no languages"),
        ("de: [", "f.yaml is no YAML .*line 1.*mend it there"),
        ("[" * 100_000, "f.yaml is no YAML"),
        ("a\x00b: c", "f.yaml is no YAML"),
        ("? {a: b}\n: c", "f.yaml is no YAML"),
        ("de: &a [*a]", "f.yaml is no YAML|f.yaml: de.favour is missing"),
        ("de:", "f.yaml: de.favour is missing; there must be favour, against"),
        (changed("no", "against", keep=False), "f.yaml: no.against is missing"),
        (changed("no", "favor", value={}), "no.favor is no key that is known; there must be favour, against alone"),
        (changed("no", "favour", value=["{text}"]), "f.yaml: no.favour.question is missing; .* question, claim, frame"),
        (changed("no", "favour", "claim", keep=False), "f.yaml: no.favour.claim is missing"),
        (changed("no", "favour", "stop", value="."), "f.yaml: no.favour.stop is no key that is known"),
        (changed("no", "favour", "claim", value=[]), "f.yaml: no.favour.claim is empty or no list"),
        (changed("no", "favour", "claim", value="ja {claim}"), "f.yaml: no.favour.claim is empty or no list"),
        (changed("no", "favour", "claim", value=["a {claim}", {"b": "c"}]), "claim: template 2 is no text"),
        (changed("no", "favour", "frame", value=["bra"]), r"favour.frame: template 1 is 'bra'; it must hold \{text\}"),
        (changed("no", "favour", "frame", value=["{text}{text}"]), r"hold \{text\} once"),
        (changed("no", "favour", "frame", value=["{text} {claim}"]), r"hold \{text\} once and no other braces"),
        (changed("no", "favour", "frame", value=["bra {text", "{text} a"]), "no.favour.frame: template 1"),
        (changed("no", "favour", "frame", value=["bra {text}"] * 2), "frame: template 2 stands twice"),
        (changed("no", "favour", "frame", value=["ille {text}"]), "against.frame: template 1 stands twice, .* on both"),
    ],
)  # fmt: skip
def test_what_is_broken_or_lacking_is_named_by_file_and_key(text, message):
    with pytest.raises(DataError, match=message) as caught:
        parse_templates(text, "f.yaml")
    assert "\n" not in str(caught.value)


def test_nothing_is_made_of_a_tag():
    text = format_templates(stance_templates()).replace("ar:", "ar: !!python/object/apply:os.getcwd", 1)
    assert parse_templates(text, "f.yaml").keys() == stance_templates().keys()
