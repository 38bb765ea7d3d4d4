"""Small published pairs whose texts have known vectors, and the plain way to rank them: loops in float64."""

import math
import random
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Replace
from tokenizers.pre_tokenizers import WhitespaceSplit

from xlstance.augmentation.way import Made, Part, Surroundings, Way
from xlstance.collection import TrainingSet
from xlstance.encoders import EncoderSettings, StaticEncoder
from xlstance.leakage.text import normalise
from xlstance.storage import Folder
from xlstance.tables import hash_ids, make_table
from xlstance.training_data import publish_source, published, read_shard_of

Vectors = dict[str, list[float]]


def text_rows(table: str, rows: Iterable[tuple[str, str, str, str]]) -> pa.Table:
    """A table of texts from (id, language, text, group)."""
    ids, langs, texts, groups = ([row[at] for row in rows] for at in range(4))
    own = "query_id" if table == "queries" else "passage_id"
    return make_table(table, {own: ids, "lang": langs, "text": texts, "group_id": groups})


def pair_rows(rows: Iterable[tuple[str, str]]) -> pa.Table:
    """A table of pairs from (query, passage)."""
    ids = [f"{query}+{passage}" for query, passage in rows]
    asked, answers = ([row[at] for row in rows] for at in range(2))
    return make_table("pairs", {"pair_id": ids, "query_id": asked, "passage_id": answers, "source": ["s"] * len(ids)})


def random_world(seed: int, linked: bool) -> tuple[TrainingSet, Vectors]:
    """Forty passage groups and fifty query groups in three languages, with many equal scores and equal texts.

    Args:
        seed: of everything.
        linked: query groups have answers in several passage groups, so they are spread over the shards.
    """
    draw = random.Random(seed)
    languages = ["en", "de", "fi"]
    passages, queries, pairs = [], [], []
    of_group = defaultdict(list)
    for group in range(40):
        for lang in draw.sample(languages, draw.randint(1, 3)):
            # Every eighth text stands in several groups, once with a full stop.
            text = f"t{draw.randint(0, 3)}{draw.choice(['', ' .'])}" if draw.random() < 0.125 else f"p{group}{lang}"
            passages.append((f"p{group}-{lang}", lang, text, f"P{group}"))
            of_group[group].append(f"p{group}-{lang}")
    for group in range(50):
        answers = draw.sample(range(30), 2 if linked and draw.random() < 0.5 else 1)  # ten groups answer nothing
        answers = answers if linked else [group % 30]
        for lang in draw.sample(languages, draw.randint(1, 3)):
            queries.append((f"q{group}-{lang}", lang, f"q{group}{lang}", f"Q{group}"))
            for passage in {draw.choice(of_group[answer]) for answer in answers}:
                pairs.append((f"q{group}-{lang}", passage))
    texts = [row[2] for row in (*passages, *queries)]
    # So few vectors that many are equal, and many scores.
    corners = [v for v in np.ndindex(3, 3, 3, 3) if v != (1, 1, 1, 1)]
    vectors = {text: (np.array(draw.choice(corners)) - 1.0).tolist() for text in sorted(set(texts))}
    text_of = {row[0]: row[2] for row in (*passages, *queries)}
    for query, passage in pairs:
        if draw.random() < 0.5:  # so that some find their passage
            vectors[text_of[query]] = vectors[text_of[passage]]
    return TrainingSet(
        passages=text_rows("passages", passages), queries=text_rows("queries", queries), pairs=pair_rows(pairs)
    ), vectors


def save_encoder(folder: Path, vectors: Vectors) -> EncoderSettings:
    """An encoder that gives every text its vector, scaled to length 1."""
    words = {word: number for number, word in enumerate(["[UNK]", *sorted(vectors)])}
    # A text is one token, whatever it holds.
    tokenizer = Tokenizer(WordLevel({word.replace(" ", "_"): n for word, n in words.items()}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = Replace(" ", "_"), WhitespaceSplit()
    dimension = len(next(iter(vectors.values())))
    weights = torch.tensor([[1.0] * dimension, *(vectors[word] for word in sorted(vectors))])
    sides = {"prefix": {"query": "", "passage": ""}, "max_length": {"query": 4, "passage": 4}}
    StaticEncoder(tokenizer, weights, **sides).save(folder)
    return EncoderSettings(model=str(folder))


def surroundings(
    folder: Path, source: TrainingSet, *, shards: int = 4, seed: int = 0, workers: int = 0
) -> Surroundings:
    """The published pairs, and a folder for what is made of them."""
    publish_source(Folder(folder / "source"), source.stream, "stamp", shards)
    parents = (published(Folder(folder / "source"), "source"),)
    return Surroundings(parents=parents, folder=Folder(folder / "made"), seed=seed, workers=workers)


def do(way: Way, around: Surroundings) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """All that a way makes: pairs in the order of their ids, and the counts."""
    way.before(around)
    work, made = way.work(around), []
    count = around.parents[0].shards
    for index in range(count):
        pairs, queries, passages = read_shard_of(around.parents, index)
        made.append(work(Part(pairs=pairs, queries=queries, passages=passages, index=index, count=count)))
    assert all(isinstance(one, Made) and one.queries is None and one.passages is None for one in made)
    counts: dict[str, int] = defaultdict(int)
    for one in made:
        for name, number in one.counts.items():
            counts[name] += number
    rows = [row for one in made for row in one.pairs.to_pylist()]
    assert len({row["pair_id"] for row in rows}) == len(rows)
    return sorted(rows, key=lambda row: row["pair_id"]), dict(counts)


class PlainRanking:
    """Rivals by loops over all passages.

    Args:
        source: the pairs.
        vectors: of the texts.
        size: of the sample of each language; 0 for all.
        seed: of the sample.
    """

    def __init__(self, source: TrainingSet, vectors: Vectors, size: int = 0, seed: int = 0) -> None:
        self.queries = {row["query_id"]: row for row in source.queries.to_pylist()}
        self.passages = {row["passage_id"]: row for row in source.passages.to_pylist()}
        self.pairs = source.pairs.to_pylist()
        rows = torch.nn.functional.normalize(torch.tensor(list(vectors.values()), dtype=torch.float32))
        self._vectors = dict(zip(vectors, rows.tolist(), strict=True))
        self._answers = defaultdict(list)
        for pair in self.pairs:
            self._answers[self.queries[pair["query_id"]]["group_id"]].append(self.passages[pair["passage_id"]])
        self._pool = list(self.passages.values())
        if size:
            langs = {row["lang"] for row in self._pool}
            by_draw = sorted(self._pool, key=lambda row: hash_ids([f"{row['passage_id']}#{seed}"])[0])
            self._pool = [row for lang in langs for row in [r for r in by_draw if r["lang"] == lang][:size]]

    def score(self, query: str, passage: str) -> float:
        """The score of a passage for a query; scores closer than 1e-9 count as equal."""
        left, right = self._vectors[self.queries[query]["text"]], self._vectors[self.passages[passage]["text"]]
        return round(math.fsum(a * b for a, b in zip(left, right, strict=True)) * 2**30) / 2**30

    def rivals(self, pair: dict[str, Any], which: str) -> list[tuple[float, str]]:
        """(score, passage) of all that are not known to answer, the nearest first."""
        answers = self._answers[self.queries[pair["query_id"]]["group_id"]]
        groups = {row["group_id"] for row in answers}
        texts = {normalise(row["text"]) for row in self.passages.values() if row["group_id"] in groups}
        own = self.passages[pair["passage_id"]]["lang"]
        found = []
        for row in self._pool:
            if row["group_id"] in groups or normalise(row["text"]) in texts:
                continue
            if which == "any" or (row["lang"] == own) == (which == "same"):
                found.append((self.score(pair["query_id"], row["passage_id"]), row["passage_id"]))
        return sorted(found, key=lambda item: (-item[0], hash_ids([item[1]])[0], item[1]))

    def languages(self, pair: dict[str, Any]) -> str:
        """Query and passage language."""
        return f"{self.queries[pair['query_id']]['lang']}>{self.passages[pair['passage_id']]['lang']}"
