"""What an experiment's figures come from beside its settings: the tables read, the environment, and data to fetch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

import xlstance
from xlstance.corpora.catalog import load_catalog
from xlstance.corpora.location import Location
from xlstance.experiment.settings import BUILT_IN, ExperimentSettings
from xlstance.files import sha256_of
from xlstance.storage import Folder, read_manifest
from xlstance.training_data import TrainingData

REPRODUCE = "reproduce.yaml"
_STORES = ("store", "validation_store")
_TABLES = ("queries", "passages", "qrels")


def provenance(
    settings: ExperimentSettings, root: Folder, benchmarks: Mapping[str, Folder], data: Mapping[str, TrainingData]
) -> dict[str, Any]:
    """What the report says of sources, and how to reproduce it.

    Args:
        settings: of the experiment.
        root: its folder.
        benchmarks: folders of the benchmarks' tables, by name.
        data: the training data by name.

    Returns:
        ``tables``: of each table ``of`` (what it belongs to), ``table``, ``rows`` and ``fingerprint``. ``data``: of
        each source and benchmark, and of the lexicons, ``name``, ``path`` and ``fetch``, the catalog's name for it;
        both empty for what the package holds itself. ``lock``: the first digits of the lock file's SHA-256, empty
        outside a checkout. ``command``: the words of the command line, but for where settings, data and output lie.
        ``settings``: the file of all settings beside the report.
    """
    lock = Path(xlstance.__file__).parents[1] / "requirements" / "cpu.txt"
    return {
        "tables": [table_facts(of, folder) for of, folder in _folders(root, benchmarks, data)],
        "data": [*map(_location, (*settings.sources, *settings.benchmarks)), *_lexicons(settings.lexicons)],
        "lock": sha256_of(lock)[:16] if lock.exists() else "",
        "command": ["experiment"],
        "settings": REPRODUCE,
    }


def write_settings(settings: ExperimentSettings, root: Folder) -> None:
    """Writes the settings as a file that the command line takes; where data and output lie is said there."""
    kept = {name: value for name, value in asdict(settings).items() if name not in ("output", "data")}
    root.write(REPRODUCE, yaml.safe_dump(kept, sort_keys=False, allow_unicode=True).encode())


def _folders(
    root: Folder, benchmarks: Mapping[str, Folder], data: Mapping[str, TrainingData]
) -> Iterator[tuple[str, Folder]]:
    """Every published table once, beside what it belongs to; the texts of parents are theirs."""
    for name, folder in benchmarks.items():
        yield from ((name, folder / table) for table in _TABLES)
    seen = set[Folder]()
    for source in data.values():
        for folder in (source.pairs, *source.queries, *source.passages):
            if folder not in seen:
                seen.add(folder)
                yield source.name, folder
    yield from ((name, root / name) for name in _STORES if root.exists(name))


def table_facts(of: str, folder: Folder) -> dict[str, Any]:
    """What is told of a published table: what it belongs to, its name, its rows and its fingerprint."""
    manifest = read_manifest(folder)
    return {"of": of, "table": manifest.table, "rows": manifest.rows, "fingerprint": manifest.fingerprint}


def _location(source: Location) -> dict[str, str]:
    paths = _paths(source.path, source.files)
    return {"name": source.name, "path": ", ".join(paths), "fetch": _catalog_name(paths)}


def _lexicons(paths: Sequence[str]) -> list[dict[str, str]]:
    given = [path for path in paths if path != BUILT_IN]
    return [{"name": "lexicons", "path": path, "fetch": _catalog_name([path])} for path in given]


def _catalog_name(paths: Sequence[str]) -> str:
    """The catalog's entry whose ready settings read one of these paths; empty for files of the user's own."""
    for entry in load_catalog().values():
        for ready in (item for items in entry.settings.values() for item in items):
            if set(_paths(ready.get("path", ""), ready.get("files", {}))) & set(paths):
                return entry.name
    return ""


def _paths(path: str, files: Mapping[str, str]) -> list[str]:
    return [each for each in (path, *files.values()) if each]
