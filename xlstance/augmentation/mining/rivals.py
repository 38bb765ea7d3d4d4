"""The rivals of a pair's passage: the nearest passages to its query that are not known to answer it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import torch

from xlstance.augmentation.mining.neighbours import Integers, Languages, nearest, scores_of
from xlstance.augmentation.mining.pool import Pool, encoded_texts, passage_keys, pool_tables, vectors_of
from xlstance.augmentation.references import rows_of
from xlstance.augmentation.way import Part, Surroundings
from xlstance.storage import Folder, read_manifest, read_shard
from xlstance.tables import hash_ids
from xlstance.training_data import colocated


@dataclass(frozen=True, kw_only=True)
class Rivals:
    """What was found for the P pairs of a shard; scores are integers in units of ``1 / neighbours.SCALE``.

    Attributes:
        languages: ``[P]`` query and passage language of each pair, such as ``en>de``.
        positive: ``[P]`` score of the pair's own passage.
        scores: ``[P, count]`` scores of its rivals, the highest first; ``neighbours.NOTHING`` where there are no more.
        rows: ``[P, count]`` their rows in the pool; -1 where there are no more.
    """

    languages: list[str]
    positive: Integers
    scores: Integers
    rows: Integers


class RivalSearch:
    """Finds rivals; made once in each worker.

    No rivals are the passages known to answer the query: those of a passage group that a pair of the parents gives to
    the query's group, in any language, and those whose normalised text is the same as one of theirs.

    Args:
        pool_size: of the sample, for each language; 0 searches all passages.
        around: where ``encode_parents`` has been.

    Attributes:
        pool: what is searched.
    """

    def __init__(self, pool_size: int, around: Surroundings) -> None:
        torch.set_num_threads(max(1, int(around.cpus_per_worker)))
        self.pool = Pool(pool_tables(pool_size, around))
        self._around = around
        self._together = all(colocated(parent) for parent in around.parents)
        self._links: pd.DataFrame | None = None

    def __call__(self, part: Part, which: Languages, count: int) -> Rivals:
        """The rivals of every pair of a shard.

        Args:
            part: the shard.
            which: rivals in the language of the pair's passage, in any other, or in all.
            count: rivals to find for a pair.

        Raises:
            DataError: if a pair refers to a text that is not there.
        """
        pairs, pool = part.pairs, self.pool
        query_rows = rows_of(pairs, "query_id", part.queries)
        query_langs = part.queries["lang"].take(pa.array(query_rows))
        langs = part.passages["lang"].take(pa.array(rows_of(pairs, "passage_id", part.passages)))
        # Pairs of one query share a search where they ask for the same languages.
        codes = pc.fill_null(pc.index_in(langs, pool.languages), -1).to_numpy().astype(np.int64)
        asked = pd.DataFrame({"query": query_rows, "language": 0 if which == "any" else codes})
        search_of = asked.groupby(["query", "language"], sort=False).ngroup().to_numpy()
        searches = asked.drop_duplicates()
        queries = part.queries.take(pa.array(searches["query"]))
        shard = part.index if self._together else None
        vectors = vectors_of(queries["query_id"], encoded_texts("query", self._around), shard)
        passages = vectors_of(pairs["passage_id"], encoded_texts("passage", self._around), part.index)
        scores, rows = nearest(
            vectors,
            searches["language"].to_numpy(),
            pool.blocks(),
            pool.language,
            pool.places,
            self._answers(queries, part),
            which=which,
            count=count,
        )
        return Rivals(
            languages=pc.binary_join_element_wise(query_langs, langs, ">").to_pylist(),
            positive=scores_of(vectors[search_of], passages),
            scores=scores[search_of],
            rows=rows[search_of],
        )

    def _answers(self, queries: pa.Table, part: Part) -> tuple[Integers, Integers]:
        """Rows of the queries and rows of the pool's passages known to answer them, ascending by the latter."""
        links = _links(part.pairs, part.queries, part.passages) if self._together else self._all_links(part.queries)
        asked = pd.DataFrame({"row": np.arange(len(queries)), "group": hash_ids(queries["group_id"])})
        known = asked.merge(links, on="group")
        which, rows = self.pool.rows_with(known["key"].to_numpy())
        found = pd.DataFrame({"query": known["row"].to_numpy()[which], "passage": rows}).drop_duplicates()
        found = found.sort_values("passage")
        return found["query"].to_numpy(), found["passage"].to_numpy()

    def _all_links(self, queries: pa.Table) -> pd.DataFrame:
        """The links of all shards: where a query's answers lie in several, each part holds the queries of all."""
        if self._links is None:
            parents = self._around.parents
            folders = [parent.pairs for parent in parents], [f for parent in parents for f in parent.passages]
            shards = range(parents[0].shards)
            self._links = pd.concat(
                [_links(_read(folders[0], "pairs", at), queries, _read(folders[1], "passages", at)) for at in shards]
            )
        return self._links


def _read(folders: list[Folder], table: str, index: int) -> pa.Table:
    files = [(folder, read_manifest(folder).files[index]) for folder in dict.fromkeys(folders)]
    return pa.concat_tables([read_shard(folder, file, table) for folder, file in files])


def _links(pairs: pa.Table, queries: pa.Table, passages: pa.Table) -> pd.DataFrame:
    """What the pairs say: hashes of query groups (``group``), and keys of all passages of the groups that answer them.

    A group's passages stand in one shard, in all languages, so their own keys (``key``) tell them and what has the same
    text.
    """
    asked = queries["group_id"].take(pa.array(rows_of(pairs, "query_id", queries)))
    answers = passages["group_id"].take(pa.array(rows_of(pairs, "passage_id", passages)))
    links = pd.DataFrame({"group": hash_ids(asked), "answer": hash_ids(answers)}).drop_duplicates()
    told = passages.filter(pc.is_in(passages["group_id"], pc.unique(answers)))
    keys = pd.DataFrame({"answer": hash_ids(told["group_id"]), "key": passage_keys(told)})
    return links.merge(keys, on="answer")[["group", "key"]].drop_duplicates()
