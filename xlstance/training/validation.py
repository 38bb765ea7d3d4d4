"""Validation during training: the loss of development batches, and retrieval over a small sample of them."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from xlstance.ranking import RelevantRanks, relevant_ranks
from xlstance.training.agreement import from_first_rank, together
from xlstance.training.batches import BatchReader
from xlstance.training.encode import encode_rows
from xlstance.training.engine import Engine
from xlstance.training.objective import Objective
from xlstance.training.settings import TrainingSettings
from xlstance.training.store import TrainingStore

LOSS = "validation_loss"
_SETTINGS = ("mono", "cross", "multi")
_PAIRS_PER_QUERY = 4  # that are looked at, for queries with several pairs, and passages that answer none

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RetrievalSample:
    """Queries of a development store and the pool that they are searched in.

    Attributes:
        queries: ``[Q] int64`` rows of the store.
        passages: ``[P] int64`` rows of the store.
        query_table: ``query_id``, ``lang`` of the queries.
        passage_table: ``passage_id``, ``lang`` of the passages.
        qrels: what is known to answer what: ``query_id``, ``passage_id``, ``gain``.
    """

    queries: Rows
    passages: Rows
    query_table: pa.Table
    passage_table: pa.Table
    qrels: pa.Table


def sample_retrieval(store: TrainingStore, size: int) -> RetrievalSample:
    """A sample that is the same for every arm and seed: the rows of a store stand in the order of a hash.

    Queries are taken from the partitions in turn, so that every pair of languages has its share. The pool holds a
    passage that answers each, about as many others, and all translations of both.

    Args:
        store: of development pairs.
        size: queries at most.
    """
    retrieval = [index for index, partition in enumerate(store.partitions) if not partition.bitext]
    used = retrieval or list(range(len(store.partitions)))
    looked_at = -(-size * _PAIRS_PER_QUERY // len(used))
    rows = np.concatenate([np.arange(min(store.partitions[index].rows, looked_at)) for index in used])
    partition = np.concatenate([np.full(min(store.partitions[index].rows, looked_at), index) for index in used])
    in_turn = np.lexsort((partition, rows))
    queries, passages = store.locate(partition[in_turn], rows[in_turn])
    first = np.sort(np.unique(queries, return_index=True)[1])[:size]
    others = np.delete(passages, first)
    queries = queries[first]

    answers = {int(group[0]): group for group in store.translations(passages[first])}
    groups = dict(answers)
    for group in store.translations(others):
        if len(groups) == 2 * len(answers):
            break
        groups.setdefault(int(group[0]), group)
    pool = np.unique(np.concatenate(list(groups.values())))
    known = np.argwhere(store.known_positives(queries, pool))
    query_ids, passage_ids, languages = queries.astype(str), pool.astype(str), np.array(store.languages)
    return RetrievalSample(
        queries=queries,
        passages=pool,
        query_table=pa.table({"query_id": query_ids, "lang": languages[store.query_languages(queries)]}),
        passage_table=pa.table({"passage_id": passage_ids, "lang": languages[store.passage_languages(pool)]}),
        qrels=pa.table(
            {
                "query_id": query_ids[known[:, 0]],
                "passage_id": passage_ids[known[:, 1]],
                "gain": np.ones(len(known), dtype=np.int64),
            }
        ),
    )


def retrieval_figures(query_languages: npt.NDArray[np.str_], ranks: RelevantRanks) -> dict[str, float]:
    """Mean average precision in the settings that there are, by ``mono``, ``cross`` and ``multi``.

    Mono searches the passages of the query's language, cross those of each other language, multi those of all. Means
    are over queries, then over languages or ordered pairs of them, as in the evaluation (arXiv 2408.10536, section 4).

    Args:
        query_languages: ``[Q]`` of the queries.
        ranks: of the passages that answer them.
    """
    found = pd.DataFrame(
        {
            "query": ranks.query_index,
            "from": query_languages[ranks.query_index],
            "to": np.array(ranks.languages)[ranks.language],
            "in_own": ranks.in_own_pool,
            "in_all": ranks.in_all,
        }
    )

    def average_precision(rank: str, by: list[str]) -> "pd.Series[float]":
        ordered = found.sort_values(["query", rank])
        runs = ordered.groupby(["query", *by])
        precision = (runs.cumcount() + 1) / ordered[rank]
        of_query = precision.groupby([ordered[name] for name in ["query", *by]]).mean()
        return of_query.groupby(by).mean()

    pairs = average_precision("in_own", ["from", "to"])
    mono = pairs.index.get_level_values("from") == pairs.index.get_level_values("to")
    multi = average_precision("in_all", ["from"])
    figures = zip(_SETTINGS, (pairs[mono], pairs[~mono], multi), strict=True)
    return {name: float(values.mean()) for name, values in figures if len(values)}


class Validation:
    """Measures the model that is being trained; every rank calls it, and every rank gets the same figures.

    Args:
        store: of development pairs.
        batches: the same development batches for every arm and seed.
        settings: of the training run.
        engine: the DeepSpeed engine.
        objective: around it.
    """

    def __init__(
        self,
        store: TrainingStore,
        batches: BatchReader,
        settings: TrainingSettings,
        engine: Engine,
        objective: Objective,
    ) -> None:
        self._store, self._batches, self._settings = store, batches, settings.validation
        self._chunk_tokens, self._engine, self._objective = settings.chunk_tokens, engine, objective
        queries = settings.validation.queries
        self._sample = sample_retrieval(store, queries) if queries else None

    def measure(self) -> dict[str, float]:
        """``validation_loss``, and ``validation_mono_map``, ``..._cross_map``, ``..._multi_map`` where they exist.

        Retrieval is left out where the loss is no number.
        """
        losses = [self._objective.evaluate(self._batches[n], n) for n in range(self._settings.batches)]
        figures = {LOSS: sum(losses) / len(losses)}
        if self._sample is not None and math.isfinite(figures[LOSS]):
            found = self._retrieve(self._sample)
            figures |= {f"validation_{name}_map": value for name, value in found.items()}
        return figures

    def score(self, figures: dict[str, float]) -> float:
        """The figure that is watched, higher being better."""
        if self._settings.watch == "loss":
            return -figures[LOSS]
        found = [value for name, value in figures.items() if name != LOSS]
        return sum(found) / len(found)

    def _retrieve(self, sample: RetrievalSample) -> dict[str, float]:
        texts = (self._store.query_tokens(sample.queries), self._store.passage_tokens(sample.passages))
        query_vectors, passage_vectors = (encode_rows(self._engine, tokens, self._chunk_tokens) for tokens in texts)
        with together("validation"):
            ranks = relevant_ranks(
                sample.query_table, sample.passage_table, sample.qrels, query_vectors, passage_vectors
            )
            figures = retrieval_figures(sample.query_table["lang"].to_numpy().astype(str), ranks)
        # The ranks' machines may sum in another order: one of them decides.
        return dict(zip(figures, from_first_rank(list(figures.values())), strict=True))
