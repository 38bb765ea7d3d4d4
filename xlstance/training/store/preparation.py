"""Making a training store, shard by shard, on a pool of workers; a killed preparation goes on with what is missing."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import pyarrow as pa

from xlstance.errors import DataError, SettingsError, StorageError
from xlstance.storage import Folder, ShardFile, fingerprint, is_published, publish, read_manifest, read_metadata
from xlstance.streams import Output, Shard, Work, run_stream
from xlstance.training.plan import Partition
from xlstance.training.store.answers import gather_answers, write_answers
from xlstance.training.store.files import KINDS, TABLE, Layout, read_receipt
from xlstance.training.store.pairs import write_pairs
from xlstance.training.store.references import answer
from xlstance.training.store.texts import Tokenising, tokenise_shard
from xlstance.training_data import TrainingData

_VERSION = 2


def store_fingerprint(sources: Sequence[TrainingData], encoder_stamp: str) -> str:
    """What a store depends on: the published tables, and how the encoder tokenises."""
    tables = [(source.name, source.bitext, source.stamps) for source in sources]
    return fingerprint("training-store", _VERSION, tables, encoder_stamp)


def prepare_store(
    sources: Sequence[TrainingData],
    load: Callable[[], Tokenising],
    encoder_stamp: str,
    folder: Folder,
    *,
    label: str = "store",
    workers: int = 0,
) -> None:
    """Writes the training store, once; a finished one with the same fingerprint is left alone.

    The same tables give the same bytes, whatever the number of workers. No worker holds more than about a shard: its
    texts and their tokens, and the ids and links that fall into one range of as many keys.

    Args:
        sources: where the pairs are; all in the same number of shards.
        load: opens the encoder, whose tokenizer is used; called once in each worker.
        encoder_stamp: fingerprint of all that decides how it tokenises.
        folder: where to; every worker must see it.
        label: what the progress bars call it.
        workers: size of the worker pool; 0 works in this process.

    Raises:
        DataError: if a pair names a text that no table holds, or there is no pair.
        SettingsError: if the sources' numbers of shards differ.
        StorageError: if the folder holds a store of other inputs.
    """
    stamp = store_fingerprint(sources, encoder_stamp)
    layout = Layout(folder=folder, stamp=stamp, shards=_shards(sources))
    if not is_published(folder, stamp):
        _prepare(layout, sources, load, label, workers)
    if folder.exists(layout.scratch.uri.rpartition("/")[2]):
        layout.scratch.filesystem.delete_dir(layout.scratch.path)


def _shards(sources: Sequence[TrainingData]) -> int:
    """The number of shards of all tables."""
    counts: dict[int, str] = {}
    for folder in (folder for source in sources for folder in (source.pairs, *source.queries, *source.passages)):
        counts.setdefault(len(read_manifest(folder).files), folder.uri)
    if len(counts) > 1:
        found = ", ".join(f"{folder} has {count}" for count, folder in counts.items())
        raise SettingsError(
            f"the tables of one training store must have the same number of shards, but {found}; "
            "publish all with the same cluster.shards"
        )
    return next(iter(counts))


def _prepare(
    layout: Layout, sources: Sequence[TrainingData], load: Callable[[], Tokenising], label: str, workers: int
) -> None:
    run = partial(_run_pass, layout, label, workers)
    texts = run("tokens", partial(_tokeniser, layout, sources, load, workers > 0))
    starts = _starts(texts)
    if any(receipt["asked"] for receipt in texts):
        run("references", partial(partial, answer, layout, starts))
    more = [{"start": start, "asked": text["asked"]} for start, text in zip(starts, texts, strict=True)]
    pairs = run("pairs", partial(partial, write_pairs, layout, sources), more)
    links = run("links", partial(partial, gather_answers, layout))
    answers = run("answers", partial(partial, write_answers, layout))
    partitions = _partitions(sources, [receipt["pieces"] for receipt in pairs])
    if not partitions:
        raise DataError(f"{', '.join(source.name for source in sources)}: there are no pairs to train on")
    receipts = [text | pair | answer for text, pair, answer in zip(texts, pairs, answers, strict=True)]
    files = [ShardFile(**receipt[kind]) for kind in KINDS for receipt in receipts]
    _check(layout.folder, files)
    info = {
        "languages": sorted({language for receipt in texts for language in receipt["languages"]}),
        "partitions": [asdict(partition) for partition in partitions],
        "apart": any(receipt["apart"] for receipt in pairs),
        "scattered": any(receipt["scattered"] for receipt in links),
    }
    publish(layout.folder, TABLE, layout.stamp, files, info)


def _tokeniser(
    layout: Layout, sources: Sequence[TrainingData], load: Callable[[], Tokenising], pooled: bool
) -> Callable[[int], pa.Table]:
    if pooled:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # the pool has a worker for each processor
    return partial(tokenise_shard, layout, sources, load())


def _run_pass(
    layout: Layout,
    label: str,
    workers: int,
    name: str,
    make: Callable[[], Callable[..., pa.Table]],
    more: Sequence[Mapping[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """Does one pass over all shards, or over as many ranges of keys; returns the receipts in order."""
    receipts = layout.scratch / name
    output = {"receipt": Output(folder=receipts, table=TABLE)}
    shards = [
        Shard(
            stamp=fingerprint(layout.stamp, name, index),
            payload={"index": index, "more": more[index] if more else {}},
            outputs=output,
        )
        for index in range(layout.shards)
    ]
    run_stream(
        partial(_make_work, make), shards, {receipts.uri: layout.stamp}, label=f"{label}: {name}", workers=workers
    )
    return [read_receipt(read_metadata(receipts, file)) for file in read_manifest(receipts).files]


def _make_work(make: Callable[[], Callable[..., pa.Table]]) -> Work:
    do = make()
    return lambda payload: {"receipt": do(payload["index"], **payload["more"])}


def _starts(texts: Sequence[Mapping[str, Any]]) -> list[dict[str, int]]:
    """For each shard the numbers of its first query and its first passage."""
    starts, next_start = [], {"query": 0, "passage": 0}
    for receipt in texts:
        starts.append(dict(next_start))
        next_start["query"] += receipt["queries"]["rows"]
        next_start["passage"] += receipt["passages"]["rows"]
    return starts


def _partitions(sources: Sequence[TrainingData], pieces: Sequence[Sequence[Any]]) -> list[Partition]:
    """The partitions, by source and languages, from the rows that each shard has of each."""
    rows: dict[tuple[int, str, str], list[int]] = {}
    for index, shard in enumerate(pieces):
        for source, query_lang, passage_lang, count in shard:
            rows.setdefault((source, query_lang, passage_lang), [0] * len(pieces))[index] = count
    return [
        Partition(
            source=sources[source].name,
            query_lang=query_lang,
            passage_lang=passage_lang,
            rows=sum(counts),
            bitext=sources[source].bitext,
            pieces=tuple(counts),
        )
        for (source, query_lang, passage_lang), counts in sorted(rows.items())
    ]


def _check(folder: Folder, files: Sequence[ShardFile]) -> None:
    """Before the store is published: are the files that earlier runs wrote still there?"""
    for file in files:
        found = folder.filesystem.get_file_info(f"{folder.path}/{file.name}")
        if found.size != file.bytes:
            raise StorageError(
                f"{folder}/{file.name} is not what was written there; remove {folder} and prepare the store again"
            )
