"""One local cluster for the module that asks for it."""

from collections.abc import Iterator

import pytest
from local_cluster import CONFIG, Local, surroundings


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> Iterator[Local]:
    home = tmp_path_factory.mktemp("home")
    (home / "tiny.yaml").write_text(CONFIG)
    cluster = Local(home, surroundings(home))
    try:
        up = cluster.run("cluster", "up", "--local")
        assert up.returncode == 0, up.stderr
        yield cluster
    finally:
        cluster.run("cluster", "down")
