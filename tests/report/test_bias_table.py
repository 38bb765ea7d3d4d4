"""The report's table of languages in the multilingual pool, from figures as ``evaluate`` gives them."""

import numpy as np

from xlstance.evaluation.language_share import top_languages
from xlstance.evaluation.protocol import evaluate
from xlstance.evaluation.results import ArmResult, make_results, read_results, write_results
from xlstance.ranking import rank_passages, vector_scores
from xlstance.report.page import render_report
from xlstance.storage import Folder
from xlstance.tables import make_table


def results_of(relevant_per_language, shares=True):
    rng = np.random.default_rng(0)
    langs = ["de", "en", "fi"] * 20
    tables = []
    for name, key in (("queries", "query_id"), ("passages", "passage_id")):
        ids = [f"{name}{row}" for row in range(60)]
        tables.append(make_table(name, {key: ids, "lang": langs, "text": ids, "group_id": ids}))
    pairs = [(q, 3 * n + lang) for q in range(60) for lang in range(3) for n in range(relevant_per_language)]
    columns = {"query_id": [f"queries{q}" for q, _ in pairs], "passage_id": [f"passages{p}" for _, p in pairs]}
    asking, answering = rng.normal(size=(2, 60, 4)).astype(np.float32)
    qrels = make_table("qrels", {**columns, "gain": [1] * len(pairs)})
    ranks, best = rank_passages(*tables, qrels, vector_scores(*tables, asking, answering), top_k=10)
    figures = evaluate(tables[0], ranks, top=top_languages(best, tables[1]) if shares else None)
    return make_results([ArmResult(name=name, seed=0, benchmarks={"b": figures}) for name in ("one", "two")], {})


def test_every_figure_has_a_column_and_none_is_called_best(tmp_path):
    results = results_of(3)
    write_results(Folder(tmp_path), results)
    page = render_report(read_results(Folder(tmp_path)), [])
    table = page[page.index("PEER@20") :]
    table = table[: table.index("</table>")]
    titles = (
        "PEER@1000",
        "recall gap@10",
        "recall gap@100",
        "overall gap@100",
        "own language in top 10",
        "by chance",
        "KL of top 10",
    )
    assert all(f">{title}</th>" in table for title in titles)
    multi = results["arms"][0]["benchmarks"]["b"]["multi"]
    for name in ("peer@20", "recall_gap@100", "recall_gap_overall@100", "own_language_share@10", "language_kl@10"):
        assert f">{multi[name]:.3f}</td>" in table
    assert "best" not in table


def test_a_figure_that_no_arm_has_gets_no_column_and_peer_a_note():
    page = render_report(results_of(1, shares=False), [])
    assert ">PEER@20<" not in page
    assert ">KL of top 10<" not in page
    assert ">recall gap@10<" in page
    assert page.count("PEER is not given") == 1
