"""Following the references of pairs to their texts."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.errors import DataError


def rows_of(pairs: pa.Table, column: str, texts: pa.Table) -> npt.NDArray[np.int64]:
    """The row in ``texts`` that each pair refers to.

    Args:
        pairs: table ``pairs``.
        column: ``query_id`` or ``passage_id``.
        texts: the table ``queries`` or ``passages``, which may hold more than is asked for.

    Returns:
        Row numbers, ``[pairs] int64``.

    Raises:
        DataError: if a pair refers to a text that is not there.
    """
    found = pc.index_in(pairs.column(column), texts.column(column))
    if found.null_count:
        pair = pairs.slice(pc.index(pc.is_null(found), True).as_py(), 1).to_pylist()[0]
        raise DataError(f"pair {pair['pair_id']!r} refers to {column} {pair[column]!r}, which stands in no table")
    return np.asarray(found, dtype=np.int64)
