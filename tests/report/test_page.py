"""The page as a whole, and what it says of few arms: one valid file that loads nothing and escapes everything."""

import base64
import hashlib
import re

import pytest
from planted_results import HOSTILE, METRICS, Reader, arm, everything, figures, two_arms, with_tests

from xlstance.evaluation.results import ArmResult, make_results
from xlstance.report.console import format_table
from xlstance.report.page import render_report


@pytest.fixture
def results():
    return two_arms()


def test_the_report_is_one_valid_file_that_loads_nothing(results):
    rows = [{"arm": "hybrid", "seed": 0, "step": step, "kind": "mono", "loss": 3 - step / 500} for step in range(999)]
    rows.append({"arm": "hybrid", "seed": 0, "step": 999, "kind": "cross", "loss": 2.0, "validation_loss": 1.5})
    rows.append({"arm": "X-Y", "seed": 0, "step": 5, "kind": "cross", "loss": float("nan")})
    page = render_report(results, rows)
    reader = Reader(page)
    assert not {"link", "img", "iframe"} & set(reader.tags)
    assert not {"src", "onclick", "onload"} & {name for name, _ in reader.attributes}
    assert all(target.startswith("#") for target in reader.values("href"))
    assert "http:" not in page
    assert "https:" not in page
    assert "url(" not in page
    assert "@import" not in page
    assert "nan" not in reader.said.lower().split()
    assert {
        "mono mAP on xquad-r",
        "rank distance on xquad-r",
        "training loss, mono batches",
        "validation loss",
    } <= set(reader.values("aria-label"))
    assert page == render_report(results, rows)
    assert len(max(reader.values("points"), key=len).split()) <= 120


def test_the_browser_may_run_the_pages_own_script_and_nothing_else():
    page = render_report(everything(), METRICS)
    (script,) = re.findall(r"<script>(.*?)</script>", page, flags=re.S)
    own = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{own}'" in page


def test_every_entry_of_the_contents_leads_somewhere_and_ids_are_unique():
    reader = Reader(render_report(everything(), METRICS))
    ids = reader.values("id")
    assert len(ids) == len(set(ids))
    assert {target.removeprefix("#") for target in reader.values("href")} <= set(ids)
    assert len(reader.values("href")) >= 15


def test_the_page_prints_the_figures(results):
    text = Reader(render_report(results, [])).said
    assert "Highest mAP: on xquad-r, hybrid in mono, X-Y in cross, X-Y and hybrid in multi." in text
    assert "a lead may be chance" in text
    assert "en → de: 0.6100" in text
    assert "chance 1,000.0" in text
    assert results["code_version"] in text
    assert "Training" not in text


def test_the_page_says_what_is_certain(results):
    page = render_report(with_tests(results, ("hybrid", "mono", "map")), [])
    text = Reader(page).said
    assert "hybrid in mono (certain), X-Y in cross (not certain), X-Y and hybrid in multi (not certain)." in text
    assert page.count('class="best"') == page.count('class="interval"') == 1
    assert 'class="best">0.9000<span class="star">*</span><span class="interval">0.8800 to 0.9200</span></td>' in page
    assert "* certainly the best: p below 0.05" in text
    assert "95% interval, from 10,000 draws of units." in text
    untested = Reader(render_report(results, []))
    assert not {"best", "interval"} & set(untested.values("class"))
    assert not [said for said in ("certain)", "certainly", "95% interval") if said in untested.said]


def test_the_first_screen_gives_the_lead_over_the_next_arm_with_its_interval(results):
    tested = Reader(render_report(with_tests(results, ("hybrid", "mono", "map")), [])).said
    first = tested[tested.index("Best on xquad-r") :]
    assert (
        "within one language mono hybrid 90.0 mAP points, 10.0 points ahead of X-Y "
        "95% interval of this lead +7.6 to +12.3; effect size +0.75 certain"
    ) in first
    assert "across two languages cross X-Y 61.0 mAP points, 1.0 points ahead of hybrid may be chance" in first
    assert "over all languages multi X-Y and hybrid 50.0 mAP points may be chance" in first
    plain = Reader(render_report(results, [])).said
    assert "10.0 points ahead of X-Y not tested" in plain


def test_the_next_arm_is_the_second_best():
    three = make_results([arm("low", mono=0.2), arm("second", mono=0.7), arm("first", mono=0.9)], {})
    assert "first 90.0 mAP points, 20.0 points ahead of second" in Reader(render_report(three, [])).said


CLAIM = {
    "name": HOSTILE,
    "text": f"hybrid is best {HOSTILE}",
    "verdict": "inconclusive",
    "why": "multi map: lead over X-Y +0.0100, 98.8% interval -0.0100 to +0.0300, p = 0.2",
    "benchmark": "xquad-r",
    "role": "test",
    "arm": "hybrid",
}


def test_the_page_shows_claims_and_looks(results):
    everywhere = {**CLAIM, "benchmark": "", "verdict": "supported", "why": "the audit found none"}
    looks = {"xquad-r": {"role": "test", "models": 7}}
    text = Reader(render_report({**results, "claims": [CLAIM, everywhere], "looks": looks}, [])).said
    assert "inconclusive multi map: lead over X-Y +0.0100, 98.8% interval -0.0100 to +0.0300, p = 0.2" in text
    assert "xquad-r (test)" in text
    assert "all supported the audit found none" in text
    assert "7 on xquad-r (test set)" in text
    assert f"hybrid is best {HOSTILE}" in text
    assert "Claims" not in Reader(render_report(results, [])).said


def test_the_page_escapes_everything():
    lang = HOSTILE[:8]
    own = {**figures(notes=[HOSTILE], languages=(lang,)), "passages": {HOSTILE: 3}}
    own["per_language"] = {HOSTILE: {"mono": {"map": 0.5}, "multi": {"map": 0.5}}}
    own["search"] = {"index": HOSTILE, "top_k": 10, "agreement@10": 1.0}
    arms = [
        ArmResult(
            name=HOSTILE + name,
            seed=0,
            sampler={"kind": HOSTILE, HOSTILE: HOSTILE},
            augmentation=[HOSTILE],
            train={HOSTILE: HOSTILE, "sources": [HOSTILE]},
            benchmarks={HOSTILE: own},
        )
        for name in ("one", "two")
    ]
    text = {"lang": HOSTILE, "text": f"{HOSTILE} and more"}
    pair = {"query": text, "passage": {**text, "text": f"{HOSTILE} and less"}, "negative": text}
    found = {
        **make_results(arms, {HOSTILE: HOSTILE, "encoder": {"model": HOSTILE}}),
        **{"code_version": f"1+g{HOSTILE}", "claims": [{**CLAIM, "why": HOSTILE}]},
        "examples": [{"augmentation": HOSTILE, "kind": HOSTILE, "before": {**pair, "passage": text}, "after": pair}],
        "compared": [{"title": HOSTILE, "lines": [HOSTILE]}],
        "sweep": {
            "curves": [{"label": HOSTILE, "x": [0.0, 1.0], "mean": {HOSTILE: [1.0, 2.0]}}],
            **{"pareto": [HOSTILE], "recommended": {"text": HOSTILE}, "trials": [{HOSTILE: HOSTILE}]},
        },
        "provenance": {
            "tables": [{"of": HOSTILE, "table": HOSTILE, "rows": 1, "fingerprint": HOSTILE}],
            "data": [{"name": HOSTILE, "path": HOSTILE, "fetch": ""}, {"name": "n", "path": "p", "fetch": HOSTILE}],
            **{"lock": HOSTILE, "settings": HOSTILE},
        },
    }
    found["machine"][HOSTILE] = HOSTILE
    rows = [{"arm": HOSTILE, "seed": HOSTILE, "step": 1, "kind": HOSTILE, "loss": 1.0}]
    page = render_report(found, rows)
    # the page's script, and the data of its one difference map
    assert re.findall(r"<script[^>]*>", page) == ['<script type="application/json">', "<script>"]
    assert Reader(page).tags.count("script") == 2
    assert "<script>alert" not in page


def test_synthetic_data_carry_a_badge():
    plain = render_report(make_results([arm("a"), arm("b")], {}), [])
    marked = render_report(make_results([arm("a", notes=["Synthetic: an invented world"]), arm("b")], {}), [])
    assert "synthetic data" not in plain
    assert marked.count("synthetic data") == 2


@pytest.mark.parametrize("arms", [[], [ArmResult(name="a", seed=0)], [arm("a")]])
def test_a_page_of_little(arms):
    page = render_report(make_results(arms, {}), [])
    assert "Nothing to compare" in Reader(page).said


def test_a_page_without_figures_off_the_diagonal():
    one = figures()
    one["cross"] = dict.fromkeys(one["cross"])
    one["multi"] = {**one["multi"], "rank_distance": None, "rank_distance_chance": None, "diagonal_gap": -0.1}
    one["per_pair"] = {"en->en": {"map": 0.0}}
    arms = [ArmResult(name=name, seed=0, benchmarks={"b": one}) for name in ("a", "c")]
    reader = Reader(render_report(make_results(arms, {}), []))
    assert "rank distance on b" not in reader.values("aria-label")


def audited(on_leakage, leaking, warned=0):
    part = {"leaking": leaking, "warned": warned}
    return {
        "on_leakage": on_leakage,
        "rows": 2000,
        **part,
        "by_source": {HOSTILE: {"rows": 2000, **part}},
        "by_benchmark": {"xquad-r": part} if leaking or warned else {},
        "by_rule": {"ngrams": part} if leaking or warned else {},
    }


@pytest.mark.parametrize(
    ("leakage", "said", "alarm", "tables"),
    [
        ({}, "", False, False),
        (audited("stop", 0), "pairs holds what a benchmark holds.", False, False),
        (audited("stop", 0, 7), "holds what a benchmark holds; 7 share less than makes a leak.", False, True),
        (audited("drop", 31, 7), "31 of 2,000 training and development pairs held", False, True),
        (audited("allow", 31), "hold what a benchmark holds, and were allowed.", True, True),
        (audited("allow", 0), "none of 2,000", False, False),
    ],
)
def test_the_leakage_audit_is_told_and_in_red_where_leaks_were_allowed(leakage, said, alarm, tables):
    results = make_results([arm("hybrid")], {}, leakage=leakage)
    page = render_report(results, [])
    text = Reader(page).said
    for shown in (text, format_table(results)):
        assert said in shown
        assert ("Leakage" in shown) == bool(said)
    assert ('<p class="alarm">' in page) == alarm
    assert ("By benchmark" in text) == tables
    assert f"<script>{HOSTILE[8:]}" not in page
