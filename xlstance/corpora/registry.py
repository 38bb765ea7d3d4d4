"""Training sources and benchmarks as settings: a format, paths below a data root, and what to take from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from xlstance.collection import Benchmark, TrainingSet
from xlstance.corpora.bitext import read_bitext
from xlstance.corpora.lareqa import read_lareqa
from xlstance.corpora.sentences import Passage
from xlstance.corpora.squad import SquadSettings, read_squad, read_squad_benchmark
from xlstance.errors import SettingsError
from xlstance.files import sha256_of

if TYPE_CHECKING:
    from xlstance.corpora.miniature import MiniatureSettings


@dataclass(frozen=True, kw_only=True)
class Source:
    """A training source; each format uses the settings that it names.

    Attributes:
        name: stands in ``pairs.source`` and begins every id, so it is unique among the sources of a run.
        format: ``miniature`` (the built-in synthetic world), ``squad`` (Parquet in SQuAD's columns) or ``bitext``
            (``English TAB other``).
        split: ``train`` or ``dev``; for squad several joined by ``+``, or empty for all rows.
        path: squad, bitext: path below the data root in which ``{lang}`` stands for each of the languages.
        languages: the languages to put into ``path``.
        files: squad, bitext: paths by language, beside or instead of ``path``.
        passage: squad: a paragraph, the sentence that holds the answer, or that sentence with its paragraph.
        exclude_xquad: squad: drop the rows whose ``xquad_paragraph`` is true or unknown.
        answerable_only: squad: drop the rows that are not known to have an answer in their paragraph.
        limit: squad: question ids to draw, the same in every language; bitext: sentence pairs of each language;
            0 for all.
    """

    name: str
    format: Literal["miniature", "squad", "bitext"]
    split: str = "train"
    path: str = ""
    languages: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    passage: Passage = "paragraph"
    exclude_xquad: bool = True
    answerable_only: bool = False
    limit: int = 0


@dataclass(frozen=True, kw_only=True)
class BenchmarkSource:
    """An evaluation set; each format uses the settings that it names.

    Attributes:
        name: of the benchmark in results.
        format: ``lareqa`` (XQuAD-R, MLQA-R), ``squad`` (a development set from Parquet in SQuAD's columns),
            ``miniature`` or ``miniature-stance`` (the built-in synthetic world).
        split: squad: ``dev``; several joined by ``+``, or empty for all rows.
        path: lareqa: folder below the data root; squad: path in which ``{lang}`` stands for each of the languages.
        languages: which languages; empty for all, but squad needs them in order to fill ``path``.
        files: squad: paths by language, beside or instead of ``path``.
        passage: lareqa, squad: what a candidate is: a sentence, a sentence with its paragraph, or a paragraph.
        exclude_xquad: squad: drop the rows whose ``xquad_paragraph`` is true or unknown.
        limit: lareqa: the first so many question ids; squad: so many drawn ones; 0 for all.
    """

    name: str
    format: Literal["lareqa", "squad", "miniature", "miniature-stance"]
    split: str = "dev"
    path: str = ""
    languages: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    passage: Passage = "sentence"
    exclude_xquad: bool = True
    limit: int = 0


def read_source(source: Source, data: str, seed: int, miniature: "MiniatureSettings") -> TrainingSet:
    """Reads a training source.

    Args:
        source: which one.
        data: the data root; relative paths of the source begin there.
        seed: of the draw that ``limit`` asks for.
        miniature: the built-in world, for the format ``miniature``.

    Returns:
        Its tables.

    Raises:
        SettingsError: if a setting of the source is missing or does not fit.
        DataError: if a file is missing or not what its format says.
    """
    if source.format == "miniature":
        from xlstance.corpora.miniature import training_set

        if source.split not in ("train", "dev"):
            raise SettingsError(f"source {source.name!r}: split is {source.split!r}; the miniature has train and dev")
        return training_set(miniature, cast(Literal["train", "dev"], source.split))
    files = _files(source, data)
    if source.format == "bitext":
        return read_bitext(files, name=source.name, limit=source.limit, seed=seed)
    settings = SquadSettings(
        split=source.split,
        passage=source.passage,
        exclude_xquad=source.exclude_xquad,
        answerable_only=source.answerable_only,
        limit=source.limit,
    )
    return read_squad(files, name=source.name, settings=settings, seed=seed)


def read_benchmark(source: BenchmarkSource, data: str, miniature: "MiniatureSettings") -> Benchmark:
    """Reads an evaluation set.

    Args:
        source: which one.
        data: the data root; relative paths of the source begin there.
        miniature: the built-in world, for the formats ``miniature`` and ``miniature-stance``.

    Returns:
        Its tables. A squad benchmark holds answerable questions only.

    Raises:
        SettingsError: if a setting of the source is missing.
        DataError: if a file is missing or not what its format says.
    """
    if source.format in ("miniature", "miniature-stance"):
        from xlstance.corpora.miniature import benchmark, stance_benchmark

        return benchmark(miniature) if source.format == "miniature" else stance_benchmark(miniature)
    if source.format == "squad":
        settings = SquadSettings(
            split=source.split,
            passage=source.passage,
            exclude_xquad=source.exclude_xquad,
            answerable_only=True,
            limit=source.limit,
        )
        return read_squad_benchmark(_files(source, data), name=source.name, settings=settings)
    if not source.path:
        raise SettingsError(f"benchmark {source.name!r}: path is empty; give the folder that holds {{lang}}.json")
    return read_lareqa(Path(data) / source.path, languages=source.languages, passage=source.passage, limit=source.limit)


def file_hashes(source: Source | BenchmarkSource, data: str) -> list[str]:
    """SHA-256 of every file that a source reads, so that changed data is not taken for what was read before.

    A file that is not there has none: reading it says so.
    """
    if source.format.startswith("miniature"):
        return []
    if source.format == "lareqa":
        paths = sorted(path for path in (Path(data) / source.path).glob("*.json*") if path.is_file())
    else:
        paths = [path for path in _files(source, data).values() if path.is_file()]
    return [sha256_of(path) for path in paths]


def _files(source: Source | BenchmarkSource, data: str) -> Mapping[str, Path]:
    """The file of each language of a source."""
    if bool(source.path) != bool(source.languages) or not (source.path or source.files):
        raise SettingsError(
            f"source {source.name!r}: give a path with {{lang}} and its languages, or files by language"
        )
    if source.path and "{lang}" not in source.path:
        raise SettingsError(f"source {source.name!r}: path {source.path!r} lacks {{lang}}")
    named = {lang: source.path.replace("{lang}", lang) for lang in source.languages} | source.files
    return {lang: Path(data) / path for lang, path in named.items()}
