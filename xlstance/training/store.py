"""The training store: pairs tokenised once, memory-mapped, read by row in constant time.

Texts stand once, as token ids; a partition is a list of (query row, passage row). So cross-lingual pairs over parallel
groups, which are references, cost sixteen bytes each and not two texts. Every query carries the keys of all passages
known to answer it, and every passage its own keys: false negatives are masked from these.

    store/ queries.arrow   tokens, its two lists of answers (of its group, of its text)
           answers.arrow   lists of keys
           passages.arrow  tokens, keys (passage group, text)
           pairs-00000.arrow ...  query, passage
           manifest.json
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Generic, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from xlstance.encoders import Encoder
from xlstance.errors import DataError, StorageError
from xlstance.storage import MANIFEST, Folder, fingerprint, read_table
from xlstance.tables import hash_ids
from xlstance.training.plan import Partition
from xlstance.training_data import TrainingData

Tokens = list[npt.NDArray[np.int32]]
Number = TypeVar("Number", bound=np.generic)
_TOKENISE_AT_ONCE = 4096
_PAIRS_SALT = np.uint64(0x9E3779B97F4A7C15)


def store_fingerprint(sources: Sequence[TrainingData], encoder_stamp: str) -> str:
    """What a store depends on: the published tables, and how the encoder tokenises."""
    tables = [(source.name, source.bitext, source.stamps) for source in sources]
    return fingerprint("training-store", 1, tables, encoder_stamp)


def prepare_store(
    sources: Sequence[TrainingData],
    encoder: Encoder,
    encoder_stamp: str,
    folder: Path,
    progress: Callable[[int, int], None],
) -> None:
    """Writes the training store, once; a finished one with the same fingerprint is left alone.

    Args:
        sources: where the pairs are.
        encoder: its tokenizer is used.
        encoder_stamp: fingerprint of all that decides how it tokenises.
        folder: where to.
        progress: called with (texts done, texts in all).

    Raises:
        DataError: if a pair refers to a text that no table holds, or there is no pair.
        StorageError: if the folder holds a store of other inputs.
    """
    stamp = store_fingerprint(sources, encoder_stamp)
    if (folder / MANIFEST).exists():
        found = json.loads((folder / MANIFEST).read_text())["fingerprint"]
        if found == stamp:
            return
        raise StorageError(f"{folder} was made from other tables or another tokenizer; remove it and run again")
    folder.mkdir(parents=True, exist_ok=True)
    queries = _texts([f for source in sources for f in source.queries], "queries", "query_id")
    passages = _texts([f for source in sources for f in source.passages], "passages", "passage_id")
    partitions, linked = _write_pairs(sources, queries, passages, folder)
    if not partitions:
        raise DataError(f"{', '.join(source.name for source in sources)}: there are no pairs to train on")
    total = len(queries) + len(passages)
    answers, lists = _answers(queries, passages, linked)
    _write_ipc(folder / "answers.arrow", pa.table({"keys": answers}))
    _write(folder / "queries.arrow", queries, encoder, "query", lists, lambda n: progress(n, total))
    keys = np.stack([_group_key(passages), _text_key(passages)], axis=1)
    key_column = pa.FixedSizeListArray.from_arrays(pa.array(keys.ravel()), 2)
    done = len(queries)
    _write(
        folder / "passages.arrow",
        passages,
        encoder,
        "passage",
        {"keys": key_column},
        lambda n: progress(done + n, total),
    )
    manifest = {"fingerprint": stamp, "partitions": [asdict(partition) for partition in partitions]}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1))


def _texts(folders: Sequence[Folder], table: Literal["queries", "passages"], key: str) -> pd.DataFrame:
    unique = {folder.uri: folder for folder in folders}
    columns = [key, "lang", "text", "group_id"]
    frames = [read_table(folder, table, columns).to_pandas() for folder in unique.values()]
    texts: pd.DataFrame = pd.concat(frames, ignore_index=True).drop_duplicates(key, ignore_index=True).set_index(key)
    return texts


def _group_key(texts: pd.DataFrame) -> npt.NDArray[np.uint64]:
    return hash_ids(texts["group_id"].tolist())


def _text_key(texts: pd.DataFrame) -> npt.NDArray[np.uint64]:
    # Salted so that a text never meets a group whose id happens to be the same string.
    return hash_ids(texts["text"].tolist()) ^ _PAIRS_SALT


def _write_pairs(
    sources: Sequence[TrainingData], queries: pd.DataFrame, passages: pd.DataFrame, folder: Path
) -> tuple[list[Partition], pd.DataFrame]:
    """Writes a file of row numbers per (source, query language, passage language); returns all links too."""
    partitions: list[Partition] = []
    links = []
    query_langs, passage_langs = queries["lang"].to_numpy(), passages["lang"].to_numpy()
    for source in sources:
        pairs = read_table(source.pairs, "pairs", ["pair_id", "query_id", "passage_id"]).to_pandas()
        rows = pd.DataFrame(
            {
                "query": queries.index.get_indexer(pairs["query_id"]),
                "passage": passages.index.get_indexer(pairs["passage_id"]),
            }
        )
        for column, name in (("query", "query_id"), ("passage", "passage_id")):
            missing = np.flatnonzero(rows[column].to_numpy() < 0)
            if len(missing):
                pair = pairs.iloc[missing[0]]
                raise DataError(
                    f"{source.pairs}: pair {pair['pair_id']!r} names the {column} {pair[name]!r}, which no table holds"
                )
        links.append(rows)
        # A hash of the pair's id is the shuffle: the same for any order in which the shards were written.
        rows = rows.iloc[np.argsort(hash_ids(pairs["pair_id"].tolist()), kind="stable")]
        languages = [query_langs[rows["query"]], passage_langs[rows["passage"]]]
        for (query_lang, passage_lang), own in rows.groupby(languages, sort=True):
            file = pa.table({"query": own["query"].to_numpy(), "passage": own["passage"].to_numpy()})
            _write_ipc(folder / f"pairs-{len(partitions):05d}.arrow", file)
            partitions.append(
                Partition(
                    source=source.name,
                    query_lang=str(query_lang),
                    passage_lang=str(passage_lang),
                    rows=len(own),
                    bitext=source.bitext,
                )
            )
    return partitions, pd.concat(links, ignore_index=True)


def _answers(
    queries: pd.DataFrame, passages: pd.DataFrame, links: pd.DataFrame
) -> tuple[pa.Array, dict[str, pa.Array]]:
    """What is known to answer a query: the keys of passages, listed once per query group and once per query text.

    A link (query, passage) makes the passage's group and its text answers to every query of the same group, in any
    language, and to every query with the same text.

    Returns:
        The lists of keys, and for each query the numbers of its two lists, by column.
    """
    group, text = _group_key(passages), _text_key(passages)
    answers = np.concatenate([group[links["passage"]], text[links["passage"]]])
    lists, columns, count = [], {}, 0
    for name, identity in (("group", _group_key(queries)), ("text", _text_key(queries))):
        numbers, known = pd.factorize(identity)
        asked = np.tile(numbers[links["query"]], 2) + count
        lists.append(pd.DataFrame({"list": asked, "answer": answers}).drop_duplicates())
        columns[name] = pa.array(numbers + count)
        count += len(known)
    rows = pd.concat(lists).sort_values(["list", "answer"])
    offsets = np.searchsorted(rows["list"].to_numpy(), np.arange(count + 1))
    return pa.LargeListArray.from_arrays(
        pa.array(offsets.astype(np.int64)), pa.array(rows["answer"].to_numpy())
    ), columns


def _write(
    path: Path,
    texts: pd.DataFrame,
    encoder: Encoder,
    kind: Literal["query", "passage"],
    extra: dict[str, pa.Array],
    progress: Callable[[int], None],
) -> None:
    values: Tokens = []
    strings = texts["text"].tolist()
    for start in range(0, len(strings), _TOKENISE_AT_ONCE):
        values.extend(encoder.tokenize(strings[start : start + _TOKENISE_AT_ONCE], kind))
        progress(min(start + _TOKENISE_AT_ONCE, len(strings)))
    offsets = np.concatenate([[0], np.cumsum([len(ids) for ids in values])]).astype(np.int64)
    flat = np.concatenate(values) if values else np.zeros(0, dtype=np.int32)
    tokens = pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(flat))
    _write_ipc(path, pa.table({"tokens": tokens, **extra}))


def _write_ipc(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())


class TrainingStore:
    """A prepared store, opened for reading; nothing is loaded but the pages that are touched.

    Args:
        folder: what ``prepare_store`` wrote.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / MANIFEST).exists():
            raise StorageError(f"{folder} holds no finished training store")
        manifest = json.loads((folder / MANIFEST).read_text())
        self.partitions = [Partition(**partition) for partition in manifest["partitions"]]
        self._queries, self._passages = (_open(folder / f"{name}.arrow") for name in ("queries", "passages"))
        self._pairs = [
            (pairs["query"].to_numpy(), pairs["passage"].to_numpy())
            for pairs in (_open(folder / f"pairs-{index:05d}.arrow") for index in range(len(self.partitions)))
        ]
        self._query_tokens: _Lists[np.int32] = _Lists(self._queries["tokens"])
        self._passage_tokens: _Lists[np.int32] = _Lists(self._passages["tokens"])
        self._answers: _Lists[np.uint64] = _Lists(_open(folder / "answers.arrow")["keys"])
        self._answer_lists = np.stack([self._queries[name].to_numpy() for name in ("group", "text")], axis=1)
        keys = self._passages["keys"]
        self._keys = keys.values.to_numpy().reshape(-1, 2)

    def locate(
        self, partition: npt.NDArray[np.int64], row: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Query rows and passage rows of a batch, each ``[n] int64``."""
        queries, passages = np.empty_like(row), np.empty_like(row)
        for index in np.unique(partition):
            here = partition == index
            queries[here], passages[here] = self._pairs[index][0][row[here]], self._pairs[index][1][row[here]]
        return queries, passages

    def query_tokens(self, rows: npt.NDArray[np.int64]) -> Tokens:
        """Token ids of queries."""
        return self._query_tokens[rows]

    def passage_tokens(self, rows: npt.NDArray[np.int64]) -> Tokens:
        """Token ids of passages."""
        return self._passage_tokens[rows]

    def known_positives(self, queries: npt.NDArray[np.int64], passages: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which passages are known to answer which queries.

        Args:
            queries: ``[q] int64`` query rows.
            passages: ``[p] int64`` passage rows.

        Returns:
            ``[q, p] bool``.
        """
        keys = self._keys[passages].ravel()
        order = np.argsort(keys, kind="stable")
        positives = self._answers[self._answer_lists[queries].ravel()]
        asked = np.concatenate(positives) if positives else keys[:0]
        owner = np.repeat(np.repeat(np.arange(len(queries)), 2), [len(own) for own in positives])
        first, last = np.searchsorted(keys[order], asked, "left"), np.searchsorted(keys[order], asked, "right")
        counts = last - first
        matches = np.repeat(first - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts) + np.arange(counts.sum())
        known = np.zeros((len(queries), len(passages)), dtype=np.bool_)
        known[np.repeat(owner, counts), order[matches] // 2] = True
        return known


class _Lists(Generic[Number]):
    """Rows of a mapped list column as array views."""

    def __init__(self, column: pa.LargeListArray) -> None:
        self._offsets, self._values = column.offsets.to_numpy(), column.values.to_numpy()

    def __getitem__(self, rows: npt.NDArray[np.int64]) -> list[npt.NDArray[Number]]:
        starts, ends = self._offsets[rows], self._offsets[rows + 1]
        return [self._values[start:end] for start, end in zip(starts, ends, strict=True)]


def _open(path: Path) -> dict[str, pa.Array]:
    table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    return {name: table[name].chunk(0) for name in table.column_names}  # written as one record batch: no copy
