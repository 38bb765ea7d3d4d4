"""Leaks by id that lead from one source to another.

A source may hold a paragraph of an evaluation set without any of its question ids, when those did not survive
translation; another source, in the language of the original, holds both. The ids of the other's questions then tell.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from xlstance.leakage.audit import audit_rows
from xlstance.leakage.index import EvaluationIndex, EvaluationSet, build_index, id_keys
from xlstance.storage import Folder, fingerprint, read_manifest, read_metadata, read_shard, read_table
from xlstance.streams import Output, Shard, run_stream
from xlstance.tables import make_table
from xlstance.training_data import TrainingData, manifests_of_shard, read_shard_of

_BY_ID = pa.array(["id", "id-context"])


def spread_by_id(
    sources: Mapping[str, TrainingData], leaks: Mapping[str, Folder], folder: Folder, *, workers: int
) -> dict[str, Folder]:
    """Finds the pairs that share an id with a pair of another source that leaks by its id or its context.

    Args:
        sources: the audited sources by name.
        leaks: the folders of their tables ``leaks``.
        folder: where the completed tables go, below ``spread``.
        workers: size of the worker pool; 0 works in this process.

    Returns:
        The folders of the completed tables; those given where there is nothing to lead anywhere.
    """
    found = {name: _leaking_by_id(own) for name, own in leaks.items()}
    if len(sources) < 2 or not any(len(rows) for rows in found.values()):
        return dict(leaks)
    stamp = fingerprint("spread", {name: read_manifest(own).fingerprint for name, own in leaks.items()})
    build_index(folder / "spread-index", _sets(list(found.values())), stamp)
    made = {name: folder / "spread" / name for name in sources}
    shards = [
        Shard(
            stamp=fingerprint(stamp, number, manifests_of_shard(source, number)),
            payload={"source": name, "index": number},
            outputs={"leaks": Output(folder=made[name], table="leaks")},
        )
        for name, source in sources.items()
        for number in range(source.shards)
    ]
    work = partial(_Spread, dict(sources), dict(leaks), folder / "spread-index")
    run_stream(work, shards, {own.uri: stamp for own in made.values()}, label="leaks by id", workers=workers)
    return made


def _leaking_by_id(leaks: Folder) -> pa.Table:
    found = read_table(leaks, "leaks", ["benchmark", "rule", "lang", "query_id"])
    return found.filter(pc.is_in(found["rule"], _BY_ID))


def _sets(found: Sequence[pa.Table]) -> list[EvaluationSet]:
    """The leaking pairs' ids as evaluation sets without texts."""
    rows = pa.concat_tables(found).to_pandas().drop_duplicates(["benchmark", "query_id"])
    sets = []
    for name, part in rows.groupby("benchmark", sort=True):
        ids = part["query_id"].tolist()
        columns = {"query_id": ids, "lang": part["lang"].tolist(), "text": [""] * len(ids), "group_id": ids}
        sets.append(EvaluationSet(name=str(name), queries=[make_table("queries", columns)], passages=[]))
    return sets


class _Spread:
    def __init__(self, sources: Mapping[str, TrainingData], leaks: Mapping[str, Folder], index: Folder) -> None:
        self._sources, self._leaks, self._index = sources, leaks, EvaluationIndex(index)

    def __call__(self, payload: Mapping[str, Any]) -> dict[str, pa.Table]:
        source, leaks = self._sources[payload["source"]], self._leaks[payload["source"]]
        file = read_manifest(leaks).files[payload["index"]]
        known = read_shard(leaks, file, "leaks")
        pairs, queries, passages = read_shard_of([source], payload["index"])
        # Only what stands with a shared id is looked at: the pairs of its passages' groups.
        rows, keys = id_keys(pairs["query_id"])
        matches, _ = self._index.ids.find(keys)
        group = passages["group_id"].take(pc.index_in(pairs["passage_id"], passages["passage_id"]))
        pairs = pairs.filter(pc.is_in(group, pc.unique(group.take(pa.array(rows[matches])))))
        queries = queries.filter(pc.is_in(queries["query_id"], pc.unique(pairs["query_id"])))
        passages = passages.filter(pc.is_in(passages["passage_id"], pc.unique(pairs["passage_id"])))
        found = audit_rows(pairs, queries, passages, self._index)
        place = found.schema.get_field_index("rule")
        found = found.set_column(place, found.schema.field(place), pa.array(["id-context"] * len(found), pa.string()))
        by_id = known.filter(pc.is_in(known["rule"], _BY_ID))
        fresh = pc.invert(pc.is_in(_pair_and_set(found), pc.unique(_pair_and_set(by_id))))
        metadata = read_metadata(leaks, file)
        return {"leaks": pa.concat_tables([known, found.filter(fresh)]).replace_schema_metadata(metadata)}


def _pair_and_set(found: pa.Table) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(found["pair_id"], found["benchmark"], "\n")
