"""Units: which queries a test may not take for independent."""

from pathlib import Path

import pytest

from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.lareqa import read_lareqa
from xlstance.corpora.miniature import MiniatureSettings, benchmark
from xlstance.corpora.xl_stance.benchmark import StanceTask, stance_benchmark
from xlstance.corpora.xl_stance.collection import EMBEDDED, read_collection
from xlstance.evaluation.units import units_of
from xlstance.tables import make_table

EVAL = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "eval"


def tables(queries, passages, qrels):
    """(id, group) of queries; (id, language, title, group) of passages; (query, passage, gain)."""
    ids, groups = zip(*queries, strict=True)
    columns = {"query_id": ids, "lang": ["en"] * len(ids), "text": ids, "group_id": groups}
    pids, langs, titles, pgroups = zip(*passages, strict=True)
    return (
        make_table("queries", columns),
        make_table("passages", {"passage_id": pids, "lang": langs, "text": pids, "title": titles, "group_id": pgroups}),
        make_table("qrels", dict(zip(("query_id", "passage_id", "gain"), zip(*qrels, strict=True), strict=True))),
    )


def test_groups_are_linked_by_passages_translations_and_articles_over_any_number_of_steps():
    queries = [("q1", "a"), ("q1-de", "a"), ("q2", "b"), ("q3", "c"), ("q4", "d"), ("q5", "e"), ("q6", "f")]
    passages = [
        ("p1", "en", None, "x"),
        ("p1-de", "de", None, "x"),
        ("p2", "en", "Ants", "y"),
        ("p3", "en", "Ants", "z"),
        ("p4", "de", "Ants", "w"),  # another language's article of that title
        ("p5", "en", "", "v"),
        ("p6", "en", "", "u"),
    ]
    qrels = [
        ("q1", "p1", 1),
        ("q2", "p1-de", 1),  # a translation of q1's
        ("q2", "p2", 2),
        ("q3", "p3", 1),  # the article of q2's
        ("q4", "p4", 1),
        ("q4", "p1", 0),  # judged and not relevant: no link
        ("q5", "p5", 1),
        ("q6", "p6", 1),
    ]
    assert units_of(*tables(queries, passages, qrels)) == ["a", "a", "a", "a", "d", "e", "f"]


def test_a_benchmark_may_name_its_units():
    made = tables([("q1", "a"), ("q2", "b")], [("p", "en", None, "x")], [("q1", "p", 1), ("q2", "p", 1)])
    assert units_of(*made) == ["a", "a"]
    assert units_of(*made, {"b": "issue"}) == ["a", "issue"]


def test_units_do_not_depend_on_the_order_of_rows():
    made = benchmark(MiniatureSettings())
    whole = units_of(made.queries, made.passages, made.qrels)
    backwards = make_table("qrels", {name: made.qrels[name].to_pylist()[::-1] for name in made.qrels.column_names})
    turned = make_table("queries", {name: made.queries[name].to_pylist()[::-1] for name in made.queries.column_names})
    assert units_of(turned, made.passages, backwards) == whole[::-1]


@pytest.mark.parametrize("task", ["topical", "stance"])
def test_an_issue_of_xl_stance_is_one_unit_with_both_sides_and_all_languages(task):
    made = stance_benchmark(read_collection(EMBEDDED, BadRows()), StanceTask(task=task))
    units = units_of(made.queries, made.passages, made.qrels, made.info["units"])
    questions = [group.split("/")[0] for group in made.queries["group_id"].to_pylist()]
    assert units == questions
    # What links them says the same.
    found = units_of(made.queries, made.passages, made.qrels)
    assert len(set(found)) == len(set(questions)) == len(set(zip(found, questions, strict=True)))


@pytest.mark.parametrize(("name", "units", "queries"), [("xquad_r", 48, 13_090), ("mlqa_r", 520, 4_199)])
def test_articles_of_lareqa_are_units(name, units, queries):
    if not (EVAL / name).is_dir():
        pytest.skip(f"{EVAL / name} is no folder")
    made = read_lareqa(EVAL / name)
    found = units_of(made.queries, made.passages, made.qrels)
    assert (len(set(found)), len(found)) == (units, queries)
