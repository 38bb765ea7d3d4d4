"""The leakage audit of files and folders that are given without settings."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.detect import evaluation_source, training_source
from xlstance.corpora.miniature import MiniatureSettings
from xlstance.corpora.registry import BenchmarkSource, file_hashes, stream_benchmark, stream_source
from xlstance.experiment.audit import LEAKAGE, find_leaks, open_index, summary_of
from xlstance.experiment.corpora import publish_benchmark
from xlstance.progress import progress_bar
from xlstance.storage import MANIFEST, Folder, fingerprint, is_published
from xlstance.training_data import TrainingData, is_source_published, publish_source, published


def audit_paths(
    training: Mapping[str, Path], evaluation: Mapping[str, Path], root: Folder, *, workers: int, shards: int
) -> dict[str, Any]:
    """Audits training data against evaluation sets.

    Args:
        training: files of pairs, or folders of sources that an experiment published, by name.
        evaluation: files, folders of benchmarks, or what an experiment published of them, by name.
        root: folder for the tables ``leaks``, ``leakage.json`` and the tables on the way.
        workers: size of the worker pool; 0 works in this process.
        shards: files of each table, the units of work.

    Returns:
        The content of ``leakage.json``.

    Raises:
        DataError: if a path holds nothing that can be told without settings, or a row cannot be used.
        StorageError: if the folder holds the audit of other data.
    """
    sets = {
        name: _evaluation_set(name, path, root / "evaluation" / name, shards)
        for name, path in progress_bar(evaluation.items(), desc="evaluation sets", unit="set")
    }
    sources = {
        name: _source(name, path, root / "training" / name, shards)
        for name, path in progress_bar(training.items(), desc="training data", unit="source")
    }
    index = open_index(sets, root / "index")
    leaks = find_leaks(sources, index, root, workers=workers)
    summary = summary_of(leaks) | {"tables": {name: folder.uri for name, folder in leaks.items()}}
    root.write(LEAKAGE, json.dumps(summary, indent=1, ensure_ascii=False).encode())
    return summary


def _source(name: str, path: Path, folder: Folder, shards: int) -> TrainingData:
    if (path / "pairs" / MANIFEST).is_file():
        return published(Folder(path), name)
    source = training_source(path, name)
    stamp = fingerprint(source, shards, file_hashes(source, "."))
    if not is_source_published(folder, stamp):
        stream = stream_source(source, ".", 0, MiniatureSettings(), BadRows())
        publish_source(folder, stream, stamp, shards, lambda: {"notes": list(stream.notes())})
    return published(folder, name)


def _evaluation_set(name: str, path: Path, folder: Folder, shards: int) -> Folder:
    if (path / "queries" / MANIFEST).is_file():
        return Folder(path)
    source = evaluation_source(path, name)
    stamp = fingerprint(source, shards, file_hashes(source, "."))
    if not all(is_published(folder / table, stamp) for table in ("queries", "passages", "qrels")):
        if isinstance(source, BenchmarkSource):
            stream = stream_benchmark(source, ".", MiniatureSettings(), BadRows())
        else:
            stream = stream_source(source, ".", 0, MiniatureSettings(), BadRows())
        publish_benchmark(folder, stream, stamp, shards)
    return folder


def format_summary(summary: Mapping[str, Any]) -> str:
    """The counts as a table for the terminal."""
    lines = [("", "rows", "leaking", "warned")]
    lines += [(name, part["rows"], part["leaking"], part["warned"]) for name, part in summary["by_source"].items()]
    lines.append(("all", summary["rows"], summary["leaking"], summary["warned"]))
    for key in ("by_benchmark", "by_rule"):
        lines += [("", "", "", "")]
        lines += [(name, "", part["leaking"], part["warned"]) for name, part in summary[key].items()]
    width = max(len(line[0]) for line in lines)
    texts = [[cell if isinstance(cell, str) else f"{cell:,}" for cell in line] for line in lines]
    return "\n".join(f"{name:<{width}}" + "".join(f"{cell:>12}" for cell in cells) for name, *cells in texts)
