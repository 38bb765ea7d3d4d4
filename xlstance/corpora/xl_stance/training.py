"""Training pairs of XL-Stance's own training part: a query for a side of a question, and a comment that takes it.

They are no zero-shot training: on the test part's new topics a model that trains on them has seen other topics of the
collection (level Z1), on its new questions other questions of the same topics (level Z2). The queries are worded by
``stance_templates``, so the benchmark's templates stay unseen.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from xlstance.collection import TrainingSet
from xlstance.corpora.xl_stance.collection import StanceCollection
from xlstance.errors import DataError, SettingsError
from xlstance.stance_templates import SIDES, stance_templates
from xlstance.tables import hash_ids, make_table

LEVELS = "level Z1 for the test part's new topics, Z2 for its new questions: not zero-shot"


@dataclass(frozen=True, kw_only=True)
class StanceTraining:
    """Which pairs.

    Attributes:
        name: of the source; begins every id.
        pairs: ``mono`` for queries in the comment's language, ``cross`` for those in every other language that the
            question has, ``both`` for all.
        languages: of queries and comments; empty for all that have templates.
        negatives: comments on the same question, in the same language, of the other side, that a pair names at most.
        seed: of the draws of templates and negatives.
    """

    name: str = "xl-stance"
    pairs: Literal["mono", "cross", "both"] = "both"
    languages: tuple[str, ...] = ()
    negatives: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.negatives < 0:
            raise SettingsError(f"source {self.name!r}: negatives is {self.negatives}; give 0 or more")
        for lang in self.languages:
            if lang not in stance_templates():
                there = ", ".join(stance_templates())
                raise SettingsError(f"source {self.name!r}: no stance templates for {lang!r}; there are {there}")


def stance_training(collection: StanceCollection, settings: StanceTraining) -> TrainingSet:
    """Makes a training set of a collection's training part.

    Args:
        collection: comments and questions.
        settings: which pairs.

    Returns:
        Pairs of every query with every comment of its side on its question. Query ids are
        ``{name}/{lang}/{question id}/{side}``, in one group for a side of a question; passage ids ``{name}/{id}``, in
        the comments' groups, which two sides never share. The notes say the level.

    Raises:
        DataError: if no pair is left.
    """
    languages = list(settings.languages or stance_templates())
    comments = collection.comments
    comments = comments[(comments["split"] == "train") & comments["lang"].isin(languages)]
    questions = collection.questions
    questions = questions[questions["question_id"].isin(comments["question_id"]) & questions["lang"].isin(languages)]
    comments = comments.assign(passage_id=f"{settings.name}/" + comments["id"].astype(str))
    queries = pd.concat(_queries(questions, side, settings) for side in SIDES)
    pairs = queries.merge(comments, on=["question_id", "side"], suffixes=("", "_comment"))
    if settings.pairs != "both":
        pairs = pairs[(pairs["lang"] == pairs["lang_comment"]) == (settings.pairs == "mono")]
    if not len(pairs):
        raise DataError(
            f"source {settings.name!r}: no {settings.pairs} pair in {', '.join(languages)} in the train part"
        )
    negatives = _negatives(comments, settings)
    notes = (
        f"{len(pairs)} pairs of {pairs['question_id'].nunique()} questions of the train part, queries in "
        f"{pairs['lang'].nunique()} languages",
        LEVELS,
    )
    return TrainingSet(
        passages=make_table(
            "passages", {**_columns(comments, "passage_id", "lang", "text"), "group_id": comments["group"].tolist()}
        ),
        queries=make_table("queries", _columns(queries, "query_id", "lang", "text", "group_id")),
        pairs=make_table(
            "pairs",
            {
                "pair_id": (pairs["query_id"] + ">" + pairs["id"].astype(str)).tolist(),
                **_columns(pairs, "query_id", "passage_id"),
                "negatives": [
                    [{"passage_id": each} for each in negatives[identity]] for identity in pairs["passage_id"]
                ],
                "source": [settings.name] * len(pairs),
            },
        ),
        notes=notes,
    )


def _queries(questions: pd.DataFrame, side: str, settings: StanceTraining) -> pd.DataFrame:
    """The query for one side of each question, its template drawn by the query's id."""
    group = questions["question_id"].astype(str) + f"/{side}"
    ids = settings.name + "/" + questions["lang"] + "/" + group
    drawn = hash_ids([f"{settings.seed}:{identity}" for identity in ids])
    texts = []
    for lang, question, draw in zip(questions["lang"], questions["text"], drawn, strict=True):
        wordings = stance_templates()[lang][side].queries(question)
        texts.append(wordings[int(draw) % len(wordings)])
    return questions.assign(query_id=ids, text=texts, side=side, group_id=settings.name + "/" + group)


def _negatives(comments: pd.DataFrame, settings: StanceTraining) -> dict[str, list[str]]:
    """For each comment some of the other side, on the same question and in the same language, the lowest hashes."""
    drawn = hash_ids([f"{settings.seed}:{identity}" for identity in comments["passage_id"]])
    ordered = comments.iloc[np.argsort(drawn, kind="stable")]
    sides = {
        key: own["passage_id"].tolist()[: settings.negatives]
        for key, own in ordered.groupby(["question_id", "lang", "side"])
    }
    other = dict(zip(SIDES, reversed(SIDES), strict=True))
    keys = zip(comments["passage_id"], comments["question_id"], comments["lang"], comments["side"], strict=True)
    return {identity: sides.get((question, lang, other[side]), []) for identity, question, lang, side in keys}


def _columns(frame: pd.DataFrame, *names: str) -> dict[str, object]:
    return {name: frame[name].tolist() for name in names}
