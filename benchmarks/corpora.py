"""How fast corpora become tables, and in how much memory; beside what a user would take instead.

    python benchmarks/corpora.py --data ../shared/data

(a) XQuAD-R and MLQA-R, read whole. (b) A generated corpus in MIRACL's format, streamed from gzipped JSON lines to
Parquet, in fresh processes for each size: passages a second and peak resident memory, as it is and as it is needed.
The peers read the same files and write the columns as they stand, without checked ids, shards and hashes: pandas and
pyarrow as installed, the library ``datasets`` where ``--peer-python`` has it.
"""

import argparse
import gzip
import importlib
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

SHARD = 100_000  # passages of a file
RESULTS = Path(__file__).parent / "results" / "corpora.json"
SCRIPTS = {  # first character of an alphabet, its letters, letters of a word, what stands between words
    "Latin": (0x61, 26, 6, " "),
    "Cyrillic": (0x430, 32, 7, " "),
    "Arabic": (0x628, 30, 5, " "),
    "Devanagari": (0x915, 36, 4, " "),
    "Thai": (0xE01, 40, 5, ""),
    "Han": (0x4E00, 3000, 2, ""),
}
TITLES, WORDS, BYTES = 20_000, 5_000, 500
MIRACL = "miracl-corpus-v1.0-en/docs-{}.jsonl.gz"


def write_shard(path: Path, first: int, passages: int) -> None:
    """Passages of about 500 bytes, words by Zipf's law, one script an article; the same for the same place."""
    draw = np.random.default_rng([7, first])
    vocabularies = []
    for start, letters, length, space in SCRIPTS.values():
        words = np.random.default_rng(start)
        sizes = 1 + words.poisson(length - 1, WORDS)
        made = ["".join(map(chr, start + words.integers(0, letters, size))) for size in sizes]
        weight = 1 / np.arange(1, WORDS + 1)
        width = float((weight * [len((word + space).encode()) for word in made]).sum() / weight.sum())
        vocabularies.append((np.array(made, dtype=object), weight / weight.sum(), space, BYTES / width))
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8", compresslevel=6) as file:
        number = 0
        while number < passages:
            words, weight, space, mean = vocabularies[draw.integers(len(vocabularies))]
            lengths = 1 + draw.poisson(mean - 1, min(int(draw.integers(1, 16)), passages - number))
            drawn = words[draw.choice(WORDS, int(lengths.sum()) + 3, p=weight)].tolist()
            title, at = space.join(drawn[:3]), 3
            for paragraph, length in enumerate(lengths.tolist()):
                row = {
                    "docid": f"{first + number}#{paragraph}",
                    "title": title,
                    "text": space.join(drawn[at : at + length]),
                }
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                at += length
            number += len(lengths)


def generate(root: Path, passages: int) -> None:
    starts = range(0, passages, SHARD)
    paths = [root / MIRACL.format(shard) for shard in range(len(starts))]
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(write_shard, paths, starts, [min(SHARD, passages - start) for start in starts]))


def shards_of(root: Path) -> list[Path]:
    return [root / MIRACL.format(shard) for shard in range(len(list(root.glob(MIRACL.format("*")))))]


def stream_ours(root: Path, out: Path) -> int:
    from xlstance.corpora.bad_rows import BadRows
    from xlstance.corpora.trec import PRESETS, read_trec
    from xlstance.shard_writers import write_stream
    from xlstance.storage import Folder

    stream = read_trec(PRESETS["miracl"], root, ["en"], name="miracl", bad=BadRows())
    return write_stream(Folder(out), "passages", stream.passages, "0" * 16, shards=4).rows


def stream_pyarrow(root: Path, out: Path) -> int:
    import pyarrow as pa
    import pyarrow.json as pajson
    import pyarrow.parquet as pq

    rows, writer = 0, None
    for path in shards_of(root):
        with (
            pa.input_stream(str(path), compression="gzip") as stream,
            pajson.open_json(stream, read_options=pajson.ReadOptions(block_size=1 << 24)) as reader,
        ):
            for batch in reader:
                writer = writer or pq.ParquetWriter(out, reader.schema, compression="zstd")
                writer.write_batch(batch)
                rows += len(batch)
    writer.close()
    return rows


def stream_pandas(root: Path, out: Path) -> int:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, writer = 0, None
    for path in shards_of(root):
        for frame in pd.read_json(path, lines=True, chunksize=20_000, dtype=False):
            table = pa.Table.from_pandas(frame, preserve_index=False)
            writer = writer or pq.ParquetWriter(out, table.schema, compression="zstd")
            writer.write_table(table)
            rows += len(table)
    writer.close()
    return rows


def stream_datasets(root: Path, out: Path) -> int:
    import pyarrow.parquet as pq
    from datasets import load_dataset

    files = list(map(str, shards_of(root)))
    rows, writer = 0, None
    stream = load_dataset("json", data_files=files, split="train", streaming=True).with_format("arrow")
    for table in stream.iter(batch_size=20_000):
        writer = writer or pq.ParquetWriter(out, table.schema, compression="zstd")
        writer.write_table(table)
        rows += len(table)
    writer.close()
    return rows


STREAMS = {
    "xlstance": stream_ours,
    "pyarrow.json.open_json": stream_pyarrow,
    "pandas.read_json": stream_pandas,
    "datasets (streaming)": stream_datasets,
}
IMPORTS = {  # before the clock starts
    "xlstance": ["xlstance.corpora.trec", "xlstance.shard_writers"],
    "pyarrow.json.open_json": ["pyarrow.json", "pyarrow.parquet"],
    "pandas.read_json": ["pandas", "pyarrow.parquet"],
    "datasets (streaming)": ["datasets", "pyarrow.parquet"],
}


def measure(name: str, root: Path, out: Path) -> None:
    for module in IMPORTS[name]:
        importlib.import_module(module)
    start = time.perf_counter()
    rows = STREAMS[name](root, out)
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu, peak = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    found = {"rows": rows, "seconds": round(seconds, 2), "cpu_seconds": round(cpu, 2), "peak_mib": round(peak)}
    print(json.dumps(found))


# Allocators keep freed memory for the next request, more of it the longer they run. Told to hand it back at once they
# are slower, and what is left is what the program needs.
HANDED_BACK = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_MMAP_THRESHOLD_": str(1 << 17)}


def in_fresh_process(python: str, name: str, root: Path) -> dict[str, float] | None:
    """The faster of two runs, and the memory of a third that hands back what it frees; None where it cannot run."""
    found = []
    for variables in ({}, {}, HANDED_BACK):
        with tempfile.TemporaryDirectory(dir=root) as made:
            command = [python, __file__, "--measure", name, "--root", str(root), "--out", f"{made}/out"]
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | variables)
        if done.returncode:
            print(f"{name}: {done.stderr.strip().splitlines()[-1]}")
            return None
        found.append(json.loads(done.stdout.splitlines()[-1]))
    best = min(found[:2], key=lambda run: run["seconds"])
    rate = round(best["rows"] / best["seconds"])
    return best | {"needed_mib": found[2]["peak_mib"], "passages_per_second": rate}


def read_benchmarks(data: Path) -> dict[str, float]:
    from xlstance.corpora.lareqa import read_lareqa

    start = time.perf_counter()
    rows = 0
    for name in ("xquad_r", "mlqa_r"):
        benchmark = read_lareqa(data / "eval" / name)
        rows += len(benchmark.passages) + len(benchmark.queries) + len(benchmark.qrels)
    return {"rows": rows, "seconds": round(time.perf_counter() - start, 2)}


def versions(*packages: str) -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="the data root, for XQuAD-R and MLQA-R")
    parser.add_argument("--passages", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--peer-python", default=sys.executable, help="of an environment with the library datasets")
    parser.add_argument("--scratch", type=Path, help="where to put about 400 MB of generated files")
    parser.add_argument("--measure", choices=STREAMS, help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure, arguments.root, arguments.out)
        return
    results: dict[str, object] = {
        "machine": {"cpus": os.cpu_count(), "platform": platform.platform()},
        "versions": versions("pyarrow", "pandas", "numpy"),
    }
    if arguments.data:
        results["lareqa"] = read_benchmarks(arguments.data)
        print(f"XQuAD-R and MLQA-R: {results['lareqa']}")
    streamed: dict[str, dict[str, object]] = {}
    for passages in arguments.passages:
        with tempfile.TemporaryDirectory(dir=arguments.scratch) as made:
            root = Path(made)
            generate(root, passages)
            for name in STREAMS:
                python = arguments.peer_python if name.startswith("datasets") else sys.executable
                found = in_fresh_process(python, name, root)
                if found is None:
                    continue
                streamed.setdefault(name, {})[str(passages)] = found
                ours = streamed["xlstance"][str(passages)]["passages_per_second"]
                print(f"{passages:>9,} {name:<24} {found} ratio {ours / found['passages_per_second']:.2f}", flush=True)
    results["streamed"] = streamed
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
