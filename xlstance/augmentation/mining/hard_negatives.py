"""Hard negatives: passages that an encoder takes for answers to a query and that are, as far as is known, none.

The margins that keep out unlabelled positives are those of NV-Retriever (Moreira et al. 2024, arXiv 2407.15831),
TopK-MarginPos and TopK-PercPos: a negative has to score clearly lower than the positive.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.augmentation.mining.neighbours import SCALE, Integers, Languages
from xlstance.augmentation.mining.pool import Pool, check_pool_settings, encode_parents, located
from xlstance.augmentation.mining.rivals import Rivals, RivalSearch
from xlstance.augmentation.way import Made, Part, Surroundings, Way, Work
from xlstance.encoders import EncoderSettings
from xlstance.encoding import encoder_stamp
from xlstance.errors import SettingsError
from xlstance.tables import hash_ids, make_table


@dataclass(frozen=True, kw_only=True)
class HardNegatives(Way):
    """Settings of hard-negative mining.

    Passages known to answer the query are never taken: those of a passage group that a pair gives to the query's group,
    in any language, and those whose normalised text is the same as one of theirs. A new pair is its parent with the
    mined negatives in place of its own; a pair for which none is found is left out. With ``pool: 0`` the cost is the
    product of all queries with all passages of the languages searched, in float64, and every shard reads all vectors.

    Attributes:
        name: stands in ``pairs.augmentation`` and in the new ids.
        encoder: the encoder that scores; ``model`` is a folder (below the data root, or any other) or a hub name.
        languages: negatives in the language of the positive (``same``), in any other (``other``), or in all (``any``).
        pool: passages drawn of each language to search, by hashes of seed and id; 0 for all.
        first_rank: the best rank taken, from 1, among the passages not known to answer.
        last_rank: the worst rank taken.
        number: negatives of a pair; a pair may get fewer.
        draw: the ``top`` ones that the margins leave, or a ``random`` choice of them by hashes.
        absolute_margin: a negative scores at most the positive's score less this; empty (null) for no such rule.
        relative_margin: a negative scores at most this share of the positive's score, such as 0.95; of a positive
            score below 0 it is as far below as it would be above; empty (null) for no such rule.
    """

    name: str = "hard-negatives"
    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    languages: Languages = "same"
    pool: int = 0
    first_rank: int = 1
    last_rank: int = 100
    number: int = 4
    draw: Literal["top", "random"] = "top"
    absolute_margin: float | None = None
    relative_margin: float | None = 0.95

    writes_texts: ClassVar[bool] = False
    uses_model: ClassVar[bool] = True

    @property
    def by_shard(self) -> bool:
        """The pool is of all shards."""
        return False

    def __post_init__(self) -> None:
        check_pool_settings("hard negatives", self.encoder, self.pool)
        if not 1 <= self.first_rank <= self.last_rank:
            raise SettingsError(
                f"hard negatives: ranks from first_rank {self.first_rank} to last_rank {self.last_rank}; "
                "ranks count from 1, and the last is not before the first"
            )
        if self.number < 1:
            raise SettingsError(f"hard negatives: number is {self.number}; take at least 1")
        if self.absolute_margin is not None and self.absolute_margin < 0:
            raise SettingsError(f"hard negatives: absolute_margin is {self.absolute_margin}; it may not be negative")
        if self.relative_margin is not None and not 0 < self.relative_margin <= 1:
            raise SettingsError(
                f"hard negatives: relative_margin is {self.relative_margin}; give a share above 0, at most 1"
            )

    def inputs(self, around: Surroundings) -> str:
        """The encoder, by content."""
        return encoder_stamp(located(self.encoder, around))

    def before(self, around: Surroundings) -> None:
        """Encodes the parents' queries and passages, and draws the pool if it is a sample."""
        encode_parents(self.encoder, self.pool, around)

    def work(self, around: Surroundings) -> Work:
        """Finds the negatives of a shard's pairs.

        The counts are, by query and passage language, of pairs with as many negatives as asked for (``full``), with
        fewer and with none; of negatives by their language; and of passages within the ranks that are too close to
        the positive.
        """
        search = RivalSearch(self.pool, around)

        def mine(part: Part) -> Made:
            return negatives_of(
                part.pairs, search(part, self.languages, self.last_rank), search.pool, self, around.seed
            )

        return mine

    def summary(self, counts: Mapping[str, int]) -> dict[str, Any]:
        """The share of the pairs that have negatives, and the share of the passages that the margins left out."""
        of = Counter[str]()
        for name, count in counts.items():
            of[name.partition("/")[0]] += count
        pairs, passages = of["full"] + of["fewer"] + of["none"], of["ranked"]
        return {
            "pairs_with_negatives": (of["full"] + of["fewer"]) / pairs if pairs else 0.0,
            "too_close": of["too_close"] / passages if passages else 0.0,
        }


def negatives_of(pairs: pa.Table, rivals: Rivals, pool: Pool, settings: HardNegatives, seed: int) -> Made:
    """Chooses negatives among the rivals of pairs.

    Args:
        pairs: table ``pairs``.
        rivals: of each pair, down to ``settings.last_rank``.
        pool: what the rivals' rows refer to.
        settings: ranks, margins and number.
        seed: of the choice.

    Returns:
        The pairs that have negatives, with the encoder's scores of passage and negatives as ``teacher_score``.
    """
    ranks = slice(settings.first_rank - 1, None)
    scores, rows = rivals.scores[:, ranks], rivals.rows[:, ranks]
    ranked = rows >= 0
    close = ranked & (scores > _ceiling(rivals.positive, settings)[:, None])
    pair, rank = np.nonzero(ranked & ~close)  # in the order of pairs, then ranks
    found = rows[pair, rank]
    passages = pool.ids.take(pa.array(found)).combine_chunks()
    if settings.draw == "random":
        names = pc.binary_join_element_wise(pairs["pair_id"].take(pa.array(pair)), passages, "#")
        order = np.lexsort((hash_ids(pc.binary_join_element_wise(names, str(seed), "#")), pair))
    else:
        order = np.arange(len(pair))
    # The first ones of each pair, back in the order of their ranks.
    counts = np.bincount(pair, minlength=len(pairs))
    nth = np.arange(len(pair)) - np.repeat(np.cumsum(counts) - counts, counts)
    taken = np.sort(order[nth < settings.number])
    got = np.minimum(counts, settings.number)
    kept = np.flatnonzero(got)
    values = pa.StructArray.from_arrays(
        [passages.take(pa.array(taken)), _as_score(scores[pair, rank][taken])],
        ["passage_id", "teacher_score"],
    )
    offsets = pa.array(np.concatenate([[0], np.cumsum(got[kept])]), pa.int32())
    parents = pairs.take(pa.array(kept))
    ending = f"~{settings.name}-{settings.languages}"
    columns = {name: parents[name] for name in ("query_id", "passage_id", "source")} | {
        "pair_id": pc.binary_join_element_wise(parents["pair_id"], ending, ""),
        "negatives": pa.ListArray.from_arrays(offsets, values),
        "teacher_score": _as_score(rivals.positive[kept]),
        "augmentation": [settings.name] * len(parents),
        "parent_pair_id": parents["pair_id"],
    }
    what = np.where(got == settings.number, "full", np.where(got > 0, "fewer", "none"))
    tally = Counter(f"{name}/{langs}" for name, langs in zip(what, rivals.languages, strict=True))
    tally.update(f"negatives/{pool.languages[code]}" for code in pool.language[found[taken]])
    tally.update({"ranked": int(ranked.sum()), "too_close": int(close.sum())})
    return Made(pairs=make_table("pairs", columns), counts=tally)


def _ceiling(positive: Integers, settings: HardNegatives) -> npt.NDArray[np.float64]:
    """The highest score that a negative of each pair may have, ``[pairs]`` in units of ``1 / SCALE``."""
    ceiling = np.full(len(positive), np.inf)
    if settings.absolute_margin is not None:
        ceiling = np.minimum(ceiling, positive - settings.absolute_margin * SCALE)
    if settings.relative_margin is not None:
        ceiling = np.minimum(ceiling, positive - (1 - settings.relative_margin) * np.abs(positive))
    return ceiling


def _as_score(scores: Integers) -> pa.Array:
    return pa.array((scores / SCALE).astype(np.float32))
