"""Makes the packaged files of XL-Stance from its sources, in the format of X-Stance with a few columns more.

python -m xlstance.corpora.xl_stance.build

``train.jsonl``, ``valid.jsonl``, ``test.jsonl`` (all ``.gz``) and ``questions.{lang}.jsonl``. Beyond X-Stance's
columns a comment has ``group`` (the same for the same argument in every language) and ``implied`` (whether it leaves
its subject unnamed); a question has its ``direction``. In the test part ``test_set`` says why a row is in it.
"""

import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from xlstance.corpora.xl_stance.sources import ARGUMENTS, HERE, LANGUAGES, Issue, issues, read_texts, topics

DATA = HERE / "data"
AUTHOR = "xlstance"


def question_id(issue: Issue) -> int:
    """The topic's number and the issue's: 101 to 1308; stays what it is when issues are added."""
    return 100 * (topics().index(issue.topic) + 1) + issue.number


def rows(lang: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(split, row) of every comment in a language."""
    place = LANGUAGES.index(lang)
    for texts in read_texts(lang):
        issue = texts.issue
        for number, argument in enumerate(ARGUMENTS):
            favours = argument.startswith("f")
            # Of an issue that trains the second argument of each side is a new comment of the test part.
            part = "new_comments" if issue.part == "train" and argument.endswith("2") else issue.part
            split = part if part in ("train", "valid") else "test"
            row = {
                "id": (question_id(issue) * 10 + number) * 100 + place,
                "language": lang,
                "question_id": question_id(issue),
                "question": texts.question,
                "comment": texts.arguments[argument],
                "label": "FAVOR" if favours else "AGAINST",
                "numerical_label": 100 if favours else 0,
                "author": AUTHOR,
                "topic": issue.title,
                "group": f"{issue.name}/{argument}",
                "implied": not issue.names_its_subject(argument),
            }
            yield split, row | ({"test_set": part} if split == "test" else {})


def files() -> Iterator[tuple[str, bytes]]:
    """Name and bytes of every packaged file; the same for the same sources."""
    split_rows: dict[str, list[dict[str, Any]]] = {"train": [], "valid": [], "test": []}
    for lang in LANGUAGES:
        for split, row in rows(lang):
            split_rows[split].append(row)
        questions = [
            {
                "id": question_id(texts.issue),
                "topic": texts.issue.title,
                "text": texts.question,
                "direction": texts.issue.direction,
            }
            for texts in read_texts(lang)
        ]
        yield f"questions.{lang}.jsonl", _lines(questions)
    for split, content in split_rows.items():
        yield f"{split}.jsonl.gz", gzip.compress(_lines(content), mtime=0)


def _lines(content: Iterable[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content).encode()


def build(folder: Path = DATA) -> None:
    """Writes the packaged files.

    Args:
        folder: where to.

    Raises:
        DataError: if a text is missing.
    """
    made = dict(files())
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in made.items():
        (folder / name).write_bytes(data)
    print(f"{len(issues())} issues in {len(LANGUAGES)} languages: {folder}")


if __name__ == "__main__":
    build()
