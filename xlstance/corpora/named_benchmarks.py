"""Benchmarks by the names that a command line gives them: those of the catalog, and stance retrieval with its parts."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from xlstance.corpora.catalog import find_entry, load_catalog
from xlstance.corpora.registry import BenchmarkSource
from xlstance.corpora.xl_stance.benchmark import Pool
from xlstance.corpora.xl_stance.export import TASKS
from xlstance.errors import SettingsError
from xlstance.settings import from_plain

STANCE_POOLS: dict[str, tuple[Pool, ...]] = {
    "xl-stance": ("natural",),  # balanced by itself
    "x-stance": ("natural", "balanced"),
}
_SPLIT = "test"  # of stance retrieval


def named_benchmarks(names: Sequence[str], data: str, split: str = "") -> list[BenchmarkSource]:
    """The settings of benchmarks.

    Args:
        names: of the catalog (``xquad-r``); ``xl-stance`` or ``x-stance`` for both tasks in every pool that differs, or
            one of these by its own name (``xl-stance-stance``).
        data: the folder below which the files lie, each set in a folder of its name; for ``x-stance`` that folder, too.
        split: instead of the one that each has by default.

    Raises:
        UserError: if there is no such benchmark.
    """
    found = [source for name in names for source in _stance(name, data) or _of_catalog(name, data)]
    return [replace(source, split=split) for source in found] if split else found


def _stance(name: str, data: str) -> list[BenchmarkSource]:
    """Stance retrieval by this name; nothing if it is no name of it."""
    made = [
        BenchmarkSource(
            name=f"{family}-{task}" + ("" if pool == "natural" else f"-{pool}"),
            format="xl-stance",
            path="" if family == "xl-stance" else _path(family, data, or_itself=True),
            split=_SPLIT,
            task=task,
            pool=pool,
        )
        for family, pools in STANCE_POOLS.items()
        if name.startswith(family)
        for task in TASKS
        for pool in pools
    ]
    return [source for source in made if name in STANCE_POOLS or source.name == name]


def _of_catalog(name: str, data: str) -> list[BenchmarkSource]:
    entry = find_entry(name)
    if "benchmarks" not in entry.settings:
        known = [*STANCE_POOLS, *(one for one, other in load_catalog().items() if "benchmarks" in other.settings)]
        raise SettingsError(f"{name} is no benchmark; benchmarks are {', '.join(dict.fromkeys(known))}")
    sources = [from_plain(BenchmarkSource, dict(content)) for content in entry.settings["benchmarks"]]
    return [replace(source, path=_path(source.path, data)) for source in sources]


def _path(path: str, data: str, *, or_itself: bool = False) -> str:
    """Where a set lies below the data root: in a folder of its name, with ``_`` for ``-`` if that is what there is."""
    folder, slash, rest = path.partition("/")
    for name in (folder, folder.replace("-", "_")):
        if (Path(data) / name).is_dir():
            return name + slash + rest
    return "." if or_itself else path
