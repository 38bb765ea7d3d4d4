"""How long the batch plan takes for a batch of 1 024 rows, anywhere in a run over up to a billion pairs.

    python benchmarks/plan.py

Twelve languages with all 144 language pairs, 132 of them cross-lingual, a quarter of the batches bitext. For every
sampler and way to draw: the median over batches read one after another from step n on, the median over batches at
random steps below 10**9, and the most memory that the plan held. Time is the processor time of the one thread that it
takes. Beside it stands a shuffled index of all rows, which is what a sampler over a table usually keeps. The figures go
to ``benchmarks/results/plan.json``.
"""

import argparse
import json
import os
import platform
import time
import tracemalloc
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path

import numpy as np

from xlstance.training.plan import BatchPlan, Partition, SamplerSettings

RESULTS = Path(__file__).parent / "results" / "plan.json"
LANGUAGES = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh", "fi")
KINDS = ("x-x", "x-x-mono", "x-y", "hybrid", "mix-entries", "mix-passages", "round-robin")
BATCH = 1024
PIECES = 1000  # of a partition, for the order by blocks
READ, RANDOM = 200, 60  # batches that are timed


def make_partitions(rows: int, pieces: int) -> list[Partition]:
    """Rows of two sources, shared out unevenly over the language pairs."""
    pairs = [(query, passage) for query in LANGUAGES for passage in LANGUAGES]
    shares = 1 / (1 + np.arange(len(pairs)) % 17)
    sizes = np.maximum(pieces, shares / shares.sum() * rows * 0.8).astype(int).tolist()
    made = []
    for (query, passage), size in zip(pairs, sizes, strict=True):
        cuts = np.diff(np.linspace(0, size, pieces + 1).astype(int)).tolist()
        for source, bitext in (("pairs", False), ("bitext", True)):
            made.append(
                Partition(
                    source=source,
                    query_lang=query,
                    passage_lang=passage,
                    rows=size if not bitext else max(1, size // 4),
                    bitext=bitext,
                    pieces=tuple(cuts) if not bitext else (),
                )
            )
    return made


def median_ms(batch: Callable[[int], object], steps: Iterable[int]) -> float:
    times = []
    for step in steps:
        start = time.thread_time()
        batch(step)
        times.append(time.thread_time() - start)
    return round(float(np.median(times)) * 1e3, 3)


def measure(partitions: list[Partition], sampler: SamplerSettings, starts: list[int]) -> dict[str, object]:
    def fresh() -> BatchPlan:
        return BatchPlan(partitions, sampler, BATCH, seed=0)

    start = time.thread_time()
    plan = fresh()
    made = time.thread_time() - start
    found: dict[str, object] = {"make_ms": round(made * 1e3, 2)}
    found |= {f"from_{n}_ms": median_ms(plan.batch, range(n, n + READ)) for n in starts}
    far = np.random.default_rng(0).integers(0, 10**9, RANDOM).tolist()
    found["random_ms"] = median_ms(plan.batch, far)
    tracemalloc.start()
    traced = fresh()
    for n in (*far[:20], *range(50)):
        traced.batch(n)
    found["memory_mb"] = round(tracemalloc.get_traced_memory()[1] / 1e6, 2)
    tracemalloc.stop()
    return found


def shuffled_index(rows: int) -> dict[str, float]:
    start = time.thread_time()
    index = np.random.default_rng(0).permutation(rows)
    return {"seconds": round(time.thread_time() - start, 2), "memory_mb": round(index.nbytes / 1e6, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10**6, 10**9])
    parser.add_argument("--starts", type=int, nargs="+", default=[0, 10**6, 10**9])
    arguments = parser.parse_args()
    table: list[dict[str, object]] = []
    for rows in arguments.rows:
        for order in ("rows", "blocks"):
            partitions = make_partitions(rows, PIECES if order == "blocks" else 1)
            for kind in KINDS:
                for draw in ("block", "coin"):
                    sampler = SamplerSettings(kind=kind, draw=draw, order=order, bitext_share=0.25)
                    what = {"rows": rows, "order": order, "kind": kind, "draw": draw}
                    table.append(what | measure(partitions, sampler, arguments.starts))
                    print("  ".join(f"{name} {value}" for name, value in table[-1].items()), flush=True)
    peer = {str(rows): shuffled_index(rows) for rows in (10**6, 10**7, 10**8)}
    print(f"a shuffled index of all rows: {peer}")
    results = {
        "machine": {"cpus": os.cpu_count(), "platform": platform.platform(), "load": round(os.getloadavg()[0], 1)},
        "versions": {"python": platform.python_version(), "numpy": version("numpy")},
        "batch": BATCH,
        "plan": table,
        "shuffled_index": peer,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
