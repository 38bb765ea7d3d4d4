"""Which arms have seen stance data, by what went into their training."""

import pytest

from xlstance.evaluation.zero_shot import arms_with_stance_data


def arm(name, *sources, sampler="hybrid", start=""):
    return {"name": name, "sampler": sampler, "sources": list(sources), "start": start}


def settings(*arms, **changes):
    return {
        "sources": [
            {"name": "qa", "format": "squad"},
            {"name": "stances", "format": "xl-stance"},
            {"name": "stances-dev", "format": "xstance"},
        ],
        "augmentations": [
            {"of": ["qa"], "pairing": {"name": "paired"}, "stance": None},
            {"of": ["stances"], "pairing": None, "code_switching": {"name": "switched"}},
            {"of": ["switched"], "sampling": {"name": "some"}},
        ],
        "development": ["stances-dev"],
        "bitext": [],
        "arms": list(arms),
        **changes,
    }


@pytest.mark.parametrize(
    ("sources", "seen"),
    [
        (["qa"], False),
        (["qa", "paired"], False),
        (["stances"], True),
        (["switched"], True),
        (["some"], True),
        ([], True),
    ],
)
def test_sources_and_what_is_made_of_them(sources, seen):
    assert arms_with_stance_data(settings(arm("a", *sources))) == ({"a"} if seen else set())


def test_an_arm_has_seen_what_it_starts_from():
    found = arms_with_stance_data(settings(arm("a", "stances"), arm("b", "qa", start="a"), arm("c", "qa", start="b")))
    assert found == {"a", "b", "c"}


def test_what_is_not_trained_has_seen_nothing():
    assert arms_with_stance_data(settings(arm("as-it-is", sampler="none"))) == set()


def test_every_source_that_trains_is_in_what_is_made_of_every_one():
    everything = [{"of": ["*"], "stance": {"name": "made"}}]
    assert arms_with_stance_data(settings(arm("a", "made"), augmentations=everything)) == {"a"}
    apart = settings(arm("a", "made"), augmentations=everything, development=["stances", "stances-dev"])
    assert arms_with_stance_data(apart) == set()
    bitext = settings(arm("a", "made"), augmentations=everything, bitext=["stances"], development=["stances-dev"])
    assert arms_with_stance_data(bitext) == set()


def test_no_settings_say_nothing():
    assert arms_with_stance_data({}) == set()
