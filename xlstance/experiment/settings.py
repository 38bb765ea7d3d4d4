"""Settings of an experiment: what is compared, on which data, and on which machines."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from xlstance.augmentation.stage import EVERY, Augmentation
from xlstance.corpora.miniature import MiniatureSettings
from xlstance.corpora.registry import BenchmarkSource, Source
from xlstance.disk_folder import on_this_node
from xlstance.encoders import EncoderSettings
from xlstance.errors import SettingsError
from xlstance.evaluation.settings import EvaluationSettings
from xlstance.experiment.audit import OnLeakage
from xlstance.retrieval.merging import Merge
from xlstance.training.settings import TrainingSettings

Baseline = Literal["untouched", "bm25", "translate-test", "merged-round-robin", "merged-normalised"]
UNTOUCHED: Baseline = "untouched"
MERGED: Mapping[Baseline, Merge] = {"merged-round-robin": "round-robin", "merged-normalised": "normalised"}
BUILT_IN = "miniature"  # in place of a lexicon's path
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True, kw_only=True)
class VocabularySettings:
    """The subword vocabulary of an encoder from scratch.

    Attributes:
        lines: texts to train it on, the same number from every language as far as there are so many.
        lowercase: whether case is folded.
    """

    lines: int = 400_000
    lowercase: bool = True


@dataclass(frozen=True, kw_only=True)
class StartSettings:
    """How a static encoder from scratch begins.

    Attributes:
        rarity: whether vectors are scaled by their tokens' inverse document frequency in the training texts.
        lexicons: names of sources whose pairs are dictionary entries; words begin near their translations.
        source_language: the language whose words the translations are turned to.
    """

    rarity: bool = False
    lexicons: list[str] = field(default_factory=list)
    source_language: str = "en"


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way of training that is compared with the others.

    Attributes:
        name: in tables and folder names.
        sampler: how its batches are mixed; ``none`` leaves the encoder as it is.
        alpha: of a hybrid sampler; default: ``training.sampler.alpha``.
        bitext_share: share of bitext batches; default: ``training.sampler.bitext_share``.
        start: the arm whose model this one starts from; empty: the encoder of the settings.
        sources: names of the sources and augmentations it is trained on; empty: all.
        steps: default: ``training.steps``.
        batch_size: default: ``training.batch_size``.
        learning_rate: default: ``training.learning_rate``.
        compare: whether it stands in the results; false for an arm that others only start from.
    """

    name: str
    sampler: Literal["none", "x-x", "x-x-mono", "x-y", "hybrid"]
    alpha: float | None = None
    bitext_share: float | None = None
    start: str = ""
    sources: list[str] = field(default_factory=list)
    steps: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    compare: bool = True

    def training(self, common: TrainingSettings) -> TrainingSettings:
        """The arm's training settings: the common ones, with what the arm says itself."""
        if self.sampler == "none":
            return replace(common, steps=0)
        sampler = replace(common.sampler, kind=self.sampler, **_given(self, "alpha", "bitext_share"))
        return replace(common, sampler=sampler, **_given(self, "steps", "batch_size", "learning_rate"))


def _given(arm: Arm, *names: str) -> dict[str, Any]:
    return {name: getattr(arm, name) for name in names if getattr(arm, name) is not None}


@dataclass(frozen=True, kw_only=True)
class RetrievalSettings:
    """Encoding and search.

    Attributes:
        index: FAISS factory string; ``Flat`` is exact.
        top_k: passages kept per query in the run.
        batch_tokens: tokens of an encoding batch, padding included; default: what suits the processor.
    """

    index: str = "Flat"
    top_k: int = 100
    batch_tokens: int | None = None


@dataclass(frozen=True, kw_only=True)
class ClusterSettings:
    """What the stages ask of Ray.

    Attributes:
        workers: training workers; they share a global batch.
        cpus_per_worker: processors, and threads, of a training worker.
        gpus_per_worker: GPUs of a training worker.
        stream_workers: workers of the streaming stages (augmentation, encoding).
        stream_gpus: GPUs of an encoding worker.
        cpu_nodes: labels of the nodes that workers without a GPU go to, as ``{xlstance-pool: cpu}``; empty: any node.
        gpu_nodes: labels of the nodes that workers with a GPU go to.
        shards: files per table, the units of the streaming stages' work.
        node_folder: folder on each node's own disk for training's copy of its store and, where the output lies in a
            bucket, for models in the making. Empty: a store on a disk is read in place, and the copies of a bucket's
            files lie below ``$XLSTANCE_CACHE``, else ``~/.cache/xlstance``.
        wait_seconds: how long training waits for its workers' processors, at the start and after a node is lost; time
            enough for an autoscaler to add nodes.
    """

    workers: int = 2
    cpus_per_worker: int = 1
    gpus_per_worker: int = 0
    stream_workers: int = 2
    stream_gpus: float = 0
    cpu_nodes: dict[str, str] = field(default_factory=dict)
    gpu_nodes: dict[str, str] = field(default_factory=dict)
    shards: int = 4
    node_folder: str = ""
    wait_seconds: float = 300

    def __post_init__(self) -> None:
        for name in ("workers", "cpus_per_worker", "stream_workers", "shards", "wait_seconds"):
            if getattr(self, name) < 1:
                raise SettingsError(f"cluster.{name} is {getattr(self, name)}; it must be at least 1")


@dataclass(frozen=True, kw_only=True)
class ExperimentSettings:
    """An experiment.

    Attributes:
        output: folder for everything that comes out; a second run of the same settings goes on where it stood.
        data: root of the data paths.
        seeds: every arm is trained once with each.
        miniature: the built-in synthetic world, where a source uses it.
        sources: pairs to read.
        augmentations: ways to make more pairs, in order; ``--recipe`` gives ready ones.
        languages: that augmentations go into which name none themselves.
        lexicons: paths of the lexicons of augmentations which name none themselves, as of ``code_switching``, and of
            the baseline ``translate-test``.
        development: names of the sources and augmentations that validate and never train.
        bitext: names of the sources that hold translations and not questions.
        benchmarks: what the encoders are measured on.
        encoder: what is trained.
        vocabulary: of an encoder from scratch.
        start: of a static encoder from scratch.
        leakage: what becomes of training rows that hold what a benchmark holds: ``stop`` before training, ``drop``
            them, or ``allow`` them and say so in the report.
        training: what all arms have in common.
        arms: what is compared.
        baselines: what stands in every table beside the arms: ``untouched``, the pretrained encoder as it is, unless it
            is an arm already (an encoder from scratch has none); ``bm25``, by words; ``translate-test``, BM25 on
            queries translated word by word with the ``lexicons``; ``merged-round-robin`` and ``merged-normalised``,
            the untouched encoder's list for each language, merged for the pool of all.
        retrieval: encoding and search.
        evaluation: what counts, and how differences are tested.
        cluster: what is asked of Ray. Of it only ``shards``, which decides the order of rows, can change a figure.
    """

    output: str = "runs/experiment"
    data: str = "."
    seeds: list[int] = field(default_factory=lambda: [0])
    miniature: MiniatureSettings = field(default_factory=MiniatureSettings)
    sources: list[Source] = field(default_factory=list)
    augmentations: list[Augmentation] = field(default_factory=list)
    languages: list[str] = field(default_factory=list)
    lexicons: list[str] = field(default_factory=list)
    development: list[str] = field(default_factory=list)
    bitext: list[str] = field(default_factory=list)
    benchmarks: list[BenchmarkSource] = field(default_factory=list)
    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    vocabulary: VocabularySettings = field(default_factory=VocabularySettings)
    start: StartSettings = field(default_factory=StartSettings)
    leakage: OnLeakage = "stop"
    training: TrainingSettings = field(default_factory=TrainingSettings)
    arms: list[Arm] = field(default_factory=list)
    baselines: list[Baseline] = field(default_factory=lambda: [UNTOUCHED])
    retrieval: RetrievalSettings = field(default_factory=RetrievalSettings)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    cluster: ClusterSettings = field(default_factory=ClusterSettings)

    def __post_init__(self) -> None:
        self.need("output", "seeds")
        if len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise SettingsError(f"seeds are {self.seeds}; each must be its own and not negative")
        pairs = [source.name for source in self.sources] + [augmentation.name for augmentation in self.augmentations]
        _check_names("source or augmentation", pairs)
        _check_names("arm", [arm.name for arm in self.arms])
        _check_names("benchmark", [benchmark.name for benchmark in self.benchmarks])
        _check_known("development", self.development, pairs)
        _check_known("bitext", self.bitext, pairs)
        _check_known("start.lexicons", self.start.lexicons, pairs)
        if (self.start.rarity or self.start.lexicons) and (self.encoder.kind != "static" or self.encoder.model):
            raise SettingsError("start is for a static encoder from scratch: encoder.kind static, encoder.model empty")
        for number, augmentation in enumerate(self.augmentations):
            known = [*pairs[: len(self.sources) + number], EVERY]
            _check_known(f"augmentation {augmentation.name}: of", augmentation.of, known)
        names = [arm.name for arm in self.arms]
        if self.added_baseline and UNTOUCHED in names:
            raise SettingsError(
                f"arm {UNTOUCHED}: the pretrained encoder as it is has this name; rename it, or set baselines to []"
            )
        self._check_baselines(names)
        for number, arm in enumerate(self.arms):
            _check_known(f"arm {arm.name}: sources", arm.sources, pairs)
            _check_known(f"arm {arm.name}: start (an earlier arm)", [arm.start] if arm.start else [], names[:number])
            settings = arm.training(self.training)
            if settings.batch_size % self.cluster.workers:
                raise SettingsError(
                    f"arm {arm.name}: batch_size {settings.batch_size} is no multiple of cluster.workers "
                    f"{self.cluster.workers}"
                )
            if settings.steps and not pairs:
                raise SettingsError(f"arm {arm.name} is trained, but sources is empty")

    def _check_baselines(self, arms: list[str]) -> None:
        for baseline in self.baselines:
            if self.baselines.count(baseline) > 1:
                raise SettingsError(f"baselines names {baseline} twice")
            if baseline != UNTOUCHED and baseline in arms:
                raise SettingsError(f"arm {baseline}: a baseline has this name; rename the arm")
            if baseline in MERGED and self.untouched is None:
                raise SettingsError(
                    f"baselines: {baseline} merges the lists of the untouched encoder; "
                    + ("add untouched" if self.encoder.model else "name a pretrained one in encoder.model")
                )
        if "translate-test" in self.baselines:
            invented = all(benchmark.format.startswith("miniature") for benchmark in self.benchmarks)
            if not (self.lexicons or invented):
                raise SettingsError("baselines: translate-test needs dictionaries, and lexicons is empty")
            for path in self.lexicons:
                if "{lang}" not in path and path != BUILT_IN:
                    raise SettingsError(f"baselines: translate-test: lexicon {path!r} lacks {{lang}}")

    def need(self, *names: str) -> None:
        """Refuses settings in which one of the named is empty.

        Raises:
            SettingsError: it says which.
        """
        for name in names:
            if not getattr(self, name):
                raise SettingsError(f"{name} is empty: an experiment needs at least one")

    @property
    def local_data(self) -> str:
        """The data root as a path on this node; a bucket's is fetched first."""
        return str(on_this_node(self.data))

    @property
    def untouched(self) -> Arm | None:
        """The arm that is the pretrained encoder as it is, given or added; None if it stands in no table."""
        if not self.encoder.model:
            return None
        given = (arm for arm in self.arms if arm.compare and arm.sampler == "none" and not arm.start)
        return next(given, Arm(name=UNTOUCHED, sampler="none") if UNTOUCHED in self.baselines else None)

    @property
    def added_baseline(self) -> Arm | None:
        """The untouched encoder, where it is none of the arms; it needs one run for all seeds."""
        return None if self.untouched in self.arms else self.untouched

    @property
    def measured_once(self) -> set[str]:
        """Names of the baselines that have one row for all seeds."""
        others = {str(baseline) for baseline in self.baselines if baseline != UNTOUCHED}
        return others | ({UNTOUCHED} if self.added_baseline else set())

    def runs(self) -> Iterator[tuple[Arm, int]]:
        """Every (arm, seed), a seed's arms together and in order; an added baseline once, before them."""
        if self.added_baseline:
            yield self.added_baseline, self.seeds[0]
        for seed in self.seeds:
            for arm in self.arms:
                yield arm, seed


def _check_names(what: str, names: list[str]) -> None:
    """Names are names of folders too, and each is its own."""
    for name in names:
        if not _NAME.fullmatch(name):
            raise SettingsError(
                f"{name!r} is no name for an entry here ({what}); use letters, digits, '.', '_', '+' and '-'"
            )
        if names.count(name) > 1:
            raise SettingsError(f"two entries are called {name!r}; the name of each {what} must be its own")


def _check_known(where: str, names: list[str], known: list[str]) -> None:
    for name in names:
        if name not in known:
            raise SettingsError(f"{where} names {name!r}; known here are {', '.join(known) or 'none'}")
