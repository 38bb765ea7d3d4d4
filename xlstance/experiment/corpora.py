"""The experiment's corpora: sources, augmentations and benchmarks, published once, and audited for leakage."""

import json
from collections.abc import Mapping

import pyarrow as pa

from xlstance.augmentation.stage import augment_below
from xlstance.collection import CorpusStream, qrels_of
from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.registry import Source, file_hashes, stream_benchmark, stream_source
from xlstance.experiment.audit import LEAKAGE, find_leaks, open_index, refuse_leaks, summary_of, without_leaks
from xlstance.experiment.augmentations import parents_of, prepare
from xlstance.experiment.settings import ExperimentSettings
from xlstance.progress import progress_bar
from xlstance.shard_writers import write_stream
from xlstance.storage import Folder, fingerprint, is_published, write_table
from xlstance.tables import SCHEMAS
from xlstance.training_data import TrainingData, is_source_published, publish_source, published


def publish_corpora(
    settings: ExperimentSettings, root: Folder, benchmarks: Mapping[str, Folder]
) -> dict[str, TrainingData]:
    """Reads every source and makes every augmentation, all audited against the benchmarks; returns them by name.

    Raises:
        DataError: if they hold what a benchmark holds, unless the settings say what then.
    """
    read = publish_sources(settings, root)
    gate = _Gate(settings, root, benchmarks)
    data = gate.pass_through(read, root) if read else {}
    for augmentation in settings.augmentations:
        parents = [data[name] for name in parents_of(augmentation, settings)]
        prepared, around = prepare(augmentation, settings, root, parents)
        made = augment_below(prepared, around)
        own = {augmentation.name: made}
        if augmentation.way.writes_texts:  # else its pairs are of texts that are audited already
            # The audit lies with what was audited: the same augmentation of other settings may lie beside it.
            own = gate.pass_through(own, Folder(made.pairs.uri.rpartition("/")[0]))
        data |= own
    if data:
        gate.report()
    return data


def _publish_source(source: Source, settings: ExperimentSettings, root: Folder) -> TrainingData:
    folder, shards, data = root / "corpora" / source.name, settings.cluster.shards, settings.local_data
    world = settings.miniature if source.format == "miniature" else None
    stamp = fingerprint(source, settings.seeds[0], shards, world, file_hashes(source, data))
    if not is_source_published(folder, stamp):
        bad = BadRows(source.on_bad_row)
        stream = stream_source(source, data, settings.seeds[0], settings.miniature, bad)
        publish_source(folder, stream, stamp, shards, lambda: {"notes": list(stream.notes())})
        publish_bad_rows(bad, folder, stamp)
    return published(folder, source.name, bitext=source.name in settings.bitext)


class _Gate:
    """Lets training data through once they are audited: stopped, cleaned or as they are."""

    def __init__(self, settings: ExperimentSettings, root: Folder, benchmarks: Mapping[str, Folder]) -> None:
        self._settings, self._root, self._leaks = settings, root, dict[str, Folder]()
        self._benchmarks = benchmarks

    def pass_through(self, data: Mapping[str, TrainingData], folder: Folder) -> dict[str, TrainingData]:
        """What may be trained on; the findings, and the tables without them, go below the folder."""
        if not self._benchmarks:
            return dict(data)
        workers = self._settings.cluster.stream_workers
        index = open_index(self._benchmarks, self._root / "leakage" / "index")
        found = find_leaks(data, index, folder / "leakage", workers=workers)
        self._leaks |= found
        leaking = {name for name, part in summary_of(found)["by_source"].items() if part["leaking"]}
        if leaking and self._settings.leakage == "stop":
            self.report()
            refuse_leaks(found)
        if self._settings.leakage == "allow":
            return dict(data)
        return {
            name: without_leaks(source, found[name], folder / "clean" / name, workers=workers)
            if name in leaking
            else source
            for name, source in data.items()
        }

    def report(self) -> None:
        """Writes ``leakage.json``, of all that came to the gate."""
        summary = {"on_leakage": self._settings.leakage, **summary_of(self._leaks)}
        content = json.dumps(summary, indent=1, ensure_ascii=False).encode()
        if not (self._root.exists(LEAKAGE) and self._root.read(LEAKAGE) == content):
            self._root.write(LEAKAGE, content)


def publish_sources(settings: ExperimentSettings, root: Folder) -> dict[str, TrainingData]:
    """Reads every source; returns them by name."""
    bar = progress_bar(settings.sources, desc="corpora", unit="source")
    return {source.name: _publish_source(source, settings, root) for source in bar}


def publish_benchmarks(settings: ExperimentSettings, root: Folder) -> dict[str, Folder]:
    """Reads every benchmark; returns their folders by name."""
    folders, data = {}, settings.local_data
    for source in progress_bar(settings.benchmarks, desc="benchmarks", unit="set"):
        folder = folders[source.name] = root / "benchmarks" / source.name
        world = settings.miniature if source.format.startswith("miniature") else None
        stamp = fingerprint(source, settings.cluster.shards, world, file_hashes(source, data))
        if all(is_published(folder / table, stamp) for table in ("queries", "passages", "qrels")):
            continue
        bad = BadRows(source.on_bad_row)
        publish_benchmark(
            folder,
            stream_benchmark(source, data, settings.miniature, bad),
            stamp,
            settings.cluster.shards,
        )
        publish_bad_rows(bad, folder, stamp)
    return folders


def publish_benchmark(folder: Folder, benchmark: CorpusStream, stamp: str, shards: int) -> None:
    """Writes the three tables of an evaluation set; passages pass through block by block."""
    write_stream(folder / "passages", "passages", benchmark.passages, stamp, shards=shards)
    queries = pa.concat_tables([SCHEMAS["queries"].empty_table(), *benchmark.queries])
    write_stream(folder / "qrels", "qrels", qrels_of(benchmark.judgements), stamp)
    write_table(
        folder / "queries",
        "queries",
        queries,
        stamp,
        shards=shards,
        info={"notes": list(benchmark.notes()), **benchmark.info},
    )


def publish_bad_rows(bad: BadRows, folder: Folder, stamp: str) -> None:
    """Publishes the rows that were put aside while a source was read, and says how many they are."""
    if bad.count:
        write_table(folder / "quarantine", "quarantine", bad.table, stamp)
        print(f"{folder.path.rpartition('/')[2]}: {bad.count} bad rows were put aside, in {folder / 'quarantine'}")
