"""Which languages fill the top of the multilingual pool, relevant or not, against their share of the pool."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from xlstance.ranking import Best

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

TOP = 10


def top_languages(best: Best, passages: pa.Table, k: int = TOP) -> Integers:
    """How many of each query's k best passages are in each language.

    Args:
        best: the best passages of Q queries, as many as k or the whole pool.
        passages: table ``passages``, the pool of all languages.
        k: the cutoff; a smaller pool counts whole.

    Returns:
        ``[Q, languages] int64``, languages sorted; each row sums to k, or the size of the pool where that is less.
    """
    languages, of_passage = np.unique(passages.column("lang").to_numpy().astype(str), return_inverse=True)
    first = of_passage[best.passage_index[:, :k]]
    counts: Integers = (first[:, :, None] == np.arange(len(languages))).sum(axis=1)
    return counts


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
