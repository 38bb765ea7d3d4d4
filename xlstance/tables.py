"""The Arrow schemas that every stage reads and writes, and their checks.

Texts stand once, in ``passages`` or ``queries``; ``pairs``, ``qrels`` and ``runs`` refer to them by id. A schema
carries its table's name and version in the Arrow metadata, so a reader can refuse what a newer version wrote.
"""

import re
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.errors import DataError

VERSION = 1
_TABLE_KEY, _VERSION_KEY = b"xlstance.table", b"xlstance.version"

_string = pa.string()
_fields: Mapping[str, list[tuple[str, pa.DataType, bool]]] = {
    # column, type, nullable
    "passages": [
        ("passage_id", _string, False),
        ("lang", _string, False),
        ("text", _string, False),
        ("title", _string, True),
        ("context", _string, True),
        ("group_id", _string, False),
    ],
    "queries": [
        ("query_id", _string, False),
        ("lang", _string, False),
        ("text", _string, False),
        ("group_id", _string, False),
    ],
    "qrels": [("query_id", _string, False), ("passage_id", _string, False), ("gain", pa.int32(), False)],
    "pairs": [
        ("pair_id", _string, False),
        ("query_id", _string, False),
        ("passage_id", _string, False),
        ("negatives", pa.list_(pa.struct([("passage_id", _string), ("teacher_score", pa.float32())])), True),
        ("teacher_score", pa.float32(), True),
        ("source", _string, False),
        ("augmentation", _string, True),
        ("parent_pair_id", _string, True),
    ],
    "vectors": [("id", _string, False), ("lang", _string, False), ("vector", pa.list_(pa.float32()), False)],
    "runs": [
        ("query_id", _string, False),
        ("passage_id", _string, False),
        ("rank", pa.int32(), False),
        ("score", pa.float32(), False),
    ],
    # a query in a pool (``setting``: mono, cross or multi), and what a test draws it with (``unit``)
    "query_figures": [
        *((column, _string, False) for column in ("query_id", "setting", "query_lang")),
        ("passage_lang", _string, True),
        ("unit", _string, False),
        *(
            (column, pa.float64(), True)
            for column in (
                *("map", "map@20", "recall@1", "recall@10", "recall@100", "ndcg@10", "ndcg_exponential@10", "mrr@10"),
                *("success@10", "auc", "max_rank", "rank_distance", "same_language_first"),
            )
        ),
    ],
    # rows of training pairs that hold what an evaluation set holds
    "leaks": [
        *((column, _string, False) for column in ("pair_id", "source", "query_id", "passage_id", "lang")),
        *((column, _string, False) for column in ("benchmark", "evaluation_id", "rule")),
        ("share", pa.float32(), False),
        ("leak", pa.bool_(), False),
        ("query_text", _string, False),
        ("passage_text", _string, False),
    ],
    # rows of a user's files that could not be used, as they stand there
    "quarantine": [(column, _string, False) for column in ("file", "place", "reason", "content")],
}


def _schema(name: str) -> pa.Schema:
    fields = [pa.field(column, kind, nullable) for column, kind, nullable in _fields[name]]
    return pa.schema(fields, metadata={_TABLE_KEY: name.encode(), _VERSION_KEY: str(VERSION).encode()})


SCHEMAS: dict[str, pa.Schema] = {name: _schema(name) for name in _fields}

# BCP 47 in the extent the field uses it: language, optional script, optional region.
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?")


def make_table(name: str, columns: Mapping[str, object]) -> pa.Table:
    """Builds a table of one of the schemas from columns.

    Args:
        name: a key of ``SCHEMAS``.
        columns: lists or Arrow arrays by column name, all of one length; nullable columns may be left out.

    Returns:
        The table with exactly the schema's columns.

    Raises:
        DataError: for an unknown column, or a null where none is allowed.
    """
    schema = SCHEMAS[name]
    unknown = sorted(set(columns) - set(schema.names))
    if unknown:
        raise DataError(f"table {name!r} has no column {unknown[0]!r}; its columns are {', '.join(schema.names)}")
    given = {column: values for column, values in columns.items() if values is not None}
    rows = max((len(values) for values in given.values()), default=0)  # type: ignore[arg-type]
    arrays = []
    for field in schema:
        values = given.get(field.name)
        if values is None:
            array = pa.nulls(rows, field.type)
        elif isinstance(values, pa.Array | pa.ChunkedArray):
            array = values.cast(field.type)
        else:
            array = pa.array(values, field.type)
        arrays.append(array)
    table = pa.table(arrays, schema=schema)
    check_table(table, name)
    return table


def check_table(table: pa.Table, name: str, where: str = "") -> None:
    """Checks that a table is one of the given name, of a version this code reads, with no null where none may be.

    Args:
        table: the table to look at.
        name: a key of ``SCHEMAS``.
        where: the file or folder it came from, for the message.

    Raises:
        DataError: saying what differs.
    """
    place = f"{where}: " if where else ""
    metadata = table.schema.metadata or {}
    found = metadata.get(_TABLE_KEY, b"").decode()
    if found and found != name:
        raise DataError(f"{place}this is a table of {found}, not of {name}")
    version = int(metadata.get(_VERSION_KEY, b"1"))
    if version > VERSION:
        raise DataError(
            f"{place}written by a newer version (tables {version}, this code reads up to {VERSION}): update xlstance"
        )
    schema = SCHEMAS[name]
    for field in schema:
        if field.name not in table.column_names:
            raise DataError(f"{place}table {name!r} lacks the column {field.name!r}")
        if not field.nullable and table.column(field.name).null_count:
            row = pc.index(pc.is_null(table.column(field.name)), True).as_py()
            raise DataError(f"{place}row {row}: column {field.name!r} of table {name!r} may not be empty")


def check_language(code: object, where: str = "") -> str:
    """Returns a language code if it is one.

    Args:
        code: a BCP 47 code such as ``en``, ``zh-Hant`` or ``pt-BR``.
        where: what to name in the message.

    Raises:
        DataError: if it is none. YAML 1.1 reads a bare ``no`` as false; the settings reader of this project does not.
    """
    if not isinstance(code, str) or not is_language(code):
        place = f"{where}: " if where else ""
        raise DataError(f"{place}{code!r} is no language code; give a BCP 47 code such as en, fi or zh-Hant")
    return code


def is_language(code: object) -> bool:
    """Whether something is a language code as ``check_language`` takes it."""
    return isinstance(code, str) and bool(_LANGUAGE.fullmatch(code))


def hash_ids(ids: pa.Array | pa.ChunkedArray | list[str]) -> npt.NDArray[np.uint64]:
    """A 64-bit hash of each string, the same on every machine and in every run; ``[rows] uint64``."""
    values = ids if isinstance(ids, list) else ids.to_pylist()
    return pd.util.hash_array(np.array(values, dtype=object), categorize=False)
