"""What every way of augmentation is: settings with a name, and a function from one shard of pairs to what is new."""

import abc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyarrow as pa

from xlstance.storage import Folder
from xlstance.training_data import TrainingData


@dataclass(frozen=True, kw_only=True)
class Part:
    """One shard of the pairs that an augmentation is applied to.

    Attributes:
        pairs: table ``pairs``.
        queries: table ``queries``; may hold more than the pairs refer to.
        passages: table ``passages``; those of the pairs' groups in all languages.
        index: the shard's number.
        count: how many shards there are.
    """

    pairs: pa.Table
    queries: pa.Table
    passages: pa.Table
    index: int = 0
    count: int = 1


@dataclass(frozen=True, kw_only=True)
class Made:
    """What an augmentation makes of one shard.

    Attributes:
        pairs: the new pairs alone, each with the augmentation's name and its parent.
        queries: the new queries alone; None for a way that writes no texts, whose pairs refer to texts that are there.
        passages: the same of passages.
        counts: what was done and left out; the counts of shards add up.
    """

    pairs: pa.Table
    queries: pa.Table | None = None
    passages: pa.Table | None = None
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Where an augmentation takes place.

    Attributes:
        parents: the pairs that it is applied to.
        folder: its own folder, for what it keeps beside the three tables.
        data: root of the paths in its settings.
        seed: of all draws.
        workers: size of the worker pool; 0 works in this process.
        cpus_per_worker: processors, and threads, of each worker.
        gpus_per_worker: of each worker.
    """

    parents: tuple[TrainingData, ...]
    folder: Folder
    data: str = "."
    seed: int = 0
    workers: int = 0
    cpus_per_worker: float = 1
    gpus_per_worker: float = 0


Work = Callable[[Part], Made]


class Way(abc.ABC):
    """A way of augmentation; its subclasses are frozen dataclasses of settings.

    Attributes:
        name: stands in ``pairs.augmentation`` and in new ids, so it is unique among the augmentations of a run.

    What is the same for all settings of a way stands on its class:

    Class variables:
        writes_texts: whether it writes queries and passages, or only pairs of texts that are there.
        uses_model: whether its work is a model's, and a GPU of use.
        shared: names of settings that the run's own of the same name stand in for where they are empty.
    """

    name: str
    writes_texts: ClassVar[bool] = True
    uses_model: ClassVar[bool] = False
    shared: ClassVar[tuple[str, ...]] = ()

    @property
    def by_shard(self) -> bool:
        """Whether what it makes of a shard follows from that shard and what ``inputs`` tells; else from all shards."""
        return True

    def inputs(self, around: Surroundings) -> Any:
        """What decides the outcome beside settings, seed and parents, for the fingerprint: files by their content.

        Raises:
            UserError: if something is missing or broken; it comes before any work.
        """
        return ""

    def before(self, around: Surroundings) -> None:  # noqa: B027 - most ways need nothing
        """What must be there before the shards are worked on, done once in the driver."""

    @abc.abstractmethod
    def work(self, around: Surroundings) -> Work:
        """The function that does one shard; made once in each worker. Of equal parts it makes equal tables."""

    def summary(self, counts: Mapping[str, int]) -> dict[str, Any]:
        """Ratios that follow from the counts of all shards, to be kept beside them."""
        return {}
