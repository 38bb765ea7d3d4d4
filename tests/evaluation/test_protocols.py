"""The registry of protocols: every figure that one names is there, and they average as their sources say."""

import re
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest

from xlstance.corpora.registry import BenchmarkSource
from xlstance.errors import SettingsError
from xlstance.evaluation.protocol import evaluate
from xlstance.evaluation.protocols import LAREQA, PROTOCOLS, TREC, by_protocol, protocols_of
from xlstance.evaluation.settings import EvaluationSettings
from xlstance.ranking import relevant_ranks
from xlstance.tables import make_table


def measured(without_answer="excluded", relevant_from=1):
    """Two languages with one and three queries, one of them without an answer; grades 1 and 2."""

    def texts(name, key, ids, langs):
        return make_table(name, {key: list(ids), "lang": langs, "text": list(ids), "group_id": list(ids)})

    queries = texts("queries", "query_id", "abcd", ["en", "en", "en", "de"])
    passages = texts("passages", "passage_id", "wxyz", ["en", "en", "de", "de"])
    rows = [("a", "w", 2), ("a", "x", 1), ("b", "x", 2), ("b", "y", 1), ("d", "z", 2), ("d", "w", 1)]
    columns = dict(zip(("query_id", "passage_id", "gain"), zip(*rows, strict=True), strict=True))
    vectors = np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32)
    ranks = relevant_ranks(queries, passages, make_table("qrels", columns), *vectors)
    return evaluate(queries, ranks, relevant_from=relevant_from, without_answer=without_answer)


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
def test_every_figure_of_a_protocol_is_measured(protocol):
    figures = measured(relevant_from=2 if "stance" in protocol.name.split(", ") else 1)
    shown = by_protocol((protocol,), figures)[protocol.name]
    assert len(shown["figures"]) == len(protocol.figures)
    for setting, name in protocol.figures:
        assert shown["figures"][f"{setting} {name}"] == figures[setting][name]
    assert shown["source"]


def test_a_protocol_says_whether_it_was_followed():
    left_out, zero = measured(), measured("zero")
    assert left_out["multi"]["runs_without_answer"] == 1
    for figures, followed in ((left_out, LAREQA), (zero, TREC)):
        shown = by_protocol((LAREQA, TREC), figures)
        assert {name: part["as_published"] for name, part in shown.items()} == {
            protocol.name: protocol is followed for protocol in (LAREQA, TREC)
        }
    assert zero["multi"]["map_micro"] == pytest.approx(left_out["multi"]["map_micro"] * 3 / 4)


def test_a_pool_with_lower_grades_alone_holds_no_answer():
    """Both queries that have only the other side in the other language's pool."""
    left_out, zero = (measured(how, relevant_from=2)["cross"] for how in ("excluded", "zero"))
    assert (left_out["runs"], left_out["runs_without_answer"], left_out["ndcg@10"]) == (0, 4, None)
    assert (zero["runs"], zero["runs_without_answer"], zero["ndcg@10"], zero["auc"]) == (4, 4, 0, None)


def test_formats_with_a_published_protocol():
    names = {
        (kind, task): [protocol.name for protocol in protocols_of(kind, task)]
        for kind in get_args(get_type_hints(BenchmarkSource)["format"])
        for task in ("topical", "stance")
    }
    assert names["lareqa", "topical"] == ["LAReQA", "hybrid batch training", "XTREME-R"]
    assert names["xl-stance", "topical"] == ["XL-Stance, topical"]
    assert names["xl-stance", "stance"] == ["XL-Stance, stance"]
    assert names["trec", "topical"] == ["MIRACL", "TREC"]
    assert names["beir", "topical"] == ["BEIR", "TREC"]
    assert names["miniature", "topical"] == []


def test_the_documentation_has_every_protocol():
    text = (Path(__file__).resolve().parents[2] / "docs" / "metrics.md").read_text()
    for protocol in PROTOCOLS:
        (row,) = [line for line in text.splitlines() if line.startswith(f"| {protocol.name} |")]
        for setting, name in protocol.figures:
            assert re.search(rf"`{re.escape(name)}`", row), (protocol.name, name)
            assert setting in row


@pytest.mark.parametrize("wrong", [{"resamples": 9}, {"confidence": 1.0}, {"margin": -0.1}, {"seed": -1}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingsError, match=f"evaluation.{next(iter(wrong))} is"):
        EvaluationSettings(**wrong)
