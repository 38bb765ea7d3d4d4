"""How fast pairs become a training store, in how much memory, and how long a batch takes to fetch.

    python benchmarks/training_store.py

A generated corpus: groups of a question and a passage (about 10 and 40 tokens) in two languages, each question paired
with the passage in both. The more pairs, the more shards of one size. Every measurement runs in a fresh process of one
thread; the memory of its imports is given beside its peak. A batch is planned and fetched as training does it: rows,
lengths and tokens of 1 024 queries and passages, and which passages are known to answer which queries.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

LANGS = ("aa", "bb")
SHARD = 25_000  # pairs of a shard
BLOCK = 20_000  # groups that are generated at a time
WORDS, VOCABULARY, BATCH = 20_000, 8_000, 1_024
RESULTS = Path(__file__).parent / "results" / "training_store.json"


def texts(draw: np.random.Generator, words: np.ndarray, groups: range, kind: str, mean: int) -> dict[str, list[Any]]:
    """The texts of some groups in every language: words by Zipf's law, about ``mean`` of them."""
    sizes = 1 + draw.poisson(mean - 1, len(groups) * len(LANGS))
    drawn = words[np.minimum(draw.zipf(1.2, sizes.sum()), WORDS) - 1].tolist()
    ends = np.cumsum(sizes).tolist()
    keys = [(group, lang) for group in groups for lang in LANGS]
    return {
        f"{kind}_id": [f"{kind}-{group}-{lang}" for group, lang in keys],
        "lang": [lang for _, lang in keys],
        "text": [" ".join(drawn[end - size : end]) for end, size in zip(ends, sizes.tolist(), strict=True)],
        "group_id": [f"{kind}-{group}" for group, _ in keys],
    }


def generate(root: Path, pairs: int) -> None:
    """Publishes the corpus, and a vocabulary for it."""
    from xlstance.collection import CorpusStream
    from xlstance.encoders import train_vocabulary
    from xlstance.storage import Folder
    from xlstance.tables import make_table
    from xlstance.training_data import publish_source

    letters = np.random.default_rng(0)
    words = np.array(["".join(map(chr, 97 + letters.integers(0, 26, 2 + n % 7))) for n in range(WORDS)], dtype=object)
    groups = pairs // len(LANGS) ** 2
    blocks = [range(start, min(start + BLOCK, groups)) for start in range(0, groups, BLOCK)]

    def passages() -> Iterator[Any]:
        for block in blocks:
            draw = np.random.default_rng([1, block.start])
            yield make_table("passages", texts(draw, words, block, "passage", 30))

    def queries() -> Iterator[Any]:
        for block in blocks:
            draw = np.random.default_rng([2, block.start])
            yield make_table("queries", texts(draw, words, block, "query", 8))

    def links() -> Iterator[Any]:
        for block in blocks:
            made = [(group, a, b) for group in block for a in LANGS for b in LANGS]
            yield make_table(
                "pairs",
                {
                    "pair_id": [f"{group}-{a}-{b}" for group, a, b in made],
                    "query_id": [f"query-{group}-{a}" for group, a, _ in made],
                    "passage_id": [f"passage-{group}-{b}" for group, _, b in made],
                    "source": ["generated"] * len(made),
                },
            )

    shards = max(1, pairs // SHARD)
    publish_source(Folder(root / "corpus"), CorpusStream(passages(), queries(), links()), "0" * 16, shards)
    sample = texts(np.random.default_rng(3), words, range(20_000), "passage", 30)["text"]
    train_vocabulary(sample, VOCABULARY).save(str(root / "tokenizer.json"))


def prepare(root: Path) -> dict[str, float]:
    """Makes the store in this process."""
    from xlstance.encoders import EncoderSettings, load_encoder
    from xlstance.storage import Folder, read_manifest
    from xlstance.training.store.preparation import prepare_store
    from xlstance.training_data import published

    data = published(Folder(root / "corpus"), "generated")
    settings = EncoderSettings(dimension=32, layers=1, heads=2, vocabulary_size=VOCABULARY)
    load = partial(load_encoder, settings, tokenizer=root / "tokenizer.json")
    load()
    before, began, processor = peak(), time.perf_counter(), time.process_time()
    prepare_store([data], load, "benchmark", Folder(root / "store"))
    seconds, cpu = time.perf_counter() - began, time.process_time() - processor
    files = read_manifest(Folder(root / "store")).files
    rows = sum(file.rows for file in files if "-queries-" in file.name or "-passages-" in file.name)
    return {
        "pairs": data.rows,
        "texts": rows,
        "shards": data.shards,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "pairs_per_second": round(data.rows / seconds),
        "pairs_per_cpu_second": round(data.rows / cpu),
        "imports_mib": before,
        "peak_mib": peak(),
        "store_mib": round(sum(file.bytes for file in files) / 2**20),
    }


def fetch(root: Path) -> dict[str, float]:
    """Milliseconds of a batch, the median of 50 after 10, part by part."""
    from xlstance.training.plan import BatchPlan, SamplerSettings
    from xlstance.training.store import TrainingStore

    store = TrainingStore(root / "store")
    plan = BatchPlan(store.partitions, SamplerSettings(alpha=0.5), BATCH, seed=0)
    times: dict[str, list[float]] = {}
    for step in range(60):
        clock, processor = [time.perf_counter()], time.process_time()
        batch = plan.batch(step)
        clock.append(time.perf_counter())
        queries, passages = store.locate(batch.partition, batch.row)
        clock.append(time.perf_counter())
        store.query_lengths(queries), store.passage_lengths(passages)
        clock.append(time.perf_counter())
        store.query_tokens(queries), store.passage_tokens(passages)
        clock.append(time.perf_counter())
        store.known_positives(queries, passages)
        clock.append(time.perf_counter())
        for name, spent in zip(("plan", "locate", "lengths", "tokens", "known_positives"), np.diff(clock), strict=True):
            times.setdefault(name, []).append(spent)
        times.setdefault("whole", []).append(clock[-1] - clock[0])
        times.setdefault("whole_cpu", []).append(time.process_time() - processor)
    return {f"{name}_ms": round(1000 * float(np.median(spent[10:])), 2) for name, spent in times.items()}


def peak() -> int:
    """The most memory that this process has held, in MiB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


WORK = {"generate": generate, "prepare": prepare, "fetch": fetch}


def in_fresh_process(work: str, root: Path, pairs: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", work, "--root", str(root), "--pairs", str(pairs)]
    alone = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | alone)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--scratch", type=Path, help="where to put about 1 GB of generated files")
    parser.add_argument("--measure", choices=WORK, help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure == "generate":
        generate(arguments.root, arguments.pairs[0])
        print("{}")
        return
    if arguments.measure:
        print(json.dumps(WORK[arguments.measure](arguments.root)))
        return
    measured = {}
    for pairs in arguments.pairs:
        with tempfile.TemporaryDirectory(dir=arguments.scratch) as made:
            in_fresh_process("generate", Path(made), pairs)
            found = in_fresh_process("prepare", Path(made), pairs) | in_fresh_process("fetch", Path(made), pairs)
        print(f"{pairs:>9,} pairs: {found}", flush=True)
        measured[str(pairs)] = found
    results = {
        "machine": {"cpus": os.cpu_count(), "platform": platform.platform()},
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("numpy", "pandas", "pyarrow", "tokenizers")},
        "batch": BATCH,
        "measured": measured,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
