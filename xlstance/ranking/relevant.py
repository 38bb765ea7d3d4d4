"""Exact ranks of the relevant passages, from which every figure of the evaluation follows.

For each relevant (query, passage) the passages that rank before it are counted, per language of the pool. One pass
over the scores thus serves the pool of one language and the pool of all languages, with no cutoff.
"""

from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.errors import DataError
from xlstance.ranking.order import TIE, Best, best_columns, blind_order
from xlstance.ranking.scores import Doubles, Floats, Integers, Scores, rows_of, score_blocks, vector_scores


@dataclass(frozen=True, kw_only=True)
class RelevantRanks:
    """Where every relevant passage ranks; row by row for R relevant (query, passage), ordered by query.

    Attributes:
        languages: languages of the passages, sorted.
        pool_sizes: ``[languages]`` passages per language.
        query_index: ``[R]`` row of the query in the table ``queries``.
        passage_index: ``[R]`` row of the passage in the table ``passages``.
        language: ``[R]`` the passage's language, an index into ``languages``.
        gain: ``[R]`` the gain that the qrels give, above 0.
        before: ``[R, languages]`` passages of each language that rank before this one in the pool of all languages.
        ties: ``[R]`` other passages of any language with the same score.
        before_in_own_pool: ``[R]`` passages that rank before this one in the pool of its language, where that pool is
            ranked by scores of its own; None: those of its language in ``before``.
    """

    languages: tuple[str, ...]
    pool_sizes: Integers
    query_index: Integers
    passage_index: Integers
    language: Integers
    gain: Integers
    before: Integers
    ties: Integers
    before_in_own_pool: Integers | None = None

    @property
    def in_own_pool(self) -> Integers:
        """``[R]`` rank, from 1, in the pool of the passage's language."""
        before = self.before_in_own_pool
        ranks: Integers = 1 + (self.before[np.arange(len(self.before)), self.language] if before is None else before)
        return ranks

    @property
    def in_all(self) -> Integers:
        """``[R]`` rank, from 1, in the pool of all languages together."""
        ranks: Integers = 1 + self.before.sum(axis=1)
        return ranks

    def where(self, keep: npt.NDArray[np.bool_]) -> "RelevantRanks":
        """The same ranks of some of the relevant passages; ``keep`` is ``[R] bool``."""
        rows = {field.name: getattr(self, field.name) for field in fields(self)}
        of_pool = {name: rows.pop(name) for name in ("languages", "pool_sizes")}
        kept: dict[str, Any] = {name: None if values is None else values[keep] for name, values in rows.items()}
        return RelevantRanks(**of_pool, **kept)


def relevant_ranks(
    queries: pa.Table, passages: pa.Table, qrels: pa.Table, query_vectors: Floats, passage_vectors: Floats
) -> RelevantRanks:
    """Ranks all passages for every query by the dot product of vectors.

    Args:
        queries: as of ``rank_passages``.
        passages: as of ``rank_passages``.
        qrels: as of ``rank_passages``.
        query_vectors: ``[Q, D] float32`` of unit length, in the order of ``queries``.
        passage_vectors: ``[N, D] float32`` of unit length, in the order of ``passages``.

    Returns:
        The ranks; queries without a relevant passage have no row.

    Raises:
        DataError: if a vector is missing or not finite, or the qrels name an unknown id or a pair twice.
    """
    scores = vector_scores(queries, passages, query_vectors, passage_vectors)
    return rank_passages(queries, passages, qrels, scores)[0]


def rank_passages(
    queries: pa.Table,
    passages: pa.Table,
    qrels: pa.Table,
    scores: Scores,
    *,
    in_own_pools: Scores | None = None,
    top_k: int = 0,
) -> tuple[RelevantRanks, Best]:
    """Ranks all passages for every query, and keeps what the relevant ones need and the best of each query.

    The rank of a passage is 1 + the passages scored higher + the equally scored ones (within 1e-12) that come earlier
    in a fixed order, by the hash of ``passage_id`` and then the id, which knows neither language nor relevance. An
    encoder that maps everything to one vector thus gets chance.

    Args:
        queries: table ``queries`` (Q rows).
        passages: table ``passages`` (N rows), the pool of all languages.
        qrels: table ``qrels``; gains above 0 are relevant.
        scores: of the passages.
        in_own_pools: scores that rank the pool of one language, where ``scores`` hold for that of all languages alone.
        top_k: length of the lists of the best; a smaller pool gives all it has.

    Returns:
        The ranks, in which queries without a relevant passage have no row; the best passages of all queries.

    Raises:
        DataError: if the qrels name an unknown id or a pair twice.
    """
    query, passage, gain = _relevant(queries, passages, qrels)
    languages, of_passage = np.unique(passages.column("lang").to_numpy().astype(str), return_inverse=True)
    sizes = np.bincount(of_passage, minlength=len(languages)).astype(np.int64)
    blind = blind_order(passages.column("passage_id"))
    counting = _Counting(query, passage, of_passage, sizes, blind)
    top_k = min(top_k, passages.num_rows)
    best = Best(passage_index=np.zeros((len(queries), top_k), np.int64), scores=np.zeros((len(queries), top_k)))
    asked = np.arange(len(queries)) if top_k else np.unique(query)
    before, ties = np.zeros((len(query), len(languages)), np.int64), np.zeros(len(query), np.int64)
    for rows, block in score_blocks(scores, asked, passages.num_rows):
        counting.count(rows, block, before, ties)
        if top_k:
            best.passage_index[rows] = blind[best_columns(block[:, blind], top_k)]
            best.scores[rows] = np.take_along_axis(block, best.passage_index[rows], axis=1)
    own: Integers | None = None
    if in_own_pools is not None:
        inside, unused = np.zeros_like(before), np.zeros_like(ties)
        for rows, block in score_blocks(in_own_pools, np.unique(query), passages.num_rows):
            counting.count(rows, block, inside, unused)
        own = inside[np.arange(len(query)), of_passage[passage]]
    ranks = RelevantRanks(
        languages=tuple(languages.tolist()),
        pool_sizes=sizes,
        query_index=query,
        passage_index=passage,
        language=of_passage[passage].astype(np.int64),
        gain=gain,
        before=before,
        ties=ties,
        before_in_own_pool=own,
    )
    return ranks, best


def _relevant(queries: pa.Table, passages: pa.Table, qrels: pa.Table) -> tuple[Integers, Integers, Integers]:
    """Rows of the queries and passages that belong together, and their gains, ordered by query and passage."""
    relevant = qrels.filter(pc.greater(qrels.column("gain"), 0))
    query = rows_of(relevant.column("query_id"), queries.column("query_id"), "query")
    passage = rows_of(relevant.column("passage_id"), passages.column("passage_id"), "passage")
    by_query = np.lexsort((passage, query))
    query, passage = query[by_query], passage[by_query]
    twice = np.flatnonzero((np.diff(query) == 0) & (np.diff(passage) == 0))
    if len(twice):
        name = queries.column("query_id")[int(query[twice[0]])]
        raise DataError(f"qrels: query {str(name)!r} lists the same passage twice; a pair stands once")
    return query, passage, relevant.column("gain").to_numpy().astype(np.int64)[by_query]


class _Counting:
    """Counts the passages before each relevant one.

    Args:
        query: ``[R]`` rows of the relevant pairs' queries, ascending.
        passage: ``[R]`` rows of their passages.
        of_passage: ``[N]`` number of each passage's language.
        sizes: ``[languages]`` passages per language.
        blind: ``[N]`` the passages in the order that breaks ties.
    """

    def __init__(
        self, query: Integers, passage: Integers, of_passage: Integers, sizes: Integers, blind: Integers
    ) -> None:
        self._query = query
        self._segments = np.concatenate([[0], np.cumsum(sizes)])
        # Passages language by language, in each in the order that breaks ties.
        self._columns = blind[np.argsort(of_passage[blind], kind="stable")]
        place, order = np.empty(len(blind), np.int64), np.empty(len(blind), np.int64)
        place[self._columns] = np.arange(len(blind))
        order[blind] = np.arange(len(blind))
        self._place, self._order = place[passage], order[passage]
        # Of each column its language and its place in the order that breaks ties as one ascending number.
        self._starts = np.arange(len(sizes)) * len(blind)
        self._keys = np.repeat(self._starts, sizes) + order[self._columns]

    def count(self, rows: Integers, block: Doubles, before: Integers, ties: Integers) -> None:
        """Fills in what a block of scores tells.

        Args:
            rows: ``[queries]`` the rows of the block's queries, ascending.
            block: ``[queries, N]`` their scores, passages in the order of their table.
            before: ``[R, languages]`` to fill: passages of each language that rank before this one.
            ties: ``[R]`` to fill: other passages with the same score.
        """
        items = slice(*np.searchsorted(self._query, [rows[0], rows[-1] + 1]))
        if items.start == items.stop:
            return
        row, place, order = np.searchsorted(rows, self._query[items]), self._place[items], self._order[items]
        scores, before, ties = block[:, self._columns], before[items], ties[items]
        own = scores[row, place]
        bounds = np.searchsorted(row, np.arange(len(scores) + 1))
        for language, (first, last) in enumerate(pairwise(self._segments)):
            ascending = np.sort(scores[:, first:last], axis=1)
            for query, values in enumerate(ascending):
                of_query = slice(bounds[query], bounds[query + 1])
                not_higher = values.searchsorted(own[of_query] + TIE, side="right")
                lower = values.searchsorted(own[of_query] - TIE, side="left")
                before[of_query, language] = len(values) - not_higher
                ties[of_query] += not_higher - lower
        ties -= 1  # itself
        tied = np.flatnonzero(ties)
        seen, equal = (-1, np.nan), self._keys[:0]
        for item in tied[np.lexsort((own[tied], row[tied]))]:  # those of one score one after the other
            if seen != (row[item], own[item]):
                seen, equal = (row[item], own[item]), self._keys[np.abs(scores[row[item]] - own[item]) <= TIE]
            before[item] += equal.searchsorted(self._starts + order[item]) - equal.searchsorted(self._starts)
