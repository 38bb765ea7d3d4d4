"""Evaluation without training: encoders, published vectors and runs in one report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from xlstance.encoders import EncoderSettings
from xlstance.encoding import TABLE_OF, encoder_stamp
from xlstance.errors import DataError, SettingsError, StorageError
from xlstance.evaluation.results import SETTINGS, ArmResult, write_results
from xlstance.experiment.baselines import baseline_contenders
from xlstance.experiment.contenders import Contender, encoder_contender, measure
from xlstance.experiment.corpora import publish_benchmarks
from xlstance.experiment.evaluation import conclude
from xlstance.experiment.provenance import provenance, table_facts, write_settings
from xlstance.experiment.rankers import ByRun, ByVectors, Ranker
from xlstance.experiment.settings import UNTOUCHED, Arm, Baseline, ExperimentSettings
from xlstance.files import sha256_of, what_is_there
from xlstance.report.console import format_table
from xlstance.report.files import REPORT, write_report
from xlstance.session import ray_session
from xlstance.storage import Folder


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """What is measured, each by the name that tables show.

    Attributes:
        models: folders of encoders, or names on the hub.
        vectors: folders with the tables ``vectors`` of the benchmark's ``queries`` and ``passages``.
        runs: files in TREC's columns.
        baselines: as of ``ExperimentSettings``; those that merge lists take the first model's.
    """

    models: Mapping[str, str] = field(default_factory=dict)
    vectors: Mapping[str, str] = field(default_factory=dict)
    runs: Mapping[str, str] = field(default_factory=dict)
    baselines: Sequence[Baseline] = ()

    @property
    def names(self) -> list[str]:
        """All names but the baselines', in the order of the tables."""
        return [*self.models, *self.vectors, *self.runs]


def run_evaluation(settings: ExperimentSettings, given: Evaluated) -> dict[str, Any]:
    """Measures what is given and the baselines on every benchmark, and writes results and report.

    Args:
        settings: of an experiment. Its benchmarks and lexicons, and the settings of retrieval, evaluation and cluster
            count; ``encoder`` says how the models encode. What is about training does not.
        given: what is measured.

    Returns:
        The content of ``results.json``.

    Raises:
        UserError: for settings, data or an output folder that do not fit.
    """
    settings = _settled(settings, given)
    root = Folder(settings.output)
    if root.exists(SETTINGS):
        raise StorageError(f"{root} holds an experiment; choose another --output")
    encoders = {name: replace(settings.encoder, model=model) for name, model in given.models.items()}
    stamps = {name: encoder_stamp(encoder) for name, encoder in encoders.items()}
    root.make()
    with ray_session(max(1, settings.cluster.stream_workers)):
        benchmarks = publish_benchmarks(settings, root)
        contenders = baseline_contenders(settings, root, benchmarks)
        for name, encoder in encoders.items():
            arm = _arm(settings, name, model=_shown(encoder))
            contenders.append(encoder_contender(settings, root, arm, encoder, stamps[name]))
        contenders += _others(settings, given)
        figures = measure(settings, root, benchmarks, contenders)
    arms = [replace(contender.arm, benchmarks=figures[contender.name]) for contender in contenders]
    results = conclude(settings, root, arms)
    results["provenance"] = _provenance(settings, root, benchmarks, given, stamps)
    write_results(root, results)
    # Models and baselines stand in the command line; without arms the file cannot be taken for an experiment's.
    encoder = replace(settings.encoder, model="")
    write_settings(replace(settings, arms=[], baselines=[], encoder=encoder), root)
    write_report(root, results, [])
    print(f"\n{format_table(results)}\n\nreport: {root}/{REPORT}")
    return results


def _settled(settings: ExperimentSettings, given: Evaluated) -> ExperimentSettings:
    """The settings of an experiment whose arms are what is given, and which trains nothing."""
    settings.need("benchmarks")
    if not (given.names or set(given.baselines) - {UNTOUCHED}):
        raise SettingsError("nothing to measure: give --model, --vectors, --run or --baselines")
    for flag, files in (("--vectors", given.vectors), ("--run", given.runs)):
        if files and len(settings.benchmarks) > 1:
            names = ", ".join(benchmark.name for benchmark in settings.benchmarks)
            raise SettingsError(f"{flag} needs one benchmark; here are {names}")
    for path in given.runs.values():
        if not Path(path).is_file():
            raise DataError(f"--run {path}: there is no such file; {what_is_there(Path(path).parent)}")
    first = next(iter(given.models.values()), "")
    return replace(
        settings,
        seeds=settings.seeds[:1],
        arms=[Arm(name=name, sampler="none") for name in given.names],
        baselines=list(given.baselines),
        sources=[],
        augmentations=[],
        development=[],
        bitext=[],
        start=type(settings.start)(),
        encoder=replace(settings.encoder, model=first),
    )


def _others(settings: ExperimentSettings, given: Evaluated) -> Sequence[Contender]:
    """The vectors and runs, each on the one benchmark."""
    (benchmark, *_) = settings.benchmarks
    rankers: dict[str, Ranker] = {name: _vectors(settings, folder) for name, folder in given.vectors.items()}
    rankers |= {name: ByRun(path=str(Path(path).absolute()), name=name) for name, path in given.runs.items()}
    return [Contender(arm=_arm(settings, name), rankers={benchmark.name: ranker}) for name, ranker in rankers.items()]


def _provenance(
    settings: ExperimentSettings,
    root: Folder,
    benchmarks: Mapping[str, Folder],
    given: Evaluated,
    stamps: Mapping[str, str],
) -> dict[str, Any]:
    """As of an experiment; with the command line that measures the same again, and what it names by its content."""
    found = provenance(settings, root, benchmarks, {})
    for name, folder in given.vectors.items():
        found["tables"] += [table_facts(name, Folder(folder) / table) for table in TABLE_OF.values()]
    named = {
        "--model": given.models.values(),
        "--vectors": given.vectors.values(),
        "--run": given.runs.values(),
        "--baselines": given.baselines,
    }
    measured = [("model", name, path, stamps[name]) for name, path in given.models.items()]
    measured += [("vectors", name, path, _vectors(settings, path).stamp) for name, path in given.vectors.items()]
    measured += [("run", name, path, sha256_of(Path(path))) for name, path in given.runs.items()]
    keys = ("kind", "name", "path", "fingerprint")
    return {
        **found,
        "command": ["evaluate", *(word for flag, words in named.items() if words for word in (flag, *words))],
        "measured": [dict(zip(keys, row, strict=True)) for row in measured],
    }


def _vectors(settings: ExperimentSettings, folder: str) -> ByVectors:
    return ByVectors(vectors=Folder(folder), index=settings.retrieval.index)


def _arm(settings: ExperimentSettings, name: str, **facts: str) -> ArmResult:
    return ArmResult(name=name, seed=settings.seeds[0], train=facts)


def _shown(encoder: EncoderSettings) -> str:
    """A model as results name it: a folder's place is nobody's business."""
    return Path(encoder.model).name if Path(encoder.model).is_dir() else encoder.model
