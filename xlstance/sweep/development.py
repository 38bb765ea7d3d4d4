"""What a sweep chooses by: retrieval over all development pairs, the same for every trial."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch

from xlstance.encoders import EncoderSettings, load_encoder
from xlstance.errors import SettingsError
from xlstance.evaluation.protocol import evaluate
from xlstance.ranking import relevant_ranks
from xlstance.storage import Folder, fingerprint, is_published, read_table, write_table
from xlstance.tables import make_table
from xlstance.training_data import TrainingData

_TABLES = ("queries", "passages", "qrels")


@dataclass(frozen=True)
class Pool:
    """A pool to retrieve from: its tables ``queries``, ``passages`` and ``qrels``."""

    queries: pa.Table
    passages: pa.Table
    qrels: pa.Table


def publish_pool(sources: Sequence[TrainingData], folder: Folder) -> Pool:
    """Makes a retrieval task of development pairs: what answers a query does so in every language.

    Args:
        sources: the development sources.
        folder: where its tables go.

    Raises:
        SettingsError: if there are none.
    """
    if not sources:
        raise SettingsError(
            "development is empty: a sweep chooses by development pairs; name a source under development"
        )
    stamp = fingerprint("pool", [source.stamps for source in sources])
    if not all(is_published(folder / name, stamp) for name in _TABLES):
        tables = _tables(sources)
        for name in _TABLES:
            write_table(folder / name, name, tables[name], stamp)
    return Pool(*(read_table(folder / name, name) for name in _TABLES))


def _tables(sources: Sequence[TrainingData]) -> dict[str, pa.Table]:
    queries = _joined([folder for source in sources for folder in source.queries], "queries", "query_id")
    passages = _joined([folder for source in sources for folder in source.passages], "passages", "passage_id")
    pairs = pa.concat_tables([read_table(source.pairs, "pairs", ["query_id", "passage_id"]) for source in sources])
    group = passages["group_id"].take(pc.index_in(pairs["passage_id"], passages["passage_id"]))
    asked = (
        pa.table({"query_id": pairs["query_id"], "group_id": group}).group_by(["query_id", "group_id"]).aggregate([])
    )
    # Answers in other languages are answers, whether or not a pair names them.
    found = asked.join(passages.select(["group_id", "passage_id"]), keys="group_id", join_type="inner")
    found = found.sort_by([("query_id", "ascending"), ("passage_id", "ascending")])
    columns = {"query_id": found["query_id"], "passage_id": found["passage_id"], "gain": [1] * len(found)}
    queries = queries.filter(pc.is_in(queries["query_id"], pc.unique(found["query_id"].combine_chunks())))
    return {"queries": queries, "passages": passages, "qrels": make_table("qrels", columns)}


def _joined(folders: Sequence[Folder], table: str, name: str) -> pa.Table:
    """The rows of tables that may share some; each id once."""
    whole = pa.concat_tables([read_table(folder, table) for folder in {f.uri: f for f in folders}.values()])
    return whole.filter(pa.array(~whole[name].to_pandas().duplicated()))


def measure(settings: EncoderSettings, pool: Pool, batch_tokens: int | None) -> dict[str, Any]:
    """Retrieves with a model.

    Args:
        settings: which model, and the precision of its arithmetic.
        pool: what from.
        batch_tokens: tokens of an encoding batch; None for what suits the processor.

    Returns:
        ``mono``, ``cross`` and ``multi``, mean average precision, and ``rank_distance``; None what the pool cannot
        tell, such as cross in one language.
    """
    encoder = load_encoder(settings).to("cuda" if torch.cuda.is_available() else "cpu")
    query_vectors = encoder.encode(pool.queries["text"].to_pylist(), "query", batch_tokens)
    passage_vectors = encoder.encode(pool.passages["text"].to_pylist(), "passage", batch_tokens)
    ranks = relevant_ranks(pool.queries, pool.passages, pool.qrels, query_vectors, passage_vectors)
    figures = evaluate(pool.queries, ranks)
    maps = {setting: figures[setting]["map"] for setting in ("mono", "cross", "multi")}
    return {**maps, "rank_distance": figures["multi"]["rank_distance"]}
