"""The leakage audit as a stage: published pairs against the published evaluation sets, shard by shard on Ray Data."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial, reduce
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from xlstance.errors import DataError
from xlstance.experiment.spread import spread_by_id
from xlstance.leakage.audit import audit_rows, count_rows, summarise
from xlstance.leakage.index import EvaluationIndex, EvaluationSet, build_index
from xlstance.leakage.texts import blanks_for, lone_texts, lost_texts, pairs_of_lone, without_negatives
from xlstance.storage import Folder, fingerprint, read_manifest, read_metadata, read_shard, read_table
from xlstance.streams import Output, Shard, run_stream
from xlstance.training_data import COLOCATED, TrainingData, colocated, manifests_of_shard, read_shard_of

OnLeakage = Literal["stop", "drop", "allow"]
"""``stop`` before training, ``drop`` the leaking pairs, or ``allow`` them and say so wherever the figures stand."""

LEAKAGE = "leakage.json"
_COUNTS_KEY = b"xlstance.rows"
_NAMED = 5  # leaking rows in the message that stops a run


def open_index(benchmarks: Mapping[str, Folder], folder: Folder) -> Folder:
    """Builds the index of published benchmarks, unless it is there; returns its folder."""

    def tables(benchmark: Folder, table: str) -> Iterator[pa.Table]:
        for file in read_manifest(benchmark / table).files:
            yield read_shard(benchmark / table, file, table)

    sets = [
        EvaluationSet(name=name, queries=tables(own, "queries"), passages=tables(own, "passages"))
        for name, own in benchmarks.items()
    ]
    stamps = {
        name: [read_manifest(own / table).fingerprint for table in ("queries", "passages")]
        for name, own in benchmarks.items()
    }
    build_index(folder, sets, fingerprint(stamps, list(stamps)))
    return folder


def find_leaks(
    sources: Mapping[str, TrainingData], index: Folder, folder: Folder, *, workers: int
) -> dict[str, Folder]:
    """Audits sources and publishes a table ``leaks`` of each.

    Args:
        sources: the pairs by the sources' names.
        index: of the evaluation sets, as ``open_index`` returns it.
        folder: where the tables go: below ``leaks``, or below ``spread`` where a source's ids told of another's.
        workers: size of the worker pool; 0 works in this process.

    Returns:
        The tables' folders by the sources' names.
    """
    found = {name: folder / "leaks" / name for name in sources}
    stamp = read_manifest(index).fingerprint
    shards = [
        Shard(
            stamp=fingerprint("leaks", stamp, manifests_of_shard(source, number), number),
            payload={"source": name, "index": number},
            outputs={"leaks": Output(folder=found[name], table="leaks")},
        )
        for name, source in sources.items()
        for number in range(source.shards)
    ]
    stamps = {found[name].uri: fingerprint("leaks", stamp, source.stamps) for name, source in sources.items()}
    run_stream(partial(_Audit, dict(sources), index), shards, stamps, label="leakage audit", workers=workers)
    return spread_by_id(sources, found, folder, workers=workers)


class _Audit:
    def __init__(self, sources: Mapping[str, TrainingData], index: Folder) -> None:
        self._sources, self._index = sources, EvaluationIndex(index)

    def __call__(self, payload: Mapping[str, Any]) -> dict[str, pa.Table]:
        number, source = payload["index"], self._sources[payload["source"]]
        pairs, queries, passages = read_shard_of([source], number)
        every = pairs if colocated(source) else read_table(source.pairs, "pairs")
        lone_queries = lone_texts(_own(source.queries[0], number, "queries"), "query_id", every)
        lone_passages = lone_texts(_own(source.passages[0], number, "passages"), "passage_id", every)
        # A pair needs both of its texts: an empty one stands in for the other, and matches nothing.
        pairs = pa.concat_tables([pairs, pairs_of_lone(lone_queries), pairs_of_lone(lone_passages)])
        queries = pa.concat_tables([queries, blanks_for(lone_passages, "queries")])
        passages = pa.concat_tables([passages, blanks_for(lone_queries, "passages")])
        leaks = audit_rows(pairs, queries, passages, self._index)
        counts = json.dumps(count_rows(pairs, queries)).encode()
        return {"leaks": leaks.replace_schema_metadata({**leaks.schema.metadata, _COUNTS_KEY: counts})}


def summary_of(leaks: Mapping[str, Folder]) -> dict[str, Any]:
    """The content of ``leakage.json`` for audited sources, by name: the counts of all together, and ``by_source``."""
    counted = {name: _summary(folder) for name, folder in leaks.items()}
    parts = {name: {key: part[key] for key in ("rows", "leaking", "warned")} for name, part in counted.items()}
    # A pair belongs to one source, so the counts of all are the sums of theirs.
    total = reduce(_added, counted.values(), summarise([], {}))
    tables = {key: dict(sorted(count.items())) for key, count in total.items() if isinstance(count, dict)}
    return {**total, **tables, "by_source": parts}


def _summary(folder: Folder) -> dict[str, Any]:
    files = read_manifest(folder).files
    rows: Counter[str] = Counter()
    for file in files:
        rows.update(json.loads(read_metadata(folder, file)[_COUNTS_KEY]))
    return summarise((read_shard(folder, file, "leaks") for file in files), rows)


def _added(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Counts under the same keys added, at every depth."""
    made = {**one, **other}
    for key in one.keys() & other.keys():
        made[key] = _added(one[key], other[key]) if isinstance(one[key], dict) else one[key] + other[key]
    return made


def refuse_leaks(leaks: Mapping[str, Folder]) -> None:
    """Stops a run whose training data leak.

    Raises:
        DataError: naming the first leaking rows of each source, and where the others stand.
    """
    clauses = []
    for name, folder in leaks.items():
        found = read_table(folder, "leaks", ["pair_id", "benchmark", "evaluation_id", "rule", "leak"])
        rows = found.filter(found["leak"]).to_pandas().drop_duplicates("pair_id")
        if len(rows):
            named = [
                f"{row.pair_id} ({row.rule} of {row.benchmark} {row.evaluation_id})"
                for row in rows[:_NAMED].itertuples()
            ]
            more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
            clauses.append(f"{len(rows)} pairs of {name}: {', '.join(named)}{more}, in {folder}")
    if clauses:
        raise DataError(
            f"the training data hold what the evaluation sets hold: {'; '.join(clauses)}. "
            "Set `leakage: drop` to leave them out, or `leakage: allow` to train on them and have the report say so"
        )


def without_leaks(source: TrainingData, leaks: Folder, folder: Folder, *, workers: int) -> TrainingData:
    """Publishes a source again without its leaking pairs and what no other pair needs of their texts.

    Args:
        source: as it was audited; its first folders of texts are its own, the others' are clean already.
        leaks: folder of its findings.
        folder: where the new tables go.
        workers: size of the worker pool.

    Returns:
        The source without leaks.
    """
    tables = {"pairs": source.pairs, "queries": source.queries[0], "passages": source.passages[0]}
    outputs = {table: Output(folder=folder / table, table=table) for table in tables}
    stamp = read_manifest(leaks).fingerprint
    shards = [
        Shard(stamp=fingerprint("clean", stamp, number), payload={"index": number}, outputs=outputs)
        for number in range(source.shards)
    ]
    run_stream(
        partial(_Clean, source, leaks),
        shards,
        {output.folder.uri: fingerprint("clean", stamp) for output in outputs.values()},
        label=f"leaks left out: {source.name}",
        workers=workers,
        info={**read_manifest(source.pairs).info, COLOCATED: colocated(source)},
    )
    return replace(
        source,
        pairs=folder / "pairs",
        queries=(folder / "queries", *source.queries[1:]),
        passages=(folder / "passages", *source.passages[1:]),
    )


class _Clean:
    """Writes a shard anew."""

    def __init__(self, source: TrainingData, leaks: Folder) -> None:
        self._source, self._leaks = source, leaks

    def __call__(self, payload: Mapping[str, Any]) -> dict[str, pa.Table]:
        index, source = payload["index"], self._source
        pairs = _own(source.pairs, index, "pairs")
        named = len(pairs["negatives"].combine_chunks().flatten()) > 0
        # Where a text is asked for or named in other shards too, what becomes of it is told by all of them.
        if colocated(source) and not named:
            every, found = pairs, _own(self._leaks, index, "leaks")
        else:
            every, found = read_table(source.pairs, "pairs"), read_table(self._leaks, "leaks")
        leaking = pc.unique(found.filter(found["leak"])["pair_id"])
        kept = pc.invert(pc.is_in(every["pair_id"], leaking))
        wrong, right = every.filter(pc.invert(kept)), every.filter(kept)
        queries, passages = _own(source.queries[0], index, "queries"), _own(source.passages[0], index, "passages")
        pairs = pairs.filter(pc.invert(pc.is_in(pairs["pair_id"], leaking)))
        if named:
            texts = read_table(source.passages[0], "passages", ["passage_id", "group_id"])
            lost = lost_texts(texts, "passage_id", wrong, right, leaking)
            pairs = without_negatives(pairs, texts.filter(lost)["passage_id"])
        return {
            "pairs": pairs,
            "queries": queries.filter(pc.invert(lost_texts(queries, "query_id", wrong, right, leaking))),
            "passages": passages.filter(pc.invert(lost_texts(passages, "passage_id", wrong, right, leaking))),
        }


def _own(folder: Folder, index: int, table: str) -> pa.Table:
    return read_shard(folder, read_manifest(folder).files[index], table)
