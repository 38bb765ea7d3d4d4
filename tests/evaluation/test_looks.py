"""Counting of the models that were scored on a benchmark."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from xlstance.evaluation.looks import count_looks, note_look, role_of
from xlstance.storage import Folder


def test_scoring_the_same_again_is_no_new_look(tmp_path):
    root, roles = Folder(tmp_path), {"xquad-r": "test", "squad": "development"}
    assert count_looks(root, roles)["xquad-r"] == {"role": "test", "models": 0}
    for _ in range(2):
        note_look(root, "xquad-r", "b1", "hybrid-0", "m1")
        note_look(root, "xquad-r", "b1", "hybrid-0", "m2")  # trained again, with other settings
        note_look(root, "squad", "b2", "hybrid-0", "m1")
    assert count_looks(root, roles) == {
        "xquad-r": {"role": "test", "models": 2},
        "squad": {"role": "development", "models": 1},
    }


def test_names_may_hold_points_and_a_file_cut_off_by_a_kill_counts(tmp_path):
    root = Folder(tmp_path)
    note_look(root, "xquad-r.v1", "b1", "arm.5-0", "m1")
    (file,) = (tmp_path / "looks").iterdir()
    file.write_bytes(b"{")
    assert count_looks(root, {"xquad-r.v1": "test", "xquad-r": "test"}) == {
        "xquad-r.v1": {"role": "test", "models": 1},
        "xquad-r": {"role": "test", "models": 0},
    }


def test_a_model_that_several_roots_know_counts_once(tmp_path):
    roots = [Folder(tmp_path / name) for name in ("a", "b", "empty")]
    for root, model in zip([0, 0, 1, 1], ["m1", "m2", "m2", "m3"], strict=True):
        note_look(roots[root], "xquad-r", "b1", "arm-0", model)
    assert count_looks(roots[0], {"xquad-r": "test"}, *roots[1:])["xquad-r"]["models"] == 3


def test_looks_side_by_side_are_all_counted(tmp_path):
    root = Folder(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: note_look(root, "b", "stamp", f"arm-{n % 20}", f"m{n % 20}"), range(60)))
    assert count_looks(root, {"b": "test"})["b"]["models"] == 20


@pytest.mark.parametrize(
    ("kind", "split", "role"),
    [
        ("lareqa", "dev", "test"),
        ("squad", "dev", "development"),
        ("xl-stance", "test", "test"),
        ("xl-stance", "valid", "development"),
        ("trec", "dev", "test"),
        ("beir", "test", "test"),
        ("beir", "dev", "development"),
        ("miniature", "dev", "test"),
    ],
)
def test_roles(kind, split, role):
    assert role_of({"format": kind, "split": split}) == role
