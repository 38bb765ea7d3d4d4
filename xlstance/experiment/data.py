"""What training reads beside the corpora: vocabulary, start of the encoder and training store, each made once."""

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd

from xlstance.disk_folder import DiskFolder
from xlstance.encoders import (
    Encoder,
    EncoderSettings,
    StaticEncoder,
    align_by_lexicon,
    load_encoder,
    train_vocabulary,
    weigh_by_rarity,
)
from xlstance.experiment.settings import ExperimentSettings, StartSettings
from xlstance.progress import progress_bar
from xlstance.storage import Folder, fingerprint, read_manifest, read_shard, read_table
from xlstance.tables import hash_ids
from xlstance.training.store.preparation import prepare_store
from xlstance.training_data import TrainingData

_RARITY_TEXTS = 200_000
_LAST = "modules.json"  # what ``Encoder.save`` writes last
_FEW = 100_000  # pairs that are tokenised here sooner than a pool of workers starts


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What training reads.

    Attributes:
        tokenizer: file of the vocabulary, a path or a bucket's address; empty for an encoder that brings its own.
        start: folder of the model that each seed begins with; empty: the encoder of the settings.
        store: folder of the training store; empty if nothing is trained.
        validation_store: folder of the development pairs' store; empty without any.
    """

    tokenizer: str = ""
    start: Mapping[int, str] = field(default_factory=dict)
    store: str = ""
    validation_store: str = ""


def prepare_training(settings: ExperimentSettings, root: Folder, data: dict[str, TrainingData]) -> Prepared:
    """Trains the vocabulary if the encoder needs one, and tokenises all pairs into training stores."""
    if not data:
        return Prepared()
    training = [source for name, source in data.items() if name not in settings.development]
    development = [data[name] for name in settings.development]
    tokenizer = "" if settings.encoder.model else _vocabulary(settings, root / "vocabulary", training)
    vocabulary = (root / "vocabulary").read(posixpath.basename(tokenizer)).decode() if tokenizer else ""
    stamp = fingerprint(settings.encoder, fingerprint(vocabulary))
    load = partial(_tokenising_encoder, settings.encoder, tokenizer)
    stores = {}
    for name, label, sources in (
        ("store", "training store", training),
        ("validation_store", "validation store", development),
    ):
        if sources:
            few = sum(source.rows for source in sources) < _FEW
            workers = 0 if few else settings.cluster.stream_workers
            prepare_store(sources, load, stamp, root / name, label=label, workers=workers)
            stores[name] = (root / name).uri
    return Prepared(tokenizer=tokenizer, start=_starts(settings, root, data, training, tokenizer), **stores)


def _tokenising_encoder(settings: EncoderSettings, tokenizer: str) -> Encoder:
    """An encoder that only tokenises: its weights take no memory."""
    return load_encoder(settings, tokenizer=tokenizer or None).to("meta")


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
        place = DiskFolder((root / "models" / f"start-{seed}").uri)
        folders[seed] = place.uri
        if place.exists(_LAST):
            continue
        encoder = load_encoder(settings.encoder, tokenizer=tokenizer, seed=seed)
        assert isinstance(encoder, StaticEncoder)  # noqa: S101 - the settings were checked
        if sample:
            weigh_by_rarity(encoder, sample)
        if entries:
            align_by_lexicon(encoder, entries)
        encoder.save(place.path)
        place.keep(*(path.name for path in place.path.iterdir() if path.name != _LAST), _LAST)
    return folders


def _entries(lexicon: TrainingData, start: StartSettings) -> list[tuple[str, str]]:
    """(word, translation) of a source whose pairs are dictionary entries."""
    queries = pd.concat([read_table(f, "queries").to_pandas() for f in lexicon.queries]).set_index("query_id")
    passages = pd.concat([read_table(f, "passages").to_pandas() for f in lexicon.passages]).set_index("passage_id")
    pairs = read_table(lexicon.pairs, "pairs", ["query_id", "passage_id"]).to_pandas()
    pairs = pairs[queries["lang"].loc[pairs["query_id"]].to_numpy() == start.source_language]
    words, translations = queries["text"].loc[pairs["query_id"]], passages["text"].loc[pairs["passage_id"]]
    return list(zip(words.tolist(), translations.tolist(), strict=True))


def _vocabulary(settings: ExperimentSettings, folder: Folder, sources: Sequence[TrainingData]) -> str:
    """The vocabulary, trained on a balanced sample of the training sources' texts; no evaluation set is read."""
    stamps = [source.stamps for source in sources]
    stamp = fingerprint(settings.vocabulary, settings.encoder.vocabulary_size, stamps)
    name, place = f"{stamp}.json", DiskFolder(folder.uri)
    if place.exists(name):
        return f"{place}/{name}"
    sample = _sample(sources, settings.vocabulary.lines)
    with progress_bar(total=1, desc=f"vocabulary from {len(sample)} texts", bar_format="{desc} [{elapsed}]"):
        trained = train_vocabulary(sample, settings.encoder.vocabulary_size, lowercase=settings.vocabulary.lowercase)
    place.path.mkdir(parents=True, exist_ok=True)
    trained.save(str(place.path / name))
    place.keep(name)
    return f"{place}/{name}"


def _sample(sources: Sequence[TrainingData], size: int) -> list[str]:
    """About ``size`` texts, the same number from every language as far as it has them, drawn by hashes.

    Read file by file; about ``size`` texts are held. The same texts give the same sample, however they are cut and
    in whatever order they come.
    """
    folders = {folder.uri: (folder, "queries") for source in sources for folder in source.queries}
    folders |= {folder.uri: (folder, "passages") for source in sources for folder in source.passages}
    kept = pd.DataFrame({"hash": np.zeros(0, np.uint64), "lang": [], "text": []})
    for folder, table in folders.values():
        for file in read_manifest(folder).files:
            texts = read_shard(folder, file, table, ["lang", "text"]).to_pandas()
            kept = pd.concat([kept, texts.assign(hash=hash_ids(texts["text"].tolist()))]).drop_duplicates()
            # With more languages each has a smaller share: what is dropped here would not be in the sample later.
            share = -(-size // kept["lang"].nunique()) if len(kept) else size
            kept = kept.sort_values(["lang", "hash", "text"]).groupby("lang", sort=True).head(share)
    sample: list[str] = kept["text"].drop_duplicates().tolist()
    return sample
