"""The arms as the report shows them: what was trained first, then the baselines, each with its ink."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xlstance.evaluation.results import seeds_of
from xlstance.report.palette import Ink, ink


@dataclass(frozen=True, kw_only=True)
class ArmLook:
    """An arm on the page.

    Attributes:
        seeds: those it was run with.
        baseline: whether it stands beside trained arms and was not trained itself.
        ink: how it is drawn.
    """

    seeds: tuple[int, ...]
    baseline: bool
    ink: Ink


def arm_looks(results: Mapping[str, Any]) -> dict[str, ArmLook]:
    """Every arm by name, in the order of tables and charts; where nothing was trained, nothing is a baseline."""
    trained = {arm["name"] for arm in results["arms"] if arm["sampler"]}
    seeds = seeds_of(results)
    first = [arm for arm in seeds if arm in trained or not trained]
    rest = [arm for arm in seeds if arm not in first]
    return {
        arm: ArmLook(seeds=tuple(seeds[arm]), baseline=baseline, ink=ink(number, baseline=baseline))
        for arms, baseline in ((first, False), (rest, True))
        for number, arm in enumerate(arms)
    }
