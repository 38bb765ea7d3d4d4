"""What of an experiment needs a disk, though its tables lie in a bucket: vocabularies, models in the making."""

from collections.abc import Iterable

from xlstance.errors import SettingsError
from xlstance.experiment.settings import ExperimentSettings
from xlstance.storage import Folder, fingerprint
from xlstance.training.run import TrainingRun

_NOT_KEPT = {"checkpoints", "best"}  # of use to the run alone


def on_disk(settings: ExperimentSettings, root: Folder) -> Folder:
    """The folder for what needs a disk: the output itself, or for a bucket one below ``cluster.shared_folder``.

    Raises:
        SettingsError: if the output lies in a bucket and the settings name no such folder.
    """
    if "://" not in root.uri:
        return root
    _check_named(settings, root, "shared_folder", "what needs a disk that every node sees, as the models in the making")
    return Folder(settings.cluster.shared_folder) / fingerprint(root.uri)


def check_node_folder(settings: ExperimentSettings, root: Folder) -> None:
    """Refuses to train from a store in a bucket that has no place to be copied to.

    Raises:
        SettingsError: if the output lies in a bucket and the settings name no such folder.
    """
    if "://" in root.uri:
        _check_named(settings, root, "node_folder", "each node's own copy of the training store")


def _check_named(settings: ExperimentSettings, root: Folder, name: str, what_for: str) -> None:
    if not getattr(settings.cluster, name):
        raise SettingsError(f"output is {root}, a bucket, and cluster.{name} is empty: name a folder for {what_for}")


def keep_models(root: Folder, runs: Iterable[TrainingRun]) -> None:
    """Copies finished models to the bucket that an experiment's tables lie in; what was there is replaced."""
    if "://" not in root.uri:
        return
    for run in runs:
        for path in sorted(run.folder.rglob("*")):
            parts = path.relative_to(run.folder).parts
            if path.is_file() and not _NOT_KEPT & set(parts):
                target = root / "models" / run.name
                for part in parts[:-1]:
                    target = target / part
                with path.open("rb") as file, target.writing(parts[-1]) as stream:
                    while block := file.read(1 << 24):
                        stream.write(block)
