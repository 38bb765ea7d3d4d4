"""The wording of stance data, in every language: how one side of a question is asked for, and how a comment takes it.

The wordings of real languages stand in ``stance_templates.yaml``. They are worded apart from the queries of XL-Stance:
a model that trains on them has seen no template of that benchmark. Others are read from files of the same form.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from xlstance.errors import DataError

SIDES = ("favour", "against")
_SLOTS = {"question": "{question}", "claim": "{claim}", "frame": "{text}"}


@dataclass(frozen=True, kw_only=True)
class Wordings:
    """The wordings of one side in one language.

    Attributes:
        question: queries about a question as it stands, in the place of ``{question}``.
        claim: queries about a claim, a sentence with its full stop, in the place of ``{claim}``.
        frame: what a comment of this side says around a text, whole sentences in the place of ``{text}``.
    """

    question: tuple[str, ...]
    claim: tuple[str, ...]
    frame: tuple[str, ...]

    def queries(self, question: str, claim: str | None = None) -> list[str]:
        """Every query that asks for this side of a question.

        Args:
            question: the question as it stands.
            claim: the same as a claim, where there is one.
        """
        asked = [template.replace("{question}", question) for template in self.question]
        if claim is not None:
            asked += [template.replace("{claim}", claim) for template in self.claim]
        return asked


Templates = Mapping[str, Mapping[str, Wordings]]
"""Wordings by language and side."""


@cache
def stance_templates() -> Templates:
    """The wordings of the languages that come with the library."""
    path = Path(__file__).with_name("stance_templates.yaml")
    return parse_templates(path.read_text(encoding="utf-8"), str(path))


def parse_templates(text: str, where: str) -> Templates:
    """The wordings that a YAML file holds: by language, side and kind a list of templates.

    Args:
        text: the file's content.
        where: the file, for messages.

    Raises:
        DataError: if it is no YAML; if a language lacks a side or a kind, or has another key; if a template stands
            twice, on one side or on both, or has not the kind's braces once and no others.
    """
    try:
        loaded = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - makes texts alone: "no" is Norwegian
    except (yaml.YAMLError, RecursionError) as error:
        raise DataError(f"{where} is no YAML ({' '.join(str(error).split())}); mend it there") from error
    if not isinstance(loaded, dict) or not loaded:
        raise DataError(f"{where} holds no languages; begin with a language code and a colon, such as de:")
    return {lang: _language(own, f"{where}: {lang}") for lang, own in loaded.items()}


def format_templates(templates: Templates) -> str:
    """Wordings, each of one line, as YAML that ``parse_templates`` reads."""
    plain = {
        lang: {side: {kind: list(texts) for kind, texts in asdict(words).items()} for side, words in own.items()}
        for lang, own in templates.items()
    }
    return yaml.safe_dump(plain, allow_unicode=True, sort_keys=False, width=1000)


def _language(own: Any, where: str) -> Mapping[str, Wordings]:
    sides = {side: _keyed(kinds, _SLOTS, f"{where}.{side}") for side, kinds in _keyed(own, SIDES, where).items()}
    for kind, slot in _SLOTS.items():
        seen: Counter[str] = Counter()
        for side in SIDES:
            place, texts = f"{where}.{side}.{kind}", sides[side][kind]
            if not isinstance(texts, list) or not texts:
                raise DataError(f"{place} is empty or no list; give one template or more, each behind a dash")
            for number, template in enumerate(texts, start=1):
                _check_template(template, slot, f"{place}: template {number}")
                seen[template] += 1
                if seen[template] > 1:
                    raise DataError(f"{place}: template {number} stands twice, on one side or on both; reword one")
    return {side: Wordings(**{kind: tuple(texts) for kind, texts in sides[side].items()}) for side in SIDES}


def _keyed(value: Any, keys: Collection[str], where: str) -> dict[str, Any]:
    """The value if it has exactly these keys."""
    given = value if isinstance(value, dict) else {}
    for key in keys:
        if key not in given:
            raise DataError(f"{where}.{key} is missing; there must be {', '.join(keys)}")
    for key in given:
        if key not in keys:
            raise DataError(f"{where}.{key} is no key that is known; there must be {', '.join(keys)} alone")
    return given


def _check_template(template: Any, slot: str, where: str) -> None:
    if not isinstance(template, str):
        raise DataError(f"{where} is no text; put it in quotation marks")
    if template.count(slot) != 1 or {"{", "}"} & set(template.replace(slot, "")):
        raise DataError(f"{where} is {template!r}; it must hold {slot} once and no other braces")
