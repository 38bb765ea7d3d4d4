"""A few pairs of every augmentation, before and after, from the published tables: what the report shows of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.augmentation.references import rows_of
from xlstance.experiment.augmentations import parents_of
from xlstance.experiment.settings import ExperimentSettings
from xlstance.storage import read_manifest, read_shard
from xlstance.tables import hash_ids
from xlstance.training_data import TrainingData, read_shard_of

_EACH = 2  # pairs of each pair of languages
_LANGUAGE_PAIRS = 4
_LOOKED_AT = 2000  # pairs among which they are chosen
_LENGTH = 280  # characters of a text


def augmentation_examples(settings: ExperimentSettings, data: Mapping[str, TrainingData]) -> list[dict[str, Any]]:
    """Chooses examples by a hash of their ids, so that equal tables give equal examples.

    Args:
        settings: of the experiment.
        data: its training data, augmentations among them, by name.

    Returns:
        ``augmentation`` and ``kind``; ``before``, the parent pair, None where it is not at hand; ``after``, the pair.
        A pair is its ``query`` and its ``passage``, and the first ``negative`` where it has one, each with ``lang`` and
        ``text``, long texts cut.
    """
    found = []
    for augmentation in settings.augmentations:
        if augmentation.name not in settings.development:
            parents = [data[name] for name in parents_of(augmentation, settings)]
            about = {"augmentation": augmentation.name, "kind": augmentation.kind}
            found += [{**about, **example} for example in _examples(data[augmentation.name], parents)]
    return found


def _examples(made: TrainingData, parents: Sequence[TrainingData]) -> list[dict[str, Any]]:
    """Those of one augmentation, from its first shard that has any."""
    sizes = [file.rows for file in read_manifest(made.pairs).files]
    index = next((number for number, rows in enumerate(sizes) if rows), None)
    if index is None:
        return []
    pairs, queries, passages = read_shard_of([made], index)
    chosen = _chosen(pairs, queries, passages)
    # A parent lies in the shard of the same number; what a shard lacks is not looked for elsewhere.
    former = pa.concat_tables(
        [read_shard(parent.pairs, read_manifest(parent.pairs).files[index], "pairs") for parent in parents]
    )
    former = former.filter(pc.is_in(former["pair_id"], chosen["parent_pair_id"].combine_chunks()))
    after = [_texts(row, queries, passages) for row in chosen.to_pylist()]
    before = {row["pair_id"]: _texts(row, queries, passages) for row in former.to_pylist()}
    return [
        {"before": before.get(row["parent_pair_id"]), "after": shown}
        for row, shown in zip(chosen.to_pylist(), after, strict=True)
    ]


def _chosen(pairs: pa.Table, queries: pa.Table, passages: pa.Table) -> pa.Table:
    """The first pairs of each pair of languages in the order of their hashes."""
    hashed = pairs.take(pa.array(np.argsort(hash_ids(pairs["pair_id"]), kind="stable")[:_LOOKED_AT]))
    languages = [
        texts["lang"].take(pa.array(rows_of(hashed, column, texts))).to_pylist()
        for column, texts in (("query_id", queries), ("passage_id", passages))
    ]
    seen, taken = Counter[tuple[str, str]](), []
    for row, both in enumerate(zip(*languages, strict=True)):
        if seen[both] < _EACH and (both in seen or len(seen) < _LANGUAGE_PAIRS):
            seen[both] += 1
            taken.append((both, row))
    return hashed.take(pa.array([row for _, row in sorted(taken)], pa.int64()))


def _texts(pair: Mapping[str, Any], queries: pa.Table, passages: pa.Table) -> dict[str, dict[str, str]]:
    negatives = [negative["passage_id"] for negative in pair["negatives"] or []][:1]
    shown = {
        "query": _text(queries, pair["query_id"]),
        "passage": _text(passages, pair["passage_id"]),
        # A negative may stand in another shard; then there is nothing to show of it.
        "negative": _text(passages, negatives[0]) if negatives else None,
    }
    return {name: text for name, text in shown.items() if text}


def _text(texts: pa.Table, key: str) -> dict[str, str] | None:
    row = pc.index(texts.column(0), key).as_py()
    if row < 0:
        return None
    whole = " ".join(texts["text"][row].as_py().split())
    return {"lang": texts["lang"][row].as_py(), "text": whole if len(whole) <= _LENGTH else f"{whole[:_LENGTH]}…"}
