"""What is known to answer a query: the keys of passages, listed once per query group and once per query text.

A pair makes its passage's group and its text answers to every query of the same group, in any language, and to every
query with the same text. The pairs may stand in other shards than the queries: a worker for each range of keys brings
all links of a key together, and hands each shard the lists of the keys that its queries have.
"""

import numpy as np
import pandas as pd
import pyarrow as pa

from xlstance.training.store.files import Layout, make_receipt, one_batch, read_batch, write_file
from xlstance.training.store.pairs import ranges


def gather_answers(layout: Layout, bucket: int) -> pa.Table:
    """Brings the links of one range of keys together; returns the receipt."""

    def batches(kind: str) -> list[pa.RecordBatch]:
        return [read_batch(layout.scratch, layout.name(kind, index), bucket) for index in range(layout.shards)]

    links = pa.Table.from_batches(batches("links")).to_pandas().drop_duplicates().sort_values(["key", "answer"])
    keys, starts, counts = np.unique(links["key"].to_numpy(), return_index=True, return_counts=True)
    answers, lists = links["answer"].to_numpy(), []
    for linked in batches("linked"):
        own = np.flatnonzero(np.isin(keys, linked["key"].to_numpy()))
        values = pa.array(answers[ranges(starts[own], counts[own])])
        offsets = pa.array(np.concatenate([[0], np.cumsum(counts[own])]))
        table = pa.table({"key": keys[own], "answers": pa.LargeListArray.from_arrays(offsets, values)})
        lists.append(one_batch(table))
    write_file(layout.scratch, layout.name("lists", bucket), lists)
    groups = pd.Series(np.concatenate([batch["key"].to_numpy() for batch in batches("groups")]))
    return make_receipt(len(links), scattered=bool(groups.duplicated().any()))


def write_answers(layout: Layout, index: int) -> pa.Table:
    """Writes the lists of a shard's queries, sorted by key; returns the receipt."""
    lists = pa.Table.from_batches(
        read_batch(layout.scratch, layout.name("lists", bucket), index) for bucket in range(layout.shards)
    )
    file = write_file(layout.folder, layout.name("answers", index), [one_batch(lists)])
    return make_receipt(len(lists), answers=file)
