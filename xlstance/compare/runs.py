"""Finished runs as they stand in their output folders."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from xlstance.errors import DataError, SettingsError
from xlstance.evaluation.results import RESULTS, read_results
from xlstance.storage import Folder

METRICS = "metrics.jsonl"
RUNS = "runs"
"""In ``results.json``, by which a comparison is told from a run."""

_OF_SETTINGS = {"benchmarks", "evaluation"}
_OF_ARM = {"name", "seed", "sampler", "augmentation", "benchmarks"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """What an experiment, or an evaluation without training, left behind.

    Attributes:
        name: what it is called in the comparison.
        folder: its output folder.
        results: the content of its ``results.json``.
    """

    name: str
    folder: Folder
    results: Mapping[str, Any]

    @property
    def settings(self) -> Mapping[str, Any]:
        """Its settings, plain values."""
        settings: Mapping[str, Any] = self.results["settings"]
        return settings

    @cached_property
    def arms(self) -> dict[str, dict[int, Mapping[str, Any]]]:
        """What ``results.json`` has of each arm, by name and seed."""
        arms: dict[str, dict[int, Mapping[str, Any]]] = {}
        for arm in self.results["arms"]:
            arms.setdefault(arm["name"], {})[arm["seed"]] = arm
        return arms

    def benchmark(self, name: str) -> Folder:
        """The folder of a benchmark's tables."""
        return self.folder / "benchmarks" / name

    def figures(self, arm: str, seed: int, benchmark: str) -> Folder:
        """The folder of an arm's table ``query_figures``."""
        return self.folder / "figures" / f"{arm}-{seed}" / benchmark

    def metrics(self) -> list[dict[str, Any]]:
        """What training logged, of all arms; nothing where nothing was trained."""
        if not self.folder.exists(METRICS):
            return []
        return [json.loads(line) for line in self.folder.read(METRICS).splitlines()]


def open_runs(folders: Sequence[str], names: Sequence[str]) -> list[Run]:
    """Opens runs for comparison.

    Args:
        folders: their output folders, two or more.
        names: what to call them, one for each; empty: by the last part of their folders.

    Raises:
        SettingsError: if there are too few, or their names do not tell them apart.
        DataError: if a folder holds no finished run.
    """
    if len(folders) < 2:
        raise SettingsError("a comparison needs two runs or more: xlstance compare RUN RUN...")
    if names and len(names) != len(folders):
        raise SettingsError(f"--names gives {len(names)} names for {len(folders)} runs; give one for each, in order")
    opened = [Folder(folder) for folder in folders]
    called = list(names) or [folder.path.rpartition("/")[2] for folder in opened]
    for place, (folder, name) in enumerate(zip(opened, called, strict=True)):
        if folder in opened[:place]:
            raise SettingsError(f"{folder} is given twice")
        if not name or "/" in name:
            raise SettingsError(f"--names: {name!r} is no name of a run; leave out '/'")
        if name in called[:place]:
            raise SettingsError(f"two runs are called {name!r}; tell them apart with --names, one for each run")
    return [Run(name=name, folder=folder, results=_read(folder)) for name, folder in zip(called, opened, strict=True)]


def _read(folder: Folder) -> dict[str, Any]:
    if not folder.exists(RESULTS):
        raise DataError(f"{folder} holds no finished run ({RESULTS}): give the output folder of an experiment")
    results = read_results(folder)
    if RUNS in results:
        raise DataError(f"{folder} holds a comparison; give the runs that it was made of")
    known = [(results.get("settings"), _OF_SETTINGS), *((arm, _OF_ARM) for arm in results["arms"])]
    if not all(isinstance(part, Mapping) and needed <= set(part) for part, needed in known):
        raise DataError(f"{folder}/{RESULTS} is no results file of an experiment: it lacks settings or parts of an arm")
    return results
