"""Where a source's files stand: the settings that training sources and benchmarks have in common."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from xlstance.corpora.bad_rows import OnBadRow
from xlstance.corpora.columns import Columns
from xlstance.corpora.trec import PRESETS, TrecFiles
from xlstance.errors import DataError, SettingsError
from xlstance.files import what_is_there


@dataclass(frozen=True, kw_only=True)
class Location:
    """Where a source's files stand and how they are read; each format uses the settings that it names.

    Attributes:
        name: of the source or benchmark; it begins every id, so it is unique among those of a run.
        path: path below the data root. A folder for lareqa, beir, trec and xstance; a data set's name or folder for
            huggingface; else files, in which ``{lang}`` stands for each of the languages and ``*`` for anything.
        languages: which languages: to fill ``path``, or to choose among those of a folder, where empty means all.
        files: squad, bitext, columns, tevatron, flagembedding: paths by language, beside or instead of ``path``.
        language: the one language of all rows, where the files do not say it.
        layout: trec: a collection whose files stand as published: miracl, mmarco, mmarco-dev, mr-tydi, mr-tydi-hub.
        trec: trec: instead of a layout, where the files of the collection stand below ``path``.
        columns: columns, huggingface: what stands in which column.
        configuration: huggingface: the data set's configuration; ``{lang}`` stands for each of the languages.
        revision: huggingface: the commit of the data set on its hub.
        exclude_xquad: squad: drop the rows whose ``xquad_paragraph`` is true or unknown.
        limit: draw so many: squad: question ids, the same in every language; bitext: sentence pairs of each language;
            columns, huggingface: questions of each language; lareqa: the first so many questions; 0 for all.
        on_bad_row: ``error`` stops at the first row that cannot be used; ``quarantine`` puts them aside in a table.
    """

    name: str
    path: str = ""
    languages: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    language: str = ""
    layout: str = ""
    trec: TrecFiles | None = None
    columns: Columns = field(default_factory=Columns)
    configuration: str = ""
    revision: str = ""
    exclude_xquad: bool = True
    limit: int = 0
    on_bad_row: OnBadRow = "error"

    def folder(self, data: str) -> Path:
        """The folder that ``path`` names.

        Raises:
            SettingsError: if it names none.
        """
        if not self.path:
            raise SettingsError(f"{self.name!r}: path is empty; give the folder that holds its files")
        return Path(data) / self.path

    def file_of_each_language(self, data: str) -> Mapping[str, Path]:
        """One file for each language, by its code.

        Raises:
            SettingsError: if the settings do not name them.
        """
        if bool(self.path) != bool(self.languages) or not (self.path or self.files):
            raise SettingsError(
                f"source {self.name!r}: give a path with {{lang}} and its languages, or files by language"
            )
        if self.path and "{lang}" not in self.path:
            raise SettingsError(f"source {self.name!r}: path {self.path!r} lacks {{lang}}")
        return {lang: Path(data) / path for lang, path in self._named().items()}

    def files_of_each_language(self, data: str) -> Mapping[str, list[Path]]:
        """The files of each language in the order of their names; of rows that say their language under an empty code.

        Raises:
            SettingsError: if the settings do not name them.
            DataError: if there is no such file.
        """
        named = self._named()
        if not named:
            raise SettingsError(f"source {self.name!r}: give a path, or files by language")
        return {lang: _matching(Path(data), path) for lang, path in named.items()}

    def _named(self) -> dict[str, str]:
        if "{lang}" in self.path:
            named = {lang: self.path.replace("{lang}", lang) for lang in self.languages}
        else:
            named = dict.fromkeys(self.languages or [self.language], self.path) if self.path else {}
        return named | self.files

    @property
    def trec_files(self) -> TrecFiles:
        """The layout of a collection in TREC's manner.

        Raises:
            SettingsError: if none is named, or one that is not known.
        """
        if self.trec is not None:
            return self.trec
        if self.layout not in PRESETS:
            raise SettingsError(
                f"source {self.name!r}: layout is {self.layout!r}; give one of {', '.join(PRESETS)}, or trec.corpus, "
                "trec.topics and trec.qrels"
            )
        return PRESETS[self.layout]


def _matching(root: Path, path: str) -> list[Path]:
    """The files that a path with ``*`` stands for."""
    if "*" not in path:
        return [root / path]
    base, pattern = (Path("/"), path.lstrip("/")) if Path(path).is_absolute() else (root, path)
    found = sorted(file for file in base.glob(pattern) if file.is_file())
    if not found:
        folder = root / path.partition("*")[0].rpartition("/")[0]
        raise DataError(f"{root / path}: no file is named so; {what_is_there(folder)}")
    return found
