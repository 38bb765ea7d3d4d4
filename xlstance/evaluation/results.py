"""``results.json``: every figure of an experiment with the settings, the code and the machine it comes from."""

import dataclasses
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import xlstance
from xlstance.errors import DataError
from xlstance.storage import Folder

SCHEMA = 1
RESULTS = "results.json"
SETTINGS = "settings.json"  # what a run's folder was claimed for, from its start


@dataclass(frozen=True, kw_only=True)
class ArmResult:
    """One arm of an experiment, trained with one seed and evaluated.

    Attributes:
        name: what the arm is called in tables, for example ``hybrid``; the same for all its seeds.
        seed: the seed of this run.
        sampler: the sampler's settings.
        augmentation: names of the augmentations that its training data went through.
        train: what training took and gave: ``steps``, ``pairs_per_second`` and the like.
        benchmarks: the figures of ``protocol.evaluate`` by benchmark.
    """

    name: str
    seed: int
    sampler: Mapping[str, Any] = field(default_factory=dict)
    augmentation: Sequence[str] = ()
    train: Mapping[str, Any] = field(default_factory=dict)
    benchmarks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Column:
    """A headline figure: where it stands in a benchmark's figures, how it is shown, and where it is best."""

    title: str
    setting: str
    figure: str
    digits: int = 4
    best: Literal["high", "low", "zero"] = "high"
    signed: bool = False

    @property
    def sign(self) -> int:
        """1 where more is better, else -1."""
        return 1 if self.best == "high" else -1

    def worth(self, value: float) -> float:
        """The value turned so that more is better."""
        return self.sign * (abs(value) if self.best == "zero" else value)

    def show(self, value: float | None) -> str:
        """The value as text, or a dash."""
        return "-" if value is None else f"{value:{'+' if self.signed else ''},.{self.digits}f}"


MAPS = tuple(Column(title=f"{setting} mAP", setting=setting, figure="map") for setting in ("mono", "cross", "multi"))
RANK_DISTANCE = Column(title="rank distance", setting="multi", figure="rank_distance", digits=1, best="low")
# Above 0 a model favours the query's language, below 0 the others: both are bias.
DIAGONAL_GAP = Column(title="diagonal gap", setting="multi", figure="diagonal_gap", best="zero")

COLUMNS = (
    *MAPS,
    Column(title="mono R@1", setting="mono", figure="recall@1"),
    Column(title="cross R@1", setting="cross", figure="recall@1"),
    Column(title="multi R@10", setting="multi", figure="recall@10"),
    RANK_DISTANCE,
)

STANCE_COLUMNS = (
    Column(title="mono AUC", setting="mono", figure="auc", digits=3),
    Column(title="cross AUC", setting="cross", figure="auc", digits=3),
    Column(title="multi AUC", setting="multi", figure="auc", digits=3),
    Column(title="mono nDCG@10", setting="mono", figure="ndcg@10", digits=3),
    Column(title="blind to sides", setting="mono", figure="ndcg@10_blind", digits=3),
)


def columns_of(results: Mapping[str, Any], benchmark: str) -> tuple[Column, ...]:
    """The headline figures of a benchmark: those of stance retrieval too where it has them."""
    settings = (arm["benchmarks"].get(benchmark, {}).get("multi", {}) for arm in results["arms"])
    return (*COLUMNS, *STANCE_COLUMNS) if any("auc" in figures for figures in settings) else COLUMNS


def make_results(
    arms: Sequence[ArmResult],
    settings: Mapping[str, Any],
    *,
    leakage: Mapping[str, Any] | None = None,
    evidence: Mapping[str, Any] | None = None,
    looks: Mapping[str, Any] | None = None,
    root: str | Path | None = None,
) -> dict[str, Any]:
    """The content of ``results.json``.

    Args:
        arms: every arm and seed, in the order in which tables show them.
        settings: the settings of the experiment, plain values.
        leakage: what the audit of the training data found, as in ``leakage.json``; empty if nothing was trained.
        evidence: ``significance`` and ``claims``, from ``evidence.gather_evidence``; left out if None.
        looks: how many models were scored on each benchmark, from ``looks.count_looks``; left out if None.
        root: a folder in the checkout that the code runs from; the package's own folder if None.
    """
    return {
        "schema": SCHEMA,
        "settings": dict(settings),
        "leakage": dict(leakage or {}),
        **(evidence or {}),
        **({} if looks is None else {"looks": dict(looks)}),
        "code_version": code_version(root or Path(__file__).parent),
        "machine": machine(),
        "arms": [dataclasses.asdict(arm) for arm in arms],
    }


def write_results(folder: Folder, results: Mapping[str, Any]) -> None:
    """Writes ``results.json``; equal results give equal bytes."""
    text = json.dumps(results, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    folder.write(RESULTS, f"{text}\n".encode())


def read_results(folder: Folder) -> dict[str, Any]:
    """Reads ``results.json``.

    Raises:
        StorageError: if the folder has none.
        DataError: if it is no results file, or a newer one.
    """
    place = f"{folder}/{RESULTS}"
    try:
        results = json.loads(folder.read(RESULTS))
    except ValueError as error:
        raise DataError(f"{place} is no JSON ({error}); write it again with the experiment job") from error
    if not isinstance(results, dict) or not isinstance(results.get("schema"), int) or "arms" not in results:
        raise DataError(f"{place} is no results file: it lacks 'schema' or 'arms'")
    if results["schema"] > SCHEMA:
        raise DataError(f"{place} was written by a newer version (schema {results['schema']}): update xlstance")
    return results


def machine() -> dict[str, Any]:
    """What the code runs on: processor, cores, memory and versions; nothing that names a host, a user or a path."""
    pages, page = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(pages * page / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{package: _version(package) for package in ("torch", "ray", "deepspeed")},
    }


def code_version(root: str | Path) -> str:
    """The package's version, with the commit and ``dirty`` where the checkout at ``root`` holds the running code.

    For example ``0.1.0+g655270f2a1b3.dirty``. A package installed below somebody else's checkout gets no commit of it.
    """
    if not _git(root, "ls-files", "--", xlstance.__file__):
        return xlstance.__version__
    commit = _git(root, "rev-parse", "--short=12", "HEAD")
    dirty = ".dirty" if _git(root, "status", "--porcelain", "--untracked-files=no") else ""
    return f"{xlstance.__version__}+g{commit}{dirty}"


def benchmark_names(results: Mapping[str, Any]) -> list[str]:
    """Every benchmark of any arm, in order of first appearance."""
    return list(dict.fromkeys(name for arm in results["arms"] for name in arm["benchmarks"]))


def seeds_of(results: Mapping[str, Any]) -> dict[str, list[int]]:
    """The seeds of each arm, arms in order of first appearance."""
    seeds: dict[str, list[int]] = {}
    for arm in results["arms"]:
        seeds.setdefault(arm["name"], []).append(arm["seed"])
    return seeds


def mean_figure(results: Mapping[str, Any], arm: str, benchmark: str, *path: str) -> float | None:
    """Mean over an arm's seeds of one figure, found by its keys; None unless every seed has it."""
    values = []
    for run in results["arms"]:
        if run["name"] == arm:
            value: Any = run["benchmarks"].get(benchmark)
            for key in path:
                value = value.get(key) if isinstance(value, Mapping) else None
            values.append(value)
    return fmean(values) if values and None not in values else None


def best_arms(values: Mapping[str, float | None], column: Column) -> set[str]:
    """The arms whose value reads as the best of a column, as shown; none where fewer than two arms have a value."""
    known = {arm: column.worth(round(value, column.digits)) for arm, value in values.items() if value is not None}
    return {arm for arm, worth in known.items() if worth == max(known.values())} if len(known) > 1 else set()


def caution(results: Mapping[str, Any]) -> str:
    """The sentence that every table of arms carries: how many seeds the figures rest on, and what was tested."""
    # What is not trained, such as the encoder as it is, needs one seed alone.
    trained = {arm["name"] for arm in results["arms"] if arm["sampler"]}
    counts = sorted({len(seeds) for arm, seeds in seeds_of(results).items() if arm in trained or not trained})
    one = counts in ([], [1])
    runs = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}" if counts else ""
    if not any((results.get("significance") or {}).values()):
        if one:
            return "One seed per arm and no significance test: a lead may be chance."
        return f"Means over {runs} seeds per arm; this table holds no significance test."
    if one:
        return "One seed per arm: the tests tell chance in the choice of questions, not in the training."
    return f"Means over {runs} seeds per arm; the tests draw questions and seeds again."


def trained_on_leaks(results: Mapping[str, Any]) -> bool:
    """Whether training data that hold what a benchmark holds were allowed."""
    leakage = results.get("leakage") or {}
    return leakage.get("on_leakage") == "allow" and leakage["leaking"] > 0


def leakage_note(results: Mapping[str, Any]) -> str:
    """What the leakage audit found, in a sentence; empty if nothing was audited."""
    leakage = results.get("leakage") or {}
    if not leakage.get("rows"):
        return ""
    of_all = f"{leakage['leaking']:,} of {leakage['rows']:,} training and development pairs"
    if trained_on_leaks(results):
        return f"Leakage: {of_all} hold what a benchmark holds, and were allowed. These figures are no test."
    if leakage["leaking"]:
        return f"Leakage audit: {of_all} held what a benchmark holds, and were left out."
    warned = f"; {leakage['warned']:,} share less than makes a leak" if leakage["warned"] else ""
    pairs = f"{leakage['rows']:,} training and development pairs"
    return f"Leakage audit: none of {pairs} holds what a benchmark holds{warned}."


def is_synthetic(notes: Iterable[str]) -> bool:
    """Whether a benchmark's notes say that its texts are invented."""
    return any("synthetic" in note.lower() for note in notes)


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git(root: str | Path, *arguments: str) -> str:
    git = shutil.which("git")
    if git is None:
        return ""
    # The arguments are this file's own words.
    done = subprocess.run([git, "-C", str(root), *arguments], capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip() if done.returncode == 0 else ""
