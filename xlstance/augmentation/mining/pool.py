"""The pool that is searched: all passages of the parents, encoded once, or a sample of each language."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.augmentation.mining.neighbours import Floats, Integers
from xlstance.augmentation.way import Surroundings
from xlstance.encoders import EncoderSettings
from xlstance.encoding import TABLE_OF, Encoding, Kind, encode_all, encoder_stamp
from xlstance.errors import DataError, SettingsError
from xlstance.leakage.text import hash_texts
from xlstance.storage import Folder, ShardFile, fingerprint, is_published, read_manifest, read_shard, write_table
from xlstance.tables import SCHEMAS, hash_ids, make_table

Hashes = npt.NDArray[np.uint64]
_ROWS_AT_ONCE = 8192


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """A published table of texts and the table of their vectors, file for file and row for row in the same order.

    Attributes:
        texts: folder of ``queries`` or ``passages``.
        vectors: folder of ``vectors``.
    """

    texts: Folder
    vectors: Folder


def check_pool_settings(way: str, encoder: EncoderSettings, pool: int) -> None:
    """Raises a SettingsError if no encoder is named or the pool's size is negative."""
    if not encoder.model:
        raise SettingsError(f"{way}: encoder.model is empty; name the folder or the hub name of a trained encoder")
    if pool < 0:
        raise SettingsError(f"{way}: pool is {pool}; give 0 for all passages, or how many of each language")


def located(encoder: EncoderSettings, around: Surroundings) -> EncoderSettings:
    """The encoder with its folder found: below the data root where it lies there, else as it is named."""
    below = Path(around.data) / encoder.model
    return replace(encoder, model=str(below)) if below.is_dir() else encoder


def encoded_texts(kind: Kind, around: Surroundings) -> list[Encoded]:
    """Where the vectors of the parents' queries or passages lie, for each folder of texts."""
    table = TABLE_OF[kind]
    folders = dict.fromkeys(folder for parent in around.parents for folder in getattr(parent, table))
    return [Encoded(texts=f, vectors=around.folder / "vectors" / f"{table}-{n}") for n, f in enumerate(folders)]


def encode_parents(encoder: EncoderSettings, size: int, around: Surroundings) -> None:
    """Encodes all queries and passages of the parents, and draws the sample if the pool is one.

    Args:
        encoder: with what.
        size: of the sample, for each language; 0 for all passages.
        around: where, and by how many workers.
    """
    encoder = located(encoder, around)
    stamp = encoder_stamp(encoder)
    encodings = [
        Encoding(encoder=encoder, stamp=stamp, kind=kind, texts=table.texts, output=table.vectors)
        for kind in TABLE_OF
        for table in encoded_texts(kind, around)
    ]
    encode_all(
        encodings,
        batch_tokens=None,
        workers=around.workers,
        cpus_per_worker=around.cpus_per_worker,
        gpus_per_worker=around.gpus_per_worker,
    )
    if size:
        _draw_sample(size, around)


def pool_tables(size: int, around: Surroundings) -> list[Encoded]:
    """The tables that make the pool, once ``encode_parents`` is done."""
    return [_sample(around)] if size else encoded_texts("passage", around)


def _sample(around: Surroundings) -> Encoded:
    return Encoded(texts=around.folder / "pool" / "passages", vectors=around.folder / "pool" / "vectors")


def _draw_sample(size: int, around: Surroundings) -> None:
    """Publishes the passages of each language whose hashes of seed and id are lowest, with their vectors."""
    tables, sample = encoded_texts("passage", around), _sample(around)
    inputs = [read_manifest(folder).fingerprint for table in tables for folder in (table.texts, table.vectors)]
    stamp = fingerprint(inputs, size, around.seed)
    if is_published(sample.texts, stamp) and is_published(sample.vectors, stamp):
        return
    taken: list[pa.Table] = []
    for table in tables:
        for texts, vectors in _files(table):
            passages = read_shard(table.texts, texts, "passages")
            vector = read_shard(table.vectors, vectors, "vectors")["vector"]
            taken = [_lowest(pa.concat_tables([*taken, passages.append_column("vector", vector)]), size, around.seed)]
    names = SCHEMAS["passages"].names
    write_table(sample.texts, "passages", make_table("passages", {name: taken[0][name] for name in names}), stamp)
    columns = {"id": taken[0]["passage_id"], "lang": taken[0]["lang"], "vector": taken[0]["vector"]}
    write_table(sample.vectors, "vectors", make_table("vectors", columns), stamp)


def _lowest(passages: pa.Table, size: int, seed: int) -> pa.Table:
    ids = passages["passage_id"]
    drawn = hash_ids(pc.binary_join_element_wise(ids, str(seed), "#"))
    frame = pd.DataFrame({"lang": passages["lang"].to_pandas(), "drawn": drawn, "id": ids.to_pandas()})
    order = frame.drop_duplicates("id").sort_values(["lang", "drawn", "id"]).groupby("lang").head(size)
    return passages.take(pa.array(order.index.to_numpy()))


def _files(table: Encoded) -> Iterator[tuple[ShardFile, ShardFile]]:
    yield from zip(read_manifest(table.texts).files, read_manifest(table.vectors).files, strict=True)


def vectors_of(ids: pa.ChunkedArray, tables: Sequence[Encoded], index: int | None) -> Floats:
    """The vectors of texts.

    Args:
        ids: their ids.
        tables: where to look.
        index: the shard that they stand in; None looks in all.

    Returns:
        ``[ids, D] float32``.

    Raises:
        DataError: if an id has no vector.
    """
    found, vectors = np.zeros(len(ids), dtype=np.bool_), np.empty((len(ids), 0), np.float32)
    for table in tables:
        files = read_manifest(table.vectors).files
        for file in files if index is None else files[index : index + 1]:
            rows = read_shard(table.vectors, file, "vectors")
            at = pc.index_in(ids, rows["id"]).to_pandas().to_numpy()
            new = ~found & ~np.isnan(at)
            if new.any():
                matrix = _matrix(rows)
                vectors = vectors if vectors.shape[1] else np.empty((len(ids), matrix.shape[1]), np.float32)
                vectors[new] = matrix[at[new].astype(np.int64)]
                found |= new
    if not found.all():
        raise DataError(f"{tables[0].vectors}: {str(ids[int(np.argmin(found))])!r} has no vector; its text is missing")
    return vectors


def _matrix(vectors: pa.Table) -> Floats:
    column = vectors["vector"].combine_chunks()
    return np.asarray(pc.list_flatten(column), dtype=np.float32).reshape(len(column), -1)


def passage_keys(passages: pa.Table) -> Hashes:
    """Hashes of the normalised texts, ``[passages] uint64``; of a text without a word the hash of its id."""
    texts = passages["text"].to_pylist()
    parts = [hash_texts(texts[at : at + _ROWS_AT_ONCE]).texts for at in range(0, len(texts), _ROWS_AT_ONCE)]
    hashes = np.concatenate([np.empty(0, np.uint64), *parts])
    return np.where(hashes == 0, hash_ids(passages["passage_id"]), hashes)


class Pool:
    """Passages to search: their hashes in memory, a hundred bytes or so of each, their vectors file by file.

    Args:
        tables: the passages and their vectors; a passage that stands twice counts once.

    Attributes:
        ids: ``[N]`` ids of the passages.
        languages: the languages' codes, sorted.
        language: ``[N]`` each passage's language, an index into ``languages``.
        places: ``[N]`` each passage's place in the order of the hashes of the ids.
    """

    def __init__(self, tables: Sequence[Encoded]) -> None:
        self._files = [(table.vectors, vectors) for table in tables for _, vectors in _files(table)]
        ids, langs, hashes, keys = [], [], [], []
        for table in tables:
            for texts, _ in _files(table):
                passages = read_shard(table.texts, texts, "passages", ["passage_id", "lang", "text"])
                ids.append(passages["passage_id"])
                langs.append(passages["lang"])
                hashes.append(hash_ids(passages["passage_id"]))
                keys.append(passage_keys(passages))
        whole = np.concatenate(hashes)
        kept = np.zeros(len(whole), dtype=np.bool_)
        kept[np.unique(whole, return_index=True)[1]] = True
        self._kept = np.split(kept, np.cumsum([len(part) for part in hashes])[:-1])
        self.ids = pa.chunked_array([chunk for column in ids for chunk in column.chunks], pa.string()).filter(kept)
        lang = pa.chunked_array([chunk for column in langs for chunk in column.chunks], pa.string()).filter(kept)
        self.languages = pc.unique(lang).sort()
        self.language: Integers = pc.index_in(lang, self.languages).to_numpy().astype(np.int64)
        self.places: Integers = np.empty(kept.sum(), np.int64)
        self.places[np.argsort(whole[kept])] = np.arange(len(self.places))
        key = np.concatenate(keys)[kept]
        self._order = np.argsort(key)
        self._keys = key[self._order]
        self._only: Floats | None = None

    def blocks(self) -> Iterator[tuple[int, Floats]]:
        """The vectors: number of the first row, and ``[rows, D] float32``. Those of a single file stay in memory."""
        start = 0
        for (folder, file), kept in zip(self._files, self._kept, strict=True):
            if self._only is None:
                vectors = _matrix(read_shard(folder, file, "vectors"))[kept] if kept.any() else np.empty((0, 0), "f4")
            else:
                vectors = self._only
            if len(self._files) == 1:
                self._only = vectors
            for at in range(0, len(vectors), _ROWS_AT_ONCE):
                yield start + at, vectors[at : at + _ROWS_AT_ONCE]
            start += len(vectors)

    def rows_with(self, keys: Hashes) -> tuple[Integers, Integers]:
        """The passages that have one of these keys.

        Args:
            keys: ``[K] uint64``, as ``passage_keys`` gives them.

        Returns:
            Numbers of keys and rows of passages that have them, ``[matches] int64`` each.
        """
        first, last = (np.searchsorted(self._keys, keys, side) for side in ("left", "right"))
        counts = last - first
        which = np.repeat(np.arange(len(keys)), counts)
        at = np.arange(counts.sum()) + np.repeat(first - np.cumsum(counts) + counts, counts)
        return which, self._order[at]
