"""Checkpoints of a run: DeepSpeed's shards, the loop's own state, and a list of hashes that guards them.

DeepSpeed saves with pickle. A checkpoint is read only by the run that wrote it, from its own folder, and only while
every file still has the hash that was noted when it was written.
"""

import json
from pathlib import Path
from typing import Any

from xlstance.errors import StorageError
from xlstance.files import sha256_of
from xlstance.training.engine import Engine

_STATE = "state.json"
_TAG = "engine"


def save_checkpoint(engine: Engine, folder: Path, state: dict[str, Any], rank: int) -> None:
    """Writes this rank's part of a checkpoint; every rank calls it with a new folder of its own, to be merged after.

    Args:
        engine: the DeepSpeed engine.
        folder: an empty folder that no other rank writes to.
        state: the loop's own state, as JSON; rank 0 writes it.
        rank: this process's number.
    """
    engine.save_checkpoint(str(folder), tag=_TAG, save_latest=False)
    if rank == 0:
        (folder / _STATE).write_text(json.dumps(state))
    hashes = {str(path.relative_to(folder)): sha256_of(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    (folder / f"hashes-{rank}.json").write_text(json.dumps(hashes, indent=1))


def read_state(folder: Path) -> dict[str, Any]:
    """The loop's own state in a merged checkpoint."""
    state: dict[str, Any] = json.loads((folder / _STATE).read_text())
    return state


def load_checkpoint(engine: Engine, folder: Path, world_size: int) -> None:
    """Puts an engine back where a checkpoint left it.

    Raises:
        StorageError: if a file is missing or is not what was written, or another number of processes wrote it.
    """
    listings = sorted(folder.glob("hashes-*.json"))
    if len(listings) != world_size:
        raise StorageError(
            f"checkpoint {folder} was written by {len(listings)} processes, not by {world_size}; "
            "start as many again, or remove it to start from the beginning"
        )
    for listing in listings:
        for name, expected in json.loads(listing.read_text()).items():
            path = folder / name
            if not path.exists() or sha256_of(path) != expected:
                raise StorageError(f"checkpoint file {path} is not what was written; remove {folder} to start again")
    engine.load_checkpoint(str(folder), tag=_TAG)
