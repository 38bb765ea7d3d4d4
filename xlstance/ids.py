"""Sets and maps of ids as 64-bit hashes: eight bytes an id, whatever its length."""

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]


class IdSet:
    """A growing set of hashed ids, looked up and added to by whole blocks.

    The hashes lie in sorted runs whose sizes fall by half at least, so that an id is moved and looked for a logarithmic
    number of times.
    """

    def __init__(self) -> None:
        self._runs: list[Hashes] = []

    def __len__(self) -> int:
        return sum(len(run) for run in self._runs)

    def contains(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Whether each hash is in the set; ``[rows] bool``."""
        found = np.zeros(len(hashes), dtype=bool)
        for run in self._runs:
            at = np.minimum(np.searchsorted(run, hashes), len(run) - 1)
            found |= run[at] == hashes
        return found

    def add(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Adds hashes and returns which of them are new; of equal ones in the block the first is; ``[rows] bool``."""
        unique, first = np.unique(hashes, return_index=True)
        fresh = ~self.contains(unique)
        new = np.zeros(len(hashes), dtype=bool)
        new[first[fresh]] = True
        run = unique[fresh]
        while self._runs and len(self._runs[-1]) < 2 * len(run):
            run = np.concatenate([self._runs.pop(), run])
            run.sort(kind="stable")
        if len(run):
            self._runs.append(run)
        return new


class IdMap:
    """A number for each of many hashed ids, added block by block and looked up once all are there."""

    def __init__(self) -> None:
        self._added: list[tuple[Hashes, npt.NDArray[np.int32]]] = []
        self._sorted = False

    def add(self, hashes: Hashes, values: npt.NDArray[np.int32]) -> None:
        """Adds hashes, each with its number from 0; ``[rows] uint64`` and ``[rows] int32``."""
        self._added.append((hashes, values))
        self._sorted = False

    def get(self, hashes: Hashes) -> npt.NDArray[np.int32]:
        """The number of each hash, -1 for one that was not added; ``[rows] int32``."""
        if not self._sorted:
            keys = np.concatenate([np.empty(0, np.uint64), *(keys for keys, _ in self._added)])
            values = np.concatenate([np.empty(0, np.int32), *(values for _, values in self._added)])
            order = np.argsort(keys, kind="stable")
            self._added, self._sorted = [(keys[order], values[order])], True
        keys, values = self._added[0]
        if not len(keys):
            return np.full(len(hashes), -1, np.int32)
        at = np.minimum(np.searchsorted(keys, hashes), len(keys) - 1)
        return np.where(keys[at] == hashes, values[at], -1).astype(np.int32)
