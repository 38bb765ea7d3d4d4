"""The batch plan: which rows make up global batch n, as a pure function of (settings, partitions, seed, n).

Every rank computes the same global batch and takes its own slice, so the stream is the same for any number of workers
and resuming at step n needs only n. Samplers: X-X and X-X-mono (LAReQA, arXiv 2004.05484, section 4), X-Y and hybrid
batches (arXiv 2408.10536, section 3), and mixed passages, mixed entries and round robin after Multilingual
Translate-Distill (arXiv 2405.00977), which draws languages for translated passages, here among the listed pairs.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from xlstance.errors import SettingsError
from xlstance.training.plan.mixture import Mixture, RoundRobin, make_mixture
from xlstance.training.plan.pool_shares import language_shares, pool_shares, weighted_sources
from xlstance.training.plan.pools import Partition, PoolRows, make_pools
from xlstance.training.plan.sampler import SamplerSettings
from xlstance.training.plan.schedule import KindShares
from xlstance.training.plan.shares import ConstantShares

Kind = Literal["bitext", "mono", "mixed", "cross", "mix-entries", "mix-passages", "round-robin"]

# Streams of randomness that must not meet: the first integer of every key after the seed.
_KIND, _BITEXT, _MONO, _CROSS, _ROWS = range(5)


@dataclass(frozen=True)
class Batch:
    """A global batch: its kind and its rows.

    Attributes:
        kind: what the batch holds: ``bitext``; ``mono``: one language; ``mixed``: same-language pairs of several
            languages; ``cross``: cross-lingual pairs; or the sampler's name, for those that take all pairs.
        partition: ``[batch_size] int64``, indexes into the plan's partitions.
        row: ``[batch_size] int64``, rows of those partitions.
    """

    kind: Kind
    partition: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Spread:
    """Rows that are spread over pools."""

    pools: npt.NDArray[np.int64]
    mixture: Mixture

    def draw(self, start: int, count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Pool and place in the pool of rows ``start`` to ``start + count``."""
        chosen, places = self.mixture.draw(start, count)
        return self.pools[chosen], places


@dataclass(frozen=True)
class _Stream:
    """Batches of one kind: every batch takes the turn of one spread."""

    kind: Kind
    turns: Mixture
    spreads: Sequence[_Spread]


class BatchPlan:
    """All batches of a training run, by random access.

    Args:
        partitions: what there is to draw from.
        sampler: how to mix.
        batch_size: rows of a global batch.
        seed: fixes everything.

    Raises:
        SettingsError: if the sampler needs a kind of pairs that no partition holds, or source weights name other
            sources than there are.
    """

    def __init__(self, partitions: Sequence[Partition], sampler: SamplerSettings, batch_size: int, seed: int) -> None:
        self.batch_size = batch_size
        self._sampler, self._seed = sampler, seed
        self._pools = make_pools(partitions, weighted_sources(partitions, sampler))
        self._rows = PoolRows(partitions, self._pools, sampler.order, sampler.window, seed, _ROWS)
        bitext, retrieval = ([n for n, pool in enumerate(self._pools) if pool.bitext is of] for of in (True, False))
        mono = [n for n in retrieval if self._pools[n].monolingual]
        cross = [n for n in retrieval if not self._pools[n].monolingual]
        kind: Kind = "cross"
        others = cross
        if sampler.kind == "x-x":
            kind, others = "mixed", mono
        elif sampler.kind in ("mix-entries", "mix-passages", "round-robin"):
            kind, others = sampler.kind, retrieval
        self._check(partitions, mono=mono, others=others, bitext=bitext)
        self._streams = (
            self._stream("bitext", bitext, _BITEXT),
            self._stream("mono", mono, _MONO),
            self._stream(kind, others, _CROSS),
        )
        kinds = KindShares(sampler.bitext_share, sampler.alphas())
        self._by_kind = make_mixture(kinds, sampler.block, sampler.draw, seed, _KIND)

    def batch(self, step: int) -> Batch:
        """Global batch ``step`` (from 0)."""
        kind, occurrence = _one(self._by_kind, step)
        stream = self._streams[kind]
        turn, occurrence = _one(stream.turns, occurrence)
        pools, places = stream.spreads[turn].draw(occurrence * self.batch_size, self.batch_size)
        return Batch(stream.kind, *self._rows.rows(pools, places))

    def _check(
        self, partitions: Sequence[Partition], *, mono: Sequence[int], others: Sequence[int], bitext: Sequence[int]
    ) -> None:
        sampler, alphas = self._sampler, self._sampler.alphas()
        held = ", ".join(f"{p.source} {p.query_lang}->{p.passage_lang}" for p in partitions[:6]) or "nothing"
        if sampler.bitext_share > 0 and not bitext:
            raise SettingsError("sampler.bitext_share is above 0 but no source is marked as bitext")
        if sampler.bitext_share == 1:
            return
        if not mono and (alphas.highest > 0 or sampler.kind == "x-x"):
            raise SettingsError(f"sampler {sampler.kind} needs same-language pairs; the sources hold {held}")
        if not others and alphas.lowest < 1:
            if sampler.kind not in ("x-y", "hybrid"):
                raise SettingsError(f"sampler {sampler.kind} needs pairs that are no bitext; the sources hold {held}")
            raise SettingsError(
                f"sampler {sampler.kind} needs cross-lingual pairs; the sources hold {held}: add an augmentation that "
                "makes some (pairing, code_switching)"
            )

    def _stream(self, kind: Kind, numbers: Sequence[int], purpose: int) -> _Stream:
        by_language: dict[str, list[int]] = defaultdict(list)
        for number in numbers:
            by_language[self._pools[number].passage_lang if kind in ("mono", "round-robin") else ""].append(number)
        groups = [own for _, own in sorted(by_language.items())]
        turns: Mixture = RoundRobin(len(groups))
        if kind == "mono" and groups:
            rows = {turn: sum(self._pools[number].rows for number in own) for turn, own in enumerate(groups)}
            turns = self._mixture(list(language_shares(rows, self._sampler).values()), purpose, len(groups))
        spreads = []
        for turn, own in enumerate(groups):
            pools = [self._pools[number] for number in own]
            shares = pool_shares(pools, self._sampler, nested=kind in ("mix-entries", "mix-passages"))
            spreads.append(_Spread(np.array(own, dtype=np.int64), self._mixture(shares, purpose, turn)))
        return _Stream(kind, turns, spreads)

    def _mixture(self, shares: Sequence[float], *key: int) -> Mixture:
        if len(shares) == 1:
            return RoundRobin(1)
        # Fine enough that a small share is not rounded away.
        block = len(shares) if min(shares) == max(shares) else max(1000, 10 * len(shares))
        return make_mixture(ConstantShares(shares), block, self._sampler.draw, self._seed, *key)


def _one(mixture: Mixture, place: int) -> tuple[int, int]:
    items, occurrences = mixture.draw(place, 1)
    return int(items[0]), int(occurrences[0])
