"""Training sources and benchmarks as settings: a format, where the files stand, and what to take from them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from xlstance.collection import Benchmark, CorpusStream, TrainingSet, collect_benchmark, collect_training
from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.beir import read_beir
from xlstance.corpora.bitext import read_bitext
from xlstance.corpora.columns import read_columns
from xlstance.corpora.flagembedding import read_flagembedding
from xlstance.corpora.huggingface import read_huggingface
from xlstance.corpora.lareqa import read_lareqa
from xlstance.corpora.location import Location
from xlstance.corpora.sentences import Passage
from xlstance.corpora.squad import SquadSettings, read_squad, read_squad_benchmark
from xlstance.corpora.tevatron import read_tevatron
from xlstance.corpora.trec import paths_of, read_trec
from xlstance.corpora.xl_stance.benchmark import Part, Pool, StanceTask, Task, stance_benchmark
from xlstance.corpora.xl_stance.collection import EMBEDDED, read_collection
from xlstance.corpora.xl_stance.training import StanceTraining, stance_training
from xlstance.corpora.xstance import read_xstance
from xlstance.errors import SettingsError
from xlstance.files import sha256_of

if TYPE_CHECKING:
    from xlstance.corpora.miniature import MiniatureSettings


@dataclass(frozen=True, kw_only=True)
class Source(Location):
    """A training source; each format uses the settings that it names.

    Attributes:
        format: ``miniature`` (the built-in synthetic world), ``squad`` (SQuAD's JSON, or a table with its columns),
            ``bitext`` (``English TAB other``), ``columns`` (any rows of question and passage), ``tevatron``,
            ``flagembedding``, ``beir``, ``trec`` (MIRACL, mMARCO, Mr. TyDi), ``xstance``, ``huggingface`` or
            ``xl-stance`` (the training part of the embedded collection: what trains on it is not zero-shot there).
        split: miniature: ``train`` or ``dev``; squad: several joined by ``+``, or empty for all rows; beir, trec,
            xstance, huggingface: as they name theirs.
        passage: squad: a paragraph, the sentence that holds the answer, or that sentence with its paragraph.
        answerable_only: squad: drop the rows that are not known to have an answer in their paragraph.
        pairs: xl-stance: ``mono`` for queries in the comment's language, ``cross`` for the others, or ``both``.
    """

    format: Literal[
        "miniature", "squad", "bitext", "columns", "tevatron", "flagembedding", "beir", "trec", "xstance",
        "huggingface", "xl-stance",
    ]  # fmt: skip
    split: str = "train"
    passage: Passage = "paragraph"
    answerable_only: bool = False
    pairs: Literal["mono", "cross", "both"] = "both"


@dataclass(frozen=True, kw_only=True)
class BenchmarkSource(Location):
    """An evaluation set; each format uses the settings that it names.

    Attributes:
        format: ``xl-stance`` (the embedded collection; with a ``path``, X-Stance's files), ``lareqa`` (XQuAD-R,
            MLQA-R), ``beir``, ``trec`` (MIRACL, Mr. TyDi), ``xstance``, ``squad`` (a development set), ``columns``,
            ``tevatron``, ``flagembedding`` or ``huggingface`` (pairs: every passage is in the pool), ``miniature`` or
            ``miniature-stance`` (the built-in synthetic world).
        split: squad: ``dev``; several joined by ``+``, or empty for all rows; xl-stance: ``test`` or ``valid``; beir,
            trec, xstance, huggingface: as they name theirs.
        task: xl-stance: ``topical`` finds the comments on a question, ``stance`` those that take one side.
        pool: xl-stance: ``natural`` for all comments, ``balanced`` for as many on a question in each language.
        passage: lareqa, squad: what a candidate is: a sentence, a sentence with its paragraph, or a paragraph.
    """

    format: Literal[
        "xl-stance", "lareqa", "beir", "trec", "xstance", "squad", "columns", "tevatron", "flagembedding",
        "huggingface", "miniature", "miniature-stance",
    ]  # fmt: skip
    split: str = "dev"
    passage: Passage = "sentence"
    task: Task = "topical"
    pool: Pool = "natural"


def stream_source(source: Source, data: str, seed: int, miniature: "MiniatureSettings", bad: BadRows) -> CorpusStream:
    """Opens a training source.

    Args:
        source: which one.
        data: the data root; relative paths of the source begin there.
        seed: of the draw that ``limit`` asks for.
        miniature: the built-in world, for the format ``miniature``.
        bad: told of the rows that cannot be used.

    Returns:
        The stream, its judgements pairs or qrels.

    Raises:
        SettingsError: if a setting of the source is missing or does not fit.
        DataError: if a file is missing or not what its format says.
    """
    if source.format == "miniature":
        from xlstance.corpora.miniature import training_set

        if source.split not in ("train", "dev"):
            raise SettingsError(f"source {source.name!r}: split is {source.split!r}; the miniature has train and dev")
        return training_set(miniature, cast(Literal["train", "dev"], source.split)).stream
    if source.format == "xl-stance":
        collection = read_collection(source.folder(data) if source.path else EMBEDDED, bad)
        wanted = StanceTraining(name=source.name, pairs=source.pairs, languages=tuple(source.languages), seed=seed)
        return stance_training(collection, wanted).stream
    if source.format == "bitext":
        files = source.file_of_each_language(data)
        return read_bitext(files, name=source.name, limit=source.limit, seed=seed, bad=bad).stream
    if source.format == "squad":
        settings = _squad_settings(source, answerable_only=source.answerable_only)
        return read_squad(
            source.file_of_each_language(data), name=source.name, settings=settings, seed=seed, bad=bad
        ).stream
    return _stream(source, data, seed, bad, judged_only=True)


def stream_benchmark(source: BenchmarkSource, data: str, miniature: "MiniatureSettings", bad: BadRows) -> CorpusStream:
    """Opens an evaluation set.

    Args:
        source: which one.
        data: the data root; relative paths of the source begin there.
        miniature: the built-in world, for the formats ``miniature`` and ``miniature-stance``.
        bad: told of the rows that cannot be used.

    Returns:
        The stream. A squad benchmark holds answerable questions only.

    Raises:
        SettingsError: if a setting of the source is missing.
        DataError: if a file is missing or not what its format says.
    """
    if source.format in ("miniature", "miniature-stance"):
        from xlstance.corpora.miniature import benchmark
        from xlstance.corpora.miniature import stance_benchmark as stance

        return (benchmark(miniature) if source.format == "miniature" else stance(miniature)).stream
    if source.format == "xl-stance":
        if source.split not in ("test", "valid"):
            raise SettingsError(f"benchmark {source.name!r}: split is {source.split!r}; XL-Stance has test and valid")
        part = cast(Part, source.split)
        collection = read_collection(source.folder(data) if source.path else EMBEDDED, bad)
        return stance_benchmark(collection, StanceTask(task=source.task, pool=source.pool, part=part)).stream
    if source.format == "squad":
        files = source.file_of_each_language(data)
        settings = _squad_settings(source, answerable_only=True)
        return read_squad_benchmark(files, name=source.name, settings=settings, bad=bad).stream
    if source.format == "lareqa":
        return read_lareqa(
            source.folder(data), languages=source.languages, passage=source.passage, limit=source.limit, bad=bad
        ).stream
    return _stream(source, data, 0, bad, judged_only=False)


def _squad_settings(source: Source | BenchmarkSource, *, answerable_only: bool) -> SquadSettings:
    return SquadSettings(
        split=source.split,
        passage=source.passage,
        exclude_xquad=source.exclude_xquad,
        answerable_only=answerable_only,
        limit=source.limit,
    )


def _stream(source: Source | BenchmarkSource, data: str, seed: int, bad: BadRows, *, judged_only: bool) -> CorpusStream:
    """The formats that train and evaluate alike; training wants no passage that nothing is said of."""
    name, split = source.name, source.split
    match source.format:
        case "beir":
            return read_beir(
                source.folder(data), name=name, split=split, language=source.language, judged_only=judged_only, bad=bad
            )
        case "trec":
            root, files = source.folder(data), source.trec_files
            return read_trec(files, root, source.languages, name=name, split=split, judged_only=judged_only, bad=bad)
        case "xstance":
            return read_xstance(source.folder(data), name=name, split=split, bad=bad)
        case "tevatron":
            return read_tevatron(source.files_of_each_language(data), name=name, bad=bad)
        case "flagembedding":
            return read_flagembedding(source.files_of_each_language(data), name=name, bad=bad)
        case "columns":
            files_of = source.files_of_each_language(data)
            return read_columns(files_of, source.columns, name=name, limit=source.limit, seed=seed, bad=bad)
        case _:
            path = str(source.folder(data)) if source.folder(data).is_dir() else source.path
            return read_huggingface(
                path,
                source.columns,
                name=name,
                bad=bad,
                languages=source.languages,
                config=source.configuration,
                split=split,
                revision=source.revision,
                limit=source.limit,
                seed=seed,
            )


def read_source(source: Source, data: str, seed: int, miniature: "MiniatureSettings") -> TrainingSet:
    """Reads a training source whole, which must fit into memory; arguments and errors as of ``stream_source``."""
    return collect_training(stream_source(source, data, seed, miniature, BadRows(source.on_bad_row)), source.name)


def read_benchmark(source: BenchmarkSource, data: str, miniature: "MiniatureSettings") -> Benchmark:
    """Reads an evaluation set whole; arguments and errors as of ``stream_benchmark``."""
    return collect_benchmark(stream_benchmark(source, data, miniature, BadRows(source.on_bad_row)))


def file_hashes(source: Source | BenchmarkSource, data: str) -> list[str]:
    """SHA-256 of every file that a source reads, so that changed data is not taken for what was read before.

    A file that is not there has none: reading it says so. A data set that comes by its name from a hub has none
    either: its ``revision`` says what it is.
    """
    return [sha256_of(path) for path in _paths(source, data) if path.is_file()]


def _paths(source: Source | BenchmarkSource, data: str) -> list[Path]:
    match source.format:
        case "miniature" | "miniature-stance":
            return []
        case "xl-stance" if not source.path:
            return sorted(EMBEDDED.glob("*.jsonl*"))
        case "squad" | "bitext":
            return list(source.file_of_each_language(data).values())
        case "columns" | "tevatron" | "flagembedding":
            return [path for paths in source.files_of_each_language(data).values() for path in paths]
        case "trec":
            return paths_of(source.trec_files, source.folder(data), source.languages, source.split)
        case "lareqa":
            return sorted(source.folder(data).glob("*.json*"))
        case _:
            return sorted(source.folder(data).rglob("*.*"))
