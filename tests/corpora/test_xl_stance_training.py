"""XL-Stance's training part as training pairs: sides, negatives, levels, and no template of the benchmark."""

import pandas as pd
import pytest

from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.xl_stance.benchmark import StanceTask, stance_benchmark, templates
from xlstance.corpora.xl_stance.collection import EMBEDDED, StanceCollection, read_collection
from xlstance.corpora.xl_stance.training import StanceTraining, stance_training
from xlstance.errors import DataError, SettingsError
from xlstance.stance_templates import SIDES, stance_templates

OTHER = {"favour": "against", "against": "favour"}


@pytest.fixture(scope="module")
def embedded() -> StanceCollection:
    return read_collection(EMBEDDED, BadRows())


def rows(table) -> dict[str, dict]:
    found = {row[table.column_names[0]]: row for row in table.to_pylist()}
    assert len(found) == table.num_rows
    return found


def small() -> StanceCollection:
    """Two training questions in de and en; the first has three comments of each side in German."""
    comments = [
        (1000 + number, "de", f"de {side} {number}", 1, side, "train")
        for number, side in enumerate(["favour", "against"] * 3)
    ]
    comments += [(2000, "en", "en favour", 2, "favour", "train"), (3000, "en", "seen later", 3, "favour", "test")]
    frame = pd.DataFrame(comments, columns=["id", "lang", "text", "question_id", "side", "split"])
    questions = [(q, lang, f"{lang} question {q}?") for q in (1, 2, 3) for lang in ("de", "en")]
    return StanceCollection(
        comments=frame.assign(topic="t", test_set="", group=[f"x/{i}" for i in frame["id"]]),
        questions=pd.DataFrame(questions, columns=["question_id", "lang", "text"]),
        parallel=False,
    )


@pytest.mark.parametrize(("pairs", "count"), [("mono", 13), ("cross", 13 * 12), ("both", 13 * 13)])
def test_every_query_meets_the_comments_of_its_side(embedded, pairs, count):
    made = stance_training(embedded, StanceTraining(pairs=pairs))
    queries, passages = rows(made.queries), rows(made.passages)
    comments = embedded.comments.set_index("id").to_dict("index")
    trained = {row["question_id"] for row in comments.values() if row["split"] == "train"}
    # In the embedded collection every training question has one comment of each side in every language.
    assert made.pairs.num_rows == count * 2 * len(trained)
    for row in rows(made.pairs).values():
        query, passage = queries[row["query_id"]], passages[row["passage_id"]]
        comment = comments[int(row["passage_id"].rpartition("/")[2])]
        assert (passage["text"], passage["group_id"], comment["split"]) == (comment["text"], comment["group"], "train")
        assert query["group_id"] == f"xl-stance/{comment['question_id']}/{comment['side']}"
        assert query["query_id"] == f"xl-stance/{query['lang']}/{comment['question_id']}/{comment['side']}"
        assert (query["lang"] == passage["lang"]) in {"mono": (True,), "cross": (False,), "both": (True, False)}[pairs]
        (negative,) = row["negatives"]
        against = comments[int(negative["passage_id"].rpartition("/")[2])]
        assert negative["passage_id"] in passages
        assert (against["question_id"], against["lang"]) == (comment["question_id"], comment["lang"])
        assert against["side"] == OTHER[comment["side"]]


def test_queries_are_worded_by_the_templates_of_training(embedded):
    made = stance_training(embedded, StanceTraining())
    texts = embedded.questions.set_index(["question_id", "lang"])["text"]
    used = set()
    for row in made.queries.to_pylist():
        _, lang, question, side = row["query_id"].split("/")
        asked = stance_templates()[lang][side].queries(texts[int(question), lang])
        used.add((lang, side, asked.index(row["text"])))
        begin = templates()[lang][side].partition("{question}")[0]
        assert begin not in row["text"]
    assert len(used) == 13 * len(SIDES) * 4


def test_nothing_that_the_benchmark_asks_for_is_trained(embedded):
    made = stance_training(embedded, StanceTraining())
    benchmark = stance_benchmark(embedded, StanceTask(task="stance"))
    relevant = {row["passage_id"] for row in benchmark.qrels.to_pylist()}
    assert not relevant & {identity.rpartition("/")[2] for identity in rows(made.passages)}
    assert not set(made.queries["text"].to_pylist()) & set(benchmark.queries["text"].to_pylist())
    assert any("Z1" in note and "Z2" in note and "not zero-shot" in note for note in made.notes)


@pytest.mark.parametrize("negatives", [0, 1, 2, 9])
def test_as_many_negatives_as_asked_for_and_there_are(negatives):
    made = stance_training(small(), StanceTraining(negatives=negatives))
    texts = {row["passage_id"]: row["text"] for row in made.passages.to_pylist()}
    for row in made.pairs.to_pylist():
        found = [texts[each["passage_id"]] for each in row["negatives"]]
        lang, side, *_ = texts[row["passage_id"]].split()
        assert len(set(found)) == len(found) == (min(negatives, 3) if lang == "de" else 0)
        assert all(text.startswith(f"de {OTHER[side]}") for text in found)


def test_pairs_do_not_depend_on_the_order_of_the_rows_and_the_seed_draws():
    collection = small()
    turned = StanceCollection(
        comments=collection.comments.iloc[::-1], questions=collection.questions.iloc[::-1], parallel=False
    )
    settings = StanceTraining(negatives=1, seed=4)
    ones, others = stance_training(collection, settings), stance_training(turned, settings)
    for name in ("pairs", "queries", "passages"):
        assert rows(getattr(ones, name)) == rows(getattr(others, name))
    drawn = {
        stance_training(collection, StanceTraining(negatives=1, seed=seed))
        .pairs["negatives"][0]
        .as_py()[0]["passage_id"]
        for seed in range(20)
    }
    assert len(drawn) == 3


def test_languages_can_be_chosen():
    made = stance_training(small(), StanceTraining(languages=("en",)))
    assert [row["text"] for row in made.passages.to_pylist()] == ["en favour"]
    assert set(made.queries["lang"].to_pylist()) == {"en"}
    assert set(made.pairs["source"].to_pylist()) == {"xl-stance"}


def test_what_does_not_fit_is_refused():
    with pytest.raises(SettingsError, match="negatives is -1; give 0 or more"):
        StanceTraining(negatives=-1)
    with pytest.raises(DataError, match="source 'x': no cross pair in fi in the train part"):
        stance_training(small(), StanceTraining(name="x", pairs="cross", languages=("fi",)))
    with pytest.raises(SettingsError, match="source 'xl-stance': no stance templates for 'ja'; there are ar"):
        StanceTraining(languages=("ja",))
