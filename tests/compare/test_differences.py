"""Differences between nested settings, as people read them."""

from hypothesis import given
from hypothesis import strategies as st

from xlstance.compare.differences import differences, in_common


def test_every_setting_that_differs_and_no_other():
    one = {"a": 1, "b": {"c": [1, 2], "d": "x", "same": None}, "gone": True}
    two = {"a": 1, "b": {"c": [1], "d": "", "same": None}, "new": None}
    assert differences([one, two]) == [
        "b.c: [1, 2] | [1]",
        'b.d: x | ""',
        "gone: true | -",
        "new: - | null",
    ]
    assert differences([one, one, one]) == []
    assert differences([one, two, one])[0] == "b.c: [1, 2] | [1] | [1, 2]"


def test_entries_with_names_are_matched_by_name():
    one = {"arms": [{"name": "x", "alpha": 0.5}, {"name": "y", "alpha": None}]}
    two = {"arms": [{"name": "y", "alpha": None}, {"name": "x", "alpha": 0.25}, {"name": "z", "alpha": 0.1}]}
    assert differences([one, two]) == ["arms.x.alpha: 0.5 | 0.25", 'arms.z: - | {"name": "z", "alpha": 0.1}']
    turned = {"arms": one["arms"][::-1]}
    assert differences([one, turned]) == []


def test_an_augmentation_has_its_name_in_its_way():
    one = {"augmentations": [{"of": ["*"], "pairing": {"name": "paired", "per_language_pair": 0}, "stance": None}]}
    two = {"augmentations": [{"of": ["w"], "pairing": {"name": "paired", "per_language_pair": 9}, "stance": None}]}
    assert differences([one, two]) == [
        'augmentations.paired.of: ["*"] | ["w"]',
        "augmentations.paired.pairing.per_language_pair: 0 | 9",
    ]
    assert differences([one, {"augmentations": []}])[0].startswith('augmentations.paired: {"of": ["*"], "pairing"')


def test_names_that_stand_twice_match_nothing():
    one, two = ({"arms": [{"name": "x", "n": n}, {"name": "x"}]} for n in (1, 2))
    (line,) = differences([one, two])
    assert line.startswith('arms: [{"name": "x", "n": 1}')


def test_long_values_are_cut():
    (line,) = differences([{"path": f"/{'a' * 500}/models/{name}"} for name in ("small", "large")])
    assert len(line) < 140
    assert "…" in line
    assert line.endswith("/models/large")
    assert "/models/small | " in line


def test_what_is_in_common():
    one = {"a": 1, "b": {"c": 1, "d": 2}, "arms": [1, 2], "gone": None}
    two = {"a": 1, "b": {"c": 1, "d": 3}, "arms": [1], "e": 5}
    assert in_common([one, two]) == {"a": 1, "b": {"c": 1}}
    assert in_common([one, one]) == one


nested = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.text("ab", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
        | st.lists(st.fixed_dictionaries({"name": st.sampled_from("xyz"), "v": inner}), max_size=3)
    ),
    max_leaves=8,
)
settings = st.dictionaries(st.sampled_from("pqr"), nested, max_size=3)


@given(settings, settings)
def test_equal_settings_differ_in_nothing_and_others_keep_what_is_equal(one, two):
    assert differences([one, one]) == []
    common = in_common([one, two])
    assert differences([common, in_common([two, one])]) == []
    if common == one == two:
        assert differences([one, two]) == []
    assert all(one[key] == two[key] for key in common if not isinstance(common[key], dict))
