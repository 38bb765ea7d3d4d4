"""Scores that rank passages as a run lists them, whatever system made it."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.errors import DataError
from xlstance.ranking import Scores
from xlstance.ranking.scores import Doubles, Integers


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A run held against a benchmark.

    Attributes:
        scores: minus the rank of each listed passage; the others of a query tie behind them.
        about: what the run lists, in a sentence.
    """

    scores: Scores
    about: str


def listed(run: pa.Table, queries: pa.Table, passages: pa.Table, qrels: pa.Table) -> Listed:
    """Ranks as a run gives them.

    Args:
        run: table ``runs``; its ranks decide.
        queries: table ``queries``.
        passages: table ``passages``.
        qrels: table ``qrels``; gains above 0 are relevant.

    Raises:
        DataError: if the run names a query or a passage that the benchmark has not.
    """
    rows = _rows(run["query_id"], queries["query_id"], "query")
    columns = _rows(run["passage_id"], passages["passage_id"], "passage")
    order = np.argsort(rows, kind="stable")
    rows, columns, ranks = rows[order], columns[order], np.asarray(run["rank"])[order]
    count = passages.num_rows

    def score(wanted: Integers) -> Doubles:
        found = np.full((len(wanted), count), -float(count + 1))
        for place, row in enumerate(wanted.tolist()):
            own = slice(*np.searchsorted(rows, [row, row + 1]))
            found[place, columns[own]] = -ranks[own]
        return found

    relevant = qrels.filter(pc.greater(qrels["gain"], 0))
    pairs = _rows(relevant["query_id"], queries["query_id"], "query") * count
    pairs += _rows(relevant["passage_id"], passages["passage_id"], "passage")
    unlisted = int((~np.isin(pairs, rows * count + columns)).sum())
    return Listed(
        scores=score,
        about=f"a run of {len(np.unique(rows)):,} of {queries.num_rows:,} queries; {unlisted:,} of {len(pairs):,} "
        "relevant passages are not listed, and rank behind all that are in an order blind to language and relevance",
    )


def _rows(wanted: pa.ChunkedArray, ids: pa.ChunkedArray, what: str) -> Integers:
    found = pc.index_in(wanted, value_set=ids)
    if found.null_count:
        unknown = wanted.filter(pc.is_null(found))[0].as_py()
        raise DataError(
            f"the run names the {what} {unknown!r}, which the benchmark has not: is it a run of another benchmark?"
        )
    return np.asarray(found, dtype=np.int64)
