"""Which languages fill the top of the multilingual pool, relevant or not, against their share of the pool."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from xlstance.ranking import TIE
from xlstance.tables import hash_ids

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

TOP = 10
_SCORES_BYTES = 64 << 20
_PASSAGES_PER_PRODUCT = 8192


def top_languages(
    passages: pa.Table,
    query_vectors: npt.NDArray[np.float32],
    passage_vectors: npt.NDArray[np.float32],
    k: int = TOP,
) -> Integers:
    """How many of each query's k best passages are in each language, exact.

    A pass of its own over all scores, since the ranks of the relevant passages do not tell who else is at the top.
    Scores, ties and the order that breaks them are those of ``ranking.relevant_ranks``.

    Args:
        passages: table ``passages`` (N rows), the pool of all languages.
        query_vectors: ``[Q, D] float32``, as for ``relevant_ranks``.
        passage_vectors: ``[N, D] float32``, in the order of ``passages``.
        k: the cutoff; a smaller pool counts whole.

    Returns:
        ``[Q, languages] int64``, languages sorted; each row sums to k, or N where that is less.
    """
    languages, of_passage = np.unique(passages.column("lang").to_numpy().astype(str), return_inverse=True)
    ids = passages.column("passage_id")
    # With the columns in the order that breaks ties, the first of equal scores is the one to take.
    blind = np.lexsort((ids.to_numpy().astype(str), hash_ids(ids)))
    of_column = of_passage[blind]
    count, size = len(query_vectors), len(blind)
    k = min(k, size)
    top = np.zeros((count, len(languages)), np.int64)
    step = max(1, _SCORES_BYTES // (8 * max(1, size)))
    scores = np.empty((min(step, count), size))
    for start in range(0, count if k else 0, step):
        left = query_vectors[start : start + step].astype(np.float64)
        block = scores[: len(left)]
        for first in range(0, size, _PASSAGES_PER_PRODUCT):
            columns = slice(first, first + _PASSAGES_PER_PRODUCT)
            np.matmul(left, passage_vectors[blind[columns]].astype(np.float64).T, out=block[:, columns])
        row, column = _best(block, k)
        counts = np.bincount(row * len(languages) + of_column[column], minlength=len(left) * len(languages))
        top[start : start + step] = counts.reshape(len(left), -1)
    return top


def _best(scores: Floats, k: int) -> tuple[Integers, Integers]:
    """Rows and columns of the k best of each row; of those that tie with the k-th best, the first columns."""
    least = np.partition(scores, -k, axis=1)[:, -k]
    row, column = np.nonzero(scores >= least[:, None] - TIE)
    tied = scores[row, column] <= least[row] + TIE
    seats = k - np.bincount(row, ~tied, len(scores)).astype(np.int64)
    before: Integers = np.cumsum(tied) - tied
    starts = np.searchsorted(row, np.arange(len(scores)))
    taken = ~tied | (before - before[starts[row]] < seats[row])
    return row[taken], column[taken]


def kl_divergence(share: Floats, pool: Floats) -> Floats:
    """Kullback-Leibler divergence of the languages of the top k from those of the pool, in nats.

    The sum over languages of share * ln(share / pool), where 0 ln 0 is 0. No smoothing: every language of the top
    stands in the pool, so this direction is always finite. From 0, where the top is composed like the pool, to
    -ln(the smallest pool share). Lower is less bias; but it also rises where the right answers are unevenly spread,
    and n passages drawn blindly give about (languages - 1) / 2n, not 0.

    Source: Kullback and Leibler, On Information and Sufficiency (1951); of the top k against a wanted composition, as
    in NDKL (Geyik et al., arXiv 1905.01989).

    Args:
        share: ``[..., languages]`` shares of the top, each row summing to 1; a row of NaN gives NaN.
        pool: ``[languages]`` shares of the pool, above 0.

    Returns:
        ``[...] float64``.
    """
    ratio = np.divide(share, pool, out=np.ones_like(share), where=share != 0)
    # A tiny negative sum is rounding.
    divergence: Floats = np.maximum((share * np.log(ratio)).sum(axis=-1), 0.0)
    return divergence
