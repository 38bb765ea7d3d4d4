"""Published training pairs: how the tables of a source lie in folders, co-located by passage group.

Shard i of a source holds the pairs whose passage's group hashes to i, the passages of those groups in all languages,
and the queries that ask for them, in all languages too. A stage that needs a pair with its texts, or a text with its
translations, so reads one shard. A query group with relevant passages in several groups stands once, in the shard of
its first pair; the manifest then says that queries are to be looked for in all shards.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.collection import TrainingSet
from xlstance.errors import DataError
from xlstance.storage import Folder, Manifest, is_published, read_manifest, read_shard, write_table
from xlstance.tables import hash_ids

COLOCATED = "queries_colocated"


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


def publish_source(folder: Folder, source: TrainingSet, stamp: str, shards: int, info: Mapping[str, Any]) -> None:
    """Writes the three tables of a source, each shard holding what belongs together.

    Raises:
        DataError: if a pair refers to a text that is not there.
    """
    asked = _rows_of(source.pairs, "query_id", source.queries, folder)
    pair_key = source.passages["group_id"].take(_rows_of(source.pairs, "passage_id", source.passages, folder))
    # The first pair of a query group decides its shard; a group of no pair goes by its own id.
    query_group = source.queries["group_id"]
    first = pc.index_in(query_group, query_group.take(asked))
    query_key = pc.coalesce(pair_key.take(first), query_group)
    parts = [hash_ids(key) % np.uint64(shards) for key in (pair_key, query_key.take(asked))]
    colocated = bool((parts[0] == parts[1]).all())
    write_table(folder / "queries", "queries", source.queries, stamp, shards=shards, key=query_key, info=info)
    group = source.passages["group_id"]
    write_table(folder / "passages", "passages", source.passages, stamp, shards=shards, key=group, info=info)
    pairs_info = {**info, COLOCATED: colocated}
    write_table(folder / "pairs", "pairs", source.pairs, stamp, shards=shards, key=pair_key, info=pairs_info)


def _rows_of(pairs: pa.Table, column: str, texts: pa.Table, folder: Folder) -> pa.ChunkedArray:
    """The row of the text that each pair refers to."""
    rows = pc.index_in(pairs[column], texts[column])
    if rows.null_count:
        pair = pairs.slice(pc.index(pc.is_null(rows), True).as_py(), 1).to_pylist()[0]
        raise DataError(
            f"{folder}: pair {pair['pair_id']!r} refers to {column} {pair[column]!r}, which stands in no table"
        )
    return rows


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
