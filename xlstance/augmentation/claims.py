"""Yes/no questions rewritten as claims, by rules.

"Should the state tax sugar?" becomes "The state should tax sugar." The rules stand in ``claims.yaml``, for each
language in their order: the first whose regular expression matches the whole question decides. They would rather leave
a question out than write a sentence that nobody would: where the end of the subject cannot be told, no rule fits.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

_BEFORE, _AFTER = ' ¿"“«', " .?？؟;;"  # what a question begins and ends with; the two last are Greek question marks
_LONGEST = 300  # characters; beyond, a question has more clauses than a rule can see
_SENTENCES = re.compile(r"[?？؟!！。]|[.;]\s")  # inside, they part sentences: too much for a rule
# Words of a question that was switched from English in part: its order is not that of the language of its rules.
_ENGLISH = re.compile(r"\b(?:the|of|and|which|what|who|how|with)\b")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A question's claim.

    Attributes:
        text: what somebody who answers yes says, a sentence with its full stop.
        negated: what somebody who answers no says; None where no rule gives it rightly.
    """

    text: str
    negated: str | None


@dataclass(frozen=True, kw_only=True)
class _Rule:
    question: re.Pattern[str]
    claim: str
    negated: str | None


@dataclass(frozen=True, kw_only=True)
class _Language:
    stop: str
    never: re.Pattern[str]
    not_negated: re.Pattern[str]
    rules: tuple[_Rule, ...]


def claim_of(question: str, lang: str) -> Claim | None:
    """Rewrites a yes/no question as the claim that it asks about.

    Args:
        question: the question, with its question mark or without.
        lang: its language.

    Returns:
        The claim; None if no rule of the language fits (it asks who, what or when; it is hard to parse; it is English
        in part), or the language has no rules.
    """
    own = _languages().get(lang)
    body = " ".join(question.split()).lstrip(_BEFORE).rstrip(_AFTER)
    if own is None or not 0 < len(body) <= _LONGEST or _SENTENCES.search(body):
        return None
    body = _lower(body[0], lang) + body[1:]
    if own.never.search(body) or (lang != "en" and _ENGLISH.search(body)):
        return None
    for rule in own.rules:
        match = rule.question.fullmatch(body)
        if match:
            if not rule.claim:
                return None
            negated = None if own.not_negated.search(body) else rule.negated
            return Claim(
                text=_sentence(match.expand(rule.claim), lang, own.stop),
                negated=negated and _sentence(match.expand(negated), lang, own.stop),
            )
    return None


def languages_with_claims() -> tuple[str, ...]:
    """The languages that have rules."""
    return tuple(_languages())


def _lower(letter: str, lang: str) -> str:
    return {"I": "ı", "İ": "i"}.get(letter, letter.lower()) if lang == "tr" else letter.lower()


def _sentence(text: str, lang: str, stop: str) -> str:
    text = " ".join(text.split())
    first = {"ı": "I", "i": "İ"}.get(text[0], text[0].upper()) if lang == "tr" else text[0].upper()
    return first + text[1:] + stop


@cache
def rules_of_claims() -> Mapping[str, Any]:
    """The rules as they stand in ``claims.yaml``."""
    loaded: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("claims.yaml").read_bytes())
    return loaded


@cache
def _languages() -> Mapping[str, _Language]:
    return {lang: _language(own) for lang, own in rules_of_claims().items()}


def _language(own: Mapping[str, Any]) -> _Language:
    def pattern(text: str) -> re.Pattern[str]:
        for name, words in reversed(own["words"].items()):  # a list may name lists that stand before it
            text = text.replace(f"<{name}>", f"(?:{words})")
        return re.compile(text)

    return _Language(
        stop=own["stop"],
        never=pattern(own["never"]),
        not_negated=pattern(own["not_negated"]),
        rules=tuple(
            _Rule(question=pattern(rule["question"]), claim=rule["claim"], negated=rule.get("negated"))
            for rule in own["rules"]
        ),
    )
