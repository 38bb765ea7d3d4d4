"""The round-trip filter: a pair stays if its query finds its passage again.

After Alberti et al. 2019 (arXiv 1906.05416) and Dai et al. 2022 (Promptagator, arXiv 2209.11755): a query that was
generated from a passage, and does not bring a retriever back to it, is about something else or about nothing.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.augmentation.mining.neighbours import NOTHING
from xlstance.augmentation.mining.pool import check_pool_settings, encode_parents, located
from xlstance.augmentation.mining.rivals import RivalSearch
from xlstance.augmentation.way import Made, Part, Surroundings, Way, Work
from xlstance.encoders import EncoderSettings
from xlstance.encoding import encoder_stamp
from xlstance.errors import SettingsError
from xlstance.tables import make_table


@dataclass(frozen=True, kw_only=True)
class Consistency(Way):
    """Settings of the round-trip filter.

    A pair is kept if fewer than ``top_k`` passages of the pool score as high for its query as its own passage does.
    Passages known to answer the query (translations of its passage, further positives of its group, the same text) do
    not count against it; equally scored ones do, so an encoder that maps everything to one vector keeps nothing.

    Attributes:
        name: stands in ``pairs.augmentation`` and in the new ids.
        encoder: the encoder that ranks; ``model`` is a folder (below the data root, or any other) or a hub name.
        top_k: the lowest rank at which a passage counts as found.
        pool: passages drawn of each language as rivals, by hashes of seed and id; 0 for all.
        languages: rivals in the language of the pair's passage alone (``same``), or in all (``any``).
    """

    name: str = "consistency"
    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    top_k: int = 1
    pool: int = 10_000
    languages: Literal["same", "any"] = "same"

    writes_texts: ClassVar[bool] = False
    uses_model: ClassVar[bool] = True

    @property
    def by_shard(self) -> bool:
        """The pool is of all shards."""
        return False

    def __post_init__(self) -> None:
        check_pool_settings("consistency", self.encoder, self.pool)
        if self.top_k < 1:
            raise SettingsError(f"consistency: top_k is {self.top_k}; it must be at least 1")

    def inputs(self, around: Surroundings) -> str:
        """The encoder, by content."""
        return encoder_stamp(located(self.encoder, around))

    def before(self, around: Surroundings) -> None:
        """Encodes the parents' queries and passages, and draws the pool."""
        encode_parents(self.encoder, self.pool, around)

    def work(self, around: Surroundings) -> Work:
        """Keeps the pairs of a shard whose passage is found.

        The counts are of pairs kept and dropped, by query and passage language, and of those that were kept because
        the pool held fewer than ``top_k`` rivals.
        """
        search = RivalSearch(self.pool, around)

        def keep(part: Part) -> Made:
            rivals = search(part, self.languages, self.top_k)
            last = rivals.scores[:, -1]
            kept = last < rivals.positive
            what = np.where(kept, "kept", "dropped")
            counts = Counter(f"{name}/{langs}" for name, langs in zip(what, rivals.languages, strict=True))
            counts.update(f"unopposed/{rivals.languages[row]}" for row in np.flatnonzero(last == NOTHING))
            taken = part.pairs.filter(pa.array(kept))
            columns = {name: taken[name] for name in taken.column_names} | {
                "pair_id": pc.binary_join_element_wise(taken["pair_id"], f"~{self.name}-kept", ""),
                "augmentation": [self.name] * len(taken),
                "parent_pair_id": taken["pair_id"],
            }
            return Made(pairs=make_table("pairs", columns), counts=counts)

        return keep

    def summary(self, counts: Mapping[str, int]) -> dict[str, Any]:
        """The share of the pairs that was kept, by query and passage language."""
        languages = sorted({name.partition("/")[2] for name in counts})
        kept, dropped = ({lang: counts.get(f"{what}/{lang}", 0) for lang in languages} for what in ("kept", "dropped"))
        return {"kept_share": {lang: kept[lang] / (kept[lang] + dropped[lang]) for lang in languages}}
