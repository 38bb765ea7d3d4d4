"""The order of passages by their scores: what a tie is, what breaks it, and the best passages of each query."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.ranking.scores import Doubles, Integers
from xlstance.tables import hash_ids

# Equal vectors give scores that differ in the last digits of float64, by their place in the matrix product.
TIE = 1e-12


@dataclass(frozen=True, kw_only=True)
class Best:
    """The best passages of every query among those of all languages.

    Attributes:
        passage_index: ``[Q, k]`` rows of the table ``passages``, the best first.
        scores: ``[Q, k]`` their scores.
    """

    passage_index: Integers
    scores: Doubles


def blind_order(ids: pa.ChunkedArray) -> Integers:
    """``[ids]`` the rows in the order that breaks ties: by a hash of the id, then the id.

    It knows neither language nor relevance.
    """
    rows: Integers = pc.sort_indices(
        pa.table({"hash": hash_ids(ids), "id": ids}), sort_keys=[("hash", "ascending"), ("id", "ascending")]
    ).to_numpy()
    return rows.astype(np.int64)


def descending(scores: Doubles) -> Integers:
    """The columns of each row from the highest score to the lowest; those that tie in the order of the columns.

    Args:
        scores: ``[rows, n]``.

    Returns:
        ``[rows, n]``.
    """
    order = np.argsort(-scores, axis=1, kind="stable")
    ordered = np.take_along_axis(scores, order, axis=1)
    keys = np.zeros_like(order)  # the scores as ranks that ties share, and behind them the column
    np.cumsum(ordered[:, :-1] - ordered[:, 1:] > TIE, axis=1, out=keys[:, 1:])
    keys *= max(1, scores.shape[1])
    keys += order
    keys.sort(axis=1)
    keys %= max(1, scores.shape[1])
    return keys


def best_columns(scores: Doubles, k: int) -> Integers:
    """The first ``k`` columns of ``descending(scores)``, without the order of the others; ``[rows, k]``."""
    # Where most scores tie, as by words, a partition takes ten times as long as the sort.
    least = np.sort(scores, axis=1)[:, -k, None]
    row, column = np.nonzero(scores >= least - TIE)
    tied = scores[row, column] <= least[row, 0] + TIE
    # Of those that tie with the k-th best the first columns fill the seats that are left.
    seats = k - np.bincount(row, ~tied, len(scores)).astype(np.int64)
    before: Integers = np.cumsum(tied) - tied
    starts = np.searchsorted(row, np.arange(len(scores)))
    taken = ~tied | (before - before[starts[row]] < seats[row])
    columns = column[taken].reshape(len(scores), k)
    return np.take_along_axis(columns, descending(np.take_along_axis(scores, columns, axis=1)), axis=1)
