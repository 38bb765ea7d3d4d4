"""The table that an experiment prints last, on made-up figures."""

import pytest
from planted_results import arm, two_arms, with_tests

from xlstance.evaluation.results import make_results
from xlstance.report.console import format_table


@pytest.fixture
def results():
    return two_arms()


def test_console_table(results):
    lines = format_table(results).splitlines()
    assert lines[0] == "xquad-r"
    assert len({len(line) for line in lines[1:3]}) == 1
    first, second = lines[3].split(), lines[4].split()
    assert first[:4] == ["X-Y", "0.8000", "0.6100", "0.5000"]
    assert second[:4] == ["hybrid", "0.9000", "0.6000", "0.5000"]
    assert [line.index(".") for line in lines[3:5]] == [lines[3].index(".")] * 2
    assert "One seed per arm and no significance test" in lines[-1]
    seeds = make_results([arm("a", 0), arm("a", 1)], {})
    assert "Means over 2 seeds" in format_table(seeds)


def test_a_star_marks_what_is_certain_alone_and_says_what_that_means(results):
    text = format_table(with_tests(results, ("hybrid", "mono", "map"), ("X-Y", "multi", "rank_distance")))
    first, second = (line.split() for line in text.splitlines()[3:5])
    assert (first[1:4], first[-1]) == (["0.8000", "0.6100", "0.5000"], "300.0*")
    assert second[1:4] == ["0.9000*", "0.6000", "0.5000"]
    assert text.count("*") == 3
    note = " ".join(text.split("* certainly")[1].split())
    assert "p below 0.05 against every other arm" in note
    assert "corrected (Holm) over 3 figures; 48 units of queries" in note
    assert "1 seed." in note
    none = " ".join(format_table(with_tests(results)).split())
    assert "No star: every lead may be chance. A star takes p below 0.05" in none
    assert "*" not in none
    assert "*" not in format_table(results)


def test_the_console_counts_the_verdicts(results):
    claims = [{"verdict": verdict} for verdict in ("supported", "inconclusive", "supported", "not supported")]
    text = format_table({**results, "claims": claims})
    assert "Claims: 2 supported, 1 not supported, 1 inconclusive; see the report." in text
    assert "Claims" not in format_table(results)


def test_console_table_shows_what_is_missing(results):
    results["arms"][0]["benchmarks"]["xquad-r"]["cross"]["map"] = None
    assert format_table(results).splitlines()[3].split()[:3] == ["X-Y", "0.8000", "-"]
