"""results.json: written, read, and what is read out of it."""

import json
import subprocess

import pytest

import xlstance
from xlstance.errors import DataError, StorageError
from xlstance.evaluation import results as results_module
from xlstance.evaluation.results import (
    COLUMNS,
    ArmResult,
    best_arms,
    code_version,
    machine,
    make_results,
    mean_figure,
    read_results,
    write_results,
)
from xlstance.storage import Folder


def arm(name, seed=0, mono=0.8):
    figures = {"mono": {"map": mono}, "cross": {"map": 0.6}, "multi": {"map": 0.5}}
    return ArmResult(name=name, seed=seed, benchmarks={"xquad-r": figures})


@pytest.fixture
def results():
    return make_results([arm("X-Y"), arm("hybrid", mono=0.9)], {"alpha": 0.5})


def test_results_survive_writing_and_equal_ones_give_equal_bytes(tmp_path, results):
    for name in ("a", "b"):
        write_results(Folder(tmp_path / name), results)
    assert read_results(Folder(tmp_path / "a")) == json.loads(json.dumps(results))
    assert (tmp_path / "a/results.json").read_bytes() == (tmp_path / "b/results.json").read_bytes()
    assert results["schema"] == 1
    assert [entry["name"] for entry in results["arms"]] == ["X-Y", "hybrid"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no JSON"),
        ("[]", "no results file"),
        ('{"schema": 1}', "no results file"),
        ('{"schema": 9, "arms": []}', "newer version"),
    ],
)
def test_what_is_no_results_file_is_refused(tmp_path, content, message):
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(DataError, match=message):
        read_results(Folder(tmp_path))


def test_a_missing_results_file_is_an_error(tmp_path):
    with pytest.raises(StorageError, match="does not exist"):
        read_results(Folder(tmp_path / "nowhere"))


def test_machine_names_no_host_user_or_path():
    import getpass
    import platform

    found = machine()
    assert found["cores"] >= 1
    assert found["memory_gib"] > 0
    assert found["torch"]
    text = json.dumps(found)
    assert platform.node() not in text
    assert "/" not in text.replace(found["cpu"], "")
    assert getpass.getuser() not in text.split()


def test_code_version_names_the_commit_and_changes(tmp_path, monkeypatch):
    def git(*arguments):
        person = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
        subprocess.run(["git", "-C", tmp_path, *person, *arguments], check=True, capture_output=True)

    code = tmp_path / "__init__.py"
    code.write_text("")
    assert code_version(tmp_path) == xlstance.__version__
    git("init")
    monkeypatch.setattr(xlstance, "__file__", str(code))
    assert code_version(tmp_path) == xlstance.__version__  # a checkout, but not of this code
    git("add", ".")
    git("commit", "-m", "first")
    clean = code_version(tmp_path)
    assert clean.startswith(f"{xlstance.__version__}+g")
    code.write_text("changed")
    assert code_version(tmp_path) == f"{clean}.dirty"
    monkeypatch.setattr(results_module.shutil, "which", lambda _: None)
    assert code_version(tmp_path) == xlstance.__version__


def test_mean_over_seeds_needs_every_seed():
    found = make_results([arm("a", 0, mono=0.5), arm("a", 1, mono=0.7), arm("b")], {})
    assert mean_figure(found, "a", "xquad-r", "mono", "map") == pytest.approx(0.6)
    found["arms"][1]["benchmarks"]["xquad-r"]["mono"]["map"] = None
    assert mean_figure(found, "a", "xquad-r", "mono", "map") is None
    assert mean_figure(found, "a", "elsewhere", "mono", "map") is None


def test_best_is_judged_as_shown():
    mono, distance = COLUMNS[0], COLUMNS[-1]
    assert best_arms({"a": 0.12341, "b": 0.12342, "c": 0.1}, mono) == {"a", "b"}
    assert best_arms({"a": 10.0, "b": 9.0, "c": None}, distance) == {"b"}
    assert best_arms({"a": 0.5, "b": None}, mono) == set()
