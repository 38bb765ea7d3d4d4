"""Benchmarks by name: what each stands for and where its files are looked for."""

import pytest

from xlstance.corpora.named_benchmarks import named_benchmarks
from xlstance.errors import DataError, SettingsError


def described(names, data, split=""):
    return [
        (source.name, source.format, source.path, source.split) for source in named_benchmarks(names, str(data), split)
    ]


def test_names_of_the_catalog_take_its_settings(tmp_path):
    (tmp_path / "mlqa_r").mkdir()
    (tmp_path / "afriqa").mkdir()
    assert described(["xquad-r", "mlqa-r", "afriqa"], tmp_path) == [
        ("xquad-r", "lareqa", "xquad-r", "dev"),  # reading it says that it is not there
        ("mlqa-r", "lareqa", "mlqa_r", "dev"),
        ("afriqa-test", "beir", "afriqa/beir", "test"),
    ]
    (miracl,) = named_benchmarks(["miracl"], str(tmp_path))
    assert (miracl.layout, miracl.languages[0]) == ("miracl", "ar")


def test_stance_retrieval_has_both_tasks_in_every_pool(tmp_path):
    assert described(["xl-stance"], tmp_path) == [
        (f"xl-stance-{task}", "xl-stance", "", "test") for task in ("topical", "stance")
    ]
    names = [f"x-stance-{task}{pool}" for task in ("topical", "stance") for pool in ("", "-balanced")]
    assert described(["x-stance"], tmp_path) == [(name, "xl-stance", ".", "test") for name in names]
    (tmp_path / "x-stance").mkdir()
    assert described(["x-stance"], tmp_path) == [(name, "xl-stance", "x-stance", "test") for name in names]


def test_a_part_of_stance_retrieval_has_a_name_of_its_own(tmp_path):
    (source,) = named_benchmarks(["x-stance-stance-balanced"], str(tmp_path))
    assert (source.name, source.task, source.pool) == ("x-stance-stance-balanced", "stance", "balanced")
    assert described(["xl-stance-topical"], tmp_path, "valid") == [("xl-stance-topical", "xl-stance", "", "valid")]


def test_other_names_are_refused(tmp_path):
    with pytest.raises(SettingsError, match="muse is no benchmark; benchmarks are xl-stance, x-stance, xquad-r"):
        named_benchmarks(["muse"], str(tmp_path))
    with pytest.raises(DataError, match="no source is called 'xquadr'; did you mean xquad-r"):
        named_benchmarks(["xquadr"], str(tmp_path))
