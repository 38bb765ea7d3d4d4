"""Checkpoints of a run: DeepSpeed's shards, the loop's own state, and a list of hashes that guards them.

    checkpoints/step-00000200/ engine/*.pt        each rank's part
                               checkpoint.json    what is there, with hashes; written last
    checkpoints/step-00000400/ ...

DeepSpeed saves with pickle. A checkpoint is read only by the run that wrote it, from its own folder, and only while
every file still has the hash that was noted when it was written. Two are kept: should the newer one be damaged, the
one before is taken. Ray Train and ``torchrun`` use them alike. For a bucket each rank puts there what it wrote, and the
list follows when all have.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from xlstance.disk_folder import DiskFolder
from xlstance.errors import StorageError
from xlstance.files import sha256_of, write_whole
from xlstance.training.agreement import gather_text, together
from xlstance.training.engine import Engine

_LISTING = "checkpoint.json"
_TAG = "engine"
_KEPT = 2

_log = logging.getLogger(__name__)


def finished_steps(folder: DiskFolder) -> list[int]:
    """The steps whose checkpoint in a folder was written to its end, ascending."""
    places = [name.split("/")[0] for name in folder.names() if name.endswith(f"/{_LISTING}")]
    return sorted(int(place.removeprefix("step-")) for place in places)


class Checkpoints:
    """The checkpoints of one run; every rank makes one, over a folder that all see or a bucket.

    Args:
        folder: where they lie; of a bucket's, what is there must have been fetched.
        stamp: fingerprint of the run; those of another are refused.
        rank: this process's number.
        world_size: number of processes.
    """

    def __init__(self, folder: DiskFolder, stamp: str, rank: int, world_size: int) -> None:
        self.folder = folder
        self._stamp, self._rank, self._world_size = stamp, rank, world_size

    def steps(self) -> list[int]:
        """The steps that have a finished checkpoint, ascending."""
        return finished_steps(self.folder)

    def save(self, engine: Engine, step: int, state: Mapping[str, Any]) -> None:
        """Writes the checkpoint of a step and drops the oldest; every rank calls it.

        Args:
            engine: the DeepSpeed engine.
            step: steps done.
            state: the loop's own state, as JSON; the first rank's counts.

        Raises:
            StorageError: on every rank, if one could not write all: the folder, the bytes it takes and what is left.
        """
        place, writer = self._at(step), _Writer(engine.checkpoint_engine)
        folder = place.path
        what = f"the checkpoint of step {step} cannot be written"
        try:
            with together(what):
                (folder / _TAG).mkdir(parents=True, exist_ok=True)  # what a killed run had begun is written again
            with _writing(engine, writer):
                engine.save_checkpoint(str(folder), tag=_TAG, save_latest=False)
            with together(what):
                hashes = writer.hashes(folder)
                place.keep(*hashes)
            listed = {k: v for own in gather_text(json.dumps(hashes)) for k, v in json.loads(own).items()}
            with together(what):
                if self._rank == 0:
                    content = {
                        "stamp": self._stamp,
                        "world_size": self._world_size,
                        "step": step,
                        "state": state,
                        "files": listed,
                    }
                    write_whole(folder / _LISTING, json.dumps({"sha256": _hash(content), "content": content}))
                    place.keep(_LISTING)
        except StorageError as error:
            raise self._no_room(error, folder, writer.bytes) from error
        if self._rank == 0:
            self._drop(self.steps()[:-_KEPT])
        else:
            self._forget(_KEPT)

    def restore(self, engine: Engine) -> dict[str, Any] | None:
        """Puts an engine back where the newest whole checkpoint left it; every rank calls it.

        Returns:
            The loop's own state, or None where there is no checkpoint.

        Raises:
            StorageError: if there are checkpoints but none is whole, or they are of other settings or of another
                number of processes.
        """
        problems = []
        for step in json.loads(gather_text(json.dumps(self.steps()[::-1]))[0]):
            with together(f"the checkpoint of step {step} cannot be read"):
                own = self._problem(step)
            found = next((text for text in gather_text(own) if text), "")
            if not found:
                if self._rank == 0:
                    self._drop([other for other in self.steps() if other > step])  # damaged, and no use any more
                engine.load_checkpoint(str(self._at(step).path), tag=_TAG)
                state: dict[str, Any] = _read_listing(self._at(step).path)["state"]
                return state
            problems.append(found)
            if self._rank == 0:
                _log.warning("%s; the checkpoint before it is looked at", found)
        if problems:
            raise StorageError(
                f"{problems[0]}, and no other is whole; remove {self.folder} to start from the beginning"
            )
        return None

    def remove(self) -> None:
        """Removes them all; every rank calls it, once none needs them any more."""
        if self._rank == 0:
            self.folder.remove()
        else:
            self._forget(0)

    def _at(self, step: int) -> DiskFolder:
        return self.folder / f"step-{step:08d}"

    def _problem(self, step: int) -> str:
        """What makes a checkpoint unfit, in the files that this rank looks at: the ranks share them out."""
        folder = self._at(step).path
        try:
            content = _read_listing(folder)
        except StorageError as error:
            return str(error)
        if content["stamp"] != self._stamp:
            raise StorageError(
                f"checkpoint {folder} was made with other settings; take those again, choose another output, "
                f"or remove {self.folder} to start from the beginning"
            )
        if content["world_size"] != self._world_size:
            raise StorageError(
                f"checkpoint {folder} was written by {content['world_size']} processes, not by {self._world_size}; "
                f"start as many again, or remove {self.folder} to start from the beginning"
            )
        for name in sorted(content["files"])[self._rank :: self._world_size]:
            path = folder / name
            if not path.exists():
                return f"checkpoint file {path} is missing"
            if sha256_of(path) != content["files"][name]:
                return f"checkpoint file {path} is not what was written"
        return ""

    def _no_room(self, error: StorageError, folder: Path, needed: int) -> StorageError:
        free = shutil.disk_usage(next(path for path in folder.parents if path.exists())).free
        if self._rank == 0:
            shutil.rmtree(folder, ignore_errors=True)
        kept = self.steps()
        left = f"the last good one is of step {kept[-1]}" if kept else "there is none yet"
        return StorageError(
            f"{error}; it takes {_size(needed)} per process, and {_size(free)} are free; {left}; "
            "make room and give the same command again to go on"
        )

    def _drop(self, steps: Sequence[int]) -> None:
        for step in steps:
            self._at(step).remove(first=_LISTING)  # what is half removed is no checkpoint

    def _forget(self, kept: int) -> None:
        """Removes all but the newest from this node, where they are copies: the first rank may be on another one."""
        if self.folder.is_copy:
            for path in sorted(self.folder.path.glob("step-*"), reverse=True)[kept:]:
                shutil.rmtree(path, ignore_errors=True)


class _Writer:
    """DeepSpeed's writer of files, which keeps an error for later: the ranks may not part between two barriers."""

    def __init__(self, inner: Any) -> None:
        self._inner, self._paths = inner, list[str]()
        self.error: Exception | None = None
        self.bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def save(self, state_dict: Any, path: str) -> None:
        self._paths.append(path)
        self.bytes += sum(tensor.nbytes for tensor in _tensors(state_dict))
        try:
            self._inner.save(state_dict, path)
        except (OSError, RuntimeError) as error:  # PyTorch's C++ writer knows no errno
            self.error = self.error or error

    def hashes(self, folder: Path) -> dict[str, str]:
        """SHA-256 by name in the folder, of all that was saved.

        Raises:
            StorageError: if something could not be saved.
        """
        if self.error is not None:
            reason = self.error.strerror if isinstance(self.error, OSError) else "the file system took only a part"
            raise StorageError(f"{self._paths[-1]} cannot be written ({reason})") from self.error
        return {str(Path(path).relative_to(folder)): sha256_of(Path(path)) for path in self._paths}


@contextmanager
def _writing(engine: Engine, writer: _Writer) -> Iterator[None]:
    """Lets an engine save through a writer, without the scripts that it would put beside the files."""
    inner, engine.checkpoint_engine = engine.checkpoint_engine, writer
    engine._copy_recovery_script = lambda folder: None
    try:
        yield
    finally:
        engine.checkpoint_engine = inner


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)


def _hash(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _read_listing(folder: Path) -> dict[str, Any]:
    path = folder / _LISTING
    try:
        found = json.loads(path.read_text())
        content: dict[str, Any] = found["content"]
        if _hash(content) != found["sha256"]:
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(f"checkpoint file {path} is not what was written") from error
    return content


def _size(number: float) -> str:
    """A number of bytes for people: ``1.5 GB``."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} TB"
