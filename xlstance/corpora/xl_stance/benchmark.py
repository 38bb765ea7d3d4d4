"""The retrieval tasks of XL-Stance: find the comments on a question, or those that take one side of it.

*Topical*: relevant is every comment on the question. *Stance*: the query asks for one side; a comment on that side has
gain 2, on the other side gain 1, so that figures of one side count gain 2 alone. Queries are the questions of one part,
in every language that they have; comments of all parts stand in the pool, as distractors where nothing asks for them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import yaml

from xlstance.collection import Benchmark
from xlstance.corpora.xl_stance.collection import StanceCollection, near_duplicates
from xlstance.errors import DataError
from xlstance.tables import hash_ids, make_table

Task = Literal["topical", "stance"]
Pool = Literal["natural", "balanced"]
Part = Literal["test", "valid"]
SIDES = ("favour", "against")
SAME_SIDE, OTHER_SIDE = 2, 1

_UNSEEN = ("new_questions", "new_topics")  # X-Stance's names go on, as in new_topics_defr


@dataclass(frozen=True, kw_only=True)
class StanceTask:
    """Which of the tasks.

    Attributes:
        task: ``topical`` or ``stance``.
        pool: ``natural`` for all comments, or ``balanced`` for as many comments on a question in each language.
        part: ``test`` for the questions of the test part that no other part holds, or ``valid``.
        fewest: balanced: a language with fewer comments on a question drops out for that question.
        seed: of the draw for a balanced pool.
    """

    task: Task = "topical"
    pool: Pool = "natural"
    part: Part = "test"
    fewest: int = 5
    seed: int = 0


def stance_benchmark(collection: StanceCollection, settings: StanceTask) -> Benchmark:
    """Makes a benchmark of a collection.

    Args:
        collection: comments and questions.
        settings: which task.

    Returns:
        Its tables. Query ids are ``{lang}/{question id}``, with ``/favour`` or ``/against`` behind in the stance task;
        passage ids are the comments' ids. A near-duplicate of a question counts as the question in the topical task;
        in the stance task, where it may ask the reverse, its comments leave the pool. A question with a near-duplicate
        in another part is no query. Its ``info`` has ``units`` too: the question that each query group is about.

    Raises:
        DataError: if no question is left, or one is in a language without a template.
    """
    comments, notes = collection.comments, []
    same = near_duplicates(collection.questions)
    asked = _asked(comments, same, settings.part)
    if not len(asked):
        raise DataError(f"no question of the {settings.part} part stands in no other part; is the collection whole?")
    if settings.task == "stance":
        twins = comments["question_id"].map(lambda question: same[question] != question)
        if twins.any():
            notes.append(f"{int(twins.sum())} comments on near-duplicates of other questions are left out of the pool")
        comments = comments[~twins]
    else:
        comments = comments.assign(question_id=comments["question_id"].map(same))
    if settings.pool == "balanced":
        # Parallel comments are as many in every language from the start.
        kept = comments if collection.parallel else _balanced(comments, settings)
        notes.append(f"{len(kept)} of {len(comments)} comments are in the balanced pool")
        comments = kept
    questions = collection.questions[collection.questions["question_id"].isin(asked)]
    judged = comments[comments["question_id"].isin(asked)]
    pairs = questions[["question_id", "lang"]].merge(judged[["question_id", "id", "side"]], on="question_id")
    build = _stance if settings.task == "stance" else _topical
    queries, qrels = build(questions, pairs)
    counts = judged.groupby("lang").size()
    shown = ", ".join(f"{lang} {count}" for lang, count in counts.items())
    without = sorted(set(questions["lang"]) - set(comments["lang"]))
    notes = [
        f"{len(asked)} questions in {questions['lang'].nunique()} languages, {len(judged)} comments on them ({shown}) "
        f"among {len(comments)}",
        f"fingerprint of the collection: {collection.fingerprint}",
        *notes,
        *(f"{lang}: questions without comments in the language" for lang in without),
    ]
    return Benchmark(
        passages=make_table(
            "passages",
            {
                "passage_id": comments["id"].astype(str).tolist(),
                "lang": comments["lang"].tolist(),
                "text": comments["text"].tolist(),
                "group_id": comments["group"].tolist(),
            },
        ),
        queries=make_table("queries", {str(name): queries[name].tolist() for name in queries}),
        qrels=make_table("qrels", {str(name): qrels[name].tolist() for name in qrels}),
        notes=tuple(notes),
        info={
            "relevant_from": SAME_SIDE if settings.task == "stance" else 1,
            "by_argument": collection.parallel,
            # A test draws a question again with all its languages and both sides.
            "units": {group: group.partition("/")[0] for group in queries["group_id"]},
        },
    )


def _asked(comments: pd.DataFrame, same: Mapping[int, int], part: str) -> list[int]:
    """The questions of a part, without those that another part holds too, themselves or as a near-duplicate."""
    if part == "test":
        own = (comments["split"] == "test") & comments["test_set"].str.startswith(_UNSEEN)
    else:
        own = comments["split"] == part
    groups = comments["question_id"].map(same)
    return sorted(set(groups[own]) - set(groups[~own]))


def _balanced(comments: pd.DataFrame, settings: StanceTask) -> pd.DataFrame:
    """As many comments in each language on each question, drawn by a hash."""
    drawn = hash_ids([f"{settings.seed}:{identity}" for identity in comments["id"]])
    ordered = comments.iloc[np.argsort(drawn, kind="stable")]
    count = ordered.groupby(["question_id", "lang"])["id"].transform("size")
    ordered = ordered[count >= settings.fewest]
    smallest = count[ordered.index].groupby(ordered["question_id"]).transform("min")
    place = ordered.groupby(["question_id", "lang"]).cumcount()
    return ordered[place < smallest].sort_index()


def _topical(questions: pd.DataFrame, pairs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    ids = questions["question_id"].astype(str)
    queries = pd.DataFrame(
        {
            "query_id": questions["lang"] + "/" + ids,
            "lang": questions["lang"],
            "text": questions["text"],
            "group_id": ids,
        }
    )
    query_id = pairs["lang"] + "/" + pairs["question_id"].astype(str)
    return queries, pd.DataFrame({"query_id": query_id, "passage_id": pairs["id"].astype(str), "gain": 1})


def _stance(questions: pd.DataFrame, pairs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    queries, qrels = [], []
    for side in SIDES:
        ids = questions["question_id"].astype(str) + f"/{side}"
        texts = [_ask(lang, side, text) for lang, text in zip(questions["lang"], questions["text"], strict=True)]
        columns = {"query_id": questions["lang"] + "/" + ids, "lang": questions["lang"], "text": texts, "group_id": ids}
        queries.append(pd.DataFrame(columns))
        query_id = pairs["lang"] + "/" + pairs["question_id"].astype(str) + f"/{side}"
        gain = np.where(pairs["side"] == side, SAME_SIDE, OTHER_SIDE)
        qrels.append(pd.DataFrame({"query_id": query_id, "passage_id": pairs["id"].astype(str), "gain": gain}))
    return pd.concat(queries), pd.concat(qrels)


@cache
def templates() -> dict[str, dict[str, str]]:
    """How a side of a question is asked for, by language and side; ``{question}`` stands for the question."""
    loaded: dict[str, dict[str, str]] = yaml.safe_load(Path(__file__).with_name("templates.yaml").read_bytes())
    return loaded


def _ask(lang: str, side: str, question: str) -> str:
    if lang not in templates():
        raise DataError(f"{lang!r}: no template asks for a side in this language; there are {', '.join(templates())}")
    return templates()[lang][side].replace("{question}", question)
