"""Published training pairs: how the tables of a source lie in folders, co-located by passage group.

Shard i of a source holds the pairs whose passage's group hashes to i, the passages of those groups in all languages,
and the queries that ask for them, in all languages too. A stage that needs a pair with its texts, or a text with its
translations, so reads one shard. A query group with relevant passages in several groups stands once, in the shard of
its first pair; the manifest then says that queries are to be looked for in all shards.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from xlstance.collection import CorpusStream, pairs_of
from xlstance.errors import DataError
from xlstance.ids import IdMap
from xlstance.shard_writers import ShardWriters, ahead
from xlstance.storage import Folder, Manifest, is_published, read_manifest, read_shard
from xlstance.tables import SCHEMAS, hash_ids

COLOCATED = "queries_colocated"
Info = Callable[[], Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """Pairs as published, and the folders of the texts that they refer to.

    Attributes:
        name: of the source or the augmentation.
        pairs: folder of the table ``pairs``.
        queries: folders of tables ``queries``: own texts, and those of the parents.
        passages: folders of tables ``passages``.
        bitext: whether the pairs are translations, drawn by ``sampler.bitext_share``.
    """

    name: str
    pairs: Folder
    queries: tuple[Folder, ...]
    passages: tuple[Folder, ...]
    bitext: bool = False

    @property
    def stamps(self) -> list[str]:
        """The fingerprints of all its tables."""
        return [read_manifest(folder).fingerprint for folder in (self.pairs, *self.queries, *self.passages)]

    @property
    def rows(self) -> int:
        """Number of pairs."""
        return read_manifest(self.pairs).rows

    @property
    def shards(self) -> int:
        """Number of shards; the same for each of its tables."""
        return len(read_manifest(self.pairs).files)


def published(folder: Folder, name: str, *, bitext: bool = False) -> TrainingData:
    """The training data of a source whose tables lie in one folder."""
    return TrainingData(
        name=name,
        pairs=folder / "pairs",
        queries=(folder / "queries",),
        passages=(folder / "passages",),
        bitext=bitext,
    )


def is_source_published(folder: Folder, stamp: str) -> bool:
    """Whether all three tables of a source are there with this fingerprint."""
    return all(is_published(folder / table, stamp) for table in ("queries", "passages", "pairs"))


def publish_source(folder: Folder, source: CorpusStream, stamp: str, shards: int, info: Info = dict) -> None:
    """Writes the three tables of a source, each shard holding what belongs together.

    Passages and pairs pass through block by block; of a passage sixteen bytes are kept, and the queries as they are.

    Args:
        folder: where to.
        source: the source; its streams are read to their ends.
        stamp: the fingerprint of settings and inputs.
        shards: number of files of each table.
        info: asked at the end for the facts to keep in the manifests.

    Raises:
        DataError: if a pair refers to a text that is not there.
        StorageError: if a folder holds the result of other settings or inputs.
    """
    is_source_published(folder, stamp)  # nothing is overwritten
    shard_of_passage = IdMap()
    passages = ShardWriters(folder / "passages", "passages", stamp, shards)
    pairs = ShardWriters(folder / "pairs", "pairs", stamp, shards)
    texts = ShardWriters(folder / "queries", "queries", stamp, shards)
    with passages, pairs, texts:
        for block in ahead(source.passages):
            part = _part(block["group_id"], shards)
            shard_of_passage.add(hash_ids(block["passage_id"]), part)
            passages.write(block, part)
        queries = pa.concat_tables([SCHEMAS["queries"].empty_table(), *source.queries])
        row_of_query = IdMap()
        row_of_query.add(hash_ids(queries["query_id"]), np.arange(len(queries), dtype=np.int32))
        group, names = pd.factorize(queries["group_id"].to_pandas())
        shard_of_group = np.full(len(names), -1, np.int32)  # that of the group's first pair
        together = True
        for block in ahead(pairs_of(source.judgements, folder.path.rpartition("/")[2])):
            asked = group[_found(block, "query_id", row_of_query, folder)]
            part = _found(block, "passage_id", shard_of_passage, folder)
            firsts, rows = np.unique(asked, return_index=True)
            new = shard_of_group[firsts] < 0
            shard_of_group[firsts[new]] = part[rows[new]]
            together &= bool((shard_of_group[asked] == part).all())
            pairs.write(block, part)
        part = shard_of_group[group]
        texts.write(queries, np.where(part < 0, _part(queries["group_id"], shards), part))
        notes = info()
        texts.publish(notes)
        passages.publish(notes)
        pairs.publish({**notes, COLOCATED: together})


def _part(keys: pa.ChunkedArray, shards: int) -> npt.NDArray[np.int32]:
    return (hash_ids(keys) % np.uint64(shards)).astype(np.int32)


def _found(pairs: pa.Table, column: str, known: IdMap, folder: Folder) -> npt.NDArray[np.int32]:
    """What is known of the text that each pair refers to."""
    values = known.get(hash_ids(pairs[column]))
    if (values < 0).any():
        pair = pairs.slice(int(np.argmax(values < 0)), 1).to_pylist()[0]
        raise DataError(
            f"{folder}: pair {pair['pair_id']!r} refers to {column} {pair[column]!r}, which stands in no table"
        )
    return values


def colocated(data: TrainingData) -> bool:
    """Whether a shard's queries stand in the shard itself."""
    return bool(read_manifest(data.pairs).info.get(COLOCATED, False))


def manifests_of_shard(data: TrainingData, index: int) -> list[str]:
    """What shard ``index`` depends on: the hashes of the files that ``read_shard_of`` opens."""
    hashes = [read_manifest(folder).files[index].sha256 for folder in (data.pairs, *data.passages)]
    for folder in data.queries:
        files = read_manifest(folder).files
        hashes += [files[index].sha256] if colocated(data) else [file.sha256 for file in files]
    return hashes


def read_shard_of(sources: Sequence[TrainingData], index: int) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Pairs, queries and passages of one shard of several sources; a text that two of them name stands once."""

    def read(folders: Sequence[Folder], table: str, whole: bool = False) -> pa.Table:
        unique: dict[str, Manifest] = {}
        parts = []
        for folder in folders:
            if folder.uri not in unique:
                manifest = unique[folder.uri] = read_manifest(folder)
                files = manifest.files if whole else manifest.files[index : index + 1]
                parts += [read_shard(folder, file, table) for file in files]
        return pa.concat_tables(parts)

    return (
        read([data.pairs for data in sources], "pairs"),
        read(
            [folder for data in sources for folder in data.queries],
            "queries",
            whole=not all(colocated(data) for data in sources),
        ),
        read([folder for data in sources for folder in data.passages], "passages"),
    )
