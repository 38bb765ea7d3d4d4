"""What a job takes along to a cluster: the code and its settings, and nothing else of a working copy."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from xlstance.errors import UserError

CODE = ("xlstance", "jobs", "tune_spaces", "requirements", "pyproject.toml", "LICENSE")
_LEFT_OUT = {"__pycache__", ".git", ".mypy_cache", ".ruff_cache"}
_MOST = 200 * 2**20  # bytes; Ray takes half a gigabyte, and every node fetches it


@dataclass(frozen=True)
class Package:
    """A folder that was packed.

    Attributes:
        folder: where it stands.
        files: how many there are in it.
        bytes: what they hold together.
    """

    folder: Path
    files: int
    bytes: int

    def __str__(self) -> str:
        return f"{self.files} files, {self.bytes / 2**20:.1f} MiB"


def pack(root: Path, folder: Path, include: Sequence[str] = ()) -> Package:
    """Copies the code of a checkout, with further files of the user's, to a folder that becomes the job's.

    Args:
        root: of the checkout.
        folder: where to; empty.
        include: further files and folders, each below ``root`` or below the working directory: they come to stand at
            the same path below the job's working directory.

    Raises:
        UserError: if this is no checkout, a path is not there, lies outside, or all is too large.
    """
    if not (root / "jobs").is_dir():
        raise UserError(f"{root} is no checkout of xlstance (it has no folder jobs): submit from one")
    wanted = dict(_found(root, [name for name in CODE if (root / name).exists()]))
    for name in include:
        base = next((base for base in (Path.cwd(), root) if (base / name).exists()), None)
        if base is None:
            raise UserError(f"--include {name}: there is no such file or folder")
        if not (base / name).resolve().is_relative_to(base.resolve()):
            raise UserError(f"--include {name} lies outside of {base}; give a path below it")
        wanted |= _found(base, [(base / name).resolve().relative_to(base.resolve()).as_posix()])
    sizes = {path: path.stat().st_size for path in wanted.values()}
    if sum(sizes.values()) > _MOST:
        largest = sorted(sizes, key=lambda path: -sizes[path])[:3]
        raise UserError(
            f"the job's files take {sum(sizes.values()) / 2**20:.0f} MiB, at most {_MOST >> 20} go along (the largest: "
            f"{', '.join(map(str, largest))}); put data where every node reads them, a bucket or a shared folder"
        )
    for relative, path in wanted.items():
        target = folder / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    return Package(folder, len(wanted), sum(sizes.values()))


def _found(base: Path, names: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """(path below ``base``, file) of every file that is named or lies in a named folder; links lead nowhere else."""
    for name in names:
        start = base / name
        for path in [start] if start.is_file() else sorted(start.rglob("*")):
            parts = path.relative_to(base).parts
            if path.is_file() and not path.is_symlink() and not _LEFT_OUT & set(parts):
                yield "/".join(parts), path
