"""What a sweep tries next, as a function of its settings and of what it has begun so far.

Nothing else is remembered, so that a sweep whose driver died goes on as it would have, and a search can be replayed
over recorded trials.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from xlstance.sweep.certainty import fit_effects
from xlstance.sweep.journal import Trial
from xlstance.sweep.points import Point, label_of
from xlstance.sweep.settings import Axis, SweepSettings, goal

_ASKS = 50  # proposals that were tried already with every seed, after which the space counts as used up


class Proposal(NamedTuple):
    """A point to be trained with a seed."""

    point: Point
    seed: int

    @property
    def name(self) -> str:
        """Of the trial."""
        return f"{label_of(self.point)}-{self.seed}"


def propose(settings: SweepSettings, trials: Sequence[Trial]) -> Proposal | Literal["wait", "over"]:
    """What to begin next.

    Args:
        settings: of the sweep; ``seeds`` are filled in.
        trials: all that were begun, in their order; those that have not ended yet are taken for good ones that others
            should not crowd around.

    Returns:
        The next point and seed; ``wait``, if that depends on trials that have not ended; or ``over``.
    """
    if settings.search.kind == "optuna":
        return _propose_adaptively(settings, trials)
    known = {trial.name for trial in trials}
    return next((found for found in _listed(settings) if found.name not in known), "over")


def size(settings: SweepSettings) -> int:
    """How many trials there are, at most."""
    return settings.search.trials if settings.search.kind == "optuna" else len(list(_listed(settings)))


def _listed(settings: SweepSettings) -> Iterator[Proposal]:
    """All of a search that looks at no figures: seed by seed, so that a curve is there early."""
    points = list(_grid(settings.space) if settings.search.kind == "grid" else _random(settings))
    for seed in settings.seeds:
        for point in points:
            yield Proposal(point, seed)


def _grid(space: Sequence[Axis]) -> Iterator[Point]:
    for values in itertools.product(*(axis.values for axis in space)):
        yield {axis.setting: value for axis, value in zip(space, values, strict=True)}


def _random(settings: SweepSettings) -> Iterator[Point]:
    """Different points, as many as the trials allow with every seed."""
    wanted, found = max(1, settings.search.trials // len(settings.seeds)), set[str]()
    for number in range(wanted * _ASKS):
        generator = np.random.default_rng([settings.search.seed, number])
        point = {axis.setting: _value_at(axis, generator.random()) for axis in settings.space}
        if label_of(point) not in found:
            found.add(label_of(point))
            yield point
        if len(found) == wanted:
            return


def _value_at(axis: Axis, share: float) -> Any:
    """The value at a share of the axis, from 0 to below 1."""
    if axis.values:
        return axis.values[int(share * len(axis.values))]
    low, high = axis.bounds
    if axis.loguniform:
        return _short(low * (high / low) ** share, axis)
    if axis.step:
        return _short(low + axis.step * int(share * (int((high - low) / axis.step + 1e-9) + 1)), axis)
    return _short(low + (high - low) * share, axis)


def _short(value: float, axis: Axis) -> float:
    """A value with few digits, since it stands in names and tables."""
    low, high = axis.bounds
    return float(min(high, max(low, float(f"{value:.4g}"))))


def _propose_adaptively(settings: SweepSettings, trials: Sequence[Trial]) -> Proposal | Literal["wait", "over"]:
    search, seeds = settings.search, settings.seeds
    kept = min(search.confirm * (len(seeds) - 1), search.trials - 1)
    if len(trials) < search.trials - kept:
        if len(trials) < search.first:
            found = _first(settings, trials)
        else:
            found = _beside_best(settings, trials) or _estimated(settings, trials)
        if found is not None:
            return found
    if len(trials) >= search.trials:
        return "over"
    if not all(trial.ended for trial in trials):
        return "wait"
    return _confirm(settings, trials)


def _first(settings: SweepSettings, trials: Sequence[Trial]) -> Proposal | None:
    """Points that share out every axis evenly (a Latin hypercube), both ends of a list of values included."""
    count, place = settings.search.first, len(trials)
    point = {}
    for number, axis in enumerate(settings.space):
        generator = np.random.default_rng([settings.search.seed, number])
        order = generator.permutation(count)
        if axis.grid:
            spread = np.linspace(0, len(axis.grid) - 1, count) if count > 1 else np.array([len(axis.grid) // 2])
            point[axis.setting] = axis.grid[round(float(spread[order[place]]))]
        else:
            point[axis.setting] = _value_at(axis, (order[place] + generator.random(count)[place]) / count)
    return _with_seed(settings, point, trials)


def _with_seed(settings: SweepSettings, point: Point, trials: Sequence[Trial]) -> Proposal | None:
    """The point with the first seed that it has not had yet."""
    known = {trial.name for trial in trials}
    asked = (Proposal(point, seed) for seed in settings.seeds)
    return next((found for found in asked if found.name not in known), None)


def _beside_best(settings: SweepSettings, trials: Sequence[Trial]) -> Proposal | None:
    """On one axis of listed numbers the values beside the best so far, while they are untried.

    Between points that lie far apart the best value may be missed, and an estimator with few trials seldom looks there.
    """
    (axis, *others), labels = settings.space, _ranked(settings, trials)
    if others or not (axis.grid and axis.is_numeric and labels):
        return None
    values, tried = sorted(axis.grid), {label_of(trial.point) for trial in trials}
    best = next(place for place, value in enumerate(values) if label_of({axis.setting: value}) == labels[0])
    beside = [{axis.setting: values[place]} for place in (best - 1, best + 1) if 0 <= place < len(values)]
    untried = [point for point in beside if label_of(point) not in tried]
    return _with_seed(settings, untried[0], trials) if untried else None


def _ranked(settings: SweepSettings, trials: Sequence[Trial]) -> list[str]:
    """Labels of the points with a finished trial, the best first."""
    finished = [trial for trial in trials if trial.state == "finished"]
    if not finished:
        return []
    effects = fit_effects(
        [label_of(trial.point) for trial in finished],
        [trial.seed for trial in finished],
        [goal(settings.objectives[0], trial.figures) or 0.0 for trial in finished],
    )
    return [label for _, label in sorted(zip(effects.means, effects.points, strict=True), reverse=True)]


def _confirm(settings: SweepSettings, trials: Sequence[Trial]) -> Proposal | Literal["over"]:
    """The best points, with the seeds that they lack."""
    points = {label_of(trial.point): trial.point for trial in trials}
    for label in _ranked(settings, trials)[: settings.search.confirm]:
        found = _with_seed(settings, points[label], trials)
        if found is not None:
            return found
    return "over"


def _estimated(settings: SweepSettings, trials: Sequence[Trial]) -> Proposal | None:
    """What the estimator asks for, told of all trials anew: its own draws depend on their number alone."""
    import optuna  # a second's work, and of no use to other searches

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    spaces = {axis.setting: _distribution(axis, optuna) for axis in settings.space}
    for ask in range(_ASKS):
        seed = int(np.random.default_rng([settings.search.seed, len(trials), ask]).integers(2**31))
        study = optuna.create_study(
            directions=["maximize"] * len(settings.objectives),
            sampler=optuna.samplers.TPESampler(
                seed=seed, n_startup_trials=1, multivariate=len(spaces) > 1, constant_liar=True
            ),
        )
        for trial in trials:
            study.add_trial(_told(settings, trial, spaces, optuna))
        drawn = study.ask(spaces).params
        point = {axis.setting: _from_drawn(axis, drawn[axis.setting]) for axis in settings.space}
        found = _with_seed(settings, point, trials)
        if found is not None:
            return found
    return None


def _distribution(axis: Axis, optuna: Any) -> Any:
    """Listed values are known to the estimator by their places: in their order, or without one."""
    if axis.grid:
        return optuna.distributions.IntDistribution(0, len(axis.grid) - 1)
    if axis.choice:
        return optuna.distributions.CategoricalDistribution(list(range(len(axis.choice))))
    low, high = axis.bounds
    return optuna.distributions.FloatDistribution(low, high, log=bool(axis.loguniform), step=axis.step or None)


def _from_drawn(axis: Axis, drawn: Any) -> Any:
    return axis.values[drawn] if axis.values else _short(drawn, axis)


def _told(settings: SweepSettings, trial: Trial, spaces: dict[str, Any], optuna: Any) -> Any:
    """A trial as the estimator takes it."""
    states = optuna.trial.TrialState
    params = {
        axis.setting: axis.values.index(trial.point[axis.setting]) if axis.values else trial.point[axis.setting]
        for axis in settings.space
    }
    common = {"params": params, "distributions": spaces}
    goals = [goal(objective, trial.figures) for objective in settings.objectives]
    if trial.state == "finished" and None not in goals:
        return optuna.trial.create_trial(state=states.COMPLETE, values=goals, **common)
    if trial.state == "stopped" and len(goals) == 1:
        return optuna.trial.create_trial(state=states.PRUNED, intermediate_values=dict(trial.scores), **common)
    return optuna.trial.create_trial(state=states.FAIL if trial.ended else states.RUNNING, **common)
