"""The texts of XL-Stance as they were written: a plan of the issues, and one small file for each language and topic.

``plan.yaml`` says what each issue asks and what its arguments claim; ``texts/{lang}/{topic}.yaml`` has the question and
the four arguments in a language. ``build.py`` makes of them the files in X-Stance's format that everything else reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from xlstance.errors import DataError

HERE = Path(__file__).parent
ARGUMENTS = ("f1", "f2", "a1", "a2")
"""Two arguments in favour, two against; f1 and a2 speak for their own way, f2 and a1 against the other's."""

LANGUAGES = ("ar", "de", "el", "en", "es", "fr", "hi", "it", "ru", "th", "tr", "vi", "zh")
"""The languages that every issue is written in; a new one goes to the end, as ids count on the order."""

NEW_TOPICS = ("digital", "justice", "migration", "culture")
"""Topics that stand in the test part alone."""


@dataclass(frozen=True, kw_only=True)
class Issue:
    """An issue of the plan.

    Attributes:
        name: the topic and the issue's number in it.
        topic: its name in ids and files.
        title: the topic in English.
        direction: ``introduce`` or ``abolish``: whether the question asks for something new or for an end.
    """

    name: str
    topic: str
    title: str
    direction: str

    @property
    def number(self) -> int:
        """Its place in the topic, from 1."""
        return int(self.name.rpartition("-")[2])

    @property
    def part(self) -> str:
        """``train`` or ``valid``, or of the test part ``new_questions`` or ``new_topics``.

        The last two of a topic's eight are new questions; of the others one validates, in every other topic one that
        asks for something new.
        """
        if self.topic in NEW_TOPICS:
            return "new_topics"
        validates = 5 + topics().index(self.topic) % 2
        return "new_questions" if self.number > 6 else "valid" if self.number == validates else "train"

    def names_its_subject(self, argument: str) -> bool:
        """Whether an argument names what the issue is about; the others leave it implied."""
        return argument in (("f1", "a2") if self.number % 2 else ("f2", "a1"))


@dataclass(frozen=True, kw_only=True)
class Texts:
    """An issue in one language.

    Attributes:
        issue: the issue.
        lang: the language.
        question: asks for a yes or no to what the plan proposes.
        subject: stems of the words that name it.
        arguments: the texts, by ``ARGUMENTS``.
    """

    issue: Issue
    lang: str
    question: str
    subject: Sequence[str]
    arguments: dict[str, str]


@cache
def issues() -> tuple[Issue, ...]:
    """All issues, in the plan's order."""
    return tuple(
        Issue(name=issue["id"], topic=topic["topic"], title=topic["title"], direction=issue["direction"])
        for topic in _load(HERE / "plan.yaml")
        for issue in topic["issues"]
    )


@cache
def topics() -> tuple[str, ...]:
    """All topics, in the plan's order."""
    return tuple(dict.fromkeys(issue.topic for issue in issues()))


def read_texts(lang: str) -> list[Texts]:
    """Every issue in a language, in the plan's order.

    Raises:
        DataError: if an issue or a text of it is missing.
    """
    made = []
    for topic in topics():
        path = HERE / "texts" / lang / f"{topic}.yaml"
        rows = {row["id"]: row for row in _load(path)}
        for issue in issues():
            if issue.topic != topic:
                continue
            row = rows.pop(issue.name, {})
            missing = [key for key in ("question", "subject", *ARGUMENTS) if not row.get(key)]
            if missing:
                raise DataError(f"{path}: {issue.name} has no {missing[0]!r}")
            arguments = {argument: row[argument] for argument in ARGUMENTS}
            made.append(
                Texts(issue=issue, lang=lang, question=row["question"], subject=row["subject"], arguments=arguments)
            )
        if rows:
            raise DataError(f"{path}: {next(iter(rows))!r} is no issue of the plan")
    return made


def _load(path: Path) -> Any:
    try:
        return yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except (OSError, yaml.YAMLError) as error:
        raise DataError(f"{path} cannot be read ({' '.join(str(error).split())})") from error
