"""The augmentation stage: every way of augmentation over the shards of published pairs, streamed by Ray Data."""

import json
import posixpath
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from typing import Any

import pyarrow as pa

from xlstance.augmentation.mining.consistency import Consistency
from xlstance.augmentation.mining.hard_negatives import HardNegatives
from xlstance.augmentation.pairing import Pairing
from xlstance.augmentation.sampling import Sampling
from xlstance.augmentation.stance import Stance
from xlstance.augmentation.switching.code_switching import CodeSwitching
from xlstance.augmentation.text_generation.generation import Generation
from xlstance.augmentation.text_generation.translation import Translation
from xlstance.augmentation.way import Part, Surroundings, Way
from xlstance.errors import SettingsError
from xlstance.storage import Folder, fingerprint, is_published, read_manifest, read_metadata
from xlstance.streams import Output, Shard, run_stream
from xlstance.training_data import (
    COLOCATED,
    TrainingData,
    colocated,
    manifests_of_shard,
    published,
    read_shard_of,
)

COUNTS = "counts.json"
EVERY = "*"  # in ``of``: every source of questions that trains
_COUNTS_KEY = b"xlstance.counts"


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """One augmentation: exactly one of the ways, and what it is applied to.

    Attributes:
        of: names of sources or of earlier augmentations; ``*`` for every source of questions that trains.
        code_switching: replace words by their translations.
        pairing: pair queries and passages across languages.
        sampling: take a number of pairs.
        translation: translate queries, passages or both with a model.
        generation: make queries for passages with a model.
        stance: make queries for a side and comments that take it, without a model.
        consistency: keep the pairs whose passage an encoder finds by its query.
        hard_negatives: add passages that an encoder takes for answers and that are none.
    """

    of: list[str] = field(default_factory=lambda: [EVERY])
    code_switching: CodeSwitching | None = None
    pairing: Pairing | None = None
    sampling: Sampling | None = None
    translation: Translation | None = None
    generation: Generation | None = None
    stance: Stance | None = None
    consistency: Consistency | None = None
    hard_negatives: HardNegatives | None = None

    def __post_init__(self) -> None:
        ways = [entry.name for entry in fields(self) if entry.name != "of"]
        if sum(getattr(self, name) is not None for name in ways) != 1:
            raise SettingsError(f"an augmentation (of {', '.join(self.of)}) needs exactly one of " + ", ".join(ways))

    @property
    def kind(self) -> str:
        """The field of the way that is set."""
        return next(entry.name for entry in fields(self) if isinstance(getattr(self, entry.name), Way))

    @property
    def way(self) -> Way:
        """The settings of the way that is set."""
        way: Way = getattr(self, self.kind)
        return way

    def with_way(self, way: Way) -> "Augmentation":
        """The same with other settings of its way."""
        changed: dict[str, Any] = {self.kind: way}
        return replace(self, **changed)

    @property
    def name(self) -> str:
        """The augmentation's name: its pairs form a source of this name."""
        return self.way.name


def augment_below(augmentation: Augmentation, around: Surroundings) -> TrainingData:
    """Applies an augmentation in a folder that its settings name, so that other settings lie beside them.

    The folder's name is that of the augmentation and a fingerprint of settings, inputs, seed and the parents' folders.
    Since theirs say the same of them, what descends from something changed is made anew, and what does not is found.
    The parents' rows are left out: of a source that has changed, only the shards that differ are then to be done.

    Args:
        augmentation: what to do.
        around: as of ``augment``; the folder is the one below which all augmentations lie.

    Returns:
        What ``augment`` returns.

    Raises:
        UserError: what ``augment`` finds wrong.
    """
    inputs = fingerprint(augmentation.way.inputs(around))
    # Relative, so that a run in another output folder, or one that was moved, has the same names.
    parents = [posixpath.relpath(parent.pairs.path, around.folder.path) for parent in around.parents]
    own = fingerprint(augmentation, inputs, around.seed, parents)[:8]
    return _augment(augmentation, replace(around, folder=around.folder / f"{augmentation.name}-{own}"), inputs)


def augment(augmentation: Augmentation, around: Surroundings) -> TrainingData:
    """Applies an augmentation to published pairs and publishes what comes out.

    Args:
        augmentation: what to do.
        around: the pairs to do it to, all with the same number of shards; where the new tables go, with
            ``counts.json`` of what was done beside them; the workers.

    Returns:
        The new pairs, with the folders of all texts they refer to.

    Raises:
        UserError: if a file, a model or a text that is named is missing or broken, or workers are killed again and
            again before they have done anything.
        StorageError: if the folder holds the result of other settings, pairs or inputs.
    """
    return _augment(augmentation, around, fingerprint(augmentation.way.inputs(around)))


def _augment(augmentation: Augmentation, around: Surroundings, inputs: str) -> TrainingData:
    way, parents, folder, count = augmentation.way, around.parents, around.folder, around.parents[0].shards
    tables = ("queries", "passages", "pairs") if way.writes_texts else ("pairs",)
    outputs = {table: Output(folder=folder / table, table=table) for table in tables}
    shards = []
    for index in range(count):
        hashes = [manifests_of_shard(parent, index) for parent in parents]
        # A way that looks at all shards (a pool to mine) depends on all of them.
        of = hashes if way.by_shard else [parent.stamps for parent in parents]
        stamp = fingerprint(augmentation, inputs, around.seed, index, count, hashes, of)
        shards.append(Shard(stamp=stamp, payload={"index": index, "shards": count}, outputs=outputs))
    stamp = fingerprint(augmentation, inputs, around.seed, [parent.stamps for parent in parents])
    found = all(is_published(output.folder, stamp) for output in outputs.values())
    if not found:
        way.before(around)
    run_stream(
        partial(_ShardWork, way, around),
        shards,
        {out.folder.uri: stamp for out in outputs.values()},
        label=augmentation.name,
        workers=around.workers,
        cpus_per_worker=around.cpus_per_worker,
        gpus_per_worker=around.gpus_per_worker,
        info={COLOCATED: all(colocated(parent) for parent in parents)},
    )
    if not (found and folder.exists(COUNTS)):
        _publish_counts(folder, augmentation)
    made = published(folder, augmentation.name)
    own_queries, own_passages = (made.queries, made.passages) if way.writes_texts else ((), ())
    return replace(
        made,
        queries=tuple(dict.fromkeys([*own_queries, *(f for parent in parents for f in parent.queries)])),
        passages=tuple(dict.fromkeys([*own_passages, *(f for parent in parents for f in parent.passages)])),
    )


def _publish_counts(folder: Folder, augmentation: Augmentation) -> None:
    """Adds up what the shards did, which stands in the files of their pairs, and says by which settings."""
    pairs, counts, way = folder / "pairs", Counter[str](), augmentation.way
    for file in read_manifest(pairs).files:
        counts.update(json.loads(read_metadata(pairs, file)[_COUNTS_KEY]))
    settings = {"of": augmentation.of, augmentation.kind: asdict(way)}  # type: ignore[call-overload]
    content = {"counts": dict(counts), **way.summary(counts), "settings": settings}
    folder.write(COUNTS, json.dumps(content, indent=1, sort_keys=True).encode())


class _ShardWork:
    """What a worker does: reads a shard of the parents, works, and keeps the counts in the pairs' metadata."""

    def __init__(self, way: Way, around: Surroundings) -> None:
        self._parents, self._work = around.parents, way.work(around)

    def __call__(self, payload: Mapping[str, Any]) -> dict[str, pa.Table]:
        pairs, queries, passages = read_shard_of(self._parents, payload["index"])
        part = Part(pairs=pairs, queries=queries, passages=passages, index=payload["index"], count=payload["shards"])
        made = self._work(part)
        counts = json.dumps({**made.counts, "made": made.pairs.num_rows}, sort_keys=True).encode()
        tables = {"pairs": made.pairs.replace_schema_metadata({**made.pairs.schema.metadata, _COUNTS_KEY: counts})}
        if made.queries is not None and made.passages is not None:
            tables |= {"queries": made.queries, "passages": made.passages}
        return tables
