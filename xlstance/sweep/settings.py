"""Settings of a sweep: which settings are varied between which values, and how the search goes through them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from xlstance.errors import SettingsError

Objective = Literal["mean", "mono", "cross", "multi", "rank_distance"]
_KINDS = ("grid", "choice", "uniform", "loguniform")


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A setting that is varied, and where: exactly one of ``grid``, ``choice``, ``uniform`` and ``loguniform``.

    Attributes:
        setting: its name, as on the command line: ``training.sampler.alpha``. An entry of a list is found by its name
            (``augmentations.switched.code_switching.p``), an entry of a mapping by its key
            (``training.sampler.alpha_schedule.0``).
        grid: values in their order; numbers have a curve.
        choice: values without an order.
        uniform: lowest and highest value.
        loguniform: lowest and highest value, drawn evenly on a logarithmic scale.
        step: of ``uniform``: values are multiples of it above the lowest; 0 for any value.
    """

    setting: str
    grid: list[Any] = field(default_factory=list)
    choice: list[Any] = field(default_factory=list)
    uniform: list[float] = field(default_factory=list)
    loguniform: list[float] = field(default_factory=list)
    step: float = 0.0

    def __post_init__(self) -> None:
        given = [name for name in _KINDS if getattr(self, name)]
        if len(given) != 1:
            raise SettingsError(f"space: {self.setting} needs exactly one of {', '.join(_KINDS)}")
        if len({repr(value) for value in self.values}) < len(self.values):
            raise SettingsError(f"space: {self.setting} names a value twice: {self.values}")
        if self.values:
            return
        low, high = self.bounds
        if not low < high or (self.loguniform and low <= 0):
            raise SettingsError(
                f"space: {self.setting} has {given[0]} {[low, high]}; the first number is the lower one"
                + (", above 0" if self.loguniform else "")
            )
        if self.step < 0 or (self.step and self.loguniform):
            raise SettingsError(
                f"space: {self.setting} has step {self.step}; a step belongs to uniform, and is above 0"
            )

    @property
    def values(self) -> list[Any]:
        """The listed values; empty where there is a range."""
        return self.grid or self.choice

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest value of a range.

        Raises:
            SettingsError: if these are not two numbers.
        """
        given = self.uniform or self.loguniform
        if len(given) != 2 or not all(math.isfinite(value) for value in given):
            raise SettingsError(f"space: {self.setting} has {given}; a range is two numbers, lowest and highest")
        return given[0], given[1]

    @property
    def is_numeric(self) -> bool:
        """Whether values lie on a line, so that there is a curve."""
        return not self.choice and all(isinstance(value, int | float) for value in self.grid)

    def place(self, value: float) -> float:
        """Where a number lies between the lowest and the highest value of the axis, from 0 to 1."""
        if self.loguniform:
            low, high = self.bounds
            return math.log(value / low) / math.log(high / low)
        low, high = (min(self.grid), max(self.grid)) if self.grid else self.bounds
        return (value - low) / (high - low) if high > low else 0.0


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """How the points of the space are chosen.

    Attributes:
        kind: ``grid``, every combination of listed values with every seed; ``random``, points drawn evenly, each with
            every seed; ``optuna``, points that the tree-structured Parzen estimator thinks good by what is known,
            each with the next seed every time that it is chosen.
        trials: training runs of ``random`` and ``optuna``, a seed each.
        first: of ``optuna``: points that are spread over the space before the estimator knows enough.
        confirm: of ``optuna``: the best points found that are then run with the seeds that they lack, as far as the
            trials last; so many are kept for it.
        seed: of the search; that of the training runs is their own.
    """

    kind: Literal["grid", "random", "optuna"] = "grid"
    trials: int = 20
    first: int = 5
    confirm: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("trials", 1), ("first", 1), ("confirm", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise SettingsError(f"search.{name} is {getattr(self, name)}; it must be at least {least}")


@dataclass(frozen=True, kw_only=True)
class StoppingSettings:
    """Early stopping of trials that fall behind others at the same step (ASHA, arXiv 1810.05934).

    Attributes:
        kind: ``asha``, or ``none``: all trials run to their end.
        grace: steps that every trial gets.
        reduction: of the trials that come to a rung, one in so many goes on; the next rung is so many times farther.
    """

    kind: Literal["none", "asha"] = "none"
    grace: int = 100
    reduction: float = 3.0

    def __post_init__(self) -> None:
        if self.grace < 1:
            raise SettingsError(f"stopping.grace is {self.grace}; it is a number of steps, at least 1")
        if not self.reduction > 1:
            raise SettingsError(f"stopping.reduction is {self.reduction}; it must be above 1")


@dataclass(frozen=True, kw_only=True)
class SweepSettings:
    """A sweep: the content of a space's file.

    Attributes:
        arm: the experiment's arm whose settings are varied. Arms that it starts from are trained once, as they are.
        space: what is varied.
        seeds: each point is trained with these; empty: the experiment's.
        search: how points are chosen.
        stopping: of trials that fall behind.
        objectives: what is to be reached on the development pairs: ``mean`` of mono, cross and multi mAP, one of these,
            or ``rank_distance``. The first one decides what is recommended; the search goes for all of them.
        test: which points are measured on the benchmarks at the end: the ``recommended`` one and its neighbours,
            ``all``, or ``none``.
        concurrency: trials at the same time; 0 for as many as have processors of their own.
        faults: times that a trial whose worker or node died is taken up again.
    """

    arm: str = "hybrid"
    space: list[Axis] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    search: SearchSettings = field(default_factory=SearchSettings)
    stopping: StoppingSettings = field(default_factory=StoppingSettings)
    objectives: list[Objective] = field(default_factory=lambda: ["mean"])
    test: Literal["recommended", "all", "none"] = "recommended"
    concurrency: int = 0
    faults: int = 3

    def __post_init__(self) -> None:
        if not self.space:
            raise SettingsError("space is empty: a sweep varies at least one setting")
        names = [axis.setting for axis in self.space]
        for name in names:
            if names.count(name) > 1:
                raise SettingsError(f"space names {name} twice")
        if len(set(self.seeds)) < len(self.seeds) or min(self.seeds, default=0) < 0:
            raise SettingsError(f"seeds are {self.seeds}; each must be its own and not negative")
        if self.search.kind == "grid":
            for axis in self.space:
                if not axis.values:
                    raise SettingsError(
                        f"space: {axis.setting} is a range, and search.kind is 'grid'; list its values under grid, "
                        "or set search.kind to 'random' or 'optuna'"
                    )
        if not self.objectives or len(set(self.objectives)) < len(self.objectives):
            raise SettingsError(f"objectives are {self.objectives}; name at least one, each once")
        for name in ("concurrency", "faults"):
            if getattr(self, name) < 0:
                raise SettingsError(f"{name} is {getattr(self, name)}; it may not be negative")

    @property
    def axes(self) -> Mapping[str, Axis]:
        """What is varied, by the setting's name."""
        return {axis.setting: axis for axis in self.space}


def goal(objective: Objective, figures: Mapping[str, Any]) -> float | None:
    """How well figures reach an objective, higher being better.

    Args:
        objective: the objective.
        figures: ``mono``, ``cross``, ``multi`` (mean average precision) and ``rank_distance``, those that there are.

    Returns:
        A mean average precision, or the negative of a rank distance; None where there is none.
    """
    if objective == "mean":
        maps = [figures[name] for name in ("mono", "cross", "multi") if figures.get(name) is not None]
        return sum(maps) / len(maps) if maps else None
    value = figures.get(objective)
    return None if value is None else float(-value if objective == "rank_distance" else value)
