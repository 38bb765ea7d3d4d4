"""Postings on disk: 64-bit keys, each with the numbers of the entries that have it, in two sorted, mapped files.

Records stream to sorted runs as they come; at the end the runs are merged, one range of keys at a time, so that memory
stays flat for any size. Readers on one machine share the mapped pages, and a lookup walks them once.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xlstance.leakage.text import Hashes, Numbers

RUN = 1 << 22  # records that are sorted at a time, twelve bytes each
COPIES = 100  # entries of one part that a key keeps: of more, the first stand for all, and lookups stay linear

_KEY, _ENTRY = np.dtype("<u8"), np.dtype("<u4")


class PostingsWriter:
    """Takes records of keys and entries, and writes them sorted.

    Args:
        path: where the files belong: ``{path}.keys`` and ``{path}.entries``.
        scratch: a folder for the runs; the caller removes it.
        run: records to hold in memory.
    """

    def __init__(self, path: Path, scratch: Path, run: int = RUN) -> None:
        self._path, self._scratch, self._run = path, scratch, run
        self._runs: list[Path] = []
        self._held: list[tuple[Hashes, Numbers]] = []
        self._size = 0

    def add(self, keys: Hashes, entries: Numbers) -> None:
        """Adds records, ``[records]`` each; entries never fall from one call to the next."""
        self._held.append((keys, entries))
        self._size += len(keys)
        if self._size >= self._run:
            self._write_run()

    def finish(self, parts: Numbers) -> dict[Path, int]:
        """Merges the runs.

        Args:
            parts: the first entry of each part, ascending from 0; a key keeps its first hundred entries of each.

        Returns:
            The two files, with the records in each.
        """
        self._write_run()
        runs = [
            (map_file(path.with_suffix(".keys"), _KEY), map_file(path.with_suffix(".entries"), _ENTRY))
            for path in self._runs
        ]
        ranges = -(-sum(len(keys) for keys, _ in runs) // self._run)
        bounds = np.array([((1 << 64) * i) // max(ranges, 1) for i in range(1, ranges)], np.uint64)
        cuts = [[0, *np.searchsorted(keys, bounds).tolist(), len(keys)] for keys, _ in runs]
        files, count = (self._path.with_suffix(".keys"), self._path.with_suffix(".entries")), 0
        with files[0].open("wb") as key_file, files[1].open("wb") as entry_file:
            for index in range(ranges):
                slices = [slice(*cut[index : index + 2]) for cut in cuts]
                keys, entries = (
                    np.concatenate([run[column][own] for run, own in zip(runs, slices, strict=True)])
                    for column in (0, 1)
                )
                keys, entries = _thin(*_sort(keys, entries), parts)
                keys.tofile(key_file)
                entries.tofile(entry_file)
                count += len(keys)
        return dict.fromkeys(files, count)

    def _write_run(self) -> None:
        if self._held:
            keys, entries = (np.concatenate(column) for column in zip(*self._held, strict=True))
            path = self._scratch / f"{self._path.name}-{len(self._runs)}"
            keys, entries = _sort(keys, entries.astype(_ENTRY))
            keys.tofile(path.with_suffix(".keys"))
            entries.tofile(path.with_suffix(".entries"))
            self._runs.append(path)
            self._held, self._size = [], 0


def _sort(keys: Hashes, entries: npt.NDArray[np.uint32]) -> tuple[Hashes, npt.NDArray[np.uint32]]:
    order = np.argsort(keys, kind="stable")
    return keys[order], entries[order]


def _thin(keys: Hashes, entries: npt.NDArray[np.uint32], parts: Numbers) -> tuple[Hashes, npt.NDArray[np.uint32]]:
    """Leaves the first entries of each key and part."""
    part = np.searchsorted(parts, entries, side="right")
    first = (np.diff(keys, prepend=~keys[:1]) != 0) | (np.diff(part, prepend=-1) != 0)
    place = np.arange(len(keys)) - np.flatnonzero(first)[np.cumsum(first) - 1]
    return keys[place < COPIES], entries[place < COPIES]


def map_file(path: Path, kind: Any) -> npt.NDArray[Any]:
    """A raw file as an array; an empty one cannot be mapped."""
    return np.memmap(path, kind, mode="r") if path.stat().st_size else np.zeros(0, kind)


class Postings:
    """What ``PostingsWriter`` wrote.

    Args:
        path: as given there.
    """

    def __init__(self, path: Path) -> None:
        self._keys = map_file(path.with_suffix(".keys"), _KEY)
        self._entries = map_file(path.with_suffix(".entries"), _ENTRY)

    def find(self, keys: Hashes) -> tuple[Numbers, Numbers]:
        """Looks keys up.

        Args:
            keys: ``[keys]``, in any order.

        Returns:
            For every match the number of the key in ``keys`` and the entry, ``[matches] int64`` each.
        """
        rows, places = equal_in(keys, self._keys)
        return rows, self._entries[places].astype(np.int64)


def equal_in(keys: npt.NDArray[Any], ordered: npt.NDArray[Any]) -> tuple[Numbers, Numbers]:
    """All pairs of equal values: the places in ``keys``, in any order, and those in ``ordered``, which is sorted."""
    order = np.argsort(keys)  # sorted, they walk through the other array instead of jumping
    wanted = keys[order]
    first = np.searchsorted(ordered, wanted)
    hit = np.flatnonzero(first < len(ordered))
    hit = hit[ordered[first[hit]] == wanted[hit]]
    first, counts = first[hit], np.searchsorted(ordered, wanted[hit], side="right") - first[hit]
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(order[hit], counts), np.repeat(first, counts) + within
