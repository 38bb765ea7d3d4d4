"""The pool of all languages, by the language of its passages: how well each is found, and its share of the top."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xlstance.evaluation.bias import recall_by_language, recall_gap
from xlstance.evaluation.language_share import TOP, kl_divergence
from xlstance.ranking import RelevantRanks

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Figures = dict[str, float | None]

_RECALL_AT = (10, 100)


@dataclass(frozen=True, kw_only=True)
class LanguageFigures:
    """Figures of the multilingual pool that compare the languages of its passages.

    Attributes:
        multi: over all query languages.
        per_language: by query language.
        per_pair: by ``query language->passage language``: ``recall@10`` and ``recall@100`` of the passages of that
            language, and their ``share@10`` of the ten best.
    """

    multi: Figures
    per_language: Mapping[str, Figures]
    per_pair: Mapping[str, Figures]


def by_language(
    query_languages: npt.NDArray[np.object_], ranks: RelevantRanks, top: Integers | None
) -> LanguageFigures:
    """Compares the languages of the passages in the pool of all languages.

    Args:
        query_languages: ``[queries]`` language of every query.
        ranks: the ranks of the relevant passages; only queries that have one count.
        top: ``[queries, languages]`` from ``language_share.top_languages``; None leaves shares without a value.

    Returns:
        ``recall_gap@10`` and ``@100``: ``bias.recall_gap`` of a query language. ``own_language_share@10``: the
        share of the query's language among the ten best passages, beside ``own_language_share@10_chance``, that in the
        pool; None where the pool has no such language. ``language_kl@10``: ``kl_divergence`` of all the ten best
        passages of a language's queries. For all together they are means over query languages; and
        ``recall_gap_overall@10`` and ``@100`` are the gap of each passage language's recall averaged over query
        languages, where every language's preference for itself cancels, and that for one language stays.
    """
    judged, query = np.unique(ranks.query_index, return_inverse=True)
    asked, asker = np.unique(query_languages[judged].astype(str), return_inverse=True)
    languages, size = np.array(ranks.languages, dtype=str), len(ranks.languages)
    pairs: dict[str, Floats] = {}
    per_language: dict[str, Floats] = {}
    multi: dict[str, Floats] = {}
    for k in _RECALL_AT:
        of_query = recall_by_language(query, ranks.language, ranks.in_all, (len(judged), size), k)
        recall = _means(of_query, asker, len(asked))
        pairs[f"recall@{k}"] = recall
        per_language[f"recall_gap@{k}"] = recall_gap(recall)
        multi[f"recall_gap_overall@{k}"] = recall_gap(_means(recall))[0]

    pool = ranks.pool_sizes / max(1, ranks.pool_sizes.sum())
    share = np.full((len(asked), size), np.nan)
    if top is not None:
        listed = np.zeros((len(asked), size))
        np.add.at(listed, asker, top[judged])
        share = listed / listed.sum(axis=1, keepdims=True)
    own = asked[:, None] == languages
    has_own = own.any(axis=1)
    per_language |= {
        f"own_language_share@{TOP}": np.where(has_own, np.where(own, share, 0).sum(axis=1), np.nan),
        f"own_language_share@{TOP}_chance": np.where(has_own, own @ pool, np.nan),
        f"language_kl@{TOP}": kl_divergence(share, pool),
    }
    pairs[f"share@{TOP}"] = share
    means = {name: _means(values[:, None])[0, 0] for name, values in per_language.items()}
    return LanguageFigures(
        multi=_numbers({**means, **multi}),
        per_language={
            str(lang): _numbers({name: values[row] for name, values in per_language.items()})
            for row, lang in enumerate(asked)
        },
        per_pair={
            f"{source}->{target}": _numbers({name: values[row, column] for name, values in pairs.items()})
            for row, source in enumerate(asked)
            for column, target in enumerate(languages)
        },
    )


def _means(values: Floats, group: Integers | None = None, groups: int = 1) -> Floats:
    """``[groups, columns]`` means of the rows of each group, one group if None; NaN counts as missing."""
    rows = np.zeros(len(values), np.int64) if group is None else group
    known = ~np.isnan(values)
    sums, counts = np.zeros((groups, values.shape[1])), np.zeros((groups, values.shape[1]))
    np.add.at(sums, rows, np.where(known, values, 0))
    np.add.at(counts, rows, known)
    means: Floats = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    return means


def _numbers(figures: Mapping[str, Floats]) -> Figures:
    return {name: None if np.isnan(value) else float(value) for name, value in figures.items()}
