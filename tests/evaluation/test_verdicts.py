"""Verdicts on planted truths: arms that lead, do not, or may."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from xlstance.evaluation.claims import clean_training, judge
from xlstance.evaluation.evidence import gather_evidence
from xlstance.evaluation.per_query import SCHEMA
from xlstance.evaluation.protocols import TOPICAL
from xlstance.evaluation.results import ArmResult, caution, make_results
from xlstance.evaluation.settings import EvaluationSettings

SETTINGS = EvaluationSettings(resamples=2000)
LANGS, UNITS = ("de", "en"), 40
KINDS = {"mono": "x-x-mono", "xy": "x-y", "hybrid": "hybrid"}


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.001, 0.002, "supported"),  # small, and certain
        (0.0, 0.01, "inconclusive"),
        (-0.01, 0.0031, "inconclusive"),
        (-0.01, 0.003, "not supported"),  # nothing in it is a lead that counts
        (-0.001, 0.001, "not supported"),
        (-0.02, -0.01, "not supported"),
    ],
)
def test_the_rule(low, high, verdict):
    assert judge(low, high, 0.003) == verdict


def arm(name, kind=None, augmentation=()):
    sampler = {} if kind == "none" else {"kind": kind or KINDS[name]}
    return ArmResult(name=name, seed=0, sampler=sampler, augmentation=augmentation)


def tables(leads, noise=0.01, seed=0):
    """Tables of arms whose figures lie by ``leads[arm][figure]`` above common ones, with a noise of each unit."""
    rng = np.random.default_rng(seed)
    keys = [(u, lang, pool) for u in range(UNITS) for lang in LANGS for pool in (*LANGS, None)]
    setting = np.array(["multi" if pool is None else "mono" if pool == lang else "cross" for _, lang, pool in keys])
    unit = np.array([u for u, _, _ in keys])
    columns = {
        "query_id": [f"{lang}{u}" for u, lang, _ in keys],
        "setting": setting,
        "query_lang": [lang for _, lang, _ in keys],
        "passage_lang": [pool for _, _, pool in keys],
        "unit": [f"u{u}" for u in unit],
    }
    made = {}
    for name, lead in leads.items():
        values = 0.5 + rng.normal(0, noise, UNITS)[unit]
        for own in ("mono", "cross", "multi"):
            values[setting == own] += lead.get(own, 0)
        distance = np.where(setting == "multi", 500 + rng.normal(0, 5, UNITS)[unit] + lead.get("distance", 0), np.nan)
        figures = {"map": values, "rank_distance": distance}
        arrays = [
            pa.array((columns | figures)[f.name], f.type, from_pandas=True)
            if f.name in columns or f.name in figures
            else pa.nulls(len(keys), f.type)
            for f in SCHEMA
        ]
        made[name, 0] = pa.table(arrays, schema=SCHEMA)
    return made


def verdicts(leads, arms, roles=None, stance_trained=None, **options):
    roles = roles or {"xquad-r": "test"}
    made = {name: tables(leads, **options) for name in roles}
    found = gather_evidence(made, arms, roles, SETTINGS, leakage={}, stance_trained=stance_trained)
    return {(claim["benchmark"], claim["arm"], claim["name"]): claim for claim in found["claims"]}


THREE = [arm("mono"), arm("xy"), arm("hybrid")]


def test_a_hybrid_that_leads_everywhere_is_supported_everywhere():
    lead = {"mono": 0.07, "cross": 0.05, "multi": 0.05, "distance": -50}
    found = verdicts({"mono": {"mono": 0.05}, "xy": {}, "hybrid": lead}, THREE)
    assert {name: claim["verdict"] for (_, _, name), claim in found.items()} == {
        "best-multilingual": "supported",
        "better-than-both": "supported",
        "lower-rank-distance": "supported",
        "less-language-bias": "supported",
        "no-evaluation-data": "inconclusive",  # nothing was audited
    }
    best = found["xquad-r", "hybrid", "best-multilingual"]
    assert [part["other"] for part in best["parts"]] == ["mono", "xy"]
    assert best["confidence"] == pytest.approx(1 - 0.05 / 4)
    assert best["p"] == max(part["p"] for part in best["parts"])
    assert len(found["xquad-r", "hybrid", "better-than-both"]["parts"]) == 6
    distance = found["xquad-r", "hybrid", "lower-rank-distance"]["parts"][0]
    assert 0 < distance["low"] < distance["lead"] == pytest.approx(50, abs=5)
    assert "multi rank_distance: lead over mono +" in found["xquad-r", "hybrid", "lower-rank-distance"]["why"]
    assert found["xquad-r", "hybrid", "better-than-both"]["why"].startswith("mono map")
    weakest = min(best["parts"], key=lambda part: part["lead"] / (part["high"] - part["low"]))
    assert f"lead over {weakest['other']} {weakest['lead']:+.4f}" in best["why"]


def test_a_claim_of_many_parts_fails_with_one():
    lead = {"mono": -0.02, "cross": 0.05, "multi": 0.05, "distance": 50}
    found = verdicts({"mono": {}, "xy": {}, "hybrid": lead}, THREE)
    claims = {name: claim for (_, _, name), claim in found.items()}
    assert claims["best-multilingual"]["verdict"] == "supported"
    assert claims["better-than-both"]["verdict"] == "not supported"
    assert claims["better-than-both"]["why"].startswith("mono map: lead over ")
    assert claims["lower-rank-distance"]["verdict"] == "not supported"


def test_less_bias_takes_a_diagonal_gap_nearer_to_zero():
    """An arm that prefers other languages as much as the baseline prefers its own has no less bias."""
    distance = {"distance": -50}
    lean = {"mono": 0.1}  # X-X-mono's gap is .1
    for lead, expected in (
        ({"mono": 0.02}, "supported"),
        ({"cross": 0.02}, "supported"),
        ({"cross": 0.2}, "not supported"),
    ):
        leads = {"mono": lean, "xy": {}, "hybrid": lead | distance}
        claims = {name: claim for (_, _, name), claim in verdicts(leads, THREE).items()}
        assert claims["lower-rank-distance"]["verdict"] == "supported"
        assert claims["less-language-bias"]["verdict"] == expected
        (gap,) = [part for part in claims["less-language-bias"]["parts"] if part["figure"] == "diagonal_gap"]
        size = abs(lead.get("mono", 0) - lead.get("cross", 0))
        assert gap["lead"] == pytest.approx(0.1 - size, abs=0.01)


def test_a_lower_rank_distance_alone_is_not_less_bias():
    lead = {"mono": 0.05, "cross": 0.0, "multi": 0.05, "distance": -50}
    claims = {name: claim for (_, _, name), claim in verdicts({"mono": {}, "xy": {}, "hybrid": lead}, THREE).items()}
    assert claims["lower-rank-distance"]["verdict"] == "supported"
    assert claims["less-language-bias"]["verdict"] == "not supported"


def test_a_tie_is_not_supported_if_it_is_certain_and_else_open():
    even = {"mono": {}, "xy": {}, "hybrid": {}}
    sure, open_ = (verdicts(even, THREE, noise=noise) for noise in (0.002, 0.2))
    key = ("xquad-r", "hybrid", "best-multilingual")
    assert (sure[key]["verdict"], open_[key]["verdict"]) == ("not supported", "inconclusive")


def test_best_means_better_than_each_arm_and_the_untouched_encoder():
    arms = [arm("untouched", "none"), *THREE]
    leads = {"untouched": {"multi": 0.1}, "mono": {}, "xy": {}, "hybrid": {"multi": 0.05}}
    best = verdicts(leads, arms)["xquad-r", "hybrid", "best-multilingual"]
    assert best["verdict"] == "not supported"
    assert "lead over untouched -0.0" in best["why"]


def test_arms_of_other_augmentation_and_other_hybrids_are_no_rivals():
    arms = [*THREE, arm("hybrid-.3", "hybrid"), arm("mono+", "x-x-mono", ["switched"]), arm("hybrid+", "hybrid", ["x"])]
    leads = {made.name: {} for made in arms} | {"hybrid-.3": {"multi": 0.2}, "mono+": {"multi": 0.2}}
    found = verdicts(leads, arms)
    assert [p["other"] for p in found["xquad-r", "hybrid", "best-multilingual"]["parts"]] == ["mono", "xy"]
    assert not [key for key in found if key[1] == "hybrid+"]  # nothing to compare it with


def stance(made):
    """The same arm, scored on stance retrieval."""
    return replace(made, benchmarks={"xl-stance": {"protocols": {TOPICAL.name: {}}}})


@pytest.mark.parametrize(("lead", "verdict"), [(0.05, "supported"), (0.0, "inconclusive"), (-0.05, "not supported")])
def test_what_augmentation_is_worth_is_asked_zero_shot_on_stances(lead, verdict):
    arms = [stance(arm("hybrid")), stance(arm("hybrid+", "hybrid", ["stance-mono"])), stance(arm("mono"))]
    leads = {"hybrid": {}, "hybrid+": {"multi": lead}, "mono": {"multi": 0.3}}
    found = verdicts(leads, arms, {"xl-stance": "test"}, stance_trained=())
    claim = found["xl-stance", "hybrid+", "augmentation-helps"]
    assert (claim["verdict"], [part["other"] for part in claim["parts"]]) == (verdict, ["hybrid"])
    assert ("xl-stance", "hybrid", "augmentation-helps") not in found


def test_no_word_of_zero_shot_where_stance_data_trained_or_nobody_knows():
    plain, more = stance(arm("hybrid")), stance(arm("hybrid+", "hybrid", ["x"]))
    other = replace(more, sampler={"kind": "hybrid", "alpha": 0.3})
    leads = {"hybrid": {}, "hybrid+": {"multi": 0.1}}
    for arms, seen in (
        ([plain, more], None),
        ([plain, more], {"hybrid+"}),
        ([plain, more], {"hybrid"}),
        ([plain, other], ()),  # another sampler: that is no matter of augmentation alone
        ([arm("hybrid"), arm("hybrid+", "hybrid", ["x"])], ()),  # no stance retrieval
    ):
        found = verdicts(leads, arms, {"xl-stance": "test"}, stance_trained=seen)
        assert not [key for key in found if key[2] == "augmentation-helps"]


def test_the_order_of_augmentations_is_no_difference():
    arms = [arm("mono", augmentation=["a", "b"]), arm("xy", augmentation=["b", "a"]), arm("hybrid", None, ["b", "a"])]
    best = verdicts({"mono": {}, "xy": {}, "hybrid": {}}, arms)["xquad-r", "hybrid", "best-multilingual"]
    assert [part["other"] for part in best["parts"]] == ["mono", "xy"]


def test_development_sets_are_kept_apart():
    roles = {"xquad-r": "test", "squad": "development", "mlqa-r": "test"}
    found = verdicts({"mono": {}, "xy": {}, "hybrid": {"multi": 0.05}}, THREE, roles)
    shares = {benchmark: found[benchmark, "hybrid", "best-multilingual"]["confidence"] for benchmark in roles}
    assert shares["xquad-r"] == shares["mlqa-r"] == pytest.approx(1 - 0.05 / 8)
    assert shares["squad"] == pytest.approx(1 - 0.05 / 4)
    assert found["squad", "hybrid", "best-multilingual"]["role"] == "development"


def test_where_nothing_was_trained_nothing_is_claimed():
    assert verdicts({"one": {}, "two": {}}, [arm("one", "none"), arm("two", "none")]) == {}


def test_without_hybrid_there_is_nothing_to_claim():
    assert set(verdicts({"mono": {}, "xy": {}}, THREE[:2])) == {("", "", "no-evaluation-data")}


@pytest.mark.parametrize(
    ("leakage", "unaudited", "verdict"),
    [
        ({}, (), "inconclusive"),
        ({"rows": 9, "leaking": 0, "on_leakage": "stop"}, (), "supported"),
        ({"rows": 9, "leaking": 2, "on_leakage": "drop"}, (), "supported"),
        ({"rows": 9, "leaking": 2, "on_leakage": "allow"}, (), "not supported"),
        ({"rows": 9, "leaking": 0, "on_leakage": "stop"}, ["lexicon.tsv"], "inconclusive"),
    ],
)
def test_training_without_evaluation_data(leakage, unaudited, verdict):
    claim = clean_training(leakage, unaudited)
    assert claim.verdict == verdict
    assert all(name in claim.why for name in unaudited)


def test_stance_figures_are_tested_and_what_no_arm_can_change_is_not():
    arms = [ArmResult(name=name, seed=0, benchmarks={"b": {"multi": {"auc": 0.5}}}) for name in ("one", "two")]
    made = tables({"one": {}, "two": {}})
    rng, size = np.random.default_rng(0), len(made["one", 0])
    place = SCHEMA.get_field_index("auc")
    stance = {run: t.set_column(place, SCHEMA.field(place), pa.array(rng.random(size))) for run, t in made.items()}
    found = gather_evidence({"b": stance}, arms, {"b": "test"}, SETTINGS, leakage={})["significance"]["b"]
    figures = {(row["setting"], row["figure"]) for row in found["comparisons"]}
    assert {(setting, "auc") for setting in ("mono", "cross", "multi")} <= figures
    assert "ndcg@10_blind" not in {figure for _, figure in figures}


def test_results_hold_the_evidence_and_say_what_was_tested():
    evidence = gather_evidence({"b": tables({"mono": {}, "hybrid": {}})}, THREE, {"b": "test"}, SETTINGS, leakage={})
    arms = [arm("mono"), arm("hybrid")]
    results = make_results(arms, {}, evidence=evidence, looks={"b": {"role": "test", "models": 2}})
    assert results["significance"]["b"]["comparisons"][0]["p"] > 0
    assert results["looks"]["b"]["models"] == 2
    assert (
        caution(results) == "One seed per arm: the tests tell chance in the choice of questions, not in the training."
    )
    assert "no significance test" in caution(make_results(arms, {}))
