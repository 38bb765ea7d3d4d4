"""The experiment's data: corpora, augmentations, vocabulary and training store, each published once."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from tqdm import tqdm

from xlstance.augmentation.stage import Augmentation, augment
from xlstance.collection import CorpusStream, qrels_of
from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.miniature import lexicon
from xlstance.corpora.registry import Source, file_hashes, stream_benchmark, stream_source
from xlstance.encoders import StaticEncoder, align_by_lexicon, load_encoder, train_vocabulary, weigh_by_rarity
from xlstance.experiment.audit import LEAKAGE, find_leaks, open_index, refuse_leaks, summary_of, without_leaks
from xlstance.experiment.settings import ExperimentSettings, StartSettings
from xlstance.progress import progress_bar
from xlstance.shard_writers import write_stream
from xlstance.storage import Folder, fingerprint, is_published, read_table, write_table
from xlstance.tables import SCHEMAS, hash_ids
from xlstance.training.store import prepare_store
from xlstance.training_data import TrainingData, is_source_published, publish_source, published

_RARITY_TEXTS = 200_000
_MINIATURE = "miniature"  # as a lexicon's path: the built-in world's own dictionary


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What training reads.

    Attributes:
        tokenizer: file of the vocabulary; empty for an encoder that brings its own.
        start: folder of the model that each seed begins with; empty: the encoder of the settings.
        store: folder of the training store; empty if nothing is trained.
        validation_store: folder of the development pairs' store; empty without any.
    """

    tokenizer: str = ""
    start: Mapping[int, str] = field(default_factory=dict)
    store: str = ""
    validation_store: str = ""


def publish_corpora(
    settings: ExperimentSettings, root: Folder, benchmarks: Mapping[str, Folder]
) -> dict[str, TrainingData]:
    """Reads every source and makes every augmentation, all audited against the benchmarks; returns them by name.

    Raises:
        DataError: if they hold what a benchmark holds, unless the settings say what then.
    """
    seed, workers = settings.seeds[0], settings.cluster.stream_workers
    read = {source.name: _publish_source(source, settings, root) for source in _shown(settings.sources, "corpora")}
    gate = _Gate(settings, root, benchmarks)
    data = gate.pass_through(read)
    for augmentation in settings.augmentations:
        prepared, lexicons = _with_lexicons(augmentation, settings, root)
        parents = [data[name] for name in augmentation.of]
        folder = root / "augmented" / augmentation.name
        made = augment(prepared, parents, folder, data=lexicons, seed=seed, workers=workers)
        # Pairing makes pairs of texts that are audited already.
        own = {augmentation.name: made}
        data |= own if augmentation.pairing else gate.pass_through(own)
    return data


def _shown(sources: Sequence[Source], label: str) -> Iterable[Source]:
    return progress_bar(sources, desc=label, unit="source")


def _publish_source(source: Source, settings: ExperimentSettings, root: Folder) -> TrainingData:
    folder, shards = root / "corpora" / source.name, settings.cluster.shards
    world = settings.miniature if source.format == _MINIATURE else None
    stamp = fingerprint(source, settings.seeds[0], shards, world, file_hashes(source, settings.data))
    if not is_source_published(folder, stamp):
        bad = BadRows(source.on_bad_row)
        stream = stream_source(source, settings.data, settings.seeds[0], settings.miniature, bad)
        publish_source(folder, stream, stamp, shards, lambda: {"notes": list(stream.notes())})
        publish_bad_rows(bad, folder, stamp)
    return published(folder, source.name, bitext=source.name in settings.bitext)


class _Gate:
    """Lets training data through once they are audited: stopped, cleaned or as they are."""

    def __init__(self, settings: ExperimentSettings, root: Folder, benchmarks: Mapping[str, Folder]) -> None:
        self._settings, self._root, self._leaks = settings, root, dict[str, Folder]()
        self._benchmarks = benchmarks

    def pass_through(self, data: Mapping[str, TrainingData]) -> dict[str, TrainingData]:
        root, workers = self._root / "leakage", self._settings.cluster.stream_workers
        index = open_index(self._benchmarks, root / "index")
        found = find_leaks(data, index, root, workers=workers)
        self._leaks |= found
        summary = {"on_leakage": self._settings.leakage, **summary_of(self._leaks)}
        self._root.write(LEAKAGE, json.dumps(summary, indent=1, ensure_ascii=False).encode())
        if self._settings.leakage == "stop":
            refuse_leaks(found)
        if self._settings.leakage == "allow":
            return dict(data)
        leaking = {name for name in found if summary["by_source"][name]["leaking"]}
        return {
            name: without_leaks(source, found[name], self._root / "clean" / name, workers=workers)
            if name in leaking
            else source
            for name, source in data.items()
        }


def _with_lexicons(augmentation: Augmentation, settings: ExperimentSettings, root: Folder) -> tuple[Augmentation, str]:
    """The augmentation and the root of its lexicons' paths; the built-in world's are written to files first."""
    switching = augmentation.code_switching
    if switching is None or switching.lexicons != [_MINIATURE]:
        return augmentation, settings.data
    folder = (root / "corpora" / "lexicons").local
    folder.mkdir(parents=True, exist_ok=True)
    for lang in switching.languages:
        words = lexicon(settings.miniature, switching.source_language, lang)
        lines = [f"{word}\t{translation}\n" for word, translations in words.items() for translation in translations]
        (folder / f"{switching.source_language}-{lang}.tsv").write_text("".join(lines), encoding="utf-8")
    return replace(augmentation, code_switching=replace(switching, lexicons=["{source}-{lang}.tsv"])), str(folder)


def publish_benchmarks(settings: ExperimentSettings, root: Folder) -> dict[str, Folder]:
    """Reads every benchmark; returns their folders by name."""
    folders = {}
    for source in progress_bar(settings.benchmarks, desc="benchmarks", unit="set"):
        folder = folders[source.name] = root / "benchmarks" / source.name
        world = settings.miniature if source.format.startswith(_MINIATURE) else None
        stamp = fingerprint(source, settings.cluster.shards, world, file_hashes(source, settings.data))
        if all(is_published(folder / table, stamp) for table in ("queries", "passages", "qrels")):
            continue
        bad = BadRows(source.on_bad_row)
        publish_benchmark(
            folder, stream_benchmark(source, settings.data, settings.miniature, bad), stamp, settings.cluster.shards
        )
        publish_bad_rows(bad, folder, stamp)
    return folders


def publish_benchmark(folder: Folder, benchmark: CorpusStream, stamp: str, shards: int) -> None:
    """Writes the three tables of an evaluation set; passages pass through block by block."""
    write_stream(folder / "passages", "passages", benchmark.passages, stamp, shards=shards)
    queries = pa.concat_tables([SCHEMAS["queries"].empty_table(), *benchmark.queries])
    write_stream(folder / "qrels", "qrels", qrels_of(benchmark.judgements), stamp)
    write_table(folder / "queries", "queries", queries, stamp, shards=shards, info={"notes": list(benchmark.notes())})


def publish_bad_rows(bad: BadRows, folder: Folder, stamp: str) -> None:
    """Publishes the rows that were put aside while a source was read, and says how many they are."""
    if len(bad):
        write_table(folder / "quarantine", "quarantine", bad.table, stamp)
        print(f"{folder.path.rpartition('/')[2]}: {len(bad)} bad rows were put aside, in {folder / 'quarantine'}")


def prepare_training(settings: ExperimentSettings, root: Folder, data: dict[str, TrainingData]) -> Prepared:
    """Trains the vocabulary if the encoder needs one, and tokenises all pairs into training stores."""
    if not data:
        return Prepared()
    training = [source for name, source in data.items() if name not in settings.development]
    development = [data[name] for name in settings.development]
    tokenizer = "" if settings.encoder.model else str(_vocabulary(settings, root, training))
    encoder = load_encoder(settings.encoder, tokenizer=tokenizer or None)
    vocabulary = Path(tokenizer).read_text() if tokenizer else ""
    stamp = fingerprint(settings.encoder, fingerprint(vocabulary))
    stores = {}
    for name, sources in (("store", training), ("validation_store", development)):
        if sources:
            folder = root.local / name
            with progress_bar(desc=f"tokenising ({name.replace('_', ' ')})", unit="text") as bar:
                prepare_store(sources, encoder, stamp, folder, _shower(bar))
            stores[name] = str(folder)
    return Prepared(tokenizer=tokenizer, start=_starts(settings, root, data, training, tokenizer), **stores)


def _shower(bar: "tqdm[Any]") -> Callable[[int, int], None]:
    def show(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return show


def _starts(
    settings: ExperimentSettings,
    root: Folder,
    data: Mapping[str, TrainingData],
    training: Sequence[TrainingData],
    tokenizer: str,
) -> dict[int, str]:
    """The static encoders that the seeds begin with, where the settings ask for more than random vectors."""
    if not (settings.start.rarity or settings.start.lexicons):
        return {}
    sample = _sample(training, _RARITY_TEXTS) if settings.start.rarity else []
    entries = [entry for name in settings.start.lexicons for entry in _entries(data[name], settings.start)]
    folders = {}
    for seed in progress_bar(settings.seeds, desc="start of the static encoder", unit="seed"):
        folder = root.local / "models" / f"start-{seed}"
        folders[seed] = str(folder)
        if (folder / "modules.json").exists():  # written last by save
            continue
        encoder = load_encoder(settings.encoder, tokenizer=tokenizer, seed=seed)
        assert isinstance(encoder, StaticEncoder)  # noqa: S101 - the settings were checked
        if sample:
            weigh_by_rarity(encoder, sample)
        if entries:
            align_by_lexicon(encoder, entries)
        encoder.save(folder)
    return folders


def _entries(lexicon: TrainingData, start: StartSettings) -> list[tuple[str, str]]:
    """(word, translation) of a source whose pairs are dictionary entries."""
    queries = pd.concat([read_table(f, "queries").to_pandas() for f in lexicon.queries]).set_index("query_id")
    passages = pd.concat([read_table(f, "passages").to_pandas() for f in lexicon.passages]).set_index("passage_id")
    pairs = read_table(lexicon.pairs, "pairs", ["query_id", "passage_id"]).to_pandas()
    pairs = pairs[queries["lang"].loc[pairs["query_id"]].to_numpy() == start.source_language]
    words, translations = queries["text"].loc[pairs["query_id"]], passages["text"].loc[pairs["passage_id"]]
    return list(zip(words.tolist(), translations.tolist(), strict=True))


def _vocabulary(settings: ExperimentSettings, root: Folder, sources: Sequence[TrainingData]) -> Path:
    """The vocabulary, trained on a balanced sample of the training sources' texts; no evaluation set is read."""
    stamps = [source.stamps for source in sources]
    stamp = fingerprint(settings.vocabulary, settings.encoder.vocabulary_size, stamps)
    path = root.local / "vocabulary" / f"{stamp}.json"
    if path.exists():
        return path
    sample = _sample(sources, settings.vocabulary.lines)
    with progress_bar(total=1, desc=f"vocabulary from {len(sample)} texts", bar_format="{desc} [{elapsed}]"):
        trained = train_vocabulary(sample, settings.encoder.vocabulary_size, lowercase=settings.vocabulary.lowercase)
    path.parent.mkdir(parents=True, exist_ok=True)
    trained.save(str(path))
    return path


def _sample(sources: Sequence[TrainingData], size: int) -> list[str]:
    """About ``size`` texts, the same number from every language as far as it has them, drawn by hashes."""
    folders = {folder.uri: (folder, "queries") for source in sources for folder in source.queries}
    folders |= {folder.uri: (folder, "passages") for source in sources for folder in source.passages}
    frames = [read_table(folder, table, ["lang", "text"]).to_pandas() for folder, table in folders.values()]
    texts = pd.concat(frames, ignore_index=True).drop_duplicates("text", ignore_index=True)
    texts = texts.iloc[np.argsort(hash_ids(texts["text"].tolist()), kind="stable")]
    share = -(-size // texts["lang"].nunique())
    sample: list[str] = texts.groupby("lang", sort=True).head(share)["text"].tolist()
    return sample
