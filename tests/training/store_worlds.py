"""Small worlds for the tests of the training store, and a plain second implementation of what it should say."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from xlstance.collection import TrainingSet
from xlstance.storage import Folder, read_manifest, read_shard, write_table
from xlstance.tables import hash_ids, make_table
from xlstance.training.store import TrainingStore
from xlstance.training.store.preparation import prepare_store
from xlstance.training.store.references import keys_of
from xlstance.training_data import TrainingData, publish_source, published

Row = dict[str, Any]
ID = {"queries": "query_id", "passages": "passage_id"}


class Letters:
    """Tokenises as an encoder does: a token for each character, after one for the kind."""

    def tokenize(self, texts: Sequence[str], kind: str) -> list[np.ndarray]:
        return [np.array([len(kind), *map(ord, text)], np.int32) for text in texts]


def prepare(sources: Sequence[TrainingData], folder: Path, workers: int = 0) -> TrainingStore:
    prepare_store(sources, Letters, "letters", Folder(folder), workers=workers)
    return TrainingStore(folder)


@dataclass(frozen=True)
class World:
    """Tables as rows; pairs as (pair_id, query_id, passage_id, ids of negatives)."""

    queries: list[Row]
    passages: list[Row]
    pairs: list[tuple[str, str, str, list[str] | None]]

    @property
    def tables(self) -> TrainingSet:
        names, pairs = (
            ("pair_id", "query_id", "passage_id", "negatives"),
            list(zip(*self.pairs, strict=True)) or [()] * 4,
        )
        negatives = [ids and [{"passage_id": name} for name in ids] for ids in pairs[3]]
        ids = {name: list(column) for name, column in zip(names[:3], pairs, strict=False)}
        return TrainingSet(
            queries=make_table("queries", columns(self.queries, "query_id")),
            passages=make_table("passages", columns(self.passages, "passage_id")),
            pairs=make_table("pairs", ids | {"negatives": negatives, "source": ["world"] * len(self.pairs)}),
        )

    def publish(self, folder: Path, shards: int, *, by_group: bool = True, bitext: bool = False) -> TrainingData:
        """By group, passages stand where their group is; queries and pairs stand anywhere."""
        for table in ("queries", "passages", "pairs"):
            rows = getattr(self.tables, table)
            key = rows["group_id"] if table == "passages" and by_group else None
            write_table(Folder(folder) / table, table, rows, "stamp", shards=shards, key=key)
        return published(Folder(folder), folder.name, bitext=bitext)

    def publish_together(self, folder: Path, shards: int) -> TrainingData:
        """As the stages publish: queries and pairs stand where the passage's group is."""
        publish_source(Folder(folder), self.tables.stream, "stamp", shards)
        return published(Folder(folder), folder.name)


def columns(rows: list[Row], name: str) -> dict[str, list[Any]]:
    return {column: [row[column] for row in rows] for column in (name, "lang", "text", "group_id")}


def parallel(groups: int, langs: Sequence[str] = ("en", "de", "fi"), negatives: int = 0, prefix: str = "") -> World:
    """Question i asks for passage i, in each pair of languages; the negatives are the next passages."""
    queries, passages, pairs = [], [], []
    for i in range(groups):
        question, answer = f"{prefix}q{i}", f"{prefix}p{i}"
        for a in langs:
            queries.append({"query_id": f"{question}-{a}", "lang": a, "text": f"{a} {i}?", "group_id": question})
            passages.append({"passage_id": f"{answer}-{a}", "lang": a, "text": f"{a} {i}.", "group_id": answer})
            wrong = [f"{prefix}p{(i + n + 1) % groups}-{a}" for n in range(negatives)]
            pairs += [(f"{prefix}{i}-{a}-{b}", f"{question}-{a}", f"{answer}-{b}", wrong or None) for b in langs]
    return World(queries, passages, pairs)


@st.composite
def worlds(draw: Any) -> World:
    """Few texts, groups and languages, so that all coincide; pairs and negatives between any of them."""

    def rows(name: str) -> list[Row]:
        kinds = st.tuples(st.sampled_from(["en", "de", "fi"]), st.sampled_from("vwxyz"), st.integers(0, 4))
        drawn = enumerate(draw(st.lists(kinds, min_size=1, max_size=8)))
        return [{name: f"{i}", "lang": lang, "text": text, "group_id": f"{group}"} for i, (lang, text, group) in drawn]

    queries, passages = rows("query_id"), rows("passage_id")
    query, passage = st.integers(0, len(queries) - 1).map(str), st.integers(0, len(passages) - 1).map(str)
    pair = st.tuples(query, passage, st.none() | st.lists(passage, max_size=3))
    pairs = draw(st.lists(pair, min_size=1, max_size=12))
    return World(queries, passages, [(f"pair{i}", *pair) for i, pair in enumerate(pairs)])


class Plain:
    """A store in dictionaries, read from the published tables row by row."""

    def __init__(self, sources: Sequence[TrainingData]) -> None:
        self.shards = len(read_manifest(sources[0].pairs).files)
        self.texts = {table: self._texts(sources, table) for table in ID}
        self.partitions: dict[tuple[int, str, str], list[list[Row]]] = {}
        for shard in range(self.shards):
            for number, source in enumerate(sources):
                for pair in sorted(read(source.pairs, "pairs", shard), key=lambda row: hash_of(row["pair_id"])):
                    query = self.find("queries", pair["query_id"], shard)
                    passage = self.find("passages", pair["passage_id"], shard)
                    negatives = [
                        self.find("passages", negative["passage_id"], shard) for negative in pair["negatives"] or []
                    ]
                    langs = self.texts["queries"][query]["lang"], self.texts["passages"][passage]["lang"]
                    pieces = self.partitions.setdefault((number, *langs), [[] for _ in range(self.shards)])
                    pieces[shard].append({"query": query, "passage": passage, "negatives": negatives})
        self.links = [
            (self.texts["queries"][pair["query"]], self.texts["passages"][pair["passage"]])
            for pieces in self.partitions.values()
            for piece in pieces
            for pair in piece
        ]

    def _texts(self, sources: Sequence[TrainingData], table: str) -> list[Row]:
        kind = "query" if table == "queries" else "passage"
        found = []
        for shard in range(self.shards):
            folders = [folder for source in sources for folder in getattr(source, table)]
            rows: dict[str, Row] = {}
            for row in (row for folder in folders for row in read(folder, table, shard)):
                rows.setdefault(row[ID[table]], row)
            keys = dict(zip(rows, keys_of(pa.chunked_array([list(rows)], pa.string()), kind).tolist(), strict=True))
            order = sorted(rows, key=lambda name: (hash_of(rows[name]["group_id"]), rows[name]["lang"], keys[name]))
            found += [{**rows[name], "id": name, "shard": shard} for name in order]
        return found

    def find(self, table: str, name: str, shard: int) -> int:
        """The row of a text: in the shard that asks, or else the first."""
        rows = [row for row, text in enumerate(self.texts[table]) if text["id"] == name]
        return next((row for row in rows if self.texts[table][row]["shard"] == shard), rows[0])

    def known(self, query: Row, passage: Row) -> bool:
        def alike(one: Row, other: Row) -> bool:
            return one["group_id"] == other["group_id"] or one["text"] == other["text"]

        return any(alike(query, asking) and alike(passage, answering) for asking, answering in self.links)

    def translations(self, row: int) -> list[int]:
        passages = self.texts["passages"]
        own = [i for i, other in enumerate(passages) if other["group_id"] == passages[row]["group_id"]]
        return sorted(own, key=lambda i: (passages[i]["lang"], i))

    def scattered(self) -> bool:
        """Whether some group has passages in two shards."""
        return len({(text["group_id"], text["shard"]) for text in self.texts["passages"]}) > len(
            {text["group_id"] for text in self.texts["passages"]}
        )


def read(folder: Folder, table: str, shard: int) -> list[Row]:
    return read_shard(folder, read_manifest(folder).files[shard], table).to_pylist()


def hash_of(text: str) -> int:
    return int(hash_ids([text])[0])
