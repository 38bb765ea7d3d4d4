"""Ids as 128-bit keys, and how a shard finds the rows of texts that stand in others.

A pair names texts by id, and most stand in the pair's own shard. What a shard does not hold it asks for, in one record
batch for each range of keys; a worker for each range looks the asked up among all shards' texts, and answers in one
record batch for each shard. So no worker holds more than about a shard's worth of ids.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.tables import hash_ids
from xlstance.training.store.files import (
    Keys,
    Layout,
    cut,
    cut_by_key,
    make_receipt,
    read_batch,
    read_batches,
    write_file,
)

TextKind = Literal["query", "passage"]
# One space of keys for both kinds of text: a query may be called like a passage.
_SALT: dict[TextKind, np.uint64] = {"query": np.uint64(0), "passage": np.uint64(0x9E3779B97F4A7C15)}
_SECOND_HASH = "xlstance: second"  # sixteen bytes that make another hash of the same string

# What pairs need to know of a text: its key, its row, and what it is linked by.
TEXTS = pa.schema(
    [
        ("hash", pa.uint64()),
        ("check", pa.uint64()),
        ("passage", pa.bool_()),
        ("row", pa.int64()),
        ("language", pa.string()),
        ("group", pa.uint64()),
        ("text", pa.uint64()),
    ]
)


def keys_of(ids: pa.ChunkedArray, kind: TextKind) -> Keys:
    """Two hashes of each id, which together no two ids of any corpus share; ``[ids, 2] uint64``."""
    encoded = ids.combine_chunks().dictionary_encode()  # an id is named by many pairs
    names = encoded.dictionary.to_pylist()
    second = pd.util.hash_array(np.array(names, dtype=object), hash_key=_SECOND_HASH, categorize=False)
    keys: Keys = np.stack([hash_ids(names) ^ _SALT[kind], second], axis=1)[encoded.indices.to_numpy()]
    return keys


def first_of_each(keys: Keys) -> npt.NDArray[np.intp]:
    """The places at which keys stand for the first time, ascending."""
    return np.flatnonzero(~pd.DataFrame(keys).duplicated())


def find(known: Keys, wanted: Keys) -> npt.NDArray[np.int64]:
    """The first place in ``known`` of each wanted key; -1 for one that is not there; ``[wanted] int64``."""
    order = np.lexsort((known[:, 1], known[:, 0]))
    ordered = known[order]
    at = np.searchsorted(ordered[:, 0], wanted[:, 0])
    found = np.full(len(wanted), -1, np.int64)
    left = np.arange(len(wanted))
    while True:  # once, but where two ids share their first hash
        left = left[at[left] < len(known)]
        left = left[ordered[at[left], 0] == wanted[left, 0]]
        if not len(left):
            return found
        hit = ordered[at[left], 1] == wanted[left, 1]
        found[left[hit]] = order[at[left[hit]]]
        left = left[~hit]
        at[left] += 1


def columns_of(texts: pa.Table, *names: str) -> Keys:
    """Columns of keys side by side; ``[rows, columns] uint64``."""
    return np.stack([texts[name].to_numpy() for name in names], axis=1)


def negative_ids(pairs: pa.Table) -> pa.ChunkedArray:
    """The ids of all explicit negatives, pair after pair."""
    return pc.struct_field(pc.list_flatten(pairs["negatives"]), "passage_id")


def ask(layout: Layout, index: int, known: Keys, pairs: Sequence[pa.Table]) -> int:
    """Asks for the texts that a shard's pairs name and the shard does not hold; returns their number."""
    named = []
    for part in pairs:
        named += [keys_of(part["query_id"], "query"), keys_of(part["passage_id"], "passage")]
        named.append(keys_of(negative_ids(part), "passage"))
    keys = np.concatenate(named)
    keys = keys[first_of_each(keys)]
    asked = keys[find(known, keys) < 0]
    batches = cut_by_key(pa.table({"hash": asked[:, 0], "check": asked[:, 1]}), asked[:, 0], layout.shards)
    write_file(layout.scratch, layout.name("asked", index), batches)
    return len(asked)


def answer(layout: Layout, starts: Sequence[dict[str, int]], bucket: int) -> pa.Table:
    """Looks up what all shards ask for in one range of keys; returns the receipt.

    Args:
        layout: of the store.
        starts: for each shard the number of its first row, by kind of text.
        bucket: which range.
    """
    parts = [read_batch(layout.scratch, layout.name("texts", index), bucket) for index in range(layout.shards)]
    sizes = [part.num_rows for part in parts]
    first = {kind: np.repeat([start[kind] for start in starts], sizes) for kind in ("query", "passage")}
    texts = _in_store(pa.Table.from_batches(parts), first["query"], first["passage"])
    parts = [read_batch(layout.scratch, layout.name("asked", index), bucket) for index in range(layout.shards)]
    places = find(columns_of(texts, "hash", "check"), columns_of(pa.Table.from_batches(parts), "hash", "check"))
    asking = np.repeat(np.arange(layout.shards), [part.num_rows for part in parts])[places >= 0]
    ends = np.searchsorted(asking, np.arange(layout.shards + 1))
    batches = cut(texts.take(pa.array(places[places >= 0])), ends.tolist())
    write_file(layout.scratch, layout.name("found", bucket), batches)
    return make_receipt(len(asking))


def _in_store(texts: pa.Table, queries: npt.ArrayLike, passages: npt.ArrayLike) -> pa.Table:
    """Texts of shards by rows of the whole store, given where their shards' queries and passages begin."""
    row = texts["row"].to_numpy() + np.where(texts["passage"].to_numpy(), passages, queries)
    return texts.set_column(TEXTS.get_field_index("row"), "row", pa.array(row))


def known_to(layout: Layout, index: int, start: dict[str, int], asked: int) -> tuple[pa.Table, int]:
    """All texts that a shard's pairs may name, and how many of them, the first, are its own."""
    own = _in_store(read_batches(layout.scratch, layout.name("texts", index)), start["query"], start["passage"])
    buckets = range(layout.shards if asked else 0)
    found = [read_batch(layout.scratch, layout.name("found", bucket), index) for bucket in buckets]
    return pa.concat_tables([own, pa.Table.from_batches(found, TEXTS)]), len(own)
