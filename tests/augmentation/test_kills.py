"""What a killed worker, actor, node or driver leaves behind: nothing lost or doubled, and only the rest done again."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from killable import SECONDS, work_on

from xlstance.collection import TrainingSet
from xlstance.storage import Folder
from xlstance.tables import make_table
from xlstance.training_data import publish_source

SHARDS, KILLS = 24, 5
PROGRAM = Path(__file__).with_name("killable.py")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Questions and passages in three languages, in 24 shards."""
    names = [(group, lang) for group in range(400) for lang in ("en", "de", "fi")]
    texts = {"lang": [lang for _, lang in names], "text": [f"{group} {lang}" for group, lang in names]}
    texts["group_id"] = [str(group) for group, _ in names]
    queries, passages = ([f"{kind}{group}-{lang}" for group, lang in names] for kind in "qp")
    pairs = {"pair_id": [f"{group}-{lang}" for group, lang in names], "query_id": queries, "passage_id": passages}
    made = TrainingSet(
        queries=make_table("queries", {"query_id": queries, **texts}),
        passages=make_table("passages", {"passage_id": passages, **texts}),
        pairs=make_table("pairs", {**pairs, "source": ["world"] * len(names)}),
    )
    folder = tmp_path_factory.mktemp("source")
    publish_source(Folder(folder), made.stream, "stamp", SHARDS)
    return folder


@pytest.fixture(scope="module")
def undisturbed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert work_on(source, folder, workers=0).rows == 400 * 6
    return content(folder)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.*"))}


class Run:
    """The program in a process of its own, and what can be seen of it."""

    def __init__(self, source: Path, root: Path) -> None:
        self.output, self._log = root / "out", root / "log"
        self._command = [sys.executable, str(PROGRAM), str(source), str(self.output), str(self._log)]
        self.process: subprocess.Popen[str]

    def start(self, *address: str) -> subprocess.Popen[str]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen([*self._command, *address], text=True, **pipes)
        return self.process

    def stop(self) -> None:
        with self.process:
            self.process.kill()

    def kill_actor(self) -> str:
        """Kills the actor that was the last to begin a shard; returns its id."""
        end = time.monotonic() + 120
        while True:
            _, process, actor = self.begun()[-1]
            if Path(f"/proc/{process}").exists():
                break
            # It ended with the stream of an actor that was killed before; the next stream's actors are on their way.
            assert time.monotonic() < end, "no actor is alive"
            time.sleep(0.02)
        print(actor, file=self.process.stdin, flush=True)
        while Path(f"/proc/{process}").exists():
            assert time.monotonic() < end, f"{actor} is still alive"
            time.sleep(0.02)
        return actor

    def begun(self) -> list[tuple[int, int, str]]:
        """(shard, process, actor) in the order in which they were begun."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return [(int(shard), int(process), actor) for shard, process, actor in map(str.split, lines)]

    def committed(self) -> int:
        return len(list((self.output / "pairs").glob("*.parquet")))

    def wait_until_begun(self, count: int) -> None:
        end = time.monotonic() + 120
        while len(self.begun()) < count:
            assert time.monotonic() < end, f"{len(self.begun())} of {count} shards begun"
            time.sleep(0.02)


@pytest.fixture
def run(source: Path, tmp_path: Path) -> Iterator[Run]:
    run = Run(source, tmp_path)
    yield run
    run.stop()


def moments(seed: int) -> list[tuple[int, float]]:
    """How many more shards are to be begun before each kill, and how long after that it comes."""
    draw = random.Random(seed)
    return [(draw.randint(2, 3), draw.uniform(0, 2 * SECONDS)) for _ in range(KILLS)]


def check_finished(run: Run, undisturbed: dict[str, bytes], lost: int) -> None:
    """The tables are those of the undisturbed run, and no more was done twice than what was under way."""
    assert content(run.output) == undisturbed
    again = len(run.begun()) - SHARDS
    assert 0 <= again <= lost, run.begun()
    assert {shard for shard, *_ in run.begun()} == set(range(SHARDS))


def test_a_killed_driver_goes_on_where_it_stood(run: Run, undisturbed: dict[str, bytes]) -> None:
    seen = [0]
    for more, pause in moments(1):
        process = run.start()
        run.wait_until_begun(len(run.begun()) + more)
        time.sleep(pause)
        process.kill()
        process.wait()
        time.sleep(1.0)  # its workers end
        seen.append(run.committed())
        assert seen[-2] <= seen[-1] < SHARDS
    assert seen[-1] > seen[0]
    assert run.start().wait(120) == 0
    check_finished(run, undisturbed, lost=2 * KILLS)
    before = len(run.begun())
    assert run.start().wait(120) == 0
    assert len(run.begun()) == before  # a finished stage does nothing


def test_killed_workers_are_replaced(run: Run, undisturbed: dict[str, bytes]) -> None:
    process = run.start()
    killed: set[int] = set()
    for more, pause in moments(2):
        run.wait_until_begun(len(run.begun()) + more)
        time.sleep(pause)
        assert process.poll() is None, "it ended before the last kill"
        victim = run.begun()[-1][1]
        assert victim not in killed
        killed.add(victim)
        os.kill(victim, signal.SIGKILL)
        assert 0 <= run.committed() < SHARDS
    assert process.wait(180) == 0
    assert len(killed) == KILLS
    check_finished(run, undisturbed, lost=KILLS)


def test_killed_actors_are_replaced_by_another_stream(run: Run, undisturbed: dict[str, bytes]) -> None:
    # Ray Data never replaces an actor that was killed by name: its stream fails, and the stage begins another.
    process, killed, seen = run.start(), set[str](), [0]
    for more, pause in moments(4):
        run.wait_until_begun(len(run.begun()) + more)
        time.sleep(pause)
        assert process.poll() is None, "it ended before the last kill"
        killed.add(run.kill_actor())
        seen.append(run.committed())
        assert seen[-2] <= seen[-1] < SHARDS
    assert seen[-1] > 0
    assert process.wait(240) == 0
    assert len(killed) == KILLS
    # The shard of the other worker is lost too, when its stream fails.
    check_finished(run, undisturbed, lost=2 * KILLS)


def test_killed_nodes_are_replaced(run: Run, undisturbed: dict[str, bytes]) -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
        process = run.start(cluster.address)
        for more, pause in moments(3):
            run.wait_until_begun(len(run.begun()) + more)
            time.sleep(pause)
            assert process.poll() is None, "it ended before the last kill"
            cluster.remove_node(nodes.pop(0), allow_graceful=False)
            assert run.committed() < SHARDS
            nodes.append(cluster.add_node(num_cpus=1))
        assert process.wait(240) == 0
        check_finished(run, undisturbed, lost=2 * KILLS)
    finally:
        cluster.shutdown()
