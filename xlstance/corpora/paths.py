"""Values inside nested rows, named by paths: ``answers.de.0.text``, where a number is a place in a list."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def needed_schema(columns: pa.Schema) -> pa.Schema:
    """The nested schema that holds every path of a flat one, for a parser that wants to know types beforehand."""
    tree: dict[str, Any] = {}
    for column in columns:
        *parents, last = column.name.split(".")
        node = tree
        for part in parents:
            node = node.setdefault(part, {})
        node[last] = column.type

    def kind(node: Any) -> pa.DataType:
        if not isinstance(node, dict):
            return node
        if all(part.isdecimal() for part in node):
            return pa.list_(kind(next(iter(node.values()))))
        return pa.struct([(part, kind(child)) for part, child in node.items()])

    return pa.schema([(part, kind(child)) for part, child in tree.items()])


def column_at(table: pa.Table, path: str) -> pa.ChunkedArray:
    """The column at a path; null where a row has nothing there.

    Raises:
        KeyError: if the table has no such column.
        pa.ArrowInvalid: if what stands there is of another kind.
    """
    if path in table.column_names:
        return table[path]
    first, *parts = path.split(".")
    values = table[first].combine_chunks()
    for part in parts:
        values = _element(values, int(part)) if part.isdecimal() else pc.struct_field(values, part)
    return pa.chunked_array([values])


def _element(lists: pa.Array, place: int) -> pa.Array:
    """One element of each list; null where a list is shorter or null."""
    if not (pa.types.is_list(lists.type) or pa.types.is_large_list(lists.type)):
        raise pa.ArrowInvalid(f"{lists.type} is no list")
    lengths = np.asarray(pc.fill_null(pc.list_value_length(lists), 0))
    starts = np.asarray(lists.offsets)[:-1].astype(np.int64)
    return lists.values.take(pa.array(starts + place, mask=lengths <= place))


def value_at(row: Any, column: pa.Field) -> Any:
    """The value at a column's path in a row of plain Python objects, None where there is nothing.

    Raises:
        ValueError: if it is not of the column's type; a whole number is taken for text.
    """
    value = row
    for part in column.name.split("."):
        if value is None:
            break
        if part.isdecimal() and isinstance(value, list):
            value = value[int(part)] if int(part) < len(value) else None
        elif isinstance(value, dict):
            value = value.get(part)
        else:
            raise ValueError(f"{column.name!r}: {type(value).__name__} where an object is wanted")
    if isinstance(value, bytes):
        value = value.decode()
    if value is not None and pa.types.is_string(column.type):
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ValueError(f"{column.name!r} is a {type(value).__name__}; text is wanted")
        value = str(value)
    try:
        pa.array([value], column.type)
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{column.name!r}: {error}; {column.type} is wanted") from error
    return value
