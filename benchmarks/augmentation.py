"""What the streaming of an augmentation costs: code switching by Ray Data beside the function called directly.

    python benchmarks/augmentation.py --data ../shared/data

English SQuAD pairs, repeated under new ids, are switched into several languages. (a) The same shards read, switched
and written in this process, by one Ray worker, and by two: steady rate, from the first finished shard to the last, and
the time before the first one begins, with Ray itself already there. (b) Peak memory of the process that works, for
100 000 and 2 million pairs with equally many pairs in a shard.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from xlstance.augmentation.stage import Augmentation, augment
from xlstance.augmentation.switching.code_switching import CodeSwitching
from xlstance.augmentation.way import Surroundings
from xlstance.collection import CorpusStream
from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.miniature import MiniatureSettings
from xlstance.corpora.registry import Source, stream_source
from xlstance.storage import Folder
from xlstance.tables import make_table
from xlstance.training_data import publish_source, published

RESULTS = Path(__file__).parent / "results" / "augmentation.json"
ROWS_OF_SHARD = 25_000
LANGUAGES = ["ar", "de", "es", "hi", "ru", "th", "tr", "zh"]
ONE = ["de"]  # for memory: what a shard needs does not follow from the number of languages alone


def publish_repeated(data: str, folder: Folder, rows: int) -> None:
    """English SQuAD again and again until there are so many pairs, each copy with ids of its own."""
    source = Source(name="squad", format="squad", files={"en": "train/squad/en.parquet"}, split="train+dev+test")
    stream = stream_source(source, data, 0, MiniatureSettings(), BadRows())
    passages, queries, pairs = (
        pa.concat_tables(list(blocks)) for blocks in (stream.passages, stream.queries, stream.judgements)
    )
    copies = -(-rows // len(pairs))

    def copied(name: str, table: pa.Table, columns: list[str]) -> Iterator[pa.Table]:
        for copy in range(copies):
            left = rows - copy * len(pairs) if name == "pairs" else len(table)
            made = {column: table[column] for column in table.column_names}
            made |= {column: pc.binary_join_element_wise(table[column], str(copy), "#") for column in columns}
            yield make_table(name, made).slice(0, left)

    repeated = CorpusStream(
        copied("passages", passages, ["passage_id", "group_id"]),
        copied("queries", queries, ["query_id", "group_id"]),
        copied("pairs", pairs, ["pair_id", "query_id", "passage_id"]),
    )
    publish_source(folder, repeated, "stamp", -(-rows // ROWS_OF_SHARD))


def measure(data: str, source: str, output: str, workers: int, languages: list[str]) -> dict[str, float]:
    """Augments everything; in a process of its own, so that its memory is of this work alone."""
    started = time.time()
    if workers:
        import ray

        ray.init(address="local", num_cpus=workers, include_dashboard=False, log_to_driver=False)
    began = time.time()
    settings = CodeSwitching(
        name="switched", languages=languages, lexicons=["dict/muse/{source}-{lang}.tsv.gz"], p=0.5, side="both"
    )
    around = Surroundings(
        parents=(published(Folder(source), "squad"),), folder=Folder(output), data=data, workers=workers
    )
    made = augment(Augmentation(code_switching=settings), around)
    ends = sorted(path.stat().st_mtime for path in (Path(output) / "pairs").glob("*.parquet"))
    per_shard = made.rows / len(ends)
    steady = per_shard * (len(ends) - 1) / (ends[-1] - ends[0])
    return {
        "pairs": made.rows,
        "ray_seconds": round(began - started, 2),
        "seconds": round(time.time() - began, 2),
        "pairs_per_second": round(steady, 1),
        # The first shards of all workers end together: before them there was one shard's work for each.
        "start_up_seconds": round(ends[0] - began - per_shard * max(workers, 1) / steady, 2),
        "peak_mebibytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def in_process(function: str, *arguments: object) -> Any:
    """Calls one of the functions above in a fresh process."""
    command = [sys.executable, __file__, "--call", json.dumps([function, *arguments])]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="root of the data")
    parser.add_argument("--rows", type=int, default=2_800_000, help="pairs to switch, for the rates")
    parser.add_argument("--memory-rows", type=int, nargs=2, default=[100_000, 2_000_000])
    given = parser.parse_args()
    results: dict[str, Any] = {
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("ray", "pyarrow", "numpy")},
        },
    }
    with tempfile.TemporaryDirectory() as scratch:
        source = f"{scratch}/source"
        in_process("publish", given.data, source, given.rows)
        for name, workers in (("direct", 0), ("one worker", 1), ("two workers", 2)):
            results[name] = in_process("measure", given.data, source, f"{scratch}/out", workers, LANGUAGES)
            shutil.rmtree(f"{scratch}/out")
            print(f"{name}: {results[name]}", flush=True)
        shutil.rmtree(source)
        rates = [results[name]["pairs_per_second"] for name in ("direct", "one worker", "two workers")]
        results["one worker over direct"] = round(rates[1] / rates[0], 3)
        results["two workers over one"] = round(rates[2] / rates[1], 3)
        for rows in given.memory_rows:
            in_process("publish", given.data, source, rows)
            results[f"memory of {rows}"] = in_process("measure", given.data, source, f"{scratch}/out", 0, ONE)
            print(f"{rows} pairs: {results[f'memory of {rows}']}", flush=True)
            shutil.rmtree(source)
            shutil.rmtree(f"{scratch}/out")
        small, large = (results[f"memory of {rows}"]["peak_mebibytes"] for rows in given.memory_rows)
        results["memory, large over small"] = round(large / small, 3)
    print({name: value for name, value in results.items() if isinstance(value, float)})
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1] == "--call":
        function, *arguments = json.loads(sys.argv[2])
        if function == "publish":
            publish_repeated(arguments[0], Folder(arguments[1]), arguments[2])
            print("null")
        else:
            print(json.dumps(measure(*arguments)))
    else:
        main()
