"""What is measured, on every benchmark: trained and foreign encoders, baselines, runs; figures, lists and looks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayTaskError

from xlstance.encoders import EncoderSettings
from xlstance.encoding import TABLE_OF, Encoding, encode_all
from xlstance.errors import DataError, UserError
from xlstance.evaluation.looks import note_look
from xlstance.evaluation.protocols import by_protocol, protocols_of
from xlstance.evaluation.results import ArmResult
from xlstance.experiment.rankers import ByVectors, Ranker
from xlstance.experiment.score import Scoring, score
from xlstance.experiment.settings import ExperimentSettings
from xlstance.experiment.trec_files import write_trec_qrels
from xlstance.progress import progress_bar
from xlstance.storage import Folder, read_table

Figures = dict[str, dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One row of the tables, before it is measured.

    Attributes:
        arm: its name, its seed and what is known of its training.
        rankers: what ranks the passages, by benchmark.
        encoder: the model whose vectors the rankers read and that makes them first; None: nothing is encoded.
        stamp: fingerprint of that encoder: of what decides its vectors.
    """

    arm: ArmResult
    rankers: Mapping[str, Ranker]
    encoder: EncoderSettings | None = None
    stamp: str = ""

    @property
    def name(self) -> str:
        """Arm and seed, as a folder's name."""
        return f"{self.arm.name}-{self.arm.seed}"


def vectors_of(root: Folder, name: str, benchmark: str) -> Folder:
    """The folder of a model's vectors of a benchmark's texts; ``name`` is arm and seed."""
    return root / "vectors" / name / benchmark


def figures_of(root: Folder, name: str, benchmark: str) -> Folder:
    """The folder of a model's table ``query_figures``; ``name`` is arm and seed."""
    return root / "figures" / name / benchmark


def encoder_contender(
    settings: ExperimentSettings, root: Folder, arm: ArmResult, encoder: EncoderSettings, stamp: str
) -> Contender:
    """An encoder, whose vectors are made below the root."""
    rankers = {
        source.name: ByVectors(
            vectors=vectors_of(root, f"{arm.name}-{arm.seed}", source.name), index=settings.retrieval.index
        )
        for source in settings.benchmarks
    }
    return Contender(arm=arm, rankers=rankers, encoder=encoder, stamp=stamp)


def measure(
    settings: ExperimentSettings, root: Folder, benchmarks: Mapping[str, Folder], contenders: Sequence[Contender]
) -> dict[str, Figures]:
    """Measures every contender on every benchmark, and publishes lists and figures below the root.

    Args:
        settings: of retrieval, evaluation and the cluster; the benchmarks' formats.
        root: the output folder.
        benchmarks: folders of their tables, by name.
        contenders: what is measured.

    Returns:
        The figures by name (arm and seed) and benchmark.

    Raises:
        UserError: for data that do not fit, such as a run of another benchmark.
    """
    _encode(settings, root, benchmarks, contenders)
    for name, folder in benchmarks.items():
        try:
            write_trec_qrels(root / "trec" / name, read_table(folder / "qrels", "qrels"))
        except DataError as error:
            print(f"{name}: {error}")
    jobs = [(contender, name) for contender in contenders for name in benchmarks]
    scorings = [
        Scoring(
            name=contender.name,
            ranker=contender.rankers[name],
            benchmark=benchmarks[name],
            run=root / "runs" / contender.name / name,
            figures=figures_of(root, contender.name, name),
            trec=root / "trec" / name,
            top_k=settings.retrieval.top_k,
            without_answer=settings.evaluation.without_answer,
        )
        for contender, name in jobs
    ]
    sources = {source.name: source for source in settings.benchmarks}
    figures: dict[str, Figures] = {contender.name: {} for contender in contenders}
    for (contender, name), scoring, own in zip(jobs, scorings, _score_all(scorings), strict=True):
        note_look(root, name, scoring.benchmark_stamp, contender.name, scoring.ranker.stamp)
        protocols = protocols_of(sources[name].format, sources[name].task)
        figures[contender.name][name] = {**own, "protocols": by_protocol(protocols, own)}
    return figures


def _encode(
    settings: ExperimentSettings, root: Folder, benchmarks: Mapping[str, Folder], contenders: Sequence[Contender]
) -> None:
    """Makes the vectors of the benchmarks with every encoder."""
    encodings = [
        Encoding(
            encoder=contender.encoder,
            stamp=contender.stamp,
            kind=kind,
            texts=folder / TABLE_OF[kind],
            output=vectors_of(root, contender.name, name) / TABLE_OF[kind],
        )
        for contender in contenders
        if contender.encoder is not None
        for name, folder in benchmarks.items()
        for kind in TABLE_OF
    ]
    encode_all(
        encodings,
        batch_tokens=settings.retrieval.batch_tokens,
        workers=settings.cluster.stream_workers,
        cpus_per_worker=1,
        gpus_per_worker=settings.cluster.stream_gpus,
    )


def _score_all(scorings: Sequence[Scoring]) -> list[dict[str, Any]]:
    """Scores each on a processor of the cluster."""
    tasks = [ray.remote(score).remote(scoring) for scoring in scorings]
    left = list(tasks)
    with progress_bar(total=len(tasks), desc="evaluation", unit="set") as bar:
        while left:
            done, left = ray.wait(left)
            bar.update(len(done))
    try:
        results: list[dict[str, Any]] = ray.get(tasks)
    except RayTaskError as error:
        if isinstance(error.cause, UserError):  # a mistake of the user's needs no traceback
            raise error.cause from None
        raise
    return results
