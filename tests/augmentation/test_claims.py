"""Questions rewritten as claims: examples made for these tests, in every language, and questions that give none."""

from pathlib import Path
from time import process_time

import pytest
import yaml

from xlstance.augmentation.claims import claim_of, languages_with_claims, rules_of_claims
from xlstance.stance_templates import stance_templates

EXAMPLES = yaml.safe_load(Path(__file__).with_name("claim_examples.yaml").read_bytes())


def cases(kind):
    rows = [(lang, example) for lang, own in EXAMPLES.items() for example in own[kind]]
    return [pytest.param(*row, id=f"{row[0]}-{i}") for i, row in enumerate(rows)]


@pytest.mark.parametrize(("lang", "example"), cases("claims"))
def test_a_question_becomes_its_claim_and_the_opposite(lang, example):
    question, text, negated = example
    claim = claim_of(question, lang)
    assert claim is not None
    assert (claim.text, claim.negated) == (text, negated)


@pytest.mark.parametrize(("lang", "question"), cases("none"))
def test_what_is_no_plain_question_for_a_yes_or_no_gives_no_claim(lang, question):
    assert claim_of(question, lang) is None


def test_every_language_of_the_templates_has_rules_and_examples():
    assert set(languages_with_claims()) == set(stance_templates()) == set(EXAMPLES)
    assert min(len(own["claims"]) for own in EXAMPLES.values()) >= 6


def test_every_rule_of_a_list_can_be_read():
    """A misspelt name of a word list would stand in the expression as it is."""
    for lang, own in rules_of_claims().items():
        named = [rule["question"] for rule in own["rules"]] + list(own["words"].values())
        for text in named:
            rest = text.replace("(?<!", "")
            for name in own["words"]:
                rest = rest.replace(f"<{name}>", "")
            assert "<" not in rest, (lang, text)
        assert all(any(f"<{name}>" in text for text in named) for name in own["words"]), lang


@pytest.mark.parametrize("question", ["", " ", "?", "？", "¿?", "Should", "a" * 5000 + "?"])
@pytest.mark.parametrize("lang", ["en", "de", "zh", "th", "tr", "mul", "ja", "xx"])
def test_odd_questions_and_unknown_languages_give_no_claim_and_no_error(question, lang):
    assert claim_of(question, lang) is None


def test_spaces_and_the_mark_at_the_end_do_not_matter():
    plain = claim_of("Should the state tax sugar?", "en")
    for question in (
        "  Should the\u00a0state tax  sugar ?",
        "Should the state tax sugar",
        "should the state tax sugar??",
        "Should the state tax sugar.?",
    ):
        assert claim_of(question, "en") == plain


@pytest.mark.parametrize("lang", [lang for lang in EXAMPLES if lang != "en"])
def test_a_question_that_is_english_in_part_gives_no_claim(lang):
    """Word-by-word switching keeps the order of the source, which the rules of the other language would misread."""
    for question, *_ in EXAMPLES[lang]["claims"]:
        for words in ("of the bridge", "which", "with"):
            head, mark = question[:-1].rstrip(), question[-1]
            assert claim_of(f"{head} {words}{mark}", lang) is None


def test_no_expression_runs_away_on_a_text_that_almost_fits():
    started = process_time()
    for lang, own in EXAMPLES.items():
        for question, *_ in own["claims"]:
            begin = question.rstrip("?？؟;।")
            for more in ("of the old town ", "a", begin + " "):
                long = f"{begin} {more * 300}"
                claim_of(long[:290], lang)
                assert claim_of(long, lang) is None  # longer than any rule looks at
    assert process_time() - started < 5
