"""Comments on questions, each with a side: X-Stance's files, and the embedded collection in the same format."""

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import pandas as pd
import pyarrow as pa

from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.xstance import SPLITS, read_comments, read_questions
from xlstance.errors import DataError
from xlstance.leakage.text import normalise
from xlstance.storage import fingerprint

EMBEDDED = Path(__file__).parent / "data"
"""The folder of the embedded collection."""

_MORE = [pa.field(name, pa.string()) for name in ("topic", "test_set", "group")]
_NEAR = 0.8  # share of the words that two near-duplicate questions have in common, of all their words


@dataclass(frozen=True, kw_only=True)
class StanceCollection:
    """All comments and questions.

    Attributes:
        comments: ``id`` (int), ``lang``, ``text``, ``question_id`` (int), ``side`` (``favour`` or ``against``),
            ``split``, ``topic``, ``test_set`` (why it is in the test part; empty elsewhere) and ``group`` (the same
            for the same argument in every language; its own where the comments are not parallel).
        questions: ``question_id``, ``lang``, ``text``; in every language a question has.
        parallel: whether the comments are told in several languages.
    """

    comments: pd.DataFrame
    questions: pd.DataFrame
    parallel: bool

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits that stand for every comment and question: the version of the collection."""
        tables = (self.comments.sort_values("id"), self.questions.sort_values(["question_id", "lang"]))
        return fingerprint(*(table.to_dict("list") for table in tables))


def read_collection(folder: Path, bad: BadRows) -> StanceCollection:
    """Reads a folder in X-Stance's format.

    Args:
        folder: ``EMBEDDED``, or a user's copy of X-Stance.
        bad: told of the rows that cannot be used.

    Raises:
        DataError: if a file is missing, cannot be read, or leaves no comment.
    """
    questions = read_questions(folder, bad)
    parts = []
    for split in SPLITS:
        blocks = [block.to_pandas() for block in read_comments(folder, split, questions, bad, _MORE)]
        parts += [block.assign(split=split) for block in blocks]
    comments = pd.concat(parts, ignore_index=True)
    if not len(comments):
        raise DataError(f"{folder}: no comment is left; its rows are X-Stance's")
    own = "x/" + comments["id"].astype(str)
    return StanceCollection(
        comments=pd.DataFrame(
            {
                "id": comments["id"],
                "lang": comments["language"],
                "text": comments["comment"],
                "question_id": comments["question_id"],
                "side": comments["label"].map({"FAVOR": "favour", "AGAINST": "against"}),
                "split": comments["split"],
                "topic": comments["topic"].fillna(""),
                "test_set": comments["test_set"].fillna(""),
                "group": comments["group"].fillna(own),
            }
        ),
        questions=questions.rename_columns({"id": "question_id"}).to_pandas(),
        parallel=bool(comments["group"].notna().any()),
    )


def near_duplicates(questions: pd.DataFrame) -> dict[int, int]:
    """The smallest id among the near-duplicates of each question, itself where it has none.

    Two questions are near-duplicates if, in some language, at least 80 % of all their words stand in both: the same
    issue asked at two elections. Their comments would be false negatives of one another. The relation is carried over
    any number of steps.

    Args:
        questions: as in ``StanceCollection``.
    """
    first = {int(question): int(question) for question in questions["question_id"]}

    def root(question: int) -> int:
        while first[question] != question:
            question = first[question]
        return question

    for _, part in questions.groupby("lang"):
        words = [
            (int(question), set(normalise(text).split()))
            for question, text in zip(part["question_id"], part["text"], strict=True)
        ]
        for (one, own), (other, others) in combinations(words, 2):
            if len(own & others) >= _NEAR * len(own | others):
                low, high = sorted((root(one), root(other)))
                first[high] = low
    return {question: root(question) for question in first}
