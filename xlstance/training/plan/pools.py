"""Pools of rows that are drawn together, each endlessly, epoch after epoch, without replacement in an epoch."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from xlstance.training.plan.permutation import permute
from xlstance.training.plan.splitmix import stream_key, words
from xlstance.training.plan.windows import Windows

Array = npt.NDArray[np.int64]
Order = Literal["rows", "blocks"]


@dataclass(frozen=True, kw_only=True)
class Partition:
    """The rows of one source in one (query language, passage language).

    Attributes:
        source: its name.
        query_lang: language of the queries.
        passage_lang: language of the passages.
        rows: their number.
        bitext: whether the source is marked as bitext.
        pieces: rows of each piece of the store, in order, adding up to ``rows``; empty: one piece.
    """

    source: str
    query_lang: str
    passage_lang: str
    rows: int
    bitext: bool = False
    pieces: tuple[int, ...] = ()

    @property
    def monolingual(self) -> bool:
        """Whether query and passage share one language; a text of several languages (``mul``) is never monolingual."""
        return self.query_lang == self.passage_lang != "mul"


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Rows that are drawn together.

    Attributes:
        query_lang: language of the queries.
        passage_lang: language of the passages.
        bitext: whether its sources are marked as bitext.
        source: of the rows; empty where sources are joined.
        members: numbers of the partitions whose rows these are.
        rows: their number.
    """

    query_lang: str
    passage_lang: str
    bitext: bool
    source: str
    members: tuple[int, ...]
    rows: int

    @property
    def monolingual(self) -> bool:
        """As of ``Partition``."""
        return self.query_lang == self.passage_lang != "mul"


def make_pools(partitions: Sequence[Partition], separate: set[str]) -> list[Pool]:
    """The pools of all partitions that have rows, by kind, language pair and source.

    Args:
        partitions: what there is.
        separate: names of the sources whose rows are not joined with those of others.
    """
    members: dict[tuple[bool, str, str, str], list[int]] = defaultdict(list)
    for number, partition in enumerate(partitions):
        source = partition.source if partition.source in separate else ""
        if partition.rows:
            members[partition.bitext, partition.query_lang, partition.passage_lang, source].append(number)
    return [
        Pool(
            bitext=bitext,
            query_lang=query_lang,
            passage_lang=passage_lang,
            source=source,
            members=tuple(own),
            rows=sum(partitions[number].rows for number in own),
        )
        for (bitext, query_lang, passage_lang, source), own in sorted(members.items())
    ]


class PoolRows:
    """The rows of pools in the order in which they are drawn.

    Args:
        partitions: whose rows they are.
        pools: of these partitions.
        order: ``rows``, or ``blocks``, in which an epoch needs few pieces of a pool at a time.
        window: pieces of ``blocks`` that are shuffled together.
        key: integers that fix the order.
    """

    def __init__(
        self,
        partitions: Sequence[Partition],
        pools: Sequence[Pool],
        order: Order,
        window: int,
        *key: int,
    ) -> None:
        self._sizes = np.array([pool.rows for pool in pools], dtype=np.int64)
        self._starts = np.cumsum(self._sizes) - self._sizes
        # All pools stand one after another on one line, made of runs of rows: a partition's, or a piece of it.
        cuts = [_cut([partitions[number] for number in pool.members], order) for pool in pools]
        self._partitions = _join([np.tile(pool.members, len(cut)) for pool, cut in zip(pools, cuts, strict=True)])
        self._first_rows = _join([(np.cumsum(cut, axis=0) - cut).ravel() for cut in cuts])
        lengths = _join([cut.ravel() for cut in cuts])
        self._run_ends = np.cumsum(lengths)
        self._run_starts = self._run_ends - lengths
        # The first partition's number keeps pools apart, and a pool's order as it is whatever else is drawn.
        firsts = np.array([pool.members[0] for pool in pools], dtype=np.int64)
        self._keys = words(stream_key(*key), firsts)
        pieces = [cut.sum(axis=1) for cut in cuts]
        self._windows = Windows(pieces, window, self._keys, stream_key(*key, 1)) if order == "blocks" else None

    def rows(self, pools: Array, places: Array) -> tuple[Array, Array]:
        """Partition and row at each place of each pool's endless sequence; all ``[n] int64``."""
        sizes = self._sizes[pools]
        epochs, within = np.divmod(places, sizes)
        if self._windows is None:
            permuted = permute(within, sizes, words(self._keys[pools], epochs))
        else:
            permuted = self._windows.permute(pools, epochs, within)
        line = self._starts[pools] + permuted
        run = np.searchsorted(self._run_ends, line, side="right")
        return self._partitions[run], self._first_rows[run] + line - self._run_starts[run]


def _cut(members: Sequence[Partition], order: Order) -> Array:
    """Rows of each piece of each member of a pool, ``[pieces, members]``."""
    pieces = [list(member.pieces) if order == "blocks" and member.pieces else [member.rows] for member in members]
    most = max(map(len, pieces))
    return np.array([own + [0] * (most - len(own)) for own in pieces], dtype=np.int64).T


def _join(parts: Sequence[Array]) -> Array:
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])
