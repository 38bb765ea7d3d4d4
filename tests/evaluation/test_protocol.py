"""The protocol against nested loops that build every pool anew."""

from statistics import fmean

import numpy as np
import pytest

from xlstance.evaluation.per_query import figures_by_query
from xlstance.evaluation.protocol import evaluate
from xlstance.ranking import relevant_ranks
from xlstance.tables import make_table


def world(rng, query_counts, passage_counts):
    """Queries and passages with up to three relevant passages per language, drawn at random."""
    queries = [(f"{lang}-q{row}", lang) for lang, count in query_counts.items() for row in range(count)]
    passages = [(f"{lang}-p{row}", lang) for lang, count in passage_counts.items() for row in range(count)]
    qrels = []
    for query, _ in queries[1:]:  # the first query has no relevant passage
        for lang, count in passage_counts.items():
            for row in rng.choice(count, rng.integers(0, 3), replace=False):
                qrels.append((query, f"{lang}-p{row}", int(rng.integers(1, 4))))
    columns = [list(zip(*rows, strict=True)) for rows in (queries, passages, qrels)]
    tables = (
        make_table("queries", dict(zip(("query_id", "lang", "text", "group_id"), columns[0] + columns[0][:1] * 2))),  # noqa: B905
        make_table("passages", dict(zip(("passage_id", "lang", "text", "group_id"), columns[1] + columns[1][:1] * 2))),  # noqa: B905
        make_table("qrels", dict(zip(("query_id", "passage_id", "gain"), columns[2], strict=True))),
    )
    return queries, passages, qrels, tables


def vectors(rng, rows, dimension=6):
    values = rng.normal(size=(rows, dimension))
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def ranked_gains(query, pool, gains, score):
    """Gains of a pool's passages, best passage first."""
    return [gains.get((query, passage), 0) for passage in sorted(pool, key=lambda passage: -score[query, passage])]


def average_precision(gains):
    hits = [rank for rank, gain in enumerate(gains, 1) if gain]
    return fmean(position / rank for position, rank in enumerate(hits, 1))


def recall(gains, k):
    return sum(gain > 0 for gain in gains[:k]) / sum(gain > 0 for gain in gains)


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(11)
    # Languages on one side only, and pools of unequal size.
    queries, passages, qrels, tables = world(rng, {"de": 9, "en": 5, "it": 4}, {"de": 14, "en": 20, "fr": 11})
    query_vectors, passage_vectors = vectors(rng, len(queries)), vectors(rng, len(passages))
    ranks = relevant_ranks(*tables, query_vectors, passage_vectors)
    score = {
        (query, passage): float(np.dot(left.astype(float), right.astype(float)))
        for (query, _), left in zip(queries, query_vectors, strict=True)
        for (passage, _), right in zip(passages, passage_vectors, strict=True)
    }
    gains = {(query, passage): gain for query, passage, gain in qrels}
    return queries, passages, gains, score, tables, ranks


def runs_of(case, source, target):
    """Ranked gains of every query of a language that has a relevant passage in the pool; target None: all."""
    queries, passages, gains, score, _, _ = case
    pool = [passage for passage, lang in passages if target in (None, lang)]
    runs = [ranked_gains(query, pool, gains, score) for query, lang in queries if lang == source]
    return [run for run in runs if any(run)]


def test_mono_and_cross(case):
    result = evaluate(case[4][0], case[5])
    cells = {(a, b): runs_of(case, a, b) for a in ("de", "en", "it") for b in ("de", "en", "fr")}
    groups = {"mono": [cell for cell in cells if cell[0] == cell[1]], "cross": [c for c in cells if c[0] != c[1]]}
    assert len(groups["mono"]) == 2
    for setting, members in groups.items():
        figures = result[setting]
        assert figures["map"] == pytest.approx(fmean(fmean(map(average_precision, cells[c])) for c in members))
        assert figures["map_micro"] == pytest.approx(fmean(average_precision(r) for c in members for r in cells[c]))
        for k in (1, 10):
            expected = fmean(fmean(recall(run, k) for run in cells[cell]) for cell in members)
            assert figures[f"recall@{k}"] == pytest.approx(expected)
    assert result["mono"]["queries"] == sum(len(cells[cell]) for cell in groups["mono"])
    assert set(result["per_pair"]) == {f"{a}->{b}" for a, b in cells}
    for (a, b), runs in cells.items():
        assert result["per_pair"][f"{a}->{b}"] == {
            "map": pytest.approx(fmean(map(average_precision, runs))),
            "recall@1": pytest.approx(fmean(recall(run, 1) for run in runs)),
            "queries": len(runs),
        }
    assert result["per_language"]["de"]["mono"]["map"] == pytest.approx(
        fmean(map(average_precision, cells["de", "de"]))
    )
    assert result["per_language"]["it"]["mono"]["map"] is None
    assert result["per_language"]["it"]["mono"]["queries"] == 0


def test_multi(case):
    result = evaluate(case[4][0], case[5])
    per_language = {lang: runs_of(case, lang, None) for lang in ("de", "en", "it")}
    runs = [run for lang in per_language.values() for run in lang]
    macro = lambda figure: fmean(fmean(map(figure, lang)) for lang in per_language.values())  # noqa: E731
    multi = result["multi"]
    assert multi["map"] == pytest.approx(macro(average_precision))
    assert multi["map_micro"] == pytest.approx(fmean(map(average_precision, runs)))
    assert multi["recall@10"] == pytest.approx(macro(lambda run: recall(run, 10)))
    assert multi["queries"] == len(runs)
    assert result["queries_without_relevant"] == len(case[0]) - len(runs) >= 1
    assert result["passages"] == {"de": 14, "en": 20, "fr": 11}
    hits = lambda run: [rank for rank, gain in enumerate(run, 1) if gain]  # noqa: E731
    assert multi["max_rank"] == pytest.approx(macro(lambda run: max(hits(run))))
    several = {lang: [hits(run) for run in runs if len(hits(run)) > 1] for lang, runs in per_language.items()}
    distance = fmean(fmean(max(h) - min(h) for h in lang) for lang in several.values())
    chance = fmean(fmean(46 * (len(h) - 1) / (len(h) + 1) for h in lang) for lang in several.values())
    assert multi["rank_distance"] == pytest.approx(distance)
    assert multi["rank_distance_chance"] == pytest.approx(chance)
    assert multi["rank_distance_share"] == pytest.approx(distance / chance)
    assert result["per_language"]["en"]["multi"]["map"] == pytest.approx(
        fmean(map(average_precision, per_language["en"]))
    )
    pair = {name: cell["map"] for name, cell in result["per_pair"].items()}
    gap = fmean([pair["de->de"], pair["en->en"]]) - fmean([pair["de->en"], pair["en->de"]])
    assert multi["diagonal_gap"] == pytest.approx(gap)


def test_frames_have_a_row_per_query_and_pool(case):
    figures = figures_by_query(case[4][0], case[5])
    single, multi = figures.one_target, figures.multi
    assert not single.duplicated(["query_index", "passage_lang"]).any()
    assert not multi.duplicated("query_index").any()
    assert single.notna().all(axis=None)


def test_a_perfect_encoder():
    langs = ["ar", "de", "zh"]
    ids = [f"{lang}-{row}" for row in range(4) for lang in langs]
    columns = {"lang": langs * 4, "text": ids, "group_id": ids}
    queries = make_table("queries", {"query_id": ids, **columns})
    passages = make_table("passages", {"passage_id": ids, **columns})
    pairs = [(a, b) for a in ids for b in ids if a.split("-")[1] == b.split("-")[1]]
    qrels = make_table(
        "qrels", {"query_id": [a for a, _ in pairs], "passage_id": [b for _, b in pairs], "gain": [1] * len(pairs)}
    )
    meaning = np.repeat(np.eye(4, dtype=np.float32), 3, axis=0)
    result = evaluate(queries, relevant_ranks(queries, passages, qrels, meaning, meaning), ["made up"])
    for setting in ("mono", "cross", "multi"):
        assert result[setting]["map"] == pytest.approx(1)
        assert result[setting]["queries"] == 12
    assert result["multi"]["recall@1"] == pytest.approx(1 / 3)
    assert result["multi"]["rank_distance"] == 2
    assert result["multi"]["diagonal_gap"] == pytest.approx(0)
    assert result["ties"] == 36
    assert result["notes"][:-1] == ["made up"]
    assert "PEER is not given" in result["notes"][-1]


def test_one_language_has_no_cross():
    queries = make_table("queries", {"query_id": ["q"], "lang": ["en"], "text": ["q"], "group_id": ["q"]})
    passages = make_table("passages", {"passage_id": ["p"], "lang": ["en"], "text": ["p"], "group_id": ["p"]})
    qrels = make_table("qrels", {"query_id": ["q"], "passage_id": ["p"], "gain": [1]})
    one = np.ones((1, 1), np.float32)
    result = evaluate(queries, relevant_ranks(queries, passages, qrels, one, one))
    assert result["mono"]["map"] == 1
    counts = {name: result["cross"].pop(name) for name in ("queries", "runs", "runs_without_answer")}
    assert set(counts.values()) == {0}
    assert set(result["cross"].values()) == {None}
    assert result["multi"]["rank_distance"] is None
    assert result["multi"]["rank_distance_share"] is None
    assert result["multi"]["diagonal_gap"] is None
    nothing = evaluate(queries, relevant_ranks(queries, passages, qrels.slice(0, 0), one, one))
    assert nothing["mono"]["map"] is None
    assert nothing["queries_without_relevant"] == 1


def test_queries_without_an_answer_are_left_out_or_count_as_zero(case):
    """Every query in every pool by loops: with an answer, without one, and both together."""
    queries, _, _, _, tables, ranks = case
    left_out, zero = (evaluate(tables[0], ranks, without_answer=how) for how in ("excluded", "zero"))
    cells = {(a, b): runs_of(case, a, b) for a in ("de", "en", "it") for b in ("de", "en", "fr")}
    asking = {lang: sum(own == lang for _, own in queries) for lang in ("de", "en", "it")}
    for setting, members in (
        ("mono", [cell for cell in cells if cell[0] == cell[1]]),
        ("cross", [cell for cell in cells if cell[0] != cell[1]]),
    ):
        total, answered = sum(asking[cell[0]] for cell in members), sum(len(cells[cell]) for cell in members)
        assert answered < total
        for result, runs in ((left_out, answered), (zero, total)):
            assert result[setting]["runs"] == runs
            assert result[setting]["runs_without_answer"] == total - answered
        expected = fmean(sum(map(average_precision, cells[cell])) / asking[cell[0]] for cell in members)
        assert zero[setting]["map"] == pytest.approx(expected)
        assert zero[setting]["map_micro"] == pytest.approx(left_out[setting]["map_micro"] * answered / total)
        assert zero[setting]["recall@10_ceiling"] < 1
    assert (left_out["without_answer"], zero["without_answer"]) == ("excluded", "zero")
    assert zero["multi"]["runs"] == len(queries)
    assert zero["multi"]["runs_without_answer"] == zero["queries_without_relevant"] >= 1
    # What says how languages compare has no value for them, so the setting does not move it.
    for figure in ("rank_distance", "max_rank", "same_language_first", "recall_gap@10"):
        assert zero["multi"][figure] == pytest.approx(left_out["multi"][figure])
    assert zero["notes"] == left_out["notes"]


def test_the_ceiling_of_recall_stands_where_it_is_below_one(case):
    result = evaluate(case[4][0], case[5])
    runs = {lang: runs_of(case, lang, None) for lang in ("de", "en", "it")}
    ceiling = fmean(fmean(min(1, 1 / sum(map(bool, run))) for run in own) for own in runs.values())
    assert result["multi"]["recall@1_ceiling"] == pytest.approx(ceiling)
    assert result["multi"]["recall@1"] <= ceiling < 1
    assert "recall@100_ceiling" not in result["multi"]
