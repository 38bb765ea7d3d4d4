"""The augmentation stage: code switching and pairing over the shards of published pairs, streamed by Ray Data."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import pyarrow as pa

from xlstance.augmentation.code_switching import CodeSwitching, read_lexicons, switch_pairs
from xlstance.augmentation.pairing import Pairing, pair_across_languages
from xlstance.augmentation.switching import SwitchCounts
from xlstance.errors import SettingsError
from xlstance.storage import Folder, fingerprint, read_manifest, read_metadata
from xlstance.streams import Output, Shard, run_stream
from xlstance.training_data import (
    COLOCATED,
    TrainingData,
    colocated,
    manifests_of_shard,
    published,
    read_shard_of,
)

SWITCHING = "switching.json"
_COUNTS_KEY = b"xlstance.switching"


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """One augmentation: exactly one of the ways, and what it is applied to.

    Attributes:
        of: names of sources or of earlier augmentations.
        code_switching: replace words by their translations.
        pairing: pair queries and passages across languages.
    """

    of: list[str]
    code_switching: CodeSwitching | None = None
    pairing: Pairing | None = None

    def __post_init__(self) -> None:
        if (self.code_switching is None) == (self.pairing is None):
            raise SettingsError(f"the augmentation of {self.of} needs exactly one of code_switching, pairing")

    @property
    def way(self) -> CodeSwitching | Pairing:
        """The settings of the way that is set."""
        way = self.code_switching or self.pairing
        assert way is not None  # noqa: S101 - checked on construction
        return way

    @property
    def name(self) -> str:
        """The augmentation's name: its pairs form a source of this name."""
        return self.way.name


def augment(
    augmentation: Augmentation, parents: Sequence[TrainingData], folder: Folder, *, data: str, seed: int, workers: int
) -> TrainingData:
    """Applies an augmentation to published pairs and publishes what comes out.

    Args:
        augmentation: what to do.
        parents: the pairs to do it to; all with the same number of shards.
        folder: where the new tables go; code switching also writes ``switching.json`` there, with what it replaced.
        data: root of the lexicons' paths.
        seed: of all draws.
        workers: size of the worker pool; 0 works in this process.

    Returns:
        The new pairs, with the folders of all texts they refer to.

    Raises:
        DataError: if a lexicon is missing or broken, or a pair refers to a text that is not there.
        StorageError: if the folder holds the result of other settings, pairs or lexicons.
    """
    way = augmentation.way
    # What a lexicon says decides the texts, wherever its file lies.
    lexicons = fingerprint(read_lexicons(way, data)) if isinstance(way, CodeSwitching) else ""
    count = parents[0].shards
    tables = ("pairs",) if augmentation.pairing else ("queries", "passages", "pairs")
    outputs = {table: Output(folder=folder / table, table=table) for table in tables}
    shards = []
    for index in range(count):
        inputs = [manifests_of_shard(parent, index) for parent in parents]
        stamp = fingerprint(augmentation, lexicons, seed, index, count, inputs)
        shards.append(Shard(stamp=stamp, payload={"index": index, "shards": count}, outputs=outputs))
    stamp = fingerprint(augmentation, lexicons, seed, [parent.stamps for parent in parents])
    make: Callable[[], Callable[[Mapping[str, Any]], dict[str, pa.Table]]]
    if isinstance(way, CodeSwitching):
        make = partial(_Switching, way, tuple(parents), data, seed)
    else:
        make = partial(_PairingWork, way, tuple(parents), seed)
    run_stream(
        make,
        shards,
        {out.folder.uri: stamp for out in outputs.values()},
        label=augmentation.name,
        workers=workers,
        info={COLOCATED: all(colocated(parent) for parent in parents)},
    )
    if isinstance(way, CodeSwitching) and not folder.exists(SWITCHING):
        _publish_counts(folder)
    made = published(folder, augmentation.name)
    own_queries, own_passages = (made.queries, made.passages) if augmentation.code_switching else ((), ())
    return replace(
        made,
        queries=tuple(dict.fromkeys([*own_queries, *(f for parent in parents for f in parent.queries)])),
        passages=tuple(dict.fromkeys([*own_passages, *(f for parent in parents for f in parent.passages)])),
    )


def _publish_counts(folder: Folder) -> None:
    """Adds up what the shards replaced, which stands in the files of their pairs."""
    pairs = folder / "pairs"
    parts = [json.loads(read_metadata(pairs, file)[_COUNTS_KEY]) for file in read_manifest(pairs).files]
    counts = sum((SwitchCounts(**part) for part in parts), SwitchCounts())
    content = {**asdict(counts), "switch_ratio": counts.switch_ratio, "out_of_lexicon": counts.out_of_lexicon}
    folder.write(SWITCHING, json.dumps(content, indent=1, sort_keys=True).encode())


class _Switching:
    def __init__(self, settings: CodeSwitching, parents: tuple[TrainingData, ...], data: str, seed: int) -> None:
        self._settings, self._parents, self._seed = settings, parents, seed
        self._lexicons = read_lexicons(settings, data)

    def __call__(self, payload: Mapping[str, Any]) -> dict[str, pa.Table]:
        pairs, queries, passages = read_shard_of(self._parents, payload["index"])
        made, counts = switch_pairs(pairs, queries, passages, self._settings, self._lexicons, self._seed)
        metadata = {**made.pairs.schema.metadata, _COUNTS_KEY: json.dumps(asdict(counts), sort_keys=True).encode()}
        pairs = made.pairs.replace_schema_metadata(metadata)
        return {"queries": made.queries, "passages": made.passages, "pairs": pairs}


class _PairingWork:
    def __init__(self, settings: Pairing, parents: tuple[TrainingData, ...], seed: int) -> None:
        self._settings, self._parents, self._seed = settings, parents, seed

    def __call__(self, payload: Mapping[str, Any]) -> dict[str, pa.Table]:
        pairs, queries, passages = read_shard_of(self._parents, payload["index"])
        index, count, wanted = payload["index"], payload["shards"], self._settings.per_language_pair
        # The sample's size is dealt out over the shards; 0 asks for all, so a share of 0 is no work at all.
        limit = wanted * (index + 1) // count - wanted * index // count
        if wanted and not limit:
            return {"pairs": pairs.slice(0, 0)}
        return {"pairs": pair_across_languages(pairs, queries, passages, self._settings, self._seed, limit)}
