"""``jobs/train.py`` with every process on a node of its own: each has its own cache.

torchrun --nproc-per-node 2 tests/training/node_of_rank.py RUNS.json CACHES
"""

import os
import sys
from pathlib import Path

from xlstance.disk_folder import CACHE
from xlstance.training.torchrun import main

if __name__ == "__main__":
    file, caches = sys.argv[1:]
    os.environ[CACHE] = str(Path(caches) / f"node-{os.environ['RANK']}")
    sys.exit(main([file]))
