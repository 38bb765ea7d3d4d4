"""The index of evaluation sets that training data is looked up in: a folder of hashes that a worker opens by path.

Every query and passage of the evaluation sets is an entry. Three postings lead to entries: from ids that are telling
enough, from whole normalised texts, and, for passages, from their 8-grams.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.disk_folder import DiskFolder, on_this_node
from xlstance.errors import StorageError
from xlstance.files import sha256_of
from xlstance.leakage.postings import RUN, Postings, PostingsWriter, map_file
from xlstance.leakage.text import Hashed, Hashes, Numbers, hash_texts
from xlstance.storage import Folder, ShardFile, is_published, publish, read_manifest
from xlstance.tables import hash_ids

BLOCK = 250_000  # bytes of text that are hashed at a time: what the processor's cache holds

_KINDS = ("ids", "texts", "near", "grams")
_TABLE = "evaluation_index"
_ENTRY = np.dtype([("text", "<u8"), ("grams", "<i4"), ("part", "<i4"), ("question", "?")])
_NAMES = pa.schema([("id", pa.string())])
_TELLING = r"[1-9a-fA-F][0-9a-fA-F]{16,}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"


@dataclass(frozen=True, kw_only=True)
class EvaluationSet:
    """What is to be kept out of training.

    Attributes:
        name: of the benchmark, for the findings.
        queries: tables ``queries``, one after the other.
        passages: tables ``passages``.
    """

    name: str
    queries: Iterable[pa.Table]
    passages: Iterable[pa.Table]


def id_keys(ids: pa.Array | pa.ChunkedArray) -> tuple[Numbers, Hashes]:
    """The ids that can only be shared when they come from the same source.

    Readers put the source and the language before an id, with slashes: the native id is what follows the last one. It
    is telling when it holds a UUID, or at least 17 hexadecimal digits in a row, leading zeros aside: SQuAD's have 24,
    MLQA's 40, Natural Questions' 17 to 20. Row numbers and positions (``17``, ``en-00012``,
    ``squad-v1.1-train-123``) are shared by chance between sources that have nothing to do with each other, and the
    readers' own 16 digits for a text say no more than that two texts are equal, which texts say better.

    Args:
        ids: ``[rows]`` strings, without nulls.

    Returns:
        The rows whose ids are telling, and a hash of the native id of each.
    """
    rows = np.flatnonzero(pc.match_substring_regex(ids, _TELLING))
    native = pc.replace_substring_regex(ids.take(pa.array(rows)), "^.*/", "")
    telling = np.asarray(pc.match_substring_regex(native, _TELLING)).astype(bool)
    return rows[telling], hash_ids(native)[telling]


def hash_blocks(texts: pa.ChunkedArray) -> Iterator[tuple[int, list[str], Hashed]]:
    """Hashes a column of texts, a block of about 250 kB at a time.

    Args:
        texts: ``[rows]`` strings, without nulls.

    Yields:
        The first row of each block, its texts and their hashes.
    """
    sizes = pc.binary_length(texts).to_numpy().astype(np.int64) + 1
    starts = np.flatnonzero(np.diff((np.cumsum(sizes) - sizes) // BLOCK, prepend=-1)).tolist()
    for start, end in pairwise([*starts, len(texts)]):
        block = texts.slice(start, end - start).to_pylist()
        yield start, block, hash_texts(block)


def near_keys(hashed: Hashed) -> tuple[Hashes, Numbers]:
    """What two texts have in common that differ in one unit: changed, dropped, added or moved.

    Returns:
        Hashes of the texts of 6 to 40 units, whole and without one unit each, and the text of each hash.
    """
    own = np.unique(hashed.without_rows)
    return np.concatenate([hashed.texts[own], hashed.without]), np.concatenate([own, hashed.without_rows])


def build_index(folder: Folder, sets: Sequence[EvaluationSet], stamp: str, *, run: int = RUN) -> "EvaluationIndex":
    """Builds the index of evaluation sets, or opens it where it was built before.

    Args:
        folder: where; for a bucket it is built in the user's cache.
        sets: the evaluation sets.
        stamp: fingerprint of the sets.
        run: records of each of the three postings to hold in memory.

    Returns:
        The index.

    Raises:
        StorageError: if the folder holds an index of another fingerprint, or cannot be written.
    """
    if not is_published(folder, stamp):
        place = DiskFolder(folder.uri)
        root = place.path
        try:
            root.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=root) as scratch:
                files = _write(root, Path(scratch), sets, run)
        except OSError as error:
            raise StorageError(f"{folder}: the index cannot be written there: {error}") from error
        receipts = [
            ShardFile(name=file.name, rows=rows, bytes=file.stat().st_size, sha256=sha256_of(file))
            for file, rows in files.items()
        ]
        place.keep(*(receipt.name for receipt in receipts))
        publish(folder, _TABLE, stamp, receipts, {"benchmarks": [part.name for part in sets]})
    return EvaluationIndex(folder)


def _write(root: Path, scratch: Path, sets: Sequence[EvaluationSet], run: int) -> dict[Path, int]:
    """Writes the index's files, and returns them with the records in each."""
    writers = {kind: PostingsWriter(root / kind, scratch, run) for kind in _KINDS}
    sizes = np.zeros(len(sets), np.int64)
    with (root / "entries").open("wb") as entry_file, pa.ipc.new_file(str(root / "names.arrow"), _NAMES) as names:
        for part, column, block, texts, hashed in _blocks(sets):
            count = sizes.sum()
            for ids in (block[column], block["group_id"]):
                rows, keys = id_keys(ids)
                writers["ids"].add(keys, rows + count)
            filled = np.flatnonzero(hashed.units)
            writers["texts"].add(hashed.texts[filled], filled + count)
            keys, rows = near_keys(hashed)
            writers["near"].add(keys, rows + count)
            entries = np.zeros(len(texts), _ENTRY)
            entries["text"], entries["part"], entries["question"] = hash_ids(texts), part, column == "query_id"
            if column == "passage_id":
                order = np.lexsort((hashed.grams, hashed.gram_rows))
                keys, rows = hashed.grams[order], hashed.gram_rows[order]
                new = (np.diff(keys, prepend=~keys[:1]) != 0) | (np.diff(rows, prepend=-1) != 0)
                writers["grams"].add(keys[new], rows[new] + count)
                entries["grams"] = np.bincount(rows[new], minlength=len(texts))
            entries.tofile(entry_file)
            names.write_table(pa.table({"id": block[column]}, _NAMES))
            sizes[part] += len(texts)
    files = {root / "entries": int(sizes.sum()), root / "names.arrow": int(sizes.sum())}
    for writer in writers.values():
        files |= writer.finish(np.cumsum(sizes) - sizes)
    return files


def _blocks(sets: Sequence[EvaluationSet]) -> Iterator[tuple[int, str, pa.Table, list[str], Hashed]]:
    """Blocks of all texts, each with the number of its set, the name of its id column, its rows and its hashes."""
    for part, own in enumerate(sets):
        for column, tables in (("query_id", own.queries), ("passage_id", own.passages)):
            for table in tables:
                for start, texts, hashed in hash_blocks(table["text"]):
                    yield part, column, table.slice(start, len(texts)), texts, hashed


class EvaluationIndex:
    """An index as ``build_index`` published it.

    Attributes:
        benchmarks: names of the evaluation sets.
        entries: ``[entries]``, mapped, with fields ``text`` (hash of the text as it stands), ``grams`` (number of its
            distinct 8-grams; 0 for a question), ``part`` (number of its set) and ``question``.
        ids, texts, near, grams: the postings, by the keys of ``id_keys``, ``hash_texts`` and ``near_keys``.

    Args:
        folder: where.

    Raises:
        StorageError: if it holds no such index, or the files are not those of its manifest.
    """

    def __init__(self, folder: Folder) -> None:
        manifest, root = read_manifest(folder), on_this_node(folder.uri)
        for file in manifest.files:
            path = root / file.name
            if manifest.table != _TABLE or not path.is_file() or path.stat().st_size != file.bytes:
                raise StorageError(f"{path} is not as its manifest says; remove {folder} and run again")
        self.benchmarks: list[str] = list(manifest.info["benchmarks"])
        self.entries = map_file(root / "entries", _ENTRY)
        self.ids, self.texts, self.near, self.grams = (Postings(root / kind) for kind in _KINDS)
        self._names = pa.ipc.open_file(pa.memory_map(str(root / "names.arrow"))).read_all()["id"]

    def name(self, entries: Numbers) -> pa.ChunkedArray:
        """The ids of entries, ``[entries]`` strings."""
        unique, inverse = np.unique(entries, return_inverse=True)
        return self._names.take(pa.array(unique)).take(pa.array(inverse))
