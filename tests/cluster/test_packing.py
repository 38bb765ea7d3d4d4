"""What goes along with a job: the code, the named files, and nothing else of a working copy."""

from pathlib import Path

import pytest

from xlstance.cluster import packing
from xlstance.cluster.packing import pack
from xlstance.errors import UserError


@pytest.fixture
def checkout(tmp_path) -> Path:
    root = tmp_path / "checkout"
    for name in (
        *("xlstance/cli.py", "xlstance/__pycache__/cli.pyc", "jobs/train.py", "pyproject.toml", "requirements/cpu.txt"),
        *(".git/config", "runs/quickstart/results.json", "data/corpus.jsonl", ".env", ".venv/bin/python"),
        "lexicons/de.tsv",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def packed(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_only_code_goes_along(checkout, tmp_path):
    package = pack(checkout, tmp_path / "made")
    assert packed(tmp_path / "made") == {
        *("xlstance/cli.py", "jobs/train.py", "pyproject.toml", "requirements/cpu.txt"),
    }
    assert (package.files, package.bytes) == (4, sum(len(name) for name in packed(tmp_path / "made")))
    assert str(package) == "4 files, 0.0 MiB"


def test_named_files_go_along(checkout, tmp_path, monkeypatch):
    monkeypatch.chdir(checkout)
    pack(checkout, tmp_path / "made", ["lexicons"])
    assert "lexicons/de.tsv" in packed(tmp_path / "made")


@pytest.mark.parametrize("name", ["../outside", "lexicons/../../outside"])
def test_nothing_outside_goes_along(checkout, tmp_path, monkeypatch, name):
    (tmp_path / "outside").write_text("secret")
    monkeypatch.chdir(checkout)
    with pytest.raises(UserError, match="lies outside"):
        pack(checkout, tmp_path / "made", [name])


def test_a_link_to_elsewhere_is_left_out(checkout, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (checkout / "xlstance" / "link").symlink_to(tmp_path / "secret")
    pack(checkout, tmp_path / "made")
    assert "xlstance/link" not in packed(tmp_path / "made")


def test_a_missing_file_is_named(checkout, tmp_path):
    with pytest.raises(UserError, match="--include nowhere: there is no such file"):
        pack(checkout, tmp_path / "made", ["nowhere"])


def test_too_much_is_refused_and_the_largest_named(checkout, tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "_MOST", 20)
    (checkout / "xlstance" / "large.bin").write_text("x" * 30)
    with pytest.raises(UserError, match=r"at most 0 go along \(the largest: .*large\.bin"):
        pack(checkout, tmp_path / "made")


def test_no_checkout_is_said(tmp_path):
    with pytest.raises(UserError, match="is no checkout"):
        pack(tmp_path, tmp_path / "made")
