"""What fine-tuning took: differences of planted figures, and the tables that show them."""

import pytest

from xlstance.evaluation.forgetting import FORGETTING, forgetting, forgetting_table
from xlstance.evaluation.results import ArmResult, make_results
from xlstance.report.console import format_table
from xlstance.report.page import render_report


def figures(mono, **by_language):
    return {
        **{"mono": {"map": mono}, "cross": {"map": 0.1}, "multi": {"map": 0.1}},
        "per_language": {lang: {"mono": {"map": value}, "multi": {"map": 0.1}} for lang, value in by_language.items()},
    }


def test_the_change_is_after_minus_before_of_all_and_of_english():
    found = forgetting(figures(0.4, en=0.5, fi=0.3), figures(0.45, en=0.7, fi=0.2), "as-it-is")
    assert found == {"against": "as-it-is", "mono": pytest.approx(-0.05), "en": pytest.approx(-0.2)}


def test_without_english_each_language_counts():
    found = forgetting(figures(0.4, fi=0.3, de=0.5), figures(0.4, fi=0.2, de=0.6), "untouched")
    assert list(found) == ["against", "mono", "de", "fi"]
    assert (found["de"], found["fi"]) == (pytest.approx(-0.1), pytest.approx(0.1))


def test_a_figure_that_is_not_there_has_no_change():
    assert forgetting(figures(None, en=None, fi=0.3), figures(None, en=None, fi=0.2), "u") == {
        "against": "u",
        "fi": pytest.approx(0.1),
    }


def made(*seeds):
    """An untouched encoder and one that forgot, trained with these seeds; the second seed forgot more."""
    before = figures(0.5, en=0.6)
    arms = [ArmResult(name="untouched", seed=0, benchmarks={"b": before})]
    for seed in seeds:
        after = figures(0.5 - 0.1 * (seed + 1), en=0.6)
        own = {**after, FORGETTING: forgetting(after, before, "untouched")}
        arms.append(ArmResult(name="tuned", seed=seed, sampler={"kind": "hybrid"}, benchmarks={"b": own}))
    return make_results(arms, {})


def test_tables_show_the_mean_over_seeds_of_fine_tuned_arms():
    results = made(0, 1)
    rows, columns = forgetting_table(results, "b")
    assert rows == ["tuned"]
    assert [column.title for column in columns] == ["mono vs untouched", "en vs untouched"]
    block = format_table(results).split("\n\n")[1].splitlines()
    assert block[0] == "b: change of mono mAP by fine-tuning"
    assert block[1].split() == ["arm", "mono", "vs", "untouched", "en", "vs", "untouched"]
    assert block[3].split() == ["tuned", "-0.1500", "+0.0000"]
    page = render_report(results, [])
    assert "<h3>Forgetting</h3>" in page
    assert "<td>-0.1500</td><td>+0.0000</td>" in page


def test_an_encoder_from_scratch_has_nothing_to_forget():
    results = make_results([ArmResult(name="one", seed=0, benchmarks={"b": figures(0.5, en=0.5)})], {})
    assert forgetting_table(results, "b") == ([], [])
    assert "Forgetting" not in render_report(results, [])
    assert "fine-tuning" not in format_table(results)


def test_a_caution_counts_the_seeds_of_what_is_trained():
    assert "Means over 2 seeds" in format_table(made(0, 1))
