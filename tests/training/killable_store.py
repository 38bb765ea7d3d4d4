"""A training store that is prepared slowly enough to be killed: python killable_store.py SOURCE OUTPUT LOG."""

import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
from store_worlds import Letters

from xlstance.storage import Folder
from xlstance.training.store.preparation import prepare_store
from xlstance.training_data import published

SECONDS = 0.1  # for each call, of which a shard has two


class SlowLetters(Letters):
    """Takes its time, and notes the texts that it sees."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def tokenize(self, texts: list[str], kind: str) -> list[np.ndarray]:
        time.sleep(SECONDS)
        with self._log.open("a") as log:
            log.write("".join(f"{text}\n" for text in texts))
        return super().tokenize(texts, kind)


def work_on(source: Path, output: Path, log: Path) -> None:
    prepare_store([published(Folder(source), "world")], partial(SlowLetters, log), "letters", Folder(output))


if __name__ == "__main__":
    work_on(*map(Path, sys.argv[1:]))
