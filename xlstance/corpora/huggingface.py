"""Data sets by name or folder through the library ``datasets``, where that is installed: ``pip install datasets``.

Rows are streamed by Arrow batches and read by the columns that the settings name. A data set that is made by a program
of its own is not read: nothing that comes with data is run.
"""

import importlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import pyarrow as pa

from xlstance.collection import CorpusStream
from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.columns import Columns, stream_columns
from xlstance.corpora.records import Records
from xlstance.corpora.tabular import from_batches
from xlstance.errors import DataError, SettingsError

_BATCH = 10_000  # rows at a time


def read_huggingface(
    path: str,
    columns: Columns,
    *,
    name: str,
    bad: BadRows,
    languages: Sequence[str] = (),
    config: str = "",
    split: str = "train",
    revision: str = "",
    limit: int = 0,
    seed: int = 0,
) -> CorpusStream:
    """Reads a data set's rows, each a question and a passage that answers it.

    Args:
        path: its name on the hub, or a folder of Parquet, JSON lines or CSV files.
        columns: what stands where; ``{lang}`` in a path stands for the language.
        name: of the source; begins every id and stands in ``pairs.source``.
        bad: told of the rows that cannot be used.
        languages: of the data set; empty: each row says its own, in the column ``language``.
        config: the configuration; ``{lang}`` in it stands for each of the languages. Empty for the only one.
        split: the split, as the library names it.
        revision: a commit, tag or branch of the data set; a commit stays what it is.
        limit: number of questions to draw of each language, 0 for all.
        seed: of that draw.

    Returns:
        The stream, as of ``read_columns``.

    Raises:
        SettingsError: if the library is not installed, or no language is given.
        DataError: if there is no such data set, configuration or split, or it lacks a column.
    """
    try:
        datasets = importlib.import_module("datasets")
    except ImportError as error:
        raise SettingsError(
            f"source {name!r}: data sets of the hub need the library datasets: pip install datasets"
        ) from error

    def opened(where: str, configuration: str, schema: pa.Schema) -> Iterator[Records]:
        def batches() -> Iterator[Any]:
            rows = datasets.load_dataset(
                path, name=configuration or None, split=split, revision=revision or None, streaming=True
            )
            for table in rows.with_format("arrow").iter(batch_size=_BATCH):
                yield from table.combine_chunks().to_batches()

        return from_batches(where, _said(batches(), where), schema, bad)

    parts = []
    for lang in languages or [""]:
        configuration = config.replace("{lang}", columns.codes.get(lang, lang))
        where = "/".join(filter(None, (path, configuration, split)))
        parts.append((lang, partial(opened, where, configuration)))
    return stream_columns(parts, columns, where=path, name=name, bad=bad, limit=limit, seed=seed)


def _said(batches: Iterator[Any], where: str) -> Iterator[Any]:
    """The batches; whatever the library raises, of its own or of its parsers', is an error of one line."""
    try:
        yield from batches
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise DataError(f"{where} cannot be read by the library datasets ({reason})") from error
