"""``xlstance evaluate`` and ``export``: anything that ranks on any benchmark, and stance retrieval for other tools."""

import re
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import cast, get_args

from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.named_benchmarks import STANCE_POOLS, named_benchmarks
from xlstance.corpora.xl_stance.collection import EMBEDDED, read_collection
from xlstance.corpora.xl_stance.export import export_collection
from xlstance.errors import SettingsError
from xlstance.experiment.evaluate import Evaluated, run_evaluation
from xlstance.experiment.settings import Baseline, ExperimentSettings
from xlstance.settings import LineParser, make_parser, parse_with_options

_ABOUT = {
    "xl-stance": ("XL-Stance", "Licence of the texts: CC BY 4.0."),
    "x-stance": ("X-Stance as retrieval", "The comments are X-Stance's (Vamvas and Sennrich 2020): CC BY-NC 4.0."),
}
_OUTPUT = next(field.default for field in fields(ExperimentSettings) if field.name == "output")
_ENDINGS = re.compile(r"(\.(gz|txt|tsv|run|trec))+$")


def run_evaluate(arguments: Sequence[str]) -> None:
    """Measures encoders, vectors or runs on benchmarks, and writes their figures and report."""
    parser = make_parser(
        ExperimentSettings,
        "Measures encoders as they are, published vectors or TREC runs on benchmarks, and writes results.json and "
        "report.html. Benchmarks are named, or stand in the YAML file of an experiment; what that says of training is "
        "left out.",
        "xlstance evaluate",
    )
    several = {"type": str, "nargs": "+", "default": []}
    parser.add_argument("--model", **several, metavar="MODEL", help="folders, or names on the hub")
    parser.add_argument("--vectors", **several, metavar="DIR", help="published vectors of one benchmark")
    parser.add_argument("--run", **several, metavar="FILE", help="TREC runs of one benchmark")
    parser.add_argument(
        "--benchmark",
        **several,
        metavar="NAME",
        help="xl-stance (embedded), or as `xlstance corpora` names it, its files below --data; default: those of the "
        "settings, else xl-stance",
    )
    parser.add_argument("--split", type=str, default="", help="of the named benchmarks; of xl-stance: test or valid")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="encoding workers; default: 2")
    rest, baselines = _without_baselines(arguments)
    settings, options = parse_with_options(ExperimentSettings, parser, rest)
    names = options["benchmark"] or ([] if settings.benchmarks else ["xl-stance"])
    benchmarks = [*settings.benchmarks, *named_benchmarks(names, settings.local_data, options["split"])]
    given = Evaluated(
        models=_by_name(options["model"]),
        vectors=_by_name(options["vectors"]),
        runs=_by_name(options["run"]),
        baselines=settings.baselines if baselines is None else baselines,
    )
    output = settings.output
    if output == _OUTPUT:
        measured = given.names or given.baselines
        output = f"runs/evaluate-{'-'.join([*measured, *(names or [benchmarks[0].name])])}"
    cluster = replace(settings.cluster, stream_workers=options["workers"] or settings.cluster.stream_workers)
    run_evaluation(replace(settings, output=output, benchmarks=benchmarks, cluster=cluster), given)


def _without_baselines(arguments: Sequence[str]) -> tuple[list[str], list[Baseline] | None]:
    """The command line without ``--baselines NAME ...``, and these; whether they fit the models is not known yet."""
    if "--baselines" not in arguments:
        return list(arguments), None
    start = arguments.index("--baselines")
    end = next((n for n in range(start + 1, len(arguments)) if arguments[n].startswith("--")), len(arguments))
    named = [name for argument in arguments[start + 1 : end] for name in re.findall(r"[^\s,\[\]]+", argument)]
    for name in named:
        if name not in get_args(Baseline):
            raise SettingsError(f"--baselines names {name!r}; known are {', '.join(get_args(Baseline))}")
    return [*arguments[:start], *arguments[end:]], cast(list[Baseline], named)


def _by_name(paths: Sequence[str]) -> dict[str, str]:
    """Each under the last part of its path; under the whole of it where that is not enough to tell them apart."""
    short = [_plain(Path(path).name) for path in paths]
    names = short if len(set(short)) == len(short) else [_plain(path) for path in paths]
    if len(set(names)) < len(names):
        raise SettingsError(f"one of {', '.join(paths)} is given twice")
    return dict(zip(names, paths, strict=True))


def _plain(path: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", _ENDINGS.sub("", path)).strip("-._") or "model"


def run_export(arguments: Sequence[str]) -> None:
    """Writes a benchmark as BEIR folders and TREC judgements."""
    parser = LineParser(
        prog="xlstance export",
        description="Writes stance retrieval for other tools: a BEIR folder for each task and pool, with judgements "
        "for trec_eval and a README. For mteb: xlstance.corpora.xl_stance.mteb_tasks.",
    )
    parser.add_argument(
        "--benchmark", type=str, default="xl-stance", help="xl-stance (embedded), or x-stance with --data"
    )
    parser.add_argument("--data", type=str, default="", metavar="DIR", help="x-stance: the folder of its files")
    parser.add_argument(
        "--output", type=str, default="", metavar="DIR", help="a new folder; default: exports/BENCHMARK"
    )
    given = parser.parse_args(list(arguments))
    if given.benchmark not in STANCE_POOLS:
        raise SettingsError(f"--benchmark is {given.benchmark!r}; give {' or '.join(STANCE_POOLS)}")
    if (given.benchmark == "x-stance") != bool(given.data):
        raise SettingsError("x-stance needs --data, the folder of its files; xl-stance is embedded and needs none")
    folder, bad = Path(given.output or f"exports/{given.benchmark}"), BadRows()
    collection = read_collection(Path(given.data) if given.data else EMBEDDED, bad)
    name, licence = _ABOUT[given.benchmark]
    export_collection(folder, collection, STANCE_POOLS[given.benchmark], name=name, licence=licence)
    print(f"{folder}: see README.md there (fingerprint {collection.fingerprint})")
