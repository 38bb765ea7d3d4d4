"""One list for the pool of all languages out of a list for each: the usual answer to language bias."""

from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.ranking import Scores, blind_order, descending
from xlstance.ranking.scores import Doubles, Integers

Merge = Literal["round-robin", "normalised"]
ABOUT: dict[Merge, str] = {
    "round-robin": "the best of each language's list first, then the second of each; within a round by a hash of the "
    "passage's id",
    "normalised": "by scores that run from 0 to 1 in each language's list",
}


def merged(scores: Scores, passages: pa.Table, merge: Merge) -> Scores:
    """Scores that rank the passages of all languages by their places in the list of their own language.

    Within a language the order stays what it was. ``round-robin``: minus the rank in that list, so that a round is a
    tie, which ``rank_passages`` breaks blind to language and query. ``normalised``: (score - lowest) / (highest -
    lowest) of the list, 0 where all are equal.

    Source: Savoy, Combining Multiple Strategies for Effective Monolingual and Cross-Language Retrieval (Information
    Retrieval 7, 2004), sections on merging.

    Args:
        scores: of the passages, comparable within a language.
        passages: table ``passages``.
        merge: the rule.
    """
    languages, blind = passages["lang"], blind_order(passages["passage_id"])
    in_order = languages.take(pa.array(blind))
    lists = [blind[np.asarray(pc.equal(in_order, lang))] for lang in pc.unique(languages).to_pylist()]
    by_rule = _minus_ranks if merge == "round-robin" else _normalised

    def merge_lists(rows: Integers) -> Doubles:
        block = scores(rows)
        made = np.empty_like(block)
        for columns in lists:
            made[:, columns] = by_rule(block[:, columns])
        return made

    return merge_lists


def _minus_ranks(scores: Doubles) -> Doubles:
    ranks = np.empty_like(scores)
    np.put_along_axis(ranks, descending(scores), -np.arange(1.0, scores.shape[1] + 1)[None], axis=1)
    return ranks


def _normalised(scores: Doubles) -> Doubles:
    lowest = scores.min(axis=1, keepdims=True)
    reach = scores.max(axis=1, keepdims=True) - lowest
    normalised: Doubles = np.divide(scores - lowest, reach, out=np.zeros_like(scores), where=reach > 0)
    return normalised
