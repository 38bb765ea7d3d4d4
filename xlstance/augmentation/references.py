"""The references of pairs to their texts: followed, and made for pairs whose texts are derived from others."""

from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.errors import DataError
from xlstance.tables import make_table


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


def derived_pairs(parents: pa.Table, ending: str, *, name: str, side: Literal["both", "query", "passage"]) -> pa.Table:
    """Pairs of texts that were made of their parents' texts.

    Args:
        parents: table ``pairs``.
        ending: stands behind the ids of new texts and pairs.
        name: of the augmentation.
        side: which of a pair's texts are new.

    Returns:
        Table ``pairs``, row by row. Explicit negatives are kept where the passage is: a negative in another language
        than the positive would teach the language.
    """

    def renamed(column: str, new: bool = True) -> pa.ChunkedArray:
        return pc.binary_join_element_wise(parents[column], ending, "") if new else parents[column]

    keeps_passage = side == "query"
    return make_table(
        "pairs",
        {
            "pair_id": renamed("pair_id"),
            "query_id": renamed("query_id", side != "passage"),
            "passage_id": renamed("passage_id", not keeps_passage),
            "negatives": parents["negatives"] if keeps_passage else None,
            "source": parents["source"],
            "augmentation": [name] * parents.num_rows,
            "parent_pair_id": parents["pair_id"],
        },
    )
