"""Settings of the batch plan."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from xlstance.errors import SettingsError
from xlstance.training.plan.mixture import Draw
from xlstance.training.plan.pools import Order
from xlstance.training.plan.schedule import AlphaSchedule, AlphaShape

Sampler = Literal["x-x", "x-x-mono", "x-y", "hybrid", "mix-entries", "mix-passages", "round-robin"]
_LAST_STEP = 10**12


@dataclass(frozen=True, kw_only=True)
class SamplerSettings:
    """How batches are mixed. A sampler uses the pairs that are listed and makes none by joining.

    Attributes:
        kind: ``x-x-mono``: each batch in one language; ``x-y``: cross-lingual pairs, the language pair varying inside
            the batch; ``hybrid``: each batch is X-X-mono with share ``alpha`` and X-Y otherwise; ``x-x``: same-language
            pairs, languages mixed inside the batch; ``mix-entries``: for each row a passage language is drawn among
            all, then a query language among those listed with it, be it the same or another one, and the row's
            negatives are in the passage's language; ``mix-passages``: the same, but each negative in a language drawn
            on its own; ``round-robin``: each batch has one passage language, all of them in turn, and a query language
            drawn for each row.
        alpha: share of monolingual batches among the retrieval batches of ``hybrid``, from 0 to 1.
        alpha_schedule: alpha from steps on, counted among all batches, instead of one alpha; the first and the last
            one hold before and after.
        alpha_shape: alpha between the steps of the schedule: ``linear``, or ``steps``, where each holds until the next.
        draw: ``block``: shares exact in every block of batches; ``coin``: an independent draw per batch, as published.
        block: batches per block.
        languages: ``uniform``: every language (or language pair) equally often; ``size``: by its number of rows;
            ``temperature``: by its number of rows to the power of 1 / ``language_temperature``.
        language_temperature: 1 is by size; the higher, the more uniform.
        source_weights: relative share of each source among the rows of a language pair, for the sources that have such
            rows; names all retrieval sources, and all bitext sources or none. Empty: sources are joined, and so come by
            their number of rows.
        bitext_share: share of batches drawn from the sources marked as bitext, from 0 to 1.
        order: how an epoch goes through the rows of a language pair (of a source, where sources have weights):
            ``rows``: in any order; ``blocks``: its pieces in any order, and the rows shuffled inside a window of them,
            for stores that are larger than the disk.
        window: pieces that are shuffled together under ``blocks``.
    """

    kind: Sampler = "hybrid"
    alpha: float = 0.5
    alpha_schedule: dict[int, float] = field(default_factory=dict)
    alpha_shape: AlphaShape = "linear"
    draw: Draw = "block"
    block: int = 20
    languages: Literal["uniform", "size", "temperature"] = "uniform"
    language_temperature: float = 3.0
    source_weights: dict[str, float] = field(default_factory=dict)
    bitext_share: float = 0.0
    order: Order = "rows"
    window: int = 8

    def __post_init__(self) -> None:
        for name, value in (("alpha", self.alpha), ("bitext_share", self.bitext_share)):
            if not 0 <= value <= 1:
                raise SettingsError(f"sampler.{name} is {value}; it is a share from 0 to 1")
        for step, alpha in self.alpha_schedule.items():
            if not 0 <= step <= _LAST_STEP:
                raise SettingsError(f"sampler.alpha_schedule names step {step}; steps are from 0 to {_LAST_STEP}")
            if not 0 <= alpha <= 1:
                raise SettingsError(f"sampler.alpha_schedule has {alpha} at step {step}; it is a share from 0 to 1")
        for source, weight in self.source_weights.items():
            if not 0 < weight < math.inf:
                raise SettingsError(f"sampler.source_weights gives {source} {weight}; a weight is a number above 0")
        if not 1 <= self.language_temperature < math.inf:
            raise SettingsError(
                f"sampler.language_temperature is {self.language_temperature}; it is at least 1, which is by size"
            )
        for name, value, what in (("block", self.block, "batches"), ("window", self.window, "pieces")):
            if value < 1:
                raise SettingsError(f"sampler.{name} is {value}; it is a number of {what}, at least 1")

    def alphas(self) -> AlphaSchedule:
        """The share of X-X-mono among the retrieval batches, over the steps."""
        if self.kind == "hybrid":
            return AlphaSchedule(self.alpha_schedule or {0: self.alpha}, self.alpha_shape)
        return AlphaSchedule({0: 1.0 if self.kind == "x-x-mono" else 0.0}, "steps")

    def language_weights(self, rows: Sequence[int]) -> list[float]:
        """Relative shares of languages, or language pairs, of so many rows."""
        exponent = {"uniform": 0.0, "size": 1.0, "temperature": 1 / self.language_temperature}[self.languages]
        return [float(count) ** exponent for count in rows]
