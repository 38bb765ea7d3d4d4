"""Placement by labels: which nodes count, and what every thread of a process knows of it."""

import threading

import pytest
import ray

from xlstance.placement import autoscales, node_labels, placed, room

CPU, GPU = {"pool": "cpu"}, {"pool": "gpu"}


def node(labels: dict, alive: bool = True, **resources: float) -> dict:
    return {"Alive": alive, "Labels": labels, "Resources": resources}


@pytest.fixture
def nodes(monkeypatch):
    found = [
        node(CPU, CPU=4, memory=100),
        node(CPU, CPU=3, memory=100),
        node(CPU, alive=False, CPU=64),
        node(GPU, CPU=8, GPU=2, memory=100),
        node({}, memory=100),
    ]
    monkeypatch.setattr(ray, "nodes", lambda: found)


@pytest.mark.parametrize(
    ("bundle", "labels", "expected"),
    [
        ({"CPU": 1}, {}, 15),
        ({"CPU": 2}, {}, 7),  # the second node's third processor is of no use
        ({"CPU": 2}, CPU, 3),
        ({"CPU": 1, "GPU": 1}, {}, 2),
        ({"CPU": 1, "GPU": 1}, CPU, 0),
        ({"CPU": 2, "GPU": 0}, GPU, 4),
        ({"CPU": 9}, {}, 0),
        ({"CPU": 1}, {"pool": "none"}, 0),
    ],
)
def test_room_is_that_of_whole_workers_on_living_nodes_with_the_labels(nodes, bundle, labels, expected):
    assert room(bundle, labels) == expected


def test_labels_hold_within_the_block_and_in_its_threads():
    seen = []
    with placed(CPU, GPU):
        thread = threading.Thread(target=lambda: seen.extend([node_labels(0), node_labels(0.5)]))
        thread.start()
        thread.join()
        with placed({}, {}):
            assert node_labels(0) == {}
        assert node_labels(1) == GPU
    assert seen == [CPU, GPU]
    assert (node_labels(0), node_labels(1)) == ({}, {})


def test_a_private_ray_adds_no_nodes(ray_session):
    assert not autoscales()
    assert room({"CPU": 1}, {}) == 2
