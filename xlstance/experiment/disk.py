"""What of an experiment needs a disk, though its tables lie in a bucket: vocabularies, models in the making."""

from collections.abc import Iterable
from pathlib import Path

from xlstance.errors import SettingsError
from xlstance.experiment.settings import ExperimentSettings
from xlstance.storage import Folder, fingerprint
from xlstance.training.run import TrainingRun

_NOT_KEPT = {"checkpoints", "best"}  # of use to the run alone


def on_disk(settings: ExperimentSettings, root: Folder) -> Path:
    """The folder for what needs a disk: the output itself, or for a bucket one below ``cluster.shared_folder``.

    Raises:
        SettingsError: if the output lies in a bucket and the settings name no such folder.
    """
    if "://" not in root.uri:
        return root.local
    for name in ("shared_folder", "node_folder"):
        if not getattr(settings.cluster, name):
            raise SettingsError(
                f"output is {root}, a bucket, and cluster.{name} is empty: models in the making need a folder that "
                "every node sees (shared_folder), and training copies its store to each node's own disk (node_folder)"
            )
    return Path(settings.cluster.shared_folder).resolve() / fingerprint(root.uri)


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
