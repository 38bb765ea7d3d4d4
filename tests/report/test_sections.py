"""The page's sections: which stand there for much and for little, and what they say."""

import re

import pytest
from planted_results import EXAMPLE, METRICS, PROVENANCE, Reader, arm, everything, trained, two_arms

from xlstance.evaluation.results import make_results
from xlstance.report.arms import arm_looks
from xlstance.report.charts.heat import signed
from xlstance.report.figures import comparison_of, listed
from xlstance.report.mixing import alpha_groups
from xlstance.report.page import render_report
from xlstance.report.palette import HUES
from xlstance.report.verdict import summary

ALWAYS = ["What was run", "xquad-r", "Source and settings"]
ALL = [
    *("What was run", "Compared runs", "Sweep", "xquad-r", "Claims"),
    *("Augmentation by example", "Training", "Leakage audit", "Source and settings"),
]
PARTS = [
    *("Arms", "Mean average precision by setting", "Mixing ratio", "By query language"),
    *("Language bias", "Query language by passage language", "Search with FAISS"),
]


@pytest.fixture(scope="module")
def page():
    return render_report(everything(), METRICS)


def headings(page, level):
    found = re.findall(rf"<h{level}(?: [^>]*)?>(.*?)</h{level}>", page)
    return [re.sub(r"<span.*", "", heading).strip() for heading in found]


def section(page, anchor):
    """The text of what stands from an anchor to the next one."""
    start = page.index(f'id="{anchor}"')
    end = re.search(r'<(section|div class="part"|details class="part") id=', page[start:])
    cut = page[start : start + end.start()] if end else page[start:]
    return " ".join(re.sub(r"<[^>]*>", " ", cut.partition(">")[2]).split())


def test_a_rich_page_has_every_section_and_a_poor_one_what_it_has_figures_for(page):
    assert [heading for heading in headings(page, 2) if not heading.startswith("Best on")] == ALL
    assert [heading for heading in headings(page, 3) if heading in PARTS] == PARTS
    poor = render_report(two_arms(), [])
    assert [heading for heading in headings(poor, 2) if not heading.startswith("Best on")] == ALWAYS
    assert [heading for heading in headings(poor, 3) if heading in PARTS] == [PARTS[0], PARTS[1], PARTS[4], PARTS[5]]


def test_what_was_run_is_said_in_words_and_at_a_glance(page):
    said = section(page, "run")
    assert "4 retrievers trained on world, from a transformer encoder from scratch (549,760 parameters)" in said
    assert "x-x-mono, x-y, hybrid-25 and hybrid-75." in said
    assert "More pairs were made by augmentation: switched." in said
    assert "Beside them stand baselines that were not trained here: bm25 and translate-test." in said
    for fact in (
        *("arms 4 and 2 baselines", "seeds 0", "training pairs world 40,000", "steps 400", "batch size 128"),
        *("training languages 3 languages (ar de en)", "xquad-r 20 queries, 150 passages, 3 languages (ar de en)"),
    ):
        assert fact in said


def test_baselines_stand_apart_in_tables_and_are_grey(page):
    looks = arm_looks(everything())
    assert list(looks) == ["x-x-mono", "x-y", "hybrid-25", "hybrid-75", "bm25", "translate-test"]
    assert [look.ink.hue for look in looks.values()] == [0, 1, 2, 3, None, None]
    assert looks["bm25"].ink != looks["translate-test"].ink
    table = page[page.index('id="benchmark-1-arms"') :].partition("</table>")[0]
    first, baselines = table.split('<tbody class="baselines">')
    assert "hybrid-75" in first
    assert "bm25" not in first
    assert "baselines, not trained here" in baselines
    # Where nothing is trained at all, nothing is a baseline.
    assert not any(look.baseline for look in arm_looks(two_arms()).values())


def test_more_arms_than_hues_differ_in_pattern():
    arms = [trained(f"arm-{number}", "hybrid", number / 20) for number in range(2 * len(HUES))]
    results = make_results(arms, {})
    inks = [look.ink for look in arm_looks(results).values()]
    assert len(set(inks)) == len(inks)
    assert inks[0].hue == inks[len(HUES)].hue
    rows = [{"arm": arm.name, "seed": 0, "step": s, "kind": "mono", "loss": 1.0 + s} for arm in arms for s in (0, 1)]
    page = render_report(results, rows)
    curves = re.findall(r'<polyline class="(stroke-hue\d)" points="[^"]*"( stroke-dasharray="[^"]*")?', page)
    assert len({curve for curve in curves if curve}) == 2 * len(HUES)
    assert 'class="stripes"' in page


def test_the_difference_map_begins_with_the_best_arm_minus_the_first_baseline(page):
    said = page[page.index('class="difference-view"') :]
    assert '<span class="chosen">hybrid-75 minus bm25</span>' in said
    assert re.findall(r"<option selected>(.*?)</option>", said) == ["hybrid-75", "bm25"]
    assert "de → en: +64.00" in said  # cross: .84 and .20
    assert "de → de: +32.00" in said
    assert '<span class="high">+64</span>' in said
    # Between two arms without baselines: the best minus the first of the others.
    plain = render_report(two_arms(), [])
    assert '<span class="chosen">X-Y minus hybrid</span>' in plain
    assert "en → en: −10.00" in plain
    assert "en → de: +1.00" in plain


def test_alpha_stands_on_a_line_with_the_pure_samplers_at_its_ends(page):
    assert alpha_groups(everything()) == [[(0.0, "x-y"), (0.25, "hybrid-25"), (0.75, "hybrid-75"), (1.0, "x-x-mono")]]
    labels = set(Reader(page).values("aria-label"))
    assert {"mono mAP on xquad-r by alpha", "rank distance on xquad-r by alpha"} <= labels
    assert "alpha 0.25, 0.85" in section(page, "benchmark-1-alpha")


def test_arms_that_differ_in_more_than_alpha_stand_on_no_line():
    one, other = trained("one", "hybrid", 0.25), trained("other", "hybrid", 0.75)
    other.train["steps"] = 800
    assert alpha_groups(make_results([one, other], {})) == []
    falling = [trained(name, "hybrid", alpha) for name, alpha in (("falling", 0.5), ("too", 0.6))]
    for made in falling:
        made.sampler["alpha_schedule"] = {"0": 1.0}
    assert alpha_groups(make_results(falling, {})) == []
    assert alpha_groups(make_results([one, trained("x-y", "x-y", 0.5)], {})) == []


def test_a_sweep_shows_curves_with_bands_trials_and_what_it_recommends(page):
    said = section(page, "mixing")
    assert "Take alpha 0.5." in said
    assert "mono mAP" in said
    assert "rank distance" in said
    assert "t2 0.5 stopped" in said
    labels = Reader(page).values("aria-label")
    assert {"mono mAP in the sweep by alpha", "rank distance in the sweep by alpha"} <= set(labels)
    charts = page[page.index('id="mixing"') :]
    first, second = charts.split("rank distance in the sweep by alpha")[:2]
    assert "<polygon" in first
    assert "<polygon" not in second.partition("</svg>")[0]  # no ends are given


def test_bars_by_query_language_have_every_arm(page):
    said = section(page, "benchmark-1-languages")
    assert "ar, hybrid-75: 92.0" in said
    assert "en, bm25: 30.0" in said
    assert {"mono mAP on xquad-r by query language", "multi mAP on xquad-r by query language"} <= set(
        Reader(page).values("aria-label")
    )


def test_examples_show_both_texts_with_their_languages_and_mark_what_changed(page):
    cut = page[page.index('id="examples"') : page.index('id="training"')]
    assert '<span lang="en" dir="auto">who built the old bridge</span>' in cut
    assert '<span lang="en" dir="auto">who built the <mark>alte</mark> bridge</span>' in cut
    assert f'<span lang="ar" dir="auto">{EXAMPLE["after"]["passage"]["text"]}</span>' in cut  # another text: no marks
    assert "Another bridge &amp; river." in cut
    assert "en → ar" in cut
    alone = {**everything(), "examples": [{**EXAMPLE, "before": None}]}
    assert "none" in section(render_report(alone, []), "examples")


def test_the_search_is_told_with_its_index(page):
    said = section(page, "benchmark-1-search")
    assert "index IVF16,Flat, 100 passages per query" in said
    assert "0.9321" in said
    assert "0.9700" in said


def test_the_source_says_how_to_reproduce(page):
    said = section(page, "source")
    for line in (
        *("git checkout 655270f2a1b3 # the environment", "the checkout had changes that no commit holds"),
        *("begins with 0123456789abcdef", "xlstance fetch xquad-r --into DATA"),
        "xlstance experiment --config reproduce.yaml --data DATA --output runs/again",
        *("seeds: 0", "mine (my/pairs.tsv)", "9d4bf3c300000000", "8ef82ac965c851e7"),
    ):
        assert line in said
    embedded = {**everything(), "provenance": {**PROVENANCE, "data": [], "lock": ""}, "code_version": "0.1.0"}
    said = section(render_report(embedded, []), "source")
    assert "xlstance experiment --config reproduce.yaml --output runs/again" in said
    assert "git checkout" not in said
    assert "pip install" not in said


def test_an_evaluation_is_reproduced_by_its_own_command_and_names_what_it_measured():
    measured = [{"kind": "run", "name": "theirs", "path": "their runs/a.run.gz", "fingerprint": "ab" * 32}]
    command = ["evaluate", "--run", "their runs/a.run.gz", "--baselines", "bm25"]
    own = {**PROVENANCE, "command": command, "measured": measured}
    said = section(render_report({**everything(), "provenance": own}, []), "source")
    line = "xlstance evaluate --run 'their runs/a.run.gz' --baselines bm25 --config reproduce.yaml --data DATA"
    assert f"{line} --output runs/again".replace("'", "&#39;") in said
    assert f"theirs run their runs/a.run.gz {'ab' * 32}" in said
    assert "What was measured" not in section(render_report(everything(), []), "source")


def test_of_several_benchmarks_the_lead_says_who_is_best_over_all_languages():
    arms = [trained(name, "hybrid", alpha, rise) for name, alpha, rise in (("one", 0.2, 0.0), ("two", 0.4, 0.1))]
    for made in arms:
        own = made.benchmarks["xquad-r"]
        turned = {**own, "multi": {**own["multi"], "map": 1 - own["multi"]["map"]}}
        made.benchmarks.update({"mlqa-r": own, "other": turned})
    assert summary(make_results(arms, {})) == (
        "Highest mAP over all languages: two on xquad-r and mlqa-r; one on other."
    )


def test_the_first_screen_counts_the_claims_and_leads_to_them(page):
    assert re.search(r'<a href="#claims">Claims</a>: 1 supported\.', page)
    assert 'href="#claims">Claims</a>:' not in render_report(two_arms(), [])


def test_many_notes_are_folded_and_few_are_not():
    def notes(count):
        results = make_results([arm(name, notes=[f"note {n}" for n in range(count)]) for name in "ab"], {})
        return render_report(results, [])

    assert "3 notes on these figures</summary>" in notes(3)
    assert "notes on these figures" not in notes(2)
    assert all("<li>note 1</li>" in notes(count) for count in (2, 3))


def test_one_example_of_each_augmentation_stands_open():
    one, three = ({**everything(), "examples": [EXAMPLE] * count} for count in (1, 3))
    assert "more of switched" not in render_report(one, [])
    page = render_report(three, [])
    cut = page[page.index('id="examples"') : page.index('id="leakage"')]
    assert [part.count("<caption>") for part in cut.split("2 more of switched</summary>")] == [1, 2]


def test_compared_runs_say_what_differs(page):
    assert "one and two training.steps: 400 and 800" in section(page, "compared")


def test_a_comparison_is_turned_to_the_arm_that_is_asked_for():
    from xlstance.evaluation.results import MAPS

    row = {"setting": "mono", "figure": "map", "arm": "a", "other": "b", "difference": 0.1, "low": 0.05, "high": 0.2}
    results = {"significance": {"x": {"comparisons": [{**row, "effect": 0.5}]}}}
    turned = comparison_of(results, "x", MAPS[0], "b", "a")
    assert (turned["difference"], turned["low"], turned["high"], turned["effect"]) == (-0.1, -0.2, -0.05, -0.5)
    assert comparison_of(results, "x", MAPS[0], "a", "b")["low"] == 0.05
    assert comparison_of(results, "x", MAPS[1], "a", "b") is None


def test_words_are_listed_as_in_a_sentence():
    assert [listed([]), listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(12.5, 0, "+13"), (-0.5, 0, "−1"), (0.49, 0, "0"), (-0.001, 2, "0.00"), (1.005, 2, "+1.00"), (-7.25, 1, "−7.3")],
)
def test_differences_are_rounded_as_the_pages_script_rounds_them(value, digits, text):
    assert signed(value, digits) == text
