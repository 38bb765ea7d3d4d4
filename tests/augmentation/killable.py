"""An augmentation slow enough to be killed half-way: python killable.py SOURCE OUTPUT LOG [ADDRESS].

Each line of its input is the id of an actor, which it kills.
"""

import gc
import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import ray
from ray.actor import ActorHandle

from xlstance.augmentation.pairing import Pairing
from xlstance.augmentation.stage import Augmentation, augment
from xlstance.augmentation.way import Made, Part, Surroundings, Work
from xlstance.storage import Folder
from xlstance.training_data import TrainingData, published

SECONDS = 0.4  # for each shard


@dataclass(frozen=True, kw_only=True)
class SlowPairing(Pairing):
    """Pairing that takes its time and notes, in the file that the environment names, who began what."""

    def work(self, around: Surroundings) -> Work:
        pair = super().work(around)

        def slowly(part: Part) -> Made:
            if "KILLABLE_LOG" in os.environ:
                actor = ray.get_runtime_context().get_actor_id()
                with Path(os.environ["KILLABLE_LOG"]).open("a") as log:
                    log.write(f"{part.index} {os.getpid()} {actor}\n")
                time.sleep(SECONDS)
            return pair(part)

        return slowly


def work_on(source: Path, output: Path, workers: int) -> TrainingData:
    around = Surroundings(parents=(published(Folder(source), "world"),), folder=Folder(output), workers=workers)
    return augment(Augmentation(pairing=SlowPairing(name="slow")), around)


def kill_actor(actor: str) -> None:
    """Kills the actor of this id for good.

    Ray Data gives its actors no names and keeps their handles to itself (and Ray lists actors only with a dashboard),
    so they are looked for among all objects of this process. None is kept: the actors of a failed stream would live on.
    """
    for thing in gc.get_objects():
        if isinstance(thing, ActorHandle) and actor in repr(thing):
            ray.kill(thing)


def kill_on_demand() -> None:
    for line in sys.stdin:
        kill_actor(line.strip())


if __name__ == "__main__":
    address = sys.argv[4] if len(sys.argv) > 4 else "local"
    more = {} if address != "local" else {"num_cpus": 2, "include_dashboard": False}
    ray.init(address=address, log_to_driver=False, runtime_env={"env_vars": {"KILLABLE_LOG": sys.argv[3]}}, **more)
    threading.Thread(target=kill_on_demand, daemon=True).start()
    work_on(Path(sys.argv[1]), Path(sys.argv[2]), workers=2)
