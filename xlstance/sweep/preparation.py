"""What all trials of a sweep share, made once before the first: corpora, stores, first stages, evaluation pool.

A setting below ``training`` is read by a trial alone. Any other one decides what trials read, and has listed values:
for each of these there is a training store of its own, while what it does not touch is the same for all.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xlstance.errors import SettingsError
from xlstance.experiment.corpora import publish_corpora
from xlstance.experiment.data import Prepared, prepare_training
from xlstance.experiment.settings import Arm, ExperimentSettings
from xlstance.storage import Folder, fingerprint
from xlstance.sweep.development import Pool, publish_pool
from xlstance.sweep.points import TRAINING, Point, label_of, value_at, with_values
from xlstance.sweep.settings import SweepSettings
from xlstance.training.distributed import fit
from xlstance.training.run import TrainingRun
from xlstance.training_data import TrainingData


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What the trials read that share the values of all settings but those of training.

    Attributes:
        settings: of the experiment, with these values.
        prepared: vocabulary, starts and stores.
        start: folder of the model that each seed's trials begin with, where the arm starts from another.
    """

    settings: ExperimentSettings
    prepared: Prepared
    start: Mapping[int, str]


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What all trials share.

    Attributes:
        root: the sweep's folder, an absolute path or a bucket's address.
        arm: name of the arm that is varied.
        variants: by the label of the values that are none of training.
    """

    root: str
    arm: str
    variants: Mapping[str, Variant]

    def run(self, point: Point, seed: int) -> TrainingRun:
        """The training run of a point and a seed."""
        variant = self.variants[label_of(data_part(point))]
        settings = with_values(variant.settings, {k: v for k, v in point.items() if k.startswith(TRAINING)})
        label = label_of(point)
        start = variant.start.get(seed, "")
        folder = trial_folder(Folder(self.root), f"{label}-{seed}")
        return training_run(settings, arm_of(settings, self.arm), seed, variant.prepared, start, folder, name=label)


def trial_folder(root: Folder, name: str) -> Folder:
    """Where a trial's model, metrics and checkpoints lie."""
    return root / "trials" / name


def data_part(point: Point) -> dict[str, Any]:
    """The values of a point that decide what trials read."""
    return {name: value for name, value in point.items() if not name.startswith(TRAINING)}


def arm_of(settings: ExperimentSettings, name: str) -> Arm:
    """The arm of a name.

    Raises:
        SettingsError: if there is none.
    """
    found = {arm.name: arm for arm in settings.arms}
    if name not in found:
        raise SettingsError(f"arm is {name!r}; the experiment's arms are {', '.join(found) or 'none'}")
    return found[name]


def check_space(settings: ExperimentSettings, sweep: SweepSettings) -> None:
    """Refuses a space that does not fit the experiment, before anything is made.

    Raises:
        SettingsError: for an unknown setting (the message has the nearest name), a value that does not fit, a setting
            that the arm overrides, or a range where trials could share nothing.
    """
    arm_of(settings, sweep.arm)
    for axis in sweep.space:
        ends = axis.values or list(axis.bounds)
        if len({label_of({axis.setting: value}) for value in ends}) < len(ends):
            raise SettingsError(f"space: {axis.setting} has values that read the same in a trial's name: {ends}")
        for value in ends:
            changed = with_values(settings, {axis.setting: value})
            if axis.setting.startswith(TRAINING):
                used = arm_of(changed, sweep.arm).training(changed.training)
                if value_at(used, axis.setting.removeprefix(TRAINING)) != value_at(changed, axis.setting):
                    raise SettingsError(
                        f"space: {axis.setting} changes nothing: arm {sweep.arm} sets it itself; leave it out there"
                    )
        if not axis.values and not axis.setting.startswith(TRAINING):
            raise SettingsError(
                f"space: {axis.setting} decides what all trials read, which is made once for each value: "
                "list values under grid or choice"
            )
    if sweep.stopping.kind == "asha" and not settings.training.validation.every:
        raise SettingsError("stopping.kind is 'asha', which goes by validations: set training.validation.every")


def training_run(
    settings: ExperimentSettings, arm: Arm, seed: int, prepared: Prepared, start: str, folder: Folder, name: str
) -> TrainingRun:
    """A run of an arm; its paths are absolute, since workers have another working directory.

    Args:
        settings: of the experiment.
        arm: what is trained.
        seed: of the run.
        prepared: what it reads.
        start: folder of the model to start from, if it is another arm's.
        folder: for the model and all that belongs to it.
        name: of the run, without its seed.
    """
    model, node_folder = settings.encoder.model, settings.cluster.node_folder
    return TrainingRun(
        arm=name,
        seed=seed,
        settings=arm.training(settings.training),
        encoder=replace(
            settings.encoder, model=str(Path(model).resolve()) if model and Path(model).is_dir() else model
        ),
        start=start or prepared.start.get(seed, ""),
        tokenizer=prepared.tokenizer,
        store=prepared.store,
        sources=tuple(arm.sources),
        validation_store=prepared.validation_store,
        output=folder.uri,
        node_folder=str(Path(node_folder).resolve()) if node_folder else "",
    )


def share(
    settings: ExperimentSettings, sweep: SweepSettings, root: Folder, benchmarks: Mapping[str, Folder]
) -> tuple[Shared, Pool, dict[str, TrainingData]]:
    """Makes what trials share, or finds it made.

    Args:
        settings: of the experiment.
        sweep: of the sweep; its seeds are the experiment's.
        root: the sweep's folder.
        benchmarks: what training data are audited against.

    Returns:
        What trials share; the pool that they are measured on; and the training data by name, those of the last variant.

    Raises:
        UserError: for data or settings that do not fit.
    """
    axes = [axis for axis in sweep.space if not axis.setting.startswith(TRAINING)]
    points = [
        {axis.setting: value for axis, value in zip(axes, values, strict=True)}
        for values in itertools.product(*(axis.values for axis in axes))
    ]
    variants, pool, data = {}, None, dict[str, TrainingData]()
    for point in points:
        own = with_values(settings, point)
        data = publish_corpora(own, root, benchmarks)
        # One pool for all: trials are comparable whatever they were trained on.
        pool = pool or publish_pool([data[name] for name in own.development], root / "development")
        folder = root / "shared" / fingerprint(point)[:8]
        prepared = prepare_training(own, folder, data)
        chain = _first_stages(own, sweep, prepared, folder)
        cluster = own.cluster
        fit(
            [run for runs in chain.values() for run in runs],
            (root / "ray").uri,
            workers=cluster.workers,
            cpus_per_worker=cluster.cpus_per_worker,
            gpus_per_worker=cluster.gpus_per_worker,
            wait_seconds=cluster.wait_seconds,
        )
        start = {seed: runs[-1].output for seed, runs in chain.items() if runs}
        variants[label_of(point)] = Variant(settings=own, prepared=prepared, start=start)
    assert pool is not None  # noqa: S101 - a product of no lists has one element
    return Shared(root=root.uri, arm=sweep.arm, variants=variants), pool, data


def _first_stages(
    settings: ExperimentSettings, sweep: SweepSettings, prepared: Prepared, folder: Folder
) -> dict[int, Sequence[TrainingRun]]:
    """For each seed the runs of the arms that the varied one starts from, in order."""
    arms, names = {arm.name: arm for arm in settings.arms}, list[str]()
    while start := (arms[names[0]] if names else arms[sweep.arm]).start:
        names.insert(0, start)
    chains: dict[int, Sequence[TrainingRun]] = {}
    for seed in settings.seeds:
        runs = list[TrainingRun]()
        for name in names:
            start = runs[-1].output if runs else ""
            output = folder / "models" / f"{name}-{seed}"
            runs.append(training_run(settings, arms[name], seed, prepared, start, output, name=name))
        chains[seed] = runs
    return chains
