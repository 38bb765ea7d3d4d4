"""Comparisons of finished runs: the union of their arms, tested as one run would be, and what may not be compared."""

import json
import time

import pyarrow as pa
import pytest
from finished_runs import TABLES, finish

from xlstance.cli import main
from xlstance.compare import compare
from xlstance.compare.compare import compare_runs
from xlstance.errors import DataError, SettingsError, StorageError
from xlstance.evaluation.claims import clean_training
from xlstance.evaluation.looks import note_look
from xlstance.evaluation.per_query import FIGURES_VERSION
from xlstance.report.files import REPORT
from xlstance.report.page import render_report
from xlstance.storage import Folder, read_manifest, read_table, write_table

ONE = {"x-x-mono": ("x-x-mono", 1.2), "hybrid": ("hybrid", 0.5)}
TWO = {"x-y": ("x-y", 0.9), "late": ("hybrid", 0.4)}


def lines(results, title):
    (section,) = [section for section in results["compared"] if section["title"].startswith(title)]
    return section["lines"]


def names(results):
    return list(dict.fromkeys(arm["name"] for arm in results["arms"]))


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """Those for papers take seconds; ``test_compare_experiments`` has them made."""

    def page_alone(folder, results, metrics):
        folder.write(REPORT, render_report(results, metrics).encode())

    monkeypatch.setattr(compare, "write_report", page_alone)


@pytest.fixture
def out(tmp_path):
    return str(tmp_path / "out")


def test_the_arms_of_two_runs_are_tested_like_those_of_one(tmp_path, out):
    apart = [finish(tmp_path / "a", ONE, seeds=(0, 1)), finish(tmp_path / "b", TWO, seeds=(0, 1))]
    whole = finish(tmp_path / "whole", ONE | TWO, seeds=(0, 1))
    beside = finish(tmp_path / "beside", {"other": ("x-x", 2.0)}, seeds=(0, 1))
    found = compare_runs(apart, out)
    expected = compare_runs([whole, beside], str(tmp_path / "out2"))
    kept = ("difference", "low", "high", "p_randomisation", "p_bootstrap", "effect")

    def of(results):
        rows = results["significance"]["small"]["comparisons"]
        return {(r["arm"], r["other"], r["setting"], r["figure"]): [r[key] for key in kept] for r in rows}

    assert names(found) == ["x-x-mono", "hybrid", "x-y", "late"]
    assert len(of(found)) == 6 * 8
    for key, values in of(found).items():
        assert values == pytest.approx(of(expected)[key])
    assert found["significance"]["small"]["seeds"] == [0, 1]
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == json.loads(json.dumps(found))
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Compared runs" in page
    assert "late" in page


def test_arms_of_equal_names_get_their_runs_name(tmp_path, out, capsys):
    found = compare_runs([finish(tmp_path / "a", ONE), finish(tmp_path / "b", {**TWO, "hybrid": ("hybrid", 0.6)})], out)
    assert names(found) == ["x-x-mono", "a/hybrid", "x-y", "late", "b/hybrid"]
    assert "a/hybrid" in capsys.readouterr().out
    named = compare_runs([str(tmp_path / "a"), str(tmp_path / "b")], out, ["early", "late run"])
    assert {"early/hybrid", "late run/hybrid"} <= set(names(named))


def test_what_was_not_trained_and_is_the_same_stands_once_and_counts_for_every_seed(tmp_path, out):
    base = {"untouched": ("", 1.5)}
    runs = [finish(tmp_path / "a", base | ONE, seeds=(0, 1)), finish(tmp_path / "b", base | TWO, seeds=(0, 1))]
    found = compare_runs(runs, out)
    assert names(found) == ["untouched", "x-x-mono", "hybrid", "x-y", "late"]
    assert [arm["seed"] for arm in found["arms"] if arm["name"] == "untouched"] == [0]
    assert found["significance"]["small"]["seeds"] == [0, 1]
    other = compare_runs([runs[0], finish(tmp_path / "c", {"untouched": ("", 0.1)} | TWO, seeds=(0, 1))], out)
    assert {"a/untouched", "c/untouched"} <= set(names(other))


def test_runs_without_training_can_be_compared(tmp_path, out):
    found = compare_runs([finish(tmp_path / "a", {"one": ("", 1.0)}), finish(tmp_path / "b", {"two": ("", 0.1)})], out)
    (leader,) = [
        row for row in found["significance"]["small"]["leaders"] if (row["setting"], row["figure"]) == ("multi", "map")
    ]
    assert (leader["arm"], leader["certain"], found["claims"]) == ("two", True, [])


def test_what_differs_is_said_flat(tmp_path, out):
    finish(tmp_path / "a", ONE)
    finish(tmp_path / "b", TWO, training={"batch_size": 256, "sampler": {"alpha": 0.5}}, languages=["de"])
    results = json.loads((tmp_path / "b" / "results.json").read_text())
    results["machine"]["cores"], results["code_version"] = 64, "9.9"
    (tmp_path / "b" / "results.json").write_text(json.dumps(results))
    found = compare_runs([str(tmp_path / "a"), str(tmp_path / "b")], out)
    differing = lines(found, "Settings that differ: a | b")
    assert {"training.batch_size: 64 | 256", 'languages: - | ["de"]'} <= set(differing)
    assert not [line for line in differing if line.startswith(("output", "training.sampler"))]
    assert any(line.startswith("arms.x-y: - | {") for line in differing)
    code = lines(found, "Code and machine")
    assert any(line.startswith("code_version: ") and line.endswith("| 9.9") for line in code)
    assert any(line.startswith("machine.cores: ") for line in code)
    assert found["settings"]["training"] == {"sampler": {"alpha": 0.5}}
    assert [run["settings"]["training"]["batch_size"] for run in found["runs"]] == [64, 256]


def test_another_benchmark_is_refused_or_left_out(tmp_path, out):
    finish(tmp_path / "a", ONE, benchmarks=("same", "changed"))
    finish(tmp_path / "b", TWO, benchmarks=("same", "changed"))
    other = finish(tmp_path / "c", TWO, benchmarks=("changed",), groups=GROUPS_OF_ANOTHER, stamp="newer")
    for part in ("benchmarks", "figures"):
        for old in sorted((tmp_path / "b" / part).rglob("changed")):
            old.rename(tmp_path / f"old-{part}-{old.parent.name}")
        for new in sorted((tmp_path / "c" / part).rglob("changed")):
            new.rename(tmp_path / "b" / new.relative_to(other))
    runs = [str(tmp_path / "a"), str(tmp_path / "b")]
    with pytest.raises(DataError, match="benchmark changed is not the same in a and in b"):
        compare_runs(runs, out)
    found = compare_runs(runs, out, only_common=True)
    assert list(found["significance"]) == ["same"]
    assert all(list(arm["benchmarks"]) == ["same"] for arm in found["arms"])
    assert "changed: left out, it is not the same in a and in b" in lines(found, "Benchmarks")


GROUPS_OF_ANOTHER = 20


def test_a_benchmark_of_one_run_is_listed_and_not_tested(tmp_path, out):
    runs = [finish(tmp_path / "a", ONE, benchmarks=("small", "own")), finish(tmp_path / "b", TWO)]
    found = compare_runs(runs, out)
    assert list(found["significance"]) == ["small"]
    assert "own: left out, only a has it" in lines(found, "Benchmarks")
    with pytest.raises(DataError, match="no benchmark in common that can be compared: a has own, small; c has else"):
        compare_runs([runs[0], finish(tmp_path / "c", TWO, benchmarks=("else",))], out)


def test_the_same_rows_in_other_files_are_the_same_benchmark(tmp_path, out):
    one = finish(tmp_path / "a", ONE, stamp="path-one", shards=1)
    two = finish(tmp_path / "b", TWO, stamp="path-two", shards=3)
    order = [
        read_table(Folder(run) / "benchmarks" / "small" / "queries", "queries")["query_id"].to_pylist()
        for run in (one, two)
    ]
    assert order[0] != order[1]
    found = compare_runs([one, two], out)
    straight = compare_runs([one, finish(tmp_path / "c", TWO, stamp="path-one")], str(tmp_path / "out2"))
    for row, expected in zip(*(r["significance"]["small"]["comparisons"] for r in (found, straight)), strict=True):
        assert row == pytest.approx(expected)


@pytest.mark.parametrize("table", TABLES)
def test_one_changed_row_makes_another_benchmark(tmp_path, out, table):
    one, two = finish(tmp_path / "a", ONE), finish(tmp_path / "b", TWO, stamp="other")
    folder = tmp_path / "b" / "benchmarks" / "small" / table
    rows = read_table(Folder(folder), table)
    column = {"queries": "text", "passages": "text", "qrels": "gain"}[table]
    values = rows[column].to_pylist()
    values[3] = 2 if column == "gain" else "changed"
    place = rows.schema.get_field_index(column)
    for file in folder.iterdir():
        file.unlink()
    changed = rows.set_column(place, rows.schema.field(place), pa.array(values, rows.schema.field(place).type))
    write_table(Folder(folder), table, changed, "other")
    with pytest.raises(DataError, match="benchmark small is not the same"):
        compare_runs([one, two], out)


def test_seeds_in_common_are_compared(tmp_path, out):
    runs = [finish(tmp_path / "a", ONE, seeds=(0, 1, 2)), finish(tmp_path / "b", TWO, seeds=(2, 1))]
    found = compare_runs(runs, out)
    assert found["significance"]["small"]["seeds"] == [1, 2]
    assert {arm["seed"] for arm in found["arms"]} == {1, 2}
    assert "left out, since not every run has them: 0" in lines(found, "Runs")[0]
    with pytest.raises(DataError, match=r"no seed in common: x-x-mono has 0, 1, 2; .* x-y has 7"):
        compare_runs([runs[0], finish(tmp_path / "c", TWO, seeds=(7,))], out)


def test_figures_of_other_rules_are_refused(tmp_path, out, monkeypatch):
    one = finish(tmp_path / "a", ONE)
    with pytest.raises(DataError, match="without an answer in a pool is excluded in a and zero in b"):
        compare_runs([one, finish(tmp_path / "b", TWO, without_answer="zero")], out)
    monkeypatch.setattr("xlstance.evaluation.per_query.FIGURES_VERSION", FIGURES_VERSION + 1)
    newer = finish(tmp_path / "c", TWO)
    with pytest.raises(DataError, match=rf"a \(version {FIGURES_VERSION}\) and of c \(version {FIGURES_VERSION + 1}\)"):
        compare_runs([one, newer], out)


def test_claims_go_over_the_union(tmp_path, out):
    told = clean_training({"rows": 5, "leaking": 0, "on_leakage": "stop"})
    open_ = clean_training({})
    runs = [
        finish(tmp_path / "a", {"x-x-mono": ONE["x-x-mono"], "x-y": TWO["x-y"]}, claims=[vars(told)]),
        finish(tmp_path / "b", {"late": ("hybrid", 0.1)}, claims=[vars(open_)]),
        finish(tmp_path / "c", {"later": ("hybrid", 0.2)}, claims=[vars(told)]),
    ]
    claims = compare_runs(runs, out)["claims"]
    (best,) = [claim for claim in claims if (claim["name"], claim["arm"]) == ("best-multilingual", "late")]
    assert {part["other"] for part in best["parts"]} == {"x-x-mono", "x-y"}
    assert best["verdict"] == "supported"
    data = [(claim["text"].partition(":")[0], claim["verdict"]) for claim in claims if not claim["benchmark"]]
    assert data == [("a, c", "supported"), ("b", "inconclusive")]


def test_augmentation_is_asked_for_across_runs(tmp_path, out):
    data = {
        "augmentation": ["stance-mono"],
        "sources": [{"name": "world", "format": "squad"}],
        "augmentations": [{"of": ["world"], "stance": {"name": "stance-mono"}}],
    }
    runs = [
        finish(tmp_path / "alone", {"hybrid": ("hybrid", 0.9)}, format="xl-stance"),
        finish(tmp_path / "both", {"hybrid": ("hybrid", 0.1)}, format="xl-stance", **data),
    ]
    (claim,) = [claim for claim in compare_runs(runs, out)["claims"] if claim["name"] == "augmentation-helps"]
    assert (claim["arm"], claim["verdict"]) == ("both/hybrid", "supported")
    assert [part["other"] for part in claim["parts"]] == ["alone/hybrid"]
    seen = [{"name": "stances", "format": "xl-stance"}]
    runs[0] = finish(tmp_path / "seen", {"hybrid": ("hybrid", 0.9)}, format="xl-stance", sources=seen)
    assert not [claim for claim in compare_runs(runs, out)["claims"] if claim["name"] == "augmentation-helps"]


def test_an_audit_that_differs_belongs_to_its_run(tmp_path, out):
    clean = {"rows": 10, "leaking": 0, "warned": 0, "on_leakage": "stop"}
    runs = [finish(tmp_path / "a", ONE, leakage=clean), finish(tmp_path / "b", TWO, leakage={**clean, "rows": 20})]
    found = compare_runs(runs, out)
    assert found["leakage"] == {}
    assert "none of 20 training and development pairs" in lines(found, "Runs")[1]
    leaky = finish(tmp_path / "c", TWO, leakage={**clean, "leaking": 3, "on_leakage": "allow"})
    assert compare_runs([runs[0], leaky], out)["leakage"]["leaking"] == 3


def test_looks_at_a_test_set_count_once_over_all_runs(tmp_path, out):
    runs = [finish(tmp_path / "a", ONE), finish(tmp_path / "b", TWO)]
    for run, models in zip(runs, (["m", "n"], ["n", "o"]), strict=True):
        for model in models:
            note_look(Folder(run), "small", "stamp", model, f"stamp-of-{model}")
    assert compare_runs(runs, out)["looks"] == {"small": {"role": "test", "models": 3}}


def test_training_curves_keep_their_arms(tmp_path, out):
    runs = [finish(tmp_path / "a", ONE), finish(tmp_path / "b", {"hybrid": ("hybrid", 0.6)})]
    row = {"arm": "hybrid", "seed": 0, "step": 1, "kind": "mono", "loss": 1.0}
    for run in runs:
        (tmp_path / run / "metrics.jsonl").write_text(json.dumps(row) + "\n" + json.dumps({**row, "step": 2}) + "\n")
    compare_runs(runs, out)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "a/hybrid, seed 0" in page
    assert "b/hybrid, seed 0" in page


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a"], "two runs or more"),
        (["a", "a"], "is given twice"),
        (["a", "nowhere"], "holds no finished run (results.json)"),
        (["a", "b", "--names", "one"], "--names gives 1 names for 2 runs"),
        (["a", "b", "--names", "one", "one"], "two runs are called 'one'; tell them apart with --names"),
        (["a", "deep/a"], "two runs are called 'a'"),
        (["a", "b", "--names", "x/y", "z"], "'x/y' is no name of a run"),
        (["a", "b", "--output", "b"], "holds a run; choose another --output"),
        (["a", "b", "--output", "started"], "holds a run; choose another --output"),
        (["a", "broken"], "is no results file of an experiment"),
        (["a", "out"], "holds a comparison; give the runs that it was made of"),
        (["a", "b", "--resamples", "3"], "resamples is 3; it must be at least 100"),
        (["a", "b", "--only-comon"], "only-comon"),
    ],
)
def test_mistakes_are_one_line(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    for name, arms in (("a", ONE), ("b", TWO), ("deep/a", TWO)):
        finish(tmp_path / name, arms)
    for name, content in (
        ("broken", {"schema": 1, "arms": [{}], "settings": {}}),
        ("out", {"schema": 1, "arms": [], "runs": []}),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text(json.dumps(content))
    (tmp_path / "started").mkdir()
    (tmp_path / "started" / "settings.json").write_text("{}")
    assert main(["compare", *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert said in err


def test_a_comparison_is_made_again_in_its_folder_and_by_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    finish(tmp_path / "a", ONE)
    finish(tmp_path / "b", TWO)
    made = []
    for _ in range(2):
        assert main(["compare", "a", "b", "--names", "one", "two", "--resamples", "150"]) == 0
        made.append((tmp_path / "runs" / "compare-one-two" / "results.json").read_bytes())
    assert made[0] == made[1]
    assert json.loads(made[0])["significance"]["small"]["resamples"] == 150
    assert "Settings that differ: one | two" in capsys.readouterr().out


def test_missing_tables_are_named(tmp_path, out):
    runs = [finish(tmp_path / "a", ONE), finish(tmp_path / "b", TWO)]
    (tmp_path / "b" / "figures" / "late-0" / "small" / "manifest.json").unlink()
    with pytest.raises(StorageError, match="late-0/small holds no published table"):
        compare_runs(runs, out)


def test_ten_runs_of_three_arms_take_seconds(tmp_path, out):
    arms = {"x-x-mono": ("x-x-mono", 1.2), "x-y": ("x-y", 0.9), "hybrid": ("hybrid", 0.5)}
    runs = [finish(tmp_path / f"run{n}", arms, training={"batch_size": n}) for n in range(10)]
    start = time.process_time()
    found = compare_runs(runs, out, resamples=100)
    assert time.process_time() - start < 15
    assert len(names(found)) == 30
    assert lines(found, "Settings that differ")[0] == "training.batch_size: " + " | ".join(map(str, range(10)))
    assert read_manifest(Folder(runs[9]) / "figures" / "hybrid-0" / "small").rows > 0


def test_too_few_names_of_runs(tmp_path):
    with pytest.raises(SettingsError, match="two runs or more"):
        compare_runs([str(tmp_path)])
