"""Texts that come several times under one id, as in rows of pairs: which are new, and which say something else."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from xlstance.ids import Hashes, IdSet
from xlstance.tables import hash_ids

_ODD = np.uint64(0x9E3779B97F4A7C15)  # any odd number maps 64-bit values one to one


class SeenTexts:
    """Ids and the texts that they stand for, as 64-bit hashes: sixteen bytes a text."""

    def __init__(self) -> None:
        self._ids, self._texts = IdSet(), IdSet()

    def contradicts(self, ids: pa.ChunkedArray, texts: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
        """Whether each id stands for another text, already or earlier in the block; ``[rows] bool``."""
        id_hashes, text_hashes = hash_ids(ids), hash_ids(texts)
        _, first, codes = np.unique(id_hashes, return_index=True, return_inverse=True)
        within: npt.NDArray[np.bool_] = text_hashes[first][codes] != text_hashes
        before = self._ids.contains(id_hashes) & ~self._texts.contains(_joint(id_hashes, text_hashes))
        return within | before

    def add(self, ids: pa.ChunkedArray, texts: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
        """Adds texts that contradict nothing, and returns which are new; ``[rows] bool``."""
        id_hashes = hash_ids(ids)
        self._texts.add(_joint(id_hashes, hash_ids(texts)))
        return self._ids.add(id_hashes)

    def has(self, ids: pa.ChunkedArray, texts: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
        """Whether each id was added with this text; ``[rows] bool``."""
        return self._texts.contains(_joint(hash_ids(ids), hash_ids(texts)))


def _joint(ids: Hashes, texts: Hashes) -> Hashes:
    joint: Hashes = ids * _ODD ^ texts
    return joint
