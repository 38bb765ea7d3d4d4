"""Language bias: does the language of a passage decide where it ranks?

Rank distance falls whenever mean average precision rises, so it is given with the value of chance and the share of
it, beside figures of another make: the gap between same-language and cross-language pools, the language of the
relevant passage that comes first, and the gap in recall between the languages of the passages.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def rank_distance(query: Integers, rank: Integers, queries: int) -> Floats:
    """The largest minus the smallest rank of a query's relevant passages in the multilingual pool.

    From R - 1, a perfect ranking's, to N - 1; lower is less bias or better retrieval, and it does not tell which.
    Source: hybrid batch training (arXiv 2408.10536), section 4.

    Args:
        query: ``[R]`` each relevant passage's query, from 0 to ``queries - 1``.
        rank: ``[R]`` its rank, from 1.
        queries: number of queries.

    Returns:
        ``[queries] float64``; NaN for a query with fewer than two relevant passages.
    """
    largest, smallest = np.full(queries, -np.inf), np.full(queries, np.inf)
    np.maximum.at(largest, query, rank)
    np.minimum.at(smallest, query, rank)
    several = np.bincount(query, minlength=queries) >= 2
    distance: Floats = np.subtract(largest, smallest, out=np.full(queries, np.nan), where=several)
    return distance


def max_rank(query: Integers, rank: Integers, queries: int) -> Floats:
    """Max@R, the rank of the last relevant passage, ``[queries] float64``; NaN where there is none.

    From R, a perfect ranking's, to N; lower is better. It is the far end of rank distance.
    """
    largest = np.full(queries, -np.inf)
    np.maximum.at(largest, query, rank)
    return np.where(np.isinf(largest), np.nan, largest)


def rank_distance_of_chance(relevant: Integers, pool: int) -> Floats:
    """The rank distance expected of a random order: (N + 1)(R - 1) / (R + 1).

    The expected largest and smallest of R ranks drawn from 1..N without repetition are R(N + 1)/(R + 1) and
    (N + 1)/(R + 1) (order statistics of a discrete uniform sample: David and Nagaraja, Order Statistics, section 3.7).

    Args:
        relevant: ``[queries]`` R, relevant passages per query.
        pool: N, passages in the pool.

    Returns:
        ``[queries] float64``; NaN where R is below 2.
    """
    return np.where(relevant >= 2, (pool + 1) * (relevant - 1) / (relevant + 1), np.nan)


def diagonal_gap(heat_map: pd.DataFrame) -> float | None:
    """Mean of the diagonal minus mean of the rest of a heat map: what a shared language is worth.

    Only the languages that are both query and passage language take part, so that both means are over the same ones.
    From -1 to 1; 0 is no bias, above 0 a shared language helps, below 0 it hinders. A heat map as of LAReQA
    (arXiv 2004.05484), put into one number.

    Args:
        heat_map: mean average precision of one-target pools, query languages by passage languages; NaN where empty.

    Returns:
        The gap, or None where there is no diagonal or nothing off it.
    """
    both = [lang for lang in heat_map.index if lang in heat_map.columns]
    values = heat_map.loc[both, both].to_numpy(dtype=np.float64)
    on = np.eye(len(both), dtype=bool)
    diagonal, rest = values[on & ~np.isnan(values)], values[~on & ~np.isnan(values)]
    return float(diagonal.mean() - rest.mean()) if len(diagonal) and len(rest) else None


def same_language_first(
    query: Integers, rank: Integers, same: npt.NDArray[np.bool_], queries: int
) -> tuple[Floats, Floats]:
    """Whether the best-ranked relevant passage is in the query's language, and how likely chance makes that.

    The mean is from 0 to 1; as near to that of chance as possible is least bias. Among parallel passages only their
    language differs, so there it is bias alone. Akin to the language preference rate of MLAIRE (arXiv 2605.07249).

    Args:
        query: ``[R]`` each relevant passage's query, from 0 to ``queries - 1``.
        rank: ``[R]`` its rank, from 1, in the multilingual pool.
        same: ``[R]`` whether it is in the query's language.
        queries: number of queries.

    Returns:
        Two times ``[queries] float64``: 1 or 0, and the share of the relevant passages that are in the query's
        language; NaN where a query has no choice between its own and another language.
    """
    counts = np.bincount(query, minlength=queries)
    own = np.bincount(query, same, queries)
    choice = (own > 0) & (own < counts)
    by_rank = np.lexsort((rank, query))
    present, best = np.unique(query[by_rank], return_index=True)
    first = np.full(queries, np.nan)
    first[present] = same[by_rank][best]
    share = np.divide(own, counts, out=np.full(queries, np.nan), where=choice)
    return np.where(choice, first, np.nan), share


def recall_by_language(query: Integers, language: Integers, rank: Integers, shape: tuple[int, int], k: int) -> Floats:
    """Recall at k in the pool of all languages, of the relevant passages of each language by themselves.

    Args:
        query: ``[R]`` each relevant passage's query, from 0.
        language: ``[R]`` the number of its language, from 0.
        rank: ``[R]`` its rank, from 1, in the multilingual pool.
        shape: number of queries and number of languages.
        k: the cutoff.

    Returns:
        ``[queries, languages] float64`` from 0 to 1, higher is better; NaN where a query has no relevant passage in a
        language. Where it has more than k of them, 1 is out of reach.
    """
    cell, cells = query * shape[1] + language, shape[0] * shape[1]
    counts = np.bincount(cell, minlength=cells)
    found = np.bincount(cell, rank <= k, cells)
    recall: Floats = np.divide(found, counts, out=np.full(cells, np.nan), where=counts > 0)
    return recall.reshape(shape)


def recall_gap(recall: Floats) -> Floats:
    """The highest minus the lowest recall of any passage language in the multilingual pool.

    From 0, where all languages are found equally well, to 1; lower is less bias. It is also 0 where nothing is found,
    and where texts are not parallel a language may just have the harder questions. It is the largest difference in
    equal opportunity (Hardt et al., arXiv 1610.02413) between languages.

    Args:
        recall: ``[..., languages]`` mean recall; NaN for a language without relevant passages.

    Returns:
        ``[...] float64``; NaN where fewer than two languages have a recall.
    """
    known = ~np.isnan(recall)
    highest = np.where(known, recall, -np.inf).max(axis=-1, initial=-np.inf)
    lowest = np.where(known, recall, np.inf).min(axis=-1, initial=np.inf)
    gap: Floats = np.subtract(
        highest, lowest, out=np.full(highest.shape, np.nan), where=np.count_nonzero(known, axis=-1) >= 2
    )
    return gap
