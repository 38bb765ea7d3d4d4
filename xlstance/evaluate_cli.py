"""``xlstance evaluate``: an encoder as it is, on a benchmark that needs no settings of its own."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from xlstance.corpora.registry import BenchmarkSource
from xlstance.encoders import EncoderSettings
from xlstance.errors import SettingsError
from xlstance.experiment.run import run_experiment
from xlstance.experiment.settings import Arm, ClusterSettings, ExperimentSettings
from xlstance.settings import LineParser

_POOLS: dict[str, tuple[Literal["natural", "balanced"], ...]] = {
    "xl-stance": ("natural",),  # balanced by itself
    "x-stance": ("natural", "balanced"),
}


def run_evaluate(arguments: Sequence[str]) -> None:
    """Encodes a benchmark with a model, and writes its figures and report."""
    parser = LineParser(
        prog="xlstance evaluate",
        description="Measures an encoder as it is on stance retrieval: the comments on a question (topical), and those "
        "that take one side of it (stance). Other benchmarks: an experiment with one arm, `sampler: none`.",
    )
    parser.add_argument("--model", type=str, required=True, help="a folder, or a name on the hub")
    parser.add_argument(
        "--benchmark", type=str, default="xl-stance", help="xl-stance (embedded), or x-stance with --data"
    )
    parser.add_argument("--data", type=str, default="", metavar="DIR", help="x-stance: the folder of its files")
    parser.add_argument("--split", type=str, default="test", help="test, or valid for choosing by it")
    parser.add_argument("--output", type=str, default="", metavar="DIR", help="default: runs/evaluate-MODEL-BENCHMARK")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="encoding workers")
    given = parser.parse_args(list(arguments))
    if given.benchmark not in _POOLS:
        raise SettingsError(f"--benchmark is {given.benchmark!r}; give {' or '.join(_POOLS)}")
    if (given.benchmark == "x-stance") != bool(given.data):
        raise SettingsError("x-stance needs --data, the folder of its files; xl-stance is embedded and needs none")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(given.model).name).strip("-.") or "model"
    settings = ExperimentSettings(
        output=given.output or f"runs/evaluate-{name}-{given.benchmark}",
        encoder=EncoderSettings(model=given.model),
        arms=[Arm(name=name, sampler="none")],
        benchmarks=_benchmarks(given.benchmark, given.data, given.split),
        cluster=ClusterSettings(workers=1, stream_workers=max(given.workers, 1)),
    )
    run_experiment(settings)


def _benchmarks(name: str, data: str, split: str) -> list[BenchmarkSource]:
    """Both tasks, in every pool that differs."""
    tasks: tuple[Literal["topical", "stance"], ...] = ("topical", "stance")
    return [
        BenchmarkSource(
            name=f"{name}-{task}" + ("" if pool == "natural" else f"-{pool}"),
            format="xl-stance",
            path=str(Path(data).absolute()) if data else "",
            split=split,
            task=task,
            pool=pool,
        )
        for task in tasks
        for pool in _POOLS[name]
    ]
