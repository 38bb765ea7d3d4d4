"""The pairs of a shard as rows of texts, partition after partition, and the links that they make."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.errors import DataError
from xlstance.tables import hash_ids
from xlstance.training.store.files import Keys, Layout, cut_by_key, make_receipt, one_batch, write_file
from xlstance.training.store.references import TextKind, columns_of, find, keys_of, known_to, negative_ids
from xlstance.training.store.texts import read_part
from xlstance.training_data import TrainingData

_COLUMNS = ["pair_id", "query_id", "passage_id", "negatives"]
_PARTITION = ["source", "query_lang", "passage_lang"]
_NAMED: dict[str, TextKind] = {"query": "query", "passage": "passage", "negative": "passage"}


def write_pairs(
    layout: Layout, sources: Sequence[TrainingData], index: int, start: dict[str, int], asked: int
) -> pa.Table:
    """Writes the pairs of a shard, and tells who answers whom; returns the receipt.

    Args:
        layout: of the store.
        sources: where the pairs are.
        index: which shard.
        start: the numbers of its first query and its first passage.
        asked: texts of other shards that its pairs name.

    Raises:
        DataError: if a pair names a text that no table holds.
    """
    known, own = known_to(layout, index, start, asked)
    parts = [_resolve(source, number, index, known) for number, source in enumerate(sources)]
    pairs = pd.concat([part for part, _ in parts], ignore_index=True)
    negatives = np.concatenate([places for _, places in parts])
    language, names = pd.factorize(known["language"].to_pandas(), sort=True)
    pairs["query_lang"], pairs["passage_lang"] = language[pairs["query"]], language[pairs["passage"]]
    # Within a partition a hash of the pair's id is the shuffle: the same for any order in which rows were written.
    order = np.lexsort([pairs[column] for column in ("hash", *reversed(_PARTITION))])
    row = known["row"].to_numpy()
    columns = {name: pa.array(row[pairs[name].to_numpy()[order]]) for name in ("query", "passage")}
    if len(negatives):
        columns["negatives"] = _reorder(row[negatives], pairs["negatives"].to_numpy(), order)
    file = write_file(layout.folder, layout.name("pairs", index), [one_batch(pa.table(columns))])
    keys = columns_of(known, "group", "text")
    _link(layout, index, keys[pairs["query"]], keys[pairs["passage"]])
    pieces = pairs.groupby(_PARTITION).size()
    named = np.concatenate([pairs["query"], pairs["passage"], negatives])
    return make_receipt(
        len(pairs),
        pairs=file,
        pieces=[[s, names[q], names[p], size] for (s, q, p), size in zip(pieces.index, pieces.tolist(), strict=True)],
        apart=bool((named >= own).any()),
    )


def _resolve(
    source: TrainingData, number: int, index: int, known: pa.Table
) -> tuple[pd.DataFrame, npt.NDArray[np.int64]]:
    """A source's pairs and their negatives, pair after pair, by places in the known texts."""
    pairs = read_part(source.pairs, "pairs", index, _COLUMNS)
    counts = pc.fill_null(pc.list_value_length(pairs["negatives"]), 0).to_numpy()
    ids = {"query": pairs["query_id"], "passage": pairs["passage_id"], "negative": negative_ids(pairs)}
    places, keys = {}, columns_of(known, "hash", "check")
    for name, column in ids.items():
        places[name] = find(keys, keys_of(column, _NAMED[name]))
        if (places[name] < 0).any():
            at = int(np.argmax(places[name] < 0))
            pair = int(np.searchsorted(np.cumsum(counts), at, side="right")) if name == "negative" else at
            raise DataError(
                f"{source.pairs}: pair {pairs['pair_id'][pair].as_py()!r} names the {name} {column[at].as_py()!r}, "
                "which no table holds"
            )
    columns = {"source": number, "hash": hash_ids(pairs["pair_id"]), "negatives": counts}
    return pd.DataFrame(columns | {name: places[name] for name in ("query", "passage")}), places["negative"]


def _reorder(
    values: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], order: npt.NDArray[np.int64]
) -> pa.LargeListArray:
    """Lists of ``counts`` values each, in another order."""
    starts, counts = (np.cumsum(counts) - counts)[order], counts[order]
    offsets = np.concatenate([[0], np.cumsum(counts)])
    taken = values[ranges(starts, counts)]
    return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(taken))


def ranges(starts: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The numbers ``start``, ``start + 1``, ... of each range, one range after the other; ``[counts.sum()] int64``."""
    return np.repeat(starts - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())


def _link(layout: Layout, index: int, queries: Keys, passages: Keys) -> None:
    """A pair makes its passage's group and text answers to its query's group and text."""
    asking, answering = queries.repeat(2, axis=1), np.tile(passages, 2)  # each with each
    links = pd.DataFrame({"key": asking.ravel(), "answer": answering.ravel()}).drop_duplicates()
    batches = cut_by_key(pa.Table.from_pandas(links, preserve_index=False), links["key"].to_numpy(), layout.shards)
    write_file(layout.scratch, layout.name("links", index), batches)
