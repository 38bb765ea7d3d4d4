"""Files of stance templates: what is read, and that what is broken or lacking is named by file and key."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from xlstance.errors import DataError
from xlstance.stance_templates import SIDES, Wordings, format_templates, parse_templates, stance_templates

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
@given(st.text(st.characters(exclude_characters="{}", codec="utf-8"), max_size=12))
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
