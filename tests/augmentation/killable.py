"""An augmentation slow enough to be killed half-way: python killable.py SOURCE OUTPUT LOG [ADDRESS]."""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

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
                with Path(os.environ["KILLABLE_LOG"]).open("a") as log:
                    log.write(f"{part.index} {os.getpid()}\n")
                time.sleep(SECONDS)
            return pair(part)

        return slowly


def work_on(source: Path, output: Path, workers: int) -> TrainingData:
    around = Surroundings(parents=(published(Folder(source), "world"),), folder=Folder(output), workers=workers)
    return augment(Augmentation(pairing=SlowPairing(name="slow")), around)


if __name__ == "__main__":
    import ray

    address = sys.argv[4] if len(sys.argv) > 4 else "local"
    more = {} if address != "local" else {"num_cpus": 2, "include_dashboard": False}
    ray.init(address=address, log_to_driver=False, runtime_env={"env_vars": {"KILLABLE_LOG": sys.argv[3]}}, **more)
    work_on(Path(sys.argv[1]), Path(sys.argv[2]), workers=2)
