"""BM25 for any language: scores of whole pools, each with an index of its own."""

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise

import bm25s
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.leakage.text import normalise
from xlstance.ranking import Scores
from xlstance.ranking.scores import Doubles, Integers

K1, B = 1.5, 0.75
ABOUT = f"BM25 (Lucene's formula, k1 {K1}, b {B}; words, or character bigrams where a script has no spaces)"

Terms = list[str]


def terms_of(text: str) -> Terms:
    """What BM25 compares: words with case and punctuation set aside; bigrams of characters in scripts without spaces.

    The characters decide, not a language label, so texts of several scripts work. A character that stands alone is a
    term by itself. No stemming, no stop words: what serves every language alike.
    """
    terms, run = Terms(), Terms()
    for unit in normalise(text).split():
        if _is_character(unit[0]):
            run.append(unit)
        else:
            terms += [*_bigrams(run), unit]
            run = []
    return [*terms, *_bigrams(run)]


def _bigrams(run: Terms) -> Terms:
    return [left + right for left, right in pairwise(run)] or run


@cache
def _is_character(character: str) -> bool:
    """Whether it is of a script without spaces: two of them are two units, where two letters are one word."""
    return " " in normalise(character * 2)


def bm25_scores(queries: Mapping[str, Sequence[Terms]], passages: Sequence[Terms], pools: pa.ChunkedArray) -> Scores:
    """Scores by BM25, each pool's with the term statistics of that pool.

    The score of a passage is the sum over the terms of the query, each as often as it stands there, of
    ``ln(1 + (N - n + 0.5) / (n + 0.5)) * f / (f + k1 * (1 - b + b * length / mean length))``: f the term's occurrences
    in the passage, n the passages of the pool that have it, N those of the pool.

    Source: Robertson and Zaragoza, The Probabilistic Relevance Framework (2009); Lucene's variant, as in Kamphuis et
    al., Which BM25 Do You Mean? (ECIR 2020).

    Args:
        queries: by pool the terms of all queries, in the order of their table.
        passages: the terms of all passages, in the order of theirs.
        pools: ``[passages]`` the pool of each passage.

    Returns:
        The scores, from 0. Those of passages of different pools do not compare.
    """
    indexes = []
    for pool in pc.unique(pools).to_pylist():
        columns = np.flatnonzero(np.asarray(pc.equal(pools, pool)))
        terms = [passages[column] for column in columns.tolist()]
        if any(terms):  # else nothing is found in it
            # float64, so that equal passages tie and others do not
            index = bm25s.BM25(k1=K1, b=B, method="lucene", dtype="float64")
            index.index(terms, show_progress=False)
            indexes.append((queries[pool], columns, index))

    def score(rows: Integers) -> Doubles:
        scores = np.zeros((len(rows), len(passages)))
        for asked, columns, index in indexes:
            for place, row in enumerate(rows.tolist()):
                scores[place, columns] = index.get_scores_from_ids(index.get_tokens_ids(asked[row]))
        return scores

    return score
