"""Copies a store to a node's disk, slowly enough to be killed: python copy_store.py STORE NODE_FOLDER LOG SECONDS."""

import sys
import time
from pathlib import Path

from xlstance.storage import Folder
from xlstance.training.store import node_copy

STORE, NODE_FOLDER, LOG, SECONDS = sys.argv[1:]
copy_one = node_copy._copy


def copy_slowly(folder: Folder, file: object, path: Path) -> None:
    copy_one(folder, file, path)
    with Path(LOG).open("a") as log:
        log.write(f"{path.name}\n")
    time.sleep(float(SECONDS))


node_copy._copy = copy_slowly
print(node_copy.local_store(Folder(STORE), Path(NODE_FOLDER)))
