"""A driver that tests kill, as `xlstance train` is one: trains the runs of a file under Ray Train.

python tests/training/drive.py RUNS.json FOLDER SECONDS
"""

import sys
from pathlib import Path

from xlstance.errors import UserError
from xlstance.session import ray_session
from xlstance.training.distributed import fit
from xlstance.training.torchrun import read_runs


def main(file, folder, seconds):
    with ray_session(2):
        fit(
            read_runs(file),
            Path(folder),
            workers=2,
            cpus_per_worker=1,
            gpus_per_worker=0,
            wait_seconds=float(seconds),
        )


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except UserError as error:
        sys.exit(f"error: {error}")
