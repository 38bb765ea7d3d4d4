"""A sample of pairs, so that augmentations which are compared begin from equally many."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.augmentation.way import Made, Part, Surroundings, Way, Work
from xlstance.errors import SettingsError
from xlstance.storage import read_table
from xlstance.tables import hash_ids, make_table


@dataclass(frozen=True, kw_only=True)
class Sampling(Way):
    """Settings of a sample.

    Attributes:
        name: stands in ``pairs.augmentation`` and in the new ids.
        pairs: how many to take of all that it is applied to; those of the lowest hashes of seed and id.
    """

    name: str = "sample"
    pairs: int = 10_000

    writes_texts: ClassVar[bool] = False

    @property
    def by_shard(self) -> bool:
        """Which pairs are taken follows from all of them."""
        return False

    def __post_init__(self) -> None:
        if self.pairs < 1:
            raise SettingsError(f"sampling: pairs is {self.pairs}; take at least 1")

    def work(self, around: Surroundings) -> Work:
        """Keeps the pairs of a shard that are among the lowest hashes of all shards."""
        last = self._last(around)

        def sample(part: Part) -> Made:
            rows = np.flatnonzero(_draw(part.pairs["pair_id"], around.seed) <= last)
            taken = part.pairs.take(pa.array(rows))
            columns = {name: taken[name] for name in taken.column_names} | {
                "pair_id": pc.binary_join_element_wise(taken["pair_id"], f"~{self.name}", ""),
                "augmentation": [self.name] * len(taken),
                "parent_pair_id": taken["pair_id"],
            }
            return Made(pairs=make_table("pairs", columns))

        return sample

    def _last(self, around: Surroundings) -> Any:
        """The highest hash that is taken: eight bytes for each pair there is."""
        ids = [read_table(parent.pairs, "pairs", ["pair_id"])["pair_id"] for parent in around.parents]
        hashes = np.concatenate([_draw(column, around.seed) for column in ids])
        rank = min(self.pairs, len(hashes)) - 1
        return np.partition(hashes, rank)[rank] if len(hashes) else np.uint64(0)


def _draw(ids: Any, seed: int) -> Any:
    return hash_ids(pc.binary_join_element_wise(ids, str(seed), "#"))
