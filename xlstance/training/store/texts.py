"""The texts of a shard: tokenised, in an order in which translations stand together."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from xlstance.storage import Folder, ShardFile, read_manifest, read_shard
from xlstance.tables import hash_ids
from xlstance.training.store.files import Keys, Layout, cut_by_key, make_receipt, one_batch, write_file
from xlstance.training.store.references import TEXTS, TextKind, ask, columns_of, first_of_each, keys_of
from xlstance.training_data import TrainingData

_AT_ONCE = 4096  # texts that are tokenised at a time
# So that a text never meets a group whose id happens to be the same string.
_TEXT_SALT = np.uint64(0x9E3779B97F4A7C15)


class Tokenising(Protocol):
    """What a store needs of an encoder; torch is imported by no worker that does not need it."""

    def tokenize(self, texts: Sequence[str], kind: TextKind) -> list[npt.NDArray[np.int32]]:
        """Texts as token ids."""


def tokenise_shard(layout: Layout, sources: Sequence[TrainingData], encoder: Tokenising, index: int) -> pa.Table:
    """Writes the queries and passages of a shard, and what other shards must know of them; returns the receipt."""
    queries, query_file = _write(layout, [f for s in sources for f in s.queries], encoder, "query", index)
    passages, passage_file = _write(layout, [f for s in sources for f in s.passages], encoder, "passage", index)
    texts = pa.concat_tables([queries, passages])
    keys = columns_of(texts, "hash", "check")
    write_file(layout.scratch, layout.name("texts", index), cut_by_key(texts, keys[:, 0], layout.shards))
    _tell_keys(layout, "linked", index, columns_of(queries, "group", "text"))
    _tell_keys(layout, "groups", index, columns_of(passages, "group"))
    columns = ["query_id", "passage_id", "negatives"]
    asked = ask(layout, index, keys, [read_part(source.pairs, "pairs", index, columns) for source in sources])
    languages = sorted(texts["language"].unique().to_pylist())
    return make_receipt(len(texts), queries=query_file, passages=passage_file, languages=languages, asked=asked)


def read_part(folder: Folder, table: str, index: int, columns: Sequence[str]) -> pa.Table:
    """One shard of a published table."""
    return read_shard(folder, read_manifest(folder).files[index], table, columns)


def _tell_keys(layout: Layout, kind: str, index: int, keys: Keys) -> None:
    unique = np.unique(keys)
    write_file(layout.scratch, layout.name(kind, index), cut_by_key(pa.table({"key": unique}), unique, layout.shards))


def _write(
    layout: Layout, folders: Sequence[Folder], encoder: Tokenising, kind: TextKind, index: int
) -> tuple[pa.Table, ShardFile]:
    """Writes the texts of one kind; returns what pairs need to know of them."""
    table, name = ("queries", "query_id") if kind == "query" else ("passages", "passage_id")
    read = [name, "lang", "text", "group_id"]
    texts = pa.concat_tables(read_part(folder, table, index, read) for folder in dict.fromkeys(folders))
    keys = keys_of(texts[name], kind)
    first = first_of_each(keys)  # a text that two sources name stands once
    texts, keys = texts.take(pa.array(first)), keys[first]
    language, names = pd.factorize(texts["lang"].to_pandas(), sort=True)
    group = hash_ids(texts["group_id"])
    order = np.lexsort((keys[:, 1], keys[:, 0], language, group))
    texts, keys = texts.take(pa.array(order)), keys[order]
    columns = {
        "tokens": _tokenise(texts["text"], encoder, kind),
        "language": pa.DictionaryArray.from_arrays(pa.array(language[order], pa.int16()), pa.array(names, pa.string())),
        "group": pa.array(group[order]),
        "text": pa.array(hash_ids(texts["text"]) ^ _TEXT_SALT),
    }
    file = write_file(layout.folder, layout.name(table, index), [one_batch(pa.table(columns))])
    told = {"hash": keys[:, 0], "check": keys[:, 1], "row": np.arange(len(keys)), "language": texts["lang"]}
    told |= {"passage": np.full(len(keys), kind == "passage"), "group": columns["group"], "text": columns["text"]}
    return pa.table(told).select(TEXTS.names).cast(TEXTS), file


def _tokenise(texts: pa.ChunkedArray, encoder: Tokenising, kind: TextKind) -> pa.LargeListArray:
    values, lengths = [np.zeros(0, np.int32)], [np.zeros(1, np.int64)]
    for start in range(0, len(texts), _AT_ONCE):
        tokens = encoder.tokenize(texts.slice(start, _AT_ONCE).to_pylist(), kind)
        values.append(np.concatenate(tokens))
        lengths.append(np.array([len(ids) for ids in tokens], np.int64))
    offsets = np.cumsum(np.concatenate(lengths))
    return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(np.concatenate(values)))
