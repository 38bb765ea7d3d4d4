"""``xlstance evaluate`` and ``export``: an encoder as it is on stance retrieval, and the benchmark for other tools."""

import re
from collections.abc import Sequence
from pathlib import Path

from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.registry import BenchmarkSource
from xlstance.corpora.xl_stance.benchmark import Pool
from xlstance.corpora.xl_stance.collection import EMBEDDED, read_collection
from xlstance.corpora.xl_stance.export import TASKS, export_collection
from xlstance.encoders import EncoderSettings
from xlstance.errors import SettingsError
from xlstance.experiment.run import run_experiment
from xlstance.experiment.settings import Arm, ClusterSettings, ExperimentSettings
from xlstance.settings import LineParser

_POOLS: dict[str, tuple[Pool, ...]] = {
    "xl-stance": ("natural",),  # balanced by itself
    "x-stance": ("natural", "balanced"),
}
_ABOUT = {
    "xl-stance": ("XL-Stance", "Licence of the texts: CC BY 4.0."),
    "x-stance": ("X-Stance as retrieval", "The comments are X-Stance's (Vamvas and Sennrich 2020): CC BY-NC 4.0."),
}


def run_evaluate(arguments: Sequence[str]) -> None:
    """Encodes a benchmark with a model, and writes its figures and report."""
    parser = LineParser(
        prog="xlstance evaluate",
        description="Measures an encoder as it is on stance retrieval: the comments on a question (topical), and those "
        "that take one side of it (stance). Other benchmarks: an experiment with one arm, `sampler: none`.",
    )
    parser.add_argument("--model", type=str, required=True, help="a folder, or a name on the hub")
    _add_benchmark(parser)
    parser.add_argument("--split", type=str, default="test", help="test, or valid for choosing by it")
    parser.add_argument("--output", type=str, default="", metavar="DIR", help="default: runs/evaluate-MODEL-BENCHMARK")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="encoding workers")
    given = parser.parse_args(list(arguments))
    _check_benchmark(given.benchmark, given.data)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(given.model).name).strip("-.") or "model"
    settings = ExperimentSettings(
        output=given.output or f"runs/evaluate-{name}-{given.benchmark}",
        encoder=EncoderSettings(model=given.model),
        arms=[Arm(name=name, sampler="none")],
        benchmarks=_benchmarks(given.benchmark, given.data, given.split),
        cluster=ClusterSettings(workers=1, stream_workers=max(given.workers, 1)),
    )
    run_experiment(settings)


def run_export(arguments: Sequence[str]) -> None:
    """Writes a benchmark as BEIR folders and TREC judgements."""
    parser = LineParser(
        prog="xlstance export",
        description="Writes stance retrieval for other tools: a BEIR folder for each task and pool, with judgements "
        "for trec_eval and a README. For mteb: xlstance.corpora.xl_stance.mteb_tasks.",
    )
    _add_benchmark(parser)
    parser.add_argument(
        "--output", type=str, default="", metavar="DIR", help="a new folder; default: exports/BENCHMARK"
    )
    given = parser.parse_args(list(arguments))
    _check_benchmark(given.benchmark, given.data)
    folder, bad = Path(given.output or f"exports/{given.benchmark}"), BadRows()
    collection = read_collection(Path(given.data) if given.data else EMBEDDED, bad)
    name, licence = _ABOUT[given.benchmark]
    export_collection(folder, collection, _POOLS[given.benchmark], name=name, licence=licence)
    print(f"{folder}: see README.md there (fingerprint {collection.fingerprint})")


def _add_benchmark(parser: LineParser) -> None:
    parser.add_argument(
        "--benchmark", type=str, default="xl-stance", help="xl-stance (embedded), or x-stance with --data"
    )
    parser.add_argument("--data", type=str, default="", metavar="DIR", help="x-stance: the folder of its files")


def _check_benchmark(name: str, data: str) -> None:
    if name not in _POOLS:
        raise SettingsError(f"--benchmark is {name!r}; give {' or '.join(_POOLS)}")
    if (name == "x-stance") != bool(data):
        raise SettingsError("x-stance needs --data, the folder of its files; xl-stance is embedded and needs none")


def _benchmarks(name: str, data: str, split: str) -> list[BenchmarkSource]:
    """Both tasks, in every pool that differs."""
    return [
        BenchmarkSource(
            name=f"{name}-{task}" + ("" if pool == "natural" else f"-{pool}"),
            format="xl-stance",
            path=str(Path(data).absolute()) if data else "",
            split=split,
            task=task,
            pool=pool,
        )
        for task in TASKS
        for pool in _POOLS[name]
    ]
