"""The passages nearest to queries, exactly: a running best over blocks of a pool, blind to how the pool is cut.

Scores are dot products in float64, rounded to 2 ** -30: what is left of the order of summation, about 1e-16, is then
gone, so equal vectors have equal scores wherever they stand. A score and the passage's place in a fixed order make one
integer; no two are equal, and the largest are the same however they are reached.
"""

from collections.abc import Iterable
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

Languages = Literal["same", "other", "any"]
Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

SCALE = 1 << 30  # of a score as an integer
NOTHING = int(np.iinfo(np.int64).min)  # the score where there is no further passage
_PLACES = 31  # bits of a place
_QUERIES_AT_ONCE = 256


def scores_of(left: Floats, right: Floats) -> Integers:
    """The scores of rows with rows, in units of ``1 / SCALE``: ``[rows, D] float32`` each, to ``[rows] int64``."""
    products = (left.astype(np.float64) * right).sum(axis=1)
    rounded: Integers = np.rint(products * SCALE).astype(np.int64)
    return rounded


def nearest(
    queries: Floats,
    languages: Integers,
    blocks: Iterable[tuple[int, Floats]],
    pool_languages: Integers,
    places: Integers,
    hidden: tuple[Integers, Integers],
    *,
    which: Languages,
    count: int,
) -> tuple[Integers, Integers]:
    """The nearest passages of each query, without those that are hidden from it.

    The cost is a product of all queries with all passages that they may find, in float64; the memory one block of
    passages and ``count`` integers a query.

    Args:
        queries: ``[Q, D] float32`` of unit length.
        languages: ``[Q]`` number of the language that ``which`` refers to.
        blocks: the pool's vectors, of unit length: number of the first row, and ``[rows, D] float32``; some thousand
            rows each.
        pool_languages: ``[N]`` number of each passage's language.
        places: ``[N]`` each passage's place, from 0, in an order that knows nothing of relevance; of two equally scored
            passages the earlier one is nearer.
        hidden: ``[H]`` rows of queries and ``[H]`` rows of the passages hidden from them, ascending by the latter.
        which: passages in the query's language, in any other, or all.
        count: passages to find.

    Returns:
        ``[Q, count]`` scores in units of ``1 / SCALE`` and ``[Q, count]`` rows of the pool, the nearest first;
        ``NOTHING`` and -1 where there are no more.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    best = torch.full((len(queries), count), NOTHING, dtype=torch.int64, device=device)
    asked = torch.from_numpy(queries).to(device, torch.float64)
    batches = [
        (code, rows[start : start + _QUERIES_AT_ONCE])
        for code in np.unique(languages)
        for rows in [np.flatnonzero(languages == code)]
        for start in range(0, len(rows), _QUERIES_AT_ONCE)
    ]
    for start, vectors in blocks:
        end = start + len(vectors)
        passages = torch.from_numpy(vectors).to(device, torch.float64)
        order = torch.from_numpy((1 << _PLACES) - 1 - places[start:end]).to(device)
        first, last = np.searchsorted(hidden[1], [start, end])
        hidden_from, hidden_row = hidden[0][first:last], hidden[1][first:last] - start
        for code, rows in batches:
            columns = np.flatnonzero(_found(pool_languages[start:end], int(code), which))
            if not len(columns):
                continue
            taken = torch.from_numpy(columns).to(device)
            batch = torch.from_numpy(rows).to(device)
            scores = asked[batch] @ (passages if len(columns) == len(passages) else passages[taken]).T
            keys = scores.mul_(SCALE).round_().long().bitwise_left_shift_(_PLACES).add_(order[taken])
            ours = np.isin(hidden_from, rows) & np.isin(hidden_row, columns)
            keys[np.searchsorted(rows, hidden_from[ours]), np.searchsorted(columns, hidden_row[ours])] = NOTHING
            nearer = keys.topk(min(count, len(columns)), sorted=False).values
            best[batch] = torch.cat([best[batch], nearer], dim=1).topk(count).values
    return _read(best.cpu().numpy(), places)


def _found(languages: Integers, code: int, which: Languages) -> npt.NDArray[np.bool_]:
    if which == "any":
        return np.ones(len(languages), dtype=np.bool_)
    same: npt.NDArray[np.bool_] = languages == code
    return same if which == "same" else ~same


def _read(best: Integers, places: Integers) -> tuple[Integers, Integers]:
    """Scores and rows of the integers that stand for them."""
    there = best != NOTHING
    row_at = np.empty_like(places)
    row_at[places] = np.arange(len(places))
    rows = np.full_like(best, -1)
    rows[there] = row_at[(1 << _PLACES) - 1 - (best[there] & ((1 << _PLACES) - 1))]
    return np.where(there, best >> _PLACES, NOTHING), rows
