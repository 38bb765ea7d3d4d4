"""Augmentation made for stances against generic augmentation: which arms are which, and what is asked of them."""

from dataclasses import replace
from typing import get_args, get_type_hints

import pytest
from test_verdicts import SETTINGS, arm, stance, tables

from xlstance.augmentation.stage import Augmentation
from xlstance.augmentation.way import Way
from xlstance.evaluation.augmentation_kinds import WRITES_TEXTS, augmentation_kinds
from xlstance.evaluation.claims import COLUMNS, check_claims
from xlstance.evaluation.evidence import gather_evidence
from xlstance.evaluation.significance import resample

NAME = "task-specific-augmentation-helps"
PLAIN, GENERIC, MADE = (
    stance(made)
    for made in (arm("hybrid"), arm("switched", "hybrid", ["one"]), arm("argued", "hybrid", ["two", "three"]))
)


KINDS = {"hybrid": "none", "switched": "generic", "argued": "stances"}


def checked(leads, arms, stance_trained=(), kinds=KINDS):
    """The claims about augmentation by (arm, name)."""
    drawn = resample(tables(leads), list(COLUMNS), SETTINGS)
    claims = check_claims({"xl-stance": drawn}, arms, {"xl-stance": "test"}, stance_trained, kinds)
    return {(claim.arm, claim.name): claim for claim in claims if "augmentation" in claim.name}


@pytest.mark.parametrize(("lead", "verdict"), [(0.05, "supported"), (0.0, "inconclusive"), (-0.05, "not supported")])
def test_what_task_specific_augmentation_is_worth_is_asked_against_generic(lead, verdict):
    leads = {"hybrid": {"multi": 0.3}, "switched": {"mono": 0.3}, "argued": {"multi": lead}}
    found = checked(leads, [PLAIN, GENERIC, MADE])
    claim = found["argued", NAME]
    assert (claim.verdict, [(part.other, part.setting) for part in claim.parts]) == (verdict, [("switched", "multi")])
    assert set(found) == {("argued", NAME), ("argued", "augmentation-helps"), ("switched", "augmentation-helps")}
    assert [part.other for part in found["argued", "augmentation-helps"].parts] == ["hybrid"]
    assert claim.confidence == pytest.approx(1 - 0.05 / 3)  # the three share the level


def test_it_must_be_better_than_every_generic_arm():
    more = replace(GENERIC, name="more")
    leads = {"switched": {}, "more": {"multi": 0.1}, "argued": {"multi": 0.05}}
    claim = checked(leads, [GENERIC, more, MADE])["argued", NAME]
    assert claim.verdict == "not supported"
    assert "lead over more -0.0" in claim.why


@pytest.mark.parametrize(
    ("arms", "seen", "kinds"),
    [
        ([PLAIN, MADE], (), KINDS),
        ([PLAIN, GENERIC], (), KINDS),
        ([PLAIN, GENERIC, MADE], (), {**KINDS, "argued": "generic"}),
        ([PLAIN, GENERIC, MADE], (), {**KINDS, "switched": "stances"}),
        ([PLAIN, GENERIC, MADE], (), {**KINDS, "switched": "none"}),
        ([PLAIN, GENERIC, MADE], (), None),
        ([PLAIN, GENERIC, MADE], ("argued",), KINDS),
        ([PLAIN, GENERIC, MADE], ("switched",), KINDS),
        ([PLAIN, GENERIC, MADE], None, KINDS),
        ([replace(one, benchmarks={}) for one in (PLAIN, GENERIC, MADE)], (), KINDS),
        ([PLAIN, replace(GENERIC, sampler={"kind": "hybrid", "alpha": 0.3}), MADE], (), KINDS),
        ([replace(one, sampler={"kind": "x-y"}) for one in (PLAIN, GENERIC, MADE)], (), KINDS),
    ],
)
def test_nothing_is_asked_without_both_kinds_zero_shot_on_stances(arms, seen, kinds):
    leads = {"hybrid": {}, "switched": {}, "argued": {"multi": 0.1}}
    assert ("argued", NAME) in checked(leads, [PLAIN, GENERIC, MADE])
    assert NAME not in {name for _, name in checked({one.name: leads[one.name] for one in arms}, arms, seen, kinds)}


def test_an_arm_whose_augmentation_writes_no_text_is_the_one_without():
    """Hybrid batches need pairs across languages, so what others call pairing is in the yardstick, too."""
    paired = replace(PLAIN, augmentation=["paired"])
    found = checked({"hybrid": {}, "switched": {}, "argued": {}}, [paired, GENERIC, MADE])
    assert [part.other for part in found["argued", "augmentation-helps"].parts] == ["hybrid"]
    assert ("hybrid", "augmentation-helps") not in found


def settings(*arms, **changes):
    """Names that mislead: what an augmentation does stands in its way alone."""
    return {
        "sources": [{"name": "qa", "format": "squad"}, {"name": "stance-qa", "format": "squad"}],
        "augmentations": [
            {"of": ["*"], "code_switching": {"name": "stance-switched"}, "stance": None},
            {"of": ["*", "stance-switched"], "code_switching": None, "stance": {"name": "plain"}},
            {"of": ["plain"], "sampling": {"name": "few"}, "stance": None},
            {"of": ["qa", "stance-switched"], "hard_negatives": {"name": "rivals"}},
            {"of": ["*"], "pairing": {"name": "stance-paired"}},
        ],
        "development": [],
        "arms": list(arms),
        **changes,
    }


def of(name, *sources, sampler="hybrid", start=""):
    return {"name": name, "sampler": sampler, "sources": list(sources), "start": start}


@pytest.mark.parametrize(
    ("sources", "kind"),
    [
        (["qa"], "none"),
        (["stance-qa", "stance-paired"], "none"),
        (["qa", "stance-switched"], "generic"),
        (["rivals"], "generic"),
        (["plain"], "stances"),
        (["qa", "few", "stance-switched"], "stances"),
        ([], "stances"),  # all
    ],
)
def test_the_kind_follows_from_the_ways_of_what_an_arm_trains_on(sources, kind):
    assert augmentation_kinds(settings(of("stance", *sources))) == {"stance": kind}


def test_what_only_validates_is_not_trained_on():
    assert augmentation_kinds(settings(of("a"), development=["plain", "few"])) == {"a": "generic"}
    assert augmentation_kinds(settings(of("a"), development=["plain"])) == {"a": "stances"}


def test_an_arm_has_what_it_starts_from_and_an_untrained_one_has_nothing():
    arms = [of("a", "plain"), of("b", "qa", start="a"), of("c", "qa"), of("d", "plain", sampler="none")]
    assert augmentation_kinds(settings(*arms)) == {"a": "stances", "b": "stances", "c": "none", "d": "none"}
    assert augmentation_kinds({}) == {}


def test_every_way_that_writes_texts_is_known():
    ways = {
        key: kind
        for key, hint in get_type_hints(Augmentation).items()
        for kind in get_args(hint)
        if isinstance(kind, type) and issubclass(kind, Way)
    }
    assert len(ways) >= 8
    assert {key for key, way in ways.items() if way.writes_texts} == set(WRITES_TEXTS)


def test_the_evidence_of_a_run_holds_the_claim():
    made = {"xl-stance": tables({"hybrid": {}, "switched": {}, "argued": {"multi": 0.1}})}
    arms, roles = [PLAIN, GENERIC, MADE], {"xl-stance": "test"}
    found = gather_evidence(made, arms, roles, SETTINGS, leakage={}, stance_trained=(), augmentations=KINDS)
    assert {claim["name"]: claim["verdict"] for claim in found["claims"]}[NAME] == "supported"
