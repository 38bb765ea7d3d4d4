"""Tests between arms, from the tables of every query: known answers, and figures that are those of the protocol."""

import time
from itertools import product
from statistics import fmean

import numpy as np
import pyarrow as pa
import pytest

from xlstance.errors import DataError
from xlstance.evaluation.per_query import (
    FIGURES_VERSION,
    SCHEMA,
    figures_by_query,
    figures_version,
    query_table,
)
from xlstance.evaluation.protocol import evaluate
from xlstance.evaluation.results import COLUMNS, DIAGONAL_GAP, MAPS, RANK_DISTANCE, Column
from xlstance.evaluation.settings import EvaluationSettings
from xlstance.evaluation.significance import resample, significance
from xlstance.ranking import relevant_ranks
from xlstance.tables import make_table

SETTINGS = EvaluationSettings(resamples=2000)
MULTI_MAP = MAPS[2]


def table(values, units, figure="map", setting="multi", lang="en"):
    """The table of a benchmark with one figure; a row per query."""
    rows = len(values)
    columns = {
        "query_id": [f"q{n}" for n in range(rows)],
        "setting": [setting] * rows,
        "query_lang": [lang] * rows if isinstance(lang, str) else lang,
        "passage_lang": [None] * rows,
        "unit": [str(unit) for unit in units],
        figure: values,
    }
    return pa.table(
        [pa.array(columns[f.name], f.type) if f.name in columns else pa.nulls(rows, f.type) for f in SCHEMA],
        schema=SCHEMA,
    )


def arms(rng, shifts, units=30, queries=10, seeds=1, noise=0.05, figure="map"):
    """Arms that differ by a shift: units have effects that all arms share, and a small noise of each arm."""
    unit = np.repeat(np.arange(units), queries)
    common = rng.normal(0.5, 0.2, units)[unit]
    return {
        (name, seed): table(common + shift + rng.normal(0, noise, units)[unit], unit, figure)
        for name, shift in shifts.items()
        for seed in range(seeds)
    }


def of(found, arm, other):
    (comparison,) = [row for row in found["comparisons"] if (row["arm"], row["other"]) == (arm, other)]
    return comparison


def test_a_clear_winner_is_found_and_a_tie_is_not():
    tables = arms(np.random.default_rng(0), {"base": 0.0, "same": 0.0, "better": 0.1}, seeds=3)
    found = significance(resample(tables, [MULTI_MAP], SETTINGS))
    clear, level = of(found, "base", "better"), of(found, "base", "same")
    assert clear["better"] == "better"
    assert clear["high_corrected"] < 0
    assert clear["low_corrected"] < clear["low"] < clear["difference"] < clear["high"] < clear["high_corrected"]
    assert clear["effect"] < -1
    assert (level["better"], level["low"] < 0 < level["high"]) == ("", True)
    (leader,) = found["leaders"]
    assert (leader["arm"], leader["certain"]) == ("better", True)
    assert leader["p"] == max(of(found, a, "better")["p"] for a in ("base", "same"))
    assert (found["units"], found["seeds"]) == (30, [0, 1, 2])


def test_a_lead_over_one_arm_does_not_make_a_leader():
    tables = arms(np.random.default_rng(1), {"worst": 0.0, "second": 0.1, "first": 0.101})
    (leader,) = significance(resample(tables, [MULTI_MAP], SETTINGS))["leaders"]
    assert (leader["certain"], leader["p"] > 0.05) == (False, True)


def test_lower_is_better_where_the_column_says_so():
    tables = arms(np.random.default_rng(2), {"far": 0.1, "near": 0.0}, figure="rank_distance")
    found = significance(resample(tables, [RANK_DISTANCE], SETTINGS))
    assert (found["leaders"][0]["arm"], of(found, "far", "near")["better"]) == ("near", "near")


def gap_tables(gaps, units=30, noise=0.01, seed=0):
    """Arms by the mean difference between same-language and other pools, in two languages."""
    rng = np.random.default_rng(seed)
    keys = [(unit, lang, pool) for unit in range(units) for lang in ("de", "en") for pool in ("de", "en")]
    own = np.array([lang == pool for _, lang, pool in keys])
    unit = np.array([unit for unit, _, _ in keys])
    made = {}
    for name, gap in gaps.items():
        columns = {
            "query_id": [f"{lang}{unit}" for unit, lang, _ in keys],
            "setting": ["mono" if same else "cross" for same in own],
            "query_lang": [lang for _, lang, _ in keys],
            "passage_lang": [pool for _, _, pool in keys],
            "unit": [f"u{unit:02}" for unit in unit],
            "map": 0.5 + np.where(own, gap / 2, -gap / 2) * (1 + rng.normal(0, noise * 20, units)[unit]),
        }
        arrays = [pa.array(columns[f.name]) if f.name in columns else pa.nulls(len(keys), f.type) for f in SCHEMA]
        made[name, 0] = pa.table([a.cast(f.type) for a, f in zip(arrays, SCHEMA, strict=True)], schema=SCHEMA)
    return made


@pytest.mark.parametrize(
    ("gaps", "better"),
    [
        ({"a": 0.1, "b": 0.02}, "b"),
        ({"a": 0.1, "b": -0.02}, "b"),
        ({"a": -0.1, "b": 0.02}, "b"),  # for a model that prefers other languages lower is not better
        ({"a": -0.1, "b": -0.02}, "b"),
        ({"a": 0.05, "b": -0.05}, ""),
    ],
)
def test_a_diagonal_gap_is_best_at_zero_from_either_side(gaps, better):
    found = significance(resample(gap_tables(gaps), [DIAGONAL_GAP], SETTINGS))
    comparison, (leader,) = of(found, "a", "b"), found["leaders"]
    assert comparison["better"] == better
    assert comparison["difference"] == pytest.approx(abs(gaps["a"]) - abs(gaps["b"]), abs=0.01)
    assert leader["certain"] == bool(better)
    if better:
        assert leader["arm"] == better
        assert 0 < comparison["low"] < comparison["difference"] < comparison["high"]
        assert comparison["effect"] > 0
    values = {row["arm"]: row["value"] for row in found["intervals"]}
    assert values == pytest.approx(gaps, abs=0.01)  # the figure itself keeps its sign


@pytest.mark.parametrize("gaps", [(0.1, 0.07), (0.1, -0.09), (-0.06, 0.08), (-0.08, -0.07), (0.02, -0.01)])
def test_sizes_of_a_gap_are_exchanged_within_units(gaps):
    """Every pattern of exchanged units, by loops."""
    tables = gap_tables(dict(zip("ab", gaps, strict=True)), units=7, noise=0.1)
    resampled = resample(tables, [DIAGONAL_GAP], SETTINGS)
    one, two = resampled.contributions[0]
    seen = abs(abs(one.sum()) - abs(two.sum()))
    swaps = [np.array(pattern, bool) for pattern in product([False, True], repeat=7)]
    sizes = [abs(np.where(s, two, one).sum()) - abs(np.where(s, one, two).sum()) for s in swaps]
    expected = np.mean([abs(size) >= seen - 1e-12 for size in sizes])
    (comparison,) = resampled.compare([(DIAGONAL_GAP, "a", "b")], 1)
    assert comparison.p_randomisation == pytest.approx(expected)
    assert comparison.difference == pytest.approx(abs(one.sum()) - abs(two.sum()))


def test_many_queries_of_one_unit_are_no_evidence():
    """A thousand queries that go up together in one unit of two, and down in the other."""
    unit = np.repeat([0, 1], 1000)
    tables = {("a", 0): table(np.where(unit, 0.9, 0.2), unit), ("b", 0): table(np.full(2000, 0.5), unit)}
    found = significance(resample(tables, [MULTI_MAP], SETTINGS))
    assert of(found, "a", "b")["p"] > 0.4


def test_a_difference_of_one_training_seed_is_not_a_difference_between_arms():
    rng = np.random.default_rng(3)
    unit = np.arange(40)
    lucky = {0: 0.3, 1: 0.0, 2: 0.0}
    tables = {
        (name, seed): table(0.3 + (shift if name == "a" else 0) + rng.normal(0, 0.01, 40), unit)
        for name in ("a", "b")
        for seed, shift in lucky.items()
    }
    comparison = of(significance(resample(tables, [MULTI_MAP], SETTINGS)), "a", "b")
    assert comparison["p_randomisation"] < 0.01  # these models do differ
    assert (comparison["p_bootstrap"] > 0.05, comparison["better"]) == (True, "")


def test_the_same_settings_give_the_same_result_and_another_arm_does_not_move_it():
    tables = arms(np.random.default_rng(4), {"a": 0.0, "b": 0.01, "c": 0.02}, seeds=2)
    whole = significance(resample(tables, [MULTI_MAP], SETTINGS))
    assert significance(resample(tables, [MULTI_MAP], SETTINGS)) == whole
    two = {run: values for run, values in tables.items() if run[0] != "c"}
    kept = ("difference", "low", "high", "p_randomisation", "p_bootstrap", "effect")
    alone, beside = (of(found, "a", "b") for found in (significance(resample(two, [MULTI_MAP], SETTINGS)), whole))
    assert [alone[name] for name in kept] == pytest.approx([beside[name] for name in kept])
    other = significance(resample(tables, [MULTI_MAP], EvaluationSettings(resamples=2000, seed=1)))
    assert of(other, "a", "b")["low"] != beside["low"]


def test_holm_is_over_all_comparisons_of_a_benchmark():
    tables = arms(np.random.default_rng(5), {"a": 0.0, "b": 0.03, "c": 0.05, "d": 0.05})
    found = significance(resample(tables, [MULTI_MAP], SETTINGS))["comparisons"]
    assert len(found) == 6
    smallest = min(found, key=lambda row: row["p"])
    assert smallest["p_holm"] == pytest.approx(min(1, 6 * smallest["p"]))
    assert all(row["p_holm"] >= row["p"] for row in found)


def test_arms_that_do_not_match_are_refused():
    one = table([0.1, 0.2], [0, 1])
    with pytest.raises(DataError, match="different queries"):
        resample({("a", 0): one, ("b", 0): table([0.1, 0.2], [0, 2])}, [MULTI_MAP], SETTINGS)
    with pytest.raises(DataError, match="different queries"):
        resample({("a", 0): one, ("b", 0): one.slice(1)}, [MULTI_MAP], SETTINGS)
    with pytest.raises(DataError, match=r"b has the seeds \[1\], a has \[0\]"):
        resample({("a", 0): one, ("b", 1): one}, [MULTI_MAP], SETTINGS)
    with pytest.raises(DataError, match="for different queries"):
        resample({("a", 0): one, ("b", 0): table([0.1, None], [0, 1])}, [MULTI_MAP], SETTINGS)


def test_one_unit_or_no_figure_is_nothing_to_test():
    assert resample({("a", 0): table([0.1, 0.2], [0, 0])}, [MULTI_MAP], SETTINGS) is None
    assert resample({("a", 0): table([0.1, 0.2], [0, 1])}, [RANK_DISTANCE], SETTINGS) is None


def texts(name, key, rows):
    ids, langs, groups = zip(*rows, strict=True)
    return make_table(name, {key: ids, "lang": langs, "text": ids, "group_id": groups})


@pytest.fixture(scope="module")
def measured():
    """Two random encoders on a benchmark with uneven languages, as tables and as the protocol's figures."""
    rng = np.random.default_rng(9)
    langs, groups = ["de", "en", "th"], [f"g{n}" for n in range(12)]
    queries = [(f"{lang}-{group}", lang, group) for group in groups for lang in [*langs, "fr"] if rng.random() < 0.8]
    passages = [(f"{lang}-{group}-p", lang, group) for group in groups for lang in langs if rng.random() < 0.8]
    pairs = [(q[0], p[0]) for q in queries for p in passages if q[2] == p[2]]
    columns = {"query_id": [q for q, _ in pairs], "passage_id": [p for _, p in pairs], "gain": [1] * len(pairs)}
    tables = (
        texts("queries", "query_id", queries),
        texts("passages", "passage_id", passages),
        make_table("qrels", columns),
    )
    units = [f"u{int(group[1:]) // 2}" for _, _, group in queries]
    made, figures = {}, {}
    for arm in ("a", "b"):
        vectors = [rng.normal(size=(len(rows), 5)).astype(np.float32) for rows in (queries, passages)]
        ranks = relevant_ranks(*tables, *vectors)
        made[arm, 0] = query_table(figures_by_query(tables[0], ranks), tables[0], units)
        figures[arm] = evaluate(tables[0], ranks)
    return made, figures


MICRO = Column(title="", setting="cross", figure="map_micro")


@pytest.mark.parametrize("column", [*COLUMNS, DIAGONAL_GAP, MICRO], ids=lambda c: f"{c.setting}-{c.figure}")
def test_values_are_those_of_the_protocol(measured, column):
    tables, figures = measured
    resampled = resample(tables, [column], SETTINGS)
    assert resampled.units == 6
    for value, arm in zip(resampled.values[0], resampled.arms, strict=True):
        assert value == pytest.approx(figures[arm][column.setting][column.figure], abs=1e-12)


def test_the_published_table_has_a_row_per_query_and_pool(measured):
    (first, *_), figures = measured[0].values(), measured[1]["a"]
    assert first.schema.equals(SCHEMA)
    assert figures_version(first.schema.metadata) == FIGURES_VERSION
    rows = first.to_pylist()
    assert len({(row["query_id"], row["setting"], row["passage_lang"]) for row in rows}) == len(rows)
    for setting in ("mono", "cross", "multi"):
        own = [row for row in rows if row["setting"] == setting]
        assert len(own) == figures[setting]["runs"]
        assert fmean(row["map"] for row in own) == pytest.approx(figures[setting]["map_micro"])
    assert {row["passage_lang"] for row in rows if row["setting"] == "multi"} == {None}
    assert first["auc"].null_count == len(rows)


def test_the_size_of_xquad_r_takes_seconds():
    """10 000 resamples of 13 090 queries in 12 pools each, 48 articles, two arms, all figures of a table."""
    langs, rng = [f"l{n}" for n in range(11)], np.random.default_rng(0)
    keys = [(q, lang, pool) for q in range(1190) for lang in langs for pool in [*langs, None]]
    article = rng.integers(0, 48, 1190)
    columns = {
        "query_id": [f"{lang}/{q}" for q, lang, _ in keys],
        "setting": ["multi" if pool is None else "mono" if pool == lang else "cross" for _, lang, pool in keys],
        "query_lang": [lang for _, lang, _ in keys],
        "passage_lang": [pool for _, _, pool in keys],
        "unit": [f"a{article[q]}" for q, _, _ in keys],
    }

    def drawn():
        arrays = [columns[f.name] if f.name in columns else rng.random(len(keys)) for f in SCHEMA]
        return pa.table([pa.array(a, f.type) for a, f in zip(arrays, SCHEMA, strict=True)], schema=SCHEMA)

    tables = {("a", 0): drawn(), ("b", 0): drawn()}
    start = time.process_time()
    found = significance(resample(tables, [*COLUMNS, DIAGONAL_GAP], EvaluationSettings()))
    assert time.process_time() - start < 5
    assert (found["units"], found["resamples"], len(found["comparisons"])) == (48, 10_000, 8)
