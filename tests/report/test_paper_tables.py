"""Tables for papers: Markdown with a column for every cell, LaTeX without a sign that it would read as its own."""

import re

import pytest
from planted_results import HOSTILE, arm, everything, figures, two_arms, with_tests

from xlstance.evaluation.results import ArmResult, make_results
from xlstance.report.papers.tables import latex_table, markdown_table

NASTY = r"50%_of|A&B #1 ~x^2 {y} $z$ \w *b* `c` [d] <e>"


def nasty():
    arms = [ArmResult(name=name, seed=0, benchmarks={NASTY: figures()}) for name in (NASTY, HOSTILE)]
    return make_results(arms, {}), NASTY


def cells_of(line):
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


@pytest.mark.parametrize("results", [(everything(), "xquad-r"), (two_arms(), "xquad-r"), nasty()])
def test_a_markdown_table_has_equally_many_cells_in_every_row(results):
    lines = markdown_table(*results).splitlines()
    table = [cells_of(line) for line in lines if line.startswith("|")]
    assert len({len(row) for row in table}) == 1
    assert set(table[1]) == {"---", "---:"}
    assert lines[0].startswith("# ")
    assert [bool(line) for line in lines[1:3]] == [False, True]
    assert "<script>" not in "\n".join(lines).replace(r"\<", "")


def test_markdown_says_what_is_certain_with_intervals_and_marks_baselines():
    text = markdown_table(with_tests(two_arms(), ("hybrid", "mono", "map")), "xquad-r")
    assert r"| hybrid | **0.9000**\*<br>0.8800 to 0.9200 | 0.6000 |" in text
    assert r"\* certainly the best: p below 0.05" in text
    assert text.count("**") == 2
    assert "**" not in markdown_table(two_arms(), "xquad-r")
    rich = markdown_table(everything(), "xquad-r").splitlines()
    assert [line.split("|")[1].strip() for line in rich if "(baseline)" in line] == [
        *("*bm25* (baseline)", "*translate-test* (baseline)"),
    ]


def check_latex(text):
    """Balanced braces and environments, equally many cells, and no sign that LaTeX would read as its own."""
    plain = re.sub(r"\\[\\&%$#_{}]|\\(?:text[a-z]+|[a-z]+)\*?", "", re.sub(r"(?m)^%.*$", "", text))
    depth = 0
    for sign in plain:
        depth += (sign == "{") - (sign == "}")
        assert depth >= 0
    assert depth == 0
    assert not set("%#_~") & set(plain.replace(r"tab:", ""))
    assert re.sub(r"\$\^\{\*\}\$", "", plain).count("$") == 0
    assert plain.count("^") == text.count("$^{*}$")
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    rows = [row for row in body.splitlines() if row.endswith(r"\\")]
    columns = len(re.search(r"\\begin\{tabular\}\{(lr+)\}", text)[1])
    assert columns <= 5  # so many stand beside one another on a page
    assert {len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows} == {columns}
    assert re.findall(r"\\begin\{(\w+)\}", text) == re.findall(r"\\end\{(\w+)\}", text)[::-1]


@pytest.mark.parametrize("results", [(everything(), "xquad-r"), (two_arms(), "xquad-r"), nasty()])
def test_latex_is_well_formed(results):
    check_latex(latex_table(*results))


def test_unescaped_latex_would_be_found():
    good = latex_table(everything(), "xquad-r")
    for wrong in (r"50% of", "a_b", "A&B", "#1", "{", "~", "a^2", "$x$"):
        with pytest.raises(AssertionError):
            check_latex(good.replace("x-x-mono", wrong))


def test_latex_has_stars_intervals_and_a_caption_that_explains_them():
    text = latex_table(with_tests(two_arms(), ("hybrid", "mono", "map")), "xquad-r")
    assert r"hybrid & \textbf{0.9000}\rlap{$^{*}$} & 0.6000 &" in text
    assert r" & {\scriptsize 0.8800--0.9200} &  &" in text
    caption = next(line for line in text.splitlines() if line.startswith(r"\caption"))
    assert "* certainly the best: p below 0.05" in caption
    assert r"95\% interval" in caption
    assert "One seed per arm" in caption
    rich = latex_table(everything(), "xquad-r")
    assert rich.rindex("hybrid-75") < rich.rindex(r"\midrule") < rich.rindex("bm25")


def test_latex_columns_stand_in_groups_that_each_hold_every_arm():
    rows = [line.split(" & ")[0] for line in latex_table(everything(), "xquad-r").splitlines() if line.endswith(r"\\")]
    named = [row for row in rows if row]
    arms = ["x-x-mono", "x-y", "hybrid-25", "hybrid-75", "bm25", "translate-test"]
    assert named == ["arm", *arms, "arm", *arms]
    heads = re.findall(r"arm & (.*) \\\\", latex_table(everything(), "xquad-r"))
    assert heads == ["mono mAP & cross mAP & multi mAP & ", "mono R@1 & cross R@1 & multi R@10 & rank distance"]


def test_a_latex_table_that_is_longer_than_a_page_is_several():
    many = make_results([arm(f"arm-{number}") for number in range(25)], {})
    text = latex_table(many, "xquad-r")
    first, second = text.split(r"\end{table}")[:2]
    assert [part.count("arm-24 &") for part in (first, second)] == [1, 1]
    assert re.findall(r"\\label\{(.*)\}", text) == ["tab:xquad-r", "tab:xquad-r-2"]
    assert "Continued." in second
    assert "Continued." not in first
    check_latex(first + r"\end{table}")
    check_latex(second + r"\end{table}")
    assert text.count(r"\begin{table}") == text.count(r"\caption") == 2


def test_synthetic_data_are_called_so():
    results = make_results([arm("a", notes=["synthetic: an invented world"]), arm("b")], {})
    assert "Synthetic data." in latex_table(results, "xquad-r")
    assert "Synthetic data." in markdown_table(results, "xquad-r")
    assert "Synthetic" not in latex_table(two_arms(), "xquad-r")
