"""One encoder to be trained: what the drivers of the loop hand to it, and where its files lie."""

from dataclasses import dataclass, replace
from pathlib import Path

from xlstance.disk_folder import DiskFolder
from xlstance.encoders import EncoderSettings
from xlstance.storage import Folder, fingerprint
from xlstance.training.settings import TrainingSettings
from xlstance.training.store.files import read_store_manifest

SUMMARY = "training.json"  # written last: its presence says that a model folder is complete


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """One encoder to be trained.

    Attributes:
        arm: the experiment's arm.
        seed: decides weights, batches, crops and dropout.
        settings: how.
        encoder: what.
        start: folder of the model to start from; empty: the encoder of the settings.
        tokenizer: file of the vocabulary, for an encoder from scratch.
        store: folder of the training store.
        sources: names of the sources to draw from; empty: all.
        validation_store: folder of the store of development pairs; empty: no validation.
        output: folder for the model, its metrics, checkpoints and best weights, on a disk that every process sees or in
            a bucket.
        node_folder: folder on each node's own disk that the stores are copied to, and where files of a bucket are
            made; empty: a store on a disk is read in place, and what is a bucket's lies in the user's cache.
    """

    arm: str
    seed: int
    settings: TrainingSettings
    encoder: EncoderSettings
    start: str = ""
    tokenizer: str = ""
    store: str
    sources: tuple[str, ...] = ()
    validation_store: str = ""
    output: str
    node_folder: str = ""

    @property
    def name(self) -> str:
        """Arm and seed, as a folder's name."""
        return f"{self.arm}-{self.seed}"

    @property
    def place(self) -> DiskFolder:
        """The output folder, wherever it lies."""
        return DiskFolder(self.output, self.node_folder)

    @property
    def folder(self) -> Path:
        """The output folder on this node."""
        return self.place.path

    @property
    def trained(self) -> bool:
        """Whether the run's model is finished."""
        return self.place.exists(SUMMARY)

    @property
    def checkpoints(self) -> DiskFolder:
        """Folder of the checkpoints."""
        return self.place / "checkpoints"

    @property
    def best(self) -> DiskFolder:
        """Folder of the best weights so far."""
        return self.place / "best"

    def stamp(self) -> str:
        """Fingerprint of what decides the weights: a checkpoint is of use to a run with the same one only."""
        settings = replace(self.settings, checkpoint_every=0, log_every=1, tensorboard=False)
        store = read_store_manifest(Folder(self.store)).fingerprint if self.settings.steps else ""
        return fingerprint(self.arm, self.seed, settings, self.encoder, self.sources, store)
