"""PEER: do equally relevant passages of all languages rank alike, by a test on their ranks?

It needs several relevant passages per language, as in stance retrieval or where texts are not parallel. With one per
language it is the same number for every ranking and says nothing.
"""

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def peer(query: Integers, language: Integers, rank: Integers, gain: Integers, queries: int, k: int) -> Floats:
    """Probability of equal expected rank at k, in the pool of all languages.

    For a query and a gain, the N relevant passages of that gain are ranked among themselves; those beyond rank k of the
    pool tie and share the mean of the last places. With n_l passages of language l, m_l the mean of their places and
    m = (N + 1) / 2 that of all places r_i, the Kruskal-Wallis statistic corrected for ties is

        H = (N - 1) * sum_l n_l (m_l - m)^2 / sum_i (r_i - m)^2

    and p the probability that a chi-squared variable of (languages - 1) degrees of freedom is at least H. PEER is the
    mean of p over the query's gains, each of equal weight. Where all N are beyond k no language is ahead, and p is 1.

    From 0 to 1, higher is fairer. A ranking blind to language gets about .5 where k cuts off little, not 1. The fewer
    passages, the higher PEER and the rougher the chi-squared approximation: compare it on one benchmark only.

    Source: Yang et al., Language Fairness in Multilingual Information Retrieval (arXiv 2405.00978). Their program takes
    the places in the ranked list themselves for r_i; here they are the ranks among the N that the test is defined on.

    Args:
        query: ``[R]`` each relevant passage's query, from 0 to ``queries - 1``.
        language: ``[R]`` the number of its language.
        rank: ``[R]`` its rank, from 1; no two of a query are equal.
        gain: ``[R]`` its gain.
        queries: number of queries.
        k: the cutoff.

    Returns:
        ``[queries] float64``; NaN for a query none of whose gains can tell rankings apart: it takes passages in two or
        more languages, and two or more in one of them.
    """
    grades, languages = gain.max(initial=0) + 1, language.max(initial=0) + 1
    levels, level = np.unique(query * grades + gain, return_inverse=True)
    order = np.lexsort((rank, level))
    level, language, rank = level[order], language[order], rank[order]
    count = len(levels)
    size = np.bincount(level, minlength=count)
    within = np.bincount(level[rank <= k], minlength=count)
    place = 1 + np.arange(len(rank)) - (np.cumsum(size) - size)[level]
    place = np.where(rank <= k, place, (within + 1 + size)[level] / 2)

    groups, group = np.unique(level * languages + language, return_inverse=True)
    of_level, members = groups // languages, np.bincount(group)
    away = np.bincount(group, place) / members - (size[of_level] + 1) / 2
    between = np.bincount(of_level, members * away**2, count)
    total = np.bincount(level, (place - (size[level] + 1) / 2) ** 2, count)
    statistic = np.divide((size - 1) * between, total, out=np.zeros(count), where=total > 0)

    found = np.bincount(of_level, minlength=count)
    tells = (found >= 2) & (size > found)
    p = _chi_squared_tail(statistic[tells], found[tells] - 1)
    tested = levels[tells] // grades
    tests = np.bincount(tested, minlength=queries)
    mean: Floats = np.divide(np.bincount(tested, p, queries), tests, out=np.full(queries, np.nan), where=tests > 0)
    return mean


def peer_note(values: npt.NDArray[np.float64]) -> str | None:
    """What a reader must know of ``peer``, or None where it has a value for every query."""
    known = int(np.count_nonzero(~np.isnan(values)))
    if not known:
        return (
            "PEER is not given: no query has relevant passages in several languages and several in one of them; with "
            "one per language it is the same number for every ranking"
        )
    if known < len(values):
        return (
            f"PEER is over {known:,} of {len(values):,} queries: those with relevant passages in several languages and "
            "several in one of them"
        )
    return None


def _chi_squared_tail(statistic: Floats, freedom: Integers) -> Floats:
    """The probability that a chi-squared variable is at least the statistic.

    With x = statistic / 2 and a = freedom / 2 it is Q(a, x), the regularised upper incomplete gamma function, from
    Q(1, x) = exp(-x) and Q(1/2, x) = erfc(sqrt(x)) upwards by Q(a + 1, x) = Q(a, x) + x^a exp(-x) / gamma(a + 1)
    (NIST Digital Library of Mathematical Functions, 8.4.6 and 8.8.6). Every term is positive, so nothing cancels.

    Args:
        statistic: ``[tests]``, not below 0.
        freedom: ``[tests]`` degrees of freedom, from 1.
    """
    x, even = statistic / 2, freedom % 2 == 0
    tail = np.exp(-x)
    odd = np.flatnonzero(~even)
    term = np.where(even, x * tail, np.sqrt(x) * tail / math.gamma(1.5))
    tail[odd] = [math.erfc(math.sqrt(value)) for value in x[odd]]
    for a in np.arange(1, freedom.max(initial=0) // 2 + 1):
        reached = np.where(even, a, a - 0.5)
        below = reached < freedom / 2
        tail[below] += term[below]
        term *= x / (reached + 1)
    return np.minimum(tail, 1.0)
