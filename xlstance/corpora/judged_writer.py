"""Writing of training sets as rows of a query with its positive and negative passages."""

import contextlib
import gzip
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from xlstance.collection import TrainingSet
from xlstance.errors import StorageError

Row = Mapping[str, Any]
Scored = list[tuple[Row, float | None]]
"""Passages, as rows of their table, and a teacher's scores."""


def judged_rows(training_set: TrainingSet) -> Iterator[tuple[Row, Scored, Scored]]:
    """Each query with passages and their scores: the positive ones that have the same negatives, and these."""
    queries = {row["query_id"]: row for row in training_set.queries.to_pylist()}
    passages = {row["passage_id"]: row for row in training_set.passages.to_pylist()}
    rows: dict[tuple[str, tuple[tuple[str, float | None], ...]], Scored] = {}
    for pair in training_set.pairs.select(["query_id", "passage_id", "teacher_score", "negatives"]).to_pylist():
        negatives = tuple((item["passage_id"], item["teacher_score"]) for item in pair["negatives"] or [])
        positive = passages[pair["passage_id"]], pair["teacher_score"]
        rows.setdefault((pair["query_id"], negatives), []).append(positive)
    for (query_id, negatives), positives in rows.items():
        yield queries[query_id], positives, [(passages[identity], score) for identity, score in negatives]


def write_rows(path: Path, rows: Iterator[Row]) -> int:
    """Writes JSON lines, gzip if the name ends so: the file is there whole or not at all.

    Returns:
        The number of rows.

    Raises:
        StorageError: if the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    count = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # mtime 0: the same rows give the same bytes
        with partial.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, 0) if path.suffix == ".gz" else raw as file:
            for row in rows:
                file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
                count += 1
        os.replace(partial, path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
    return count
