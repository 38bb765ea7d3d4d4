"""Pictures for papers: which are drawn, that they are what they say, and that equal results give equal bytes."""

import hashlib
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import matplotlib as mpl
import pytest
from planted_results import METRICS, everything, two_arms

from xlstance.report.files import write_report
from xlstance.report.palette import HUES
from xlstance.report.papers.pictures import render_pictures
from xlstance.storage import Folder

ROOT = Path(__file__).resolve().parents[2]
KINDS = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}


@pytest.fixture(scope="module")
def pictures():
    return dict(render_pictures(everything(), METRICS))


def test_each_picture_comes_in_three_formats(pictures):
    of_benchmark = {f"xquad-r-{what}" for what in ("settings", "languages", "heat", "difference", "alpha")}
    assert set(pictures) == {f"{name}.{kind}" for name in {*of_benchmark, "mixing", "training"} for kind in KINDS}
    for name, content in pictures.items():
        assert content.startswith(KINDS[name.rpartition(".")[2]]), name
        if name.endswith(".svg"):
            assert ElementTree.fromstring(content).tag.endswith("svg")
    few = {name for name, _ in render_pictures(two_arms(), [])}
    assert few == {f"xquad-r-{what}.{kind}" for what in ("settings", "heat", "difference") for kind in KINDS}
    assert list(render_pictures({**two_arms(), "arms": []}, [])) == []


def test_the_colours_are_those_of_the_page(pictures):
    drawn = pictures["xquad-r-settings.svg"].decode()
    assert all(hue in drawn for hue in HUES[:4])


def test_nothing_tells_when_or_with_what_version_they_were_drawn(pictures):
    for name, content in pictures.items():
        assert b"CreationDate" not in content, name
        assert b"<dc:date>" not in content, name
        assert mpl.__version__.encode() not in content, name


def test_equal_results_give_equal_bytes_in_another_process_with_other_settings(tmp_path):
    (tmp_path / "matplotlibrc").write_text("font.size: 20\naxes.facecolor: pink\n")
    (tmp_path / "input.json").write_text(json.dumps([two_arms(), METRICS]))
    code = """
import hashlib, json, sys
from xlstance.report.papers.pictures import render_pictures
pictures = render_pictures(*json.load(open("input.json")))
print(json.dumps({name: hashlib.sha256(content).hexdigest() for name, content in pictures}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    here = {name: hashlib.sha256(content).hexdigest() for name, content in render_pictures(two_arms(), METRICS)}
    assert json.loads(done.stdout) == here
    assert len(here) == 12


def test_the_users_settings_stay_as_they_were():
    with mpl.rc_context({"font.size": 33, "axes.facecolor": "pink"}):
        list(render_pictures(two_arms(), []))
        assert (mpl.rcParams["font.size"], mpl.rcParams["axes.facecolor"]) == (33, "pink")


def test_everything_is_written_beside_the_results(tmp_path):
    write_report(Folder(tmp_path), two_arms(), [])
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert {"report.html", "tables/xquad-r.md", "tables/xquad-r.tex", "pictures/xquad-r-settings.pdf"} <= found
    assert len(found) == 3 + 9
