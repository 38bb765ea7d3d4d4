"""The training store: pairs tokenised once, memory-mapped, read by row in constant time.

Texts stand once, as token ids; a pair is a query row and a passage row. So cross-lingual pairs over parallel groups,
which are references, cost sixteen bytes each and not two texts. Rows are numbered over all shards, shard after shard.

    store/ STAMP-queries-00000.arrow ...   tokens, language, keys (group, text)
           STAMP-passages-00000.arrow ...  the same; a group's translations stand together
           STAMP-pairs-00000.arrow ...     query row, passage row, rows of the negatives; partition after partition
           STAMP-answers-00000.arrow ...   for each key of the shard's queries the keys of the passages known to answer
           manifest.json                   files with rows, sizes and hashes; partitions and languages

Arrow IPC, uncompressed, one record batch a file. ``preparation`` makes it from published tables, shard by shard.
"""

from pathlib import Path

from xlstance.disk_folder import DiskFolder, cache_folder
from xlstance.storage import Folder
from xlstance.training.store.node_copy import local_store
from xlstance.training.store.reading import TrainingStore
from xlstance.training.store.window import WindowedShards

__all__ = ["TrainingStore", "open_store"]


def open_store(store: str, node_folder: str = "", window: int = 0) -> TrainingStore:
    """Opens a store where it lies, its copy on this node's disk, or a window of it.

    Args:
        store: path or URI of the store.
        node_folder: folder on the node's own disk; empty: the store is read in place, or copied to the user's cache if
            it lies in a bucket.
        window: pieces of a partition that are shuffled together (``sampler.window`` with ``sampler.order`` blocks);
            the node then keeps twice as many shards, since a batch may need two windows, and fetches the others as
            they are needed. 0: it copies all.

    Raises:
        StorageError: if there is no finished store, or the disk lacks room for the copy.
        SettingsError: if a window is asked of a store whose pairs name texts of other shards.
    """
    folder = Folder(store)
    if not node_folder and not DiskFolder(store).is_copy:
        return TrainingStore(folder.local)
    copies = Path(node_folder or cache_folder())
    if window:
        return TrainingStore(WindowedShards(folder, copies, 2 * window))
    return TrainingStore(local_store(folder, copies))
