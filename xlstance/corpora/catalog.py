"""The registry of sources as data: what is published where, in which format, under which licence, and how to read it.

``catalog.yaml`` beside this file holds the entries; this module reads it, finds an entry by name and prints entries.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from xlstance.errors import DataError
from xlstance.tables import check_language

_CATALOG = Path(__file__).with_name("catalog.yaml")
_PLACEHOLDER = re.compile(r"\{([a-z]+)\}")

KINDS = ("benchmark", "training", "both")
FORMATS = (
    *("lareqa", "squad", "bitext", "beir", "trec", "columns", "xstance", "tevatron", "flagembedding"),
    *("huggingface", "none"),
)
ARCHIVES = ("none", "zip", "tar.gz")


class _Dumper(yaml.SafeDumper):
    """Writes what stands twice out in full, so that every entry can be copied alone."""

    def ignore_aliases(self, data: Any) -> bool:
        """Whether an object is written anew each time: always."""
        return True


@dataclass(frozen=True)
class RemoteFile:
    """One file to fetch.

    Attributes:
        url: its address.
        path: where it belongs, below the folder that the user names; for an archive the folder it is unpacked to.
        sha256: the hash of its bytes, empty where none is pinned.
        bytes: its size, 0 where it is not known.
        unpack: ``none``, ``zip`` or ``tar.gz``.
    """

    url: str
    path: str
    sha256: str
    bytes: int
    unpack: str


@dataclass(frozen=True, kw_only=True)
class CatalogFile:
    """Files of a source whose addresses follow one pattern.

    Attributes:
        url: the address; ``{lang}``, ``{part}`` and the placeholders of the entry's ``names`` are filled in.
        into: path below the folder that the user names, with the same placeholders. An archive's is a folder.
        parts: what ``{part}`` stands for: names, or a number of parts counted from 0; by language where they differ.
        sha256: hash of the file as it is served; by language where the pattern has one for each.
        bytes: its size, 0 where it is not known.
        unpack: ``none``, ``zip`` or ``tar.gz``.
    """

    url: str
    into: str
    parts: int | Sequence[str] | Mapping[str, int | Sequence[str]] = 1
    sha256: str | Mapping[str, str] = ""
    bytes: int = 0
    unpack: str = "none"

    @property
    def by_language(self) -> bool:
        """Whether there is a file for each language: what ``into`` says beside ``{part}`` depends on it."""
        return bool(set(_PLACEHOLDER.findall(self.into)) - {"part"})

    def parts_of(self, lang: str) -> Sequence[str]:
        """What ``{part}`` stands for in a language."""
        parts = self.parts.get(lang, ()) if isinstance(self.parts, Mapping) else self.parts
        return [str(index) for index in range(parts)] if isinstance(parts, int) else parts


@dataclass(frozen=True, kw_only=True)
class CatalogEntry:
    """A source: what it is, whose it is, where it stands and how it is read.

    Attributes:
        name: what the user calls it.
        title: its full name.
        what: ``benchmark``, ``training`` or ``both``.
        format: the format of the reader that takes it; ``none`` where a step of the user's comes before.
        languages: BCP 47 codes.
        licence: as its publisher states it.
        citation: authors, year, title, place.
        homepage: where its publisher describes it.
        files: what to fetch; empty where ``manual`` says how to get it.
        names: placeholders of the addresses whose value depends on the language: the publisher's name for it.
        manual: what the user has to do that no download can.
        note: what to know before use.
        settings: ``sources`` and ``benchmarks`` for an experiment's YAML, with paths below the folder fetched into.
    """

    name: str
    title: str
    what: str
    format: str
    languages: Sequence[str]
    licence: str
    citation: str
    homepage: str
    files: Sequence[CatalogFile] = ()
    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    manual: str = ""
    note: str = ""
    settings: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)

    def remote_files(self, languages: Sequence[str] = ()) -> list[RemoteFile]:
        """Every file of the entry, those with ``{lang}`` for the given languages only; empty for all."""
        found = []
        for file in self.files:
            chosen = [lang for lang in self.languages if lang in languages or not languages]
            for lang in chosen if file.by_language else [""]:
                for part in file.parts_of(lang):
                    values = {"lang": lang, "part": part} | {key: self.names[key].get(lang, "") for key in self.names}
                    sha256 = file.sha256 if isinstance(file.sha256, str) else file.sha256.get(lang, "")
                    url, path = (_filled(pattern, values) for pattern in (file.url, file.into))
                    found.append(RemoteFile(url, path, sha256, file.bytes, file.unpack))
        return found


@cache
def load_catalog() -> Mapping[str, CatalogEntry]:
    """The entries by name, in the file's order.

    Raises:
        DataError: if the file breaks its own rules; the message names entry and key.
    """
    return read_catalog(_CATALOG.read_text(encoding="utf-8"))


def read_catalog(text: str) -> dict[str, CatalogEntry]:
    """Reads entries from YAML.

    An item with ``variants`` stands for an entry for each of them: ``{variant}`` in its texts is their name.

    Raises:
        DataError: for an unknown, missing or wrong key, or a name that stands twice.
    """
    entries: dict[str, CatalogEntry] = {}
    for item in yaml.safe_load(text):
        variants = item.pop("variants", [""])
        for variant in variants:
            values = _replaced(item, variant) if variant else item
            entry = _entry(values)
            if entry.name in entries:
                raise DataError(f"catalog: the name {entry.name!r} stands twice")
            entries[entry.name] = entry
    return entries


def find_entry(name: str, catalog: Mapping[str, CatalogEntry] | None = None) -> CatalogEntry:
    """The entry of a name.

    Raises:
        DataError: if there is none; the message gives the nearest names.
    """
    entries = load_catalog() if catalog is None else catalog
    if name in entries:
        return entries[name]
    near = difflib.get_close_matches(name.lower(), entries, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(entries)}"
    raise DataError(f"no source is called {name!r}; {hint}")


def format_catalog(entries: Iterable[CatalogEntry]) -> str:
    """A table for the terminal, a line for each entry: name, what it is for, format, languages, licence."""
    rows = [("name", "what", "format", "languages", "licence")]
    for entry in entries:
        languages = " ".join(entry.languages) if len(entry.languages) <= 4 else f"{len(entry.languages)} languages"
        licence = entry.licence.split(";")[0]
        rows.append((entry.name, entry.what, entry.format, languages, licence))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def describe_licence(entry: CatalogEntry) -> str:
    """What a user has to know of a source before its first byte comes: title, licence, citation."""
    return f"{entry.name}: {entry.title}\n  licence: {entry.licence}\n  citation: {entry.citation}"


def describe(entry: CatalogEntry) -> str:
    """All that the catalog knows of a source, with its settings as YAML to be copied into an experiment's."""
    lines = [
        *(describe_licence(entry), f"  homepage: {entry.homepage}"),
        *(f"  for: {entry.what}", f"  format: {entry.format}", f"  languages: {' '.join(entry.languages)}"),
    ]
    lines += [f"  {key}: {' '.join(text.split())}" for key in ("note", "manual") if (text := getattr(entry, key))]
    files = entry.remote_files()
    pinned = sum(bool(file.sha256) for file in files)
    if files:
        lines.append(f"  files: {len(files)}, {pinned} of them with a pinned SHA-256")
        lines += [f"    {file.url}" for file in entry.files]
    if entry.settings:
        lines.append(f"\n# fetched by: xlstance fetch {entry.name} --into DATA; read with --data DATA and")
        lines.append(
            yaml.dump(
                dict(entry.settings), Dumper=_Dumper, default_flow_style=None, sort_keys=False, width=110
            ).rstrip()
        )
    return "\n".join(lines)


def _filled(pattern: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: values[match[1]], pattern)


def _replaced(value: Any, variant: str) -> Any:
    """A copy in which every text has the variant's name for ``{variant}``."""
    if isinstance(value, dict):
        return {key: _replaced(item, variant) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, variant) for item in value]
    return value.replace("{variant}", variant) if isinstance(value, str) else value


def _entry(values: Mapping[str, Any]) -> CatalogEntry:
    where = f"catalog: entry {values.get('name')!r}"
    _check_keys(CatalogEntry, values, where)
    files = []
    for file in values.get("files", ()):
        _check_keys(CatalogFile, file, f"{where}, files")
        files.append(CatalogFile(**file))
    entry = CatalogEntry(**{**values, "files": tuple(files)})
    for key, allowed in (("what", KINDS), ("format", FORMATS)):
        if getattr(entry, key) not in allowed:
            raise DataError(f"{where}: {key} is {getattr(entry, key)!r}; it is one of {', '.join(allowed)}")
    for lang in entry.languages:
        check_language(lang, where)
    for pattern in files:
        _check_file(pattern, entry, where)
    if not (files or entry.manual):
        raise DataError(f"{where}: has neither files nor manual, so nobody can get it")
    return entry


def _check_keys(kind: type, values: Mapping[str, Any], where: str) -> None:
    known = [item.name for item in fields(kind)]
    needed = [item.name for item in fields(kind) if item.default is MISSING and item.default_factory is MISSING]
    for key in values:
        if key not in known:
            raise DataError(f"{where}: unknown key {key!r}; known are {', '.join(known)}")
    for key in needed:
        if key not in values:
            raise DataError(f"{where}: lacks the key {key!r}")


def _check_file(file: CatalogFile, entry: CatalogEntry, where: str) -> None:
    if not file.url.startswith("https://"):
        raise DataError(f"{where}: {file.url} is no https address")
    if file.unpack not in ARCHIVES:
        raise DataError(f"{where}: unpack is {file.unpack!r}; it is one of {', '.join(ARCHIVES)}")
    path = PurePosixPath(file.into)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\\" in file.into:
        raise DataError(f"{where}: into {file.into!r} does not stay below the folder")
    known = {"lang", "part", *entry.names}
    for name in _PLACEHOLDER.findall(file.url + file.into):
        if name not in known:
            raise DataError(f"{where}: {{{name}}} stands for nothing; known are {', '.join(sorted(known))}")
    hashes = [file.sha256] if isinstance(file.sha256, str) else file.sha256.values()
    if not all(re.fullmatch(r"[0-9a-f]{64}|", value) for value in hashes):
        raise DataError(f"{where}: a sha256 is not 64 hex digits")
