"""The batch plan: which rows make up global batch n, as a pure function of (settings, partitions, seed, n).

Every rank computes the same global batch and takes its own slice, so the stream is the same for any number of workers
and resuming at step n needs only n. Samplers: X-X and X-X-mono (LAReQA, arXiv 2004.05484, section 4), X-Y and hybrid
batches (arXiv 2408.10536, section 3).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from xlstance.errors import SettingsError
from xlstance.training.mixture import Draw, Mixture
from xlstance.training.permutation import permutation_key, permute

Sampler = Literal["x-x", "x-x-mono", "x-y", "hybrid"]
Kind = Literal["bitext", "mono", "mixed", "cross"]

# Streams of randomness that must not meet: the first integer of every key after the seed.
_BITEXT, _ALPHA, _LANGUAGE, _PAIR, _BITEXT_PAIR, _ROWS = range(6)


@dataclass(frozen=True, kw_only=True)
class SamplerSettings:
    """How batches are mixed.

    Attributes:
        kind: ``x-x-mono``: each batch in one language; ``x-y``: cross-lingual pairs, the language pair varying inside
            the batch; ``hybrid``: each batch is X-X-mono with share ``alpha`` and X-Y otherwise; ``x-x``: same-language
            pairs, languages mixed inside the batch.
        alpha: share of monolingual batches among the retrieval batches of ``hybrid``, from 0 to 1.
        draw: ``block``: shares exact in every block of batches; ``coin``: an independent draw per batch, as published.
        block: batches per block.
        languages: ``uniform``: every language (or language pair) equally often; ``size``: by its number of rows.
        bitext_share: share of batches drawn from the sources marked as bitext, from 0 to 1.
    """

    kind: Sampler = "hybrid"
    alpha: float = 0.5
    draw: Draw = "block"
    block: int = 20
    languages: Literal["uniform", "size"] = "uniform"
    bitext_share: float = 0.0

    def __post_init__(self) -> None:
        for name, value in (("alpha", self.alpha), ("bitext_share", self.bitext_share)):
            if not 0 <= value <= 1:
                raise SettingsError(f"sampler.{name} is {value}; it is a share from 0 to 1")
        if self.block < 1:
            raise SettingsError(f"sampler.block is {self.block}; it is a number of batches, at least 1")


@dataclass(frozen=True, kw_only=True)
class Partition:
    """The rows of one source in one (query language, passage language)."""

    source: str
    query_lang: str
    passage_lang: str
    rows: int
    bitext: bool = False

    @property
    def monolingual(self) -> bool:
        """Whether query and passage share one language; a text of several languages (``mul``) is never monolingual."""
        return self.query_lang == self.passage_lang != "mul"


@dataclass(frozen=True)
class Batch:
    """A global batch: its kind and its rows.

    Attributes:
        kind: what the batch holds.
        partition: ``[batch_size] int64``, indexes into the plan's partitions.
        row: ``[batch_size] int64``, rows of those partitions.
    """

    kind: Kind
    partition: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]


class _Pools:
    """Partitions gathered by language pair, each pool shuffled anew in every epoch."""

    def __init__(self, partitions: Sequence[Partition], members: Sequence[int], seed: int) -> None:
        languages = {i: (partitions[i].query_lang, partitions[i].passage_lang) for i in members}
        self.keys = sorted(set(languages.values()))
        self._members = np.array(sorted(members, key=lambda i: (languages[i], i)), dtype=np.int64)
        rows = np.array([partitions[i].rows for i in self._members], dtype=np.int64)
        pool = np.array([self.keys.index(languages[i]) for i in self._members], dtype=np.int64)
        self._ends = np.cumsum(rows)  # of the members, pool after pool
        self._rows = rows
        self.sizes = np.bincount(pool, weights=rows, minlength=len(self.keys)).astype(np.int64)
        self._pool_starts = np.cumsum(self.sizes) - self.sizes
        # The first member's number is in the key so that other pools, of other samplers too, have another order.
        firsts = np.searchsorted(pool, np.arange(len(self.keys)))
        self._permutation_key = lru_cache(maxsize=65536)(
            lambda pool, epoch: permutation_key(seed, _ROWS, epoch, int(self._members[firsts[pool]]))
        )

    def rows(
        self, pools: npt.NDArray[np.int64], places: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Partition and row at each place of each pool's endless sequence of epochs; all ``[n] int64``."""
        sizes = self.sizes[pools]
        epochs, within = np.divmod(places, sizes)
        keys = np.stack([self._permutation_key(int(p), int(e)) for p, e in zip(pools, epochs, strict=True)])
        chosen = self._pool_starts[pools] + permute(within, sizes, keys)
        member = np.searchsorted(self._ends, chosen, side="right")
        return self._members[member], chosen - (self._ends - self._rows)[member]


class BatchPlan:
    """All batches of a training run, by random access.

    Args:
        partitions: what there is to draw from.
        sampler: how to mix.
        batch_size: rows of a global batch.
        seed: fixes everything.

    Raises:
        SettingsError: if the sampler needs a kind of pairs that no partition holds.
    """

    def __init__(self, partitions: Sequence[Partition], sampler: SamplerSettings, batch_size: int, seed: int) -> None:
        self.batch_size = batch_size
        self._sampler = sampler
        self._seed = seed
        filled = [i for i, partition in enumerate(partitions) if partition.rows]
        retrieval = [i for i in filled if not partitions[i].bitext]
        self._mono = _Pools(partitions, [i for i in retrieval if partitions[i].monolingual], seed)
        self._cross = _Pools(partitions, [i for i in retrieval if not partitions[i].monolingual], seed)
        self._bitext = _Pools(partitions, [i for i in filled if partitions[i].bitext], seed)
        self._check(partitions)
        share, alpha = sampler.bitext_share, self._alpha
        self._by_source = Mixture([share, 1 - share], sampler.block, sampler.draw, seed, _BITEXT)
        self._by_kind = Mixture([alpha, 1 - alpha], sampler.block, sampler.draw, seed, _ALPHA)
        self._by_language = self._over(self._mono, _LANGUAGE)
        self._by_pair = self._over(self._mono if sampler.kind == "x-x" else self._cross, _PAIR)
        self._by_bitext = self._over(self._bitext, _BITEXT_PAIR)

    @property
    def _alpha(self) -> float:
        return {"x-x-mono": 1.0, "hybrid": self._sampler.alpha}.get(self._sampler.kind, 0.0)

    def _check(self, partitions: Sequence[Partition]) -> None:
        sampler = self._sampler
        held = ", ".join(f"{p.source} {p.query_lang}->{p.passage_lang}" for p in partitions[:6]) or "nothing"
        wants_mono = sampler.bitext_share < 1 and (self._alpha > 0 or sampler.kind == "x-x")
        wants_cross = sampler.bitext_share < 1 and self._alpha < 1 and sampler.kind != "x-x"
        if wants_mono and not self._mono.keys:
            raise SettingsError(f"sampler {sampler.kind} needs same-language pairs; the sources hold {held}")
        if wants_cross and not self._cross.keys:
            raise SettingsError(
                f"sampler {sampler.kind} needs cross-lingual pairs; the sources hold {held}: add an augmentation that "
                "makes some (pairing, code_switching)"
            )
        if sampler.bitext_share > 0 and not self._bitext.keys:
            raise SettingsError("sampler.bitext_share is above 0 but no source is marked as bitext")

    def _over(self, pools: _Pools, purpose: int) -> Mixture | None:
        if not pools.keys:
            return None
        if self._sampler.languages == "uniform":
            return Mixture([1.0] * len(pools.keys), len(pools.keys), self._sampler.draw, self._seed, purpose)
        block = max(1000, 10 * len(pools.keys))  # fine enough that a small language is not rounded away
        return Mixture([float(size) for size in pools.sizes], block, self._sampler.draw, self._seed, purpose)

    def batch(self, step: int) -> Batch:
        """Global batch ``step`` (from 0)."""
        source, retrieval_step = (int(values[0]) for values in self._by_source.draw(step, 1))
        if source == 0:
            return self._spread("bitext", self._bitext, self._by_bitext, retrieval_step)
        if self._sampler.kind == "x-x":
            return self._spread("mixed", self._mono, self._by_pair, retrieval_step)
        kind, kind_step = (int(values[0]) for values in self._by_kind.draw(retrieval_step, 1))
        if kind == 1:
            return self._spread("cross", self._cross, self._by_pair, kind_step)
        assert self._by_language is not None  # noqa: S101 - checked on construction
        language, language_step = (int(values[0]) for values in self._by_language.draw(kind_step, 1))
        places = np.arange(language_step * self.batch_size, (language_step + 1) * self.batch_size)
        return Batch("mono", *self._mono.rows(np.full_like(places, language), places))

    def _spread(self, kind: Kind, pools: _Pools, mixture: Mixture | None, occurrence: int) -> Batch:
        """The ``occurrence``-th batch whose rows are spread over all pools."""
        assert mixture is not None  # noqa: S101 - checked on construction
        chosen, places = mixture.draw(occurrence * self.batch_size, self.batch_size)
        return Batch(kind, *pools.rows(chosen, places))
