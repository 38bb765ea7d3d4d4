"""How fast a step of training is, beside sentence-transformers' trainer, a bare torch loop, and more workers.

    python benchmarks/training.py --data ../shared/data --model MODEL_FOLDER

English questions and paragraphs of SQuAD, cut at 32 and 64 tokens; every program trains the same pairs once, in a
process of its own, and the first step is left out. (a) A transformer and a static encoder, against
sentence-transformers' CachedMultipleNegativesRankingLoss at its defaults, and at the best of several token budgets of
its mini-batches. It refuses a static encoder, for which its MultipleNegativesRankingLoss stands in, over texts that
were cut before, since its static encoder knows no length, and with processes that load data. Ours tokenises before
training, which is timed apart; the peer does so while it trains. (b) Under Ray Train with DeepSpeed, one worker,
against a bare torch loop with the same batches and loss; two workers of one thread against one of two. (c) What making
batches takes. The figures go to ``benchmarks/results/training.json``.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

RESULTS = Path(__file__).parent / "results" / "training.json"
QUERY_TOKENS, PASSAGE_TOKENS = 32, 64
VOCABULARY, DIMENSION = 30_000, 256


@dataclass(frozen=True)
class Task:
    """What a child process trains."""

    program: str
    encoder: str
    folder: str
    model: str
    batch_size: int
    steps: int
    threads: int
    option: int = 0
    query_tokens: int = QUERY_TOKENS
    passage_tokens: int = PASSAGE_TOKENS


def squad(data: Path, pairs: int) -> tuple[list[str], list[str]]:
    """Questions and paragraphs."""
    import pyarrow.parquet as pq

    rows = pq.read_table(data / "train" / "squad" / "en_backtranslated.parquet", columns=["question", "context"])
    return rows["question"][:pairs].to_pylist(), rows["context"][:pairs].to_pylist()


def make_world(folder: Path, queries: Sequence[str], passages: Sequence[str]) -> None:
    """Pairs of English texts as published tables."""
    from xlstance.collection import TrainingSet
    from xlstance.storage import Folder
    from xlstance.tables import make_table
    from xlstance.training_data import publish_source

    names = [str(row) for row in range(len(queries))]
    common = {"lang": ["en"] * len(names), "group_id": names}
    tables = {
        "queries": {"query_id": [f"q{name}" for name in names], "text": list(queries)},
        "passages": {"passage_id": [f"p{name}" for name in names], "text": list(passages)},
    }
    made = TrainingSet(
        **{table: make_table(table, {**columns, **common}) for table, columns in tables.items()},
        pairs=make_table(
            "pairs",
            {
                "pair_id": names,
                "query_id": tables["queries"]["query_id"],
                "passage_id": tables["passages"]["passage_id"],
                "source": ["squad"] * len(names),
            },
        ),
    )
    publish_source(Folder(folder / "tables"), made.stream, "benchmark", 4)


def static_encoder(folder: Path) -> Path:
    """A static encoder of random vectors with a vocabulary of the texts, as a folder that both sides load."""
    from xlstance.encoders import EncoderSettings, load_encoder, train_vocabulary
    from xlstance.storage import Folder, read_table

    place, vocabulary = folder / "static", folder / "tokenizer.json"
    texts = read_table(Folder(folder / "tables" / "passages"), "passages", ["text"])["text"].to_pylist()
    train_vocabulary(texts, VOCABULARY).save(str(vocabulary))
    settings = EncoderSettings(
        kind="static",
        vocabulary_size=VOCABULARY,
        dimension=DIMENSION,
        max_query_length=QUERY_TOKENS,
        max_passage_length=PASSAGE_TOKENS,
    )
    load_encoder(settings, tokenizer=vocabulary, seed=0).save(place)
    return place


def our_run(task: Task, name: str, **settings: Any) -> Any:
    """The run as our loop takes it; its store is made where there is none."""
    import torch

    from xlstance.encoders import EncoderSettings
    from xlstance.training.plan import SamplerSettings
    from xlstance.training.run import TrainingRun
    from xlstance.training.settings import DeepSpeedSettings, LossSettings, TrainingSettings, ValidationSettings

    prefixes = {"query_prefix": "", "passage_prefix": ""}
    lengths = {"max_query_length": task.query_tokens, "max_passage_length": task.passage_tokens}
    return TrainingRun(
        arm=name,
        seed=0,
        settings=TrainingSettings(
            sampler=SamplerSettings(kind="x-x-mono"),
            loss=LossSettings(symmetric=False),
            deepspeed=DeepSpeedSettings(precision="bf16" if torch.cuda.is_available() else "fp32"),
            validation=ValidationSettings(every=0),
            steps=task.steps,
            batch_size=task.batch_size,
            learning_rate=2e-5,
            checkpoint_every=0,
            log_every=1,
            **settings,
        ),
        encoder=EncoderSettings(kind=task.encoder, model=task.model, pooling="mean", **prefixes, **lengths),  # type: ignore[arg-type]
        store=str(Path(task.folder) / f"store-{task.encoder}"),
        output=str(Path(task.folder) / "runs" / f"{name}-{time.time_ns()}"),
    )


def prepare(task: Task) -> dict[str, Any]:
    """The training store of an encoder, of ``option`` pairs."""
    from xlstance.encoders import load_encoder
    from xlstance.storage import Folder
    from xlstance.training.store.preparation import prepare_store
    from xlstance.training_data import published

    run = our_run(task, "prepare")
    source = published(Folder(Path(task.folder) / "tables"), "squad")
    began = time.perf_counter()
    prepare_store([source], partial(load_encoder, run.encoder), task.encoder, Folder(run.store))
    return {"rate": round(task.option / (time.perf_counter() - began), 2)}


class Clock:
    """Notes when steps end."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def log(self, step: int, metrics: Any) -> None:
        """A step has ended."""
        self.ends.append(time.perf_counter())

    def close(self) -> None:
        """Nothing is open."""


def train_ours(task: Task) -> dict[str, Any]:
    from xlstance.training.loop import train

    clock = Clock()
    run = our_run(task, "ours", gradient_caching=bool(task.option))
    train(run, [clock])
    told = json.loads((run.folder / "training.json").read_text())
    return {"rate": steady_rate(clock.ends, task.batch_size), "wait_share": told["wait_share"]}


def train_bare(task: Task) -> dict[str, Any]:
    """The same batches and loss with nothing around them."""
    import torch

    from xlstance.encoders import load_encoder
    from xlstance.training.batches import BatchReader
    from xlstance.training.loss import share_of_loss
    from xlstance.training.store import TrainingStore

    run = our_run(task, "bare")
    settings, encoder = run.settings, load_encoder(run.encoder)
    reader = BatchReader(TrainingStore(Path(run.store)), (), settings.sampler, settings.batch_size, 0, 0, encoder, 0, 1)
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=settings.learning_rate, fused=True)
    encoder.train()
    ends = []
    for step in range(task.steps):
        batch = reader[step]
        vectors = torch.cat([encoder(chunk) for chunk in batch.chunks])
        with torch.no_grad():
            leaf = vectors.detach()[batch.slots]
            _, gradient, _ = share_of_loss(leaf, batch.share, settings.loss.temperature, settings.loss)
        vectors[batch.slots].backward(gradient)
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), settings.deepspeed.gradient_clipping)
        optimizer.step()
        optimizer.zero_grad()
        ends.append(time.perf_counter())
    return {"rate": steady_rate(ends, task.batch_size)}


def train_ray(task: Task) -> dict[str, Any]:
    """Under Ray Train with ``option`` workers."""
    import ray

    from xlstance.training.distributed import fit

    ray.init(address="local", num_cpus=task.threads, include_dashboard=False, log_to_driver=False)
    run = our_run(task, f"ray{task.option}")
    threads = task.threads // task.option
    fit([run], Path(task.folder) / "ray", workers=task.option, cpus_per_worker=threads, gpus_per_worker=0)
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    done = [line["step"] * task.batch_size / line["step_pairs_per_second"] for line in lines]
    return {"rate": steady_rate(done, task.batch_size)}


def train_peer(task: Task) -> dict[str, Any]:
    """sentence-transformers' trainer; option: a token budget, or a static encoder's processes that load data."""
    import torch
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import (
        CachedMultipleNegativesRankingLoss,
        MultipleNegativesRankingLoss,
    )
    from transformers import TrainerCallback

    from xlstance.storage import Folder, read_table

    ends: list[float] = []

    class Watch(TrainerCallback):
        def on_step_end(self, *args: Any, **more: Any) -> None:
            ends.append(time.perf_counter())

    tables = Folder(Path(task.folder) / "tables")
    texts = {}
    for table, key, column in (("queries", "query_id", "anchor"), ("passages", "passage_id", "positive")):
        rows = read_table(tables / table, table, [key, "text"]).sort_by(key)
        texts[column] = rows["text"].to_pylist()[: task.batch_size * task.steps]
    model = SentenceTransformer(task.model)
    if task.encoder == "static":
        for column, length in (("anchor", task.query_tokens), ("positive", task.passage_tokens)):
            texts[column] = [cut(model.tokenizer, text, length) for text in texts[column]]
        loss: Any = MultipleNegativesRankingLoss(model)  # the cached one refuses a static encoder
    else:
        model.max_seq_length = task.passage_tokens
        loss = CachedMultipleNegativesRankingLoss(
            model, **({"mini_batch_num_tokens": task.option} if task.option else {})
        )
    with tempfile.TemporaryDirectory() as output:
        arguments = SentenceTransformerTrainingArguments(
            output,
            per_device_train_batch_size=task.batch_size,
            max_steps=task.steps,
            learning_rate=2e-5,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
            bf16=torch.cuda.is_available(),
            dataloader_num_workers=task.option if task.encoder == "static" else 0,
        )
        SentenceTransformerTrainer(model, arguments, Dataset.from_dict(texts), loss=loss, callbacks=[Watch()]).train()
    return {"rate": steady_rate(ends, task.batch_size)}


def cut(tokenizer: Any, text: str, tokens: int) -> str:
    """The first tokens of a text."""
    spans = tokenizer.encode(text, add_special_tokens=False).offsets
    return text if len(spans) <= tokens else text[: spans[tokens - 1][1]]


def measure_batches(task: Task) -> dict[str, Any]:
    """Milliseconds to make a batch, all of it and the plan alone."""
    from xlstance.encoders import load_encoder
    from xlstance.training.batches import BatchReader
    from xlstance.training.plan import BatchPlan
    from xlstance.training.store import TrainingStore

    run = our_run(task, "batches")
    store = TrainingStore(Path(run.store))
    sampler, size = run.settings.sampler, task.batch_size
    reader = BatchReader(store, (), sampler, size, 0, 0, load_encoder(run.encoder), 0, 1)
    plan = BatchPlan(store.partitions, sampler, size, 0)

    def milliseconds(make: Callable[[int], Any]) -> float:
        took = []
        for step in range(30):
            began = time.perf_counter()
            make(step)
            took.append(1000 * (time.perf_counter() - began))
        return round(median(took), 3)

    return {"batch_ms": milliseconds(reader.__getitem__), "plan_ms": milliseconds(plan.batch)}


def steady_rate(ends: Sequence[float], batch_size: int) -> float:
    """Pairs per second from the end of the first step to that of the last."""
    return round((len(ends) - 1) * batch_size / (ends[-1] - ends[0]), 2)


PROGRAMS = {
    "prepare": prepare,
    "ours": train_ours,
    "bare": train_bare,
    "ray": train_ray,
    "peer": train_peer,
    "batches": measure_batches,
}


def in_child(task: Task) -> dict[str, Any]:
    """Runs a task in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(task.threads), "TOKENIZERS_PARALLELISM": "false"}
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[1])
    command = [sys.executable, __file__, "--child", json.dumps(vars(task))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{task}\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{task.encoder} {task.program} {task.option or ''}: {found}", flush=True)
    return found


def side_by_side(task: Task, budgets: Sequence[int], repeats: int) -> dict[str, Any]:
    """Ours with and without gradient caching, beside the peer; the best of runs that take turns."""
    tasks = {"graphs kept": replace(task, program="ours"), "gradient caching": replace(task, program="ours", option=1)}
    tasks["peer default"] = replace(task, program="peer")
    tasks |= {f"peer {budget}": replace(task, program="peer", option=budget) for budget in budgets}
    rates: dict[str, float] = dict.fromkeys(tasks, 0.0)
    wait = 0.0
    for _ in range(repeats):
        for name, one in tasks.items():
            found = in_child(one)
            rates[name] = max(rates[name], found["rate"])
            wait = max(wait, found.get("wait_share", 0.0))
    best = max(rate for name, rate in rates.items() if name.startswith("peer"))
    return {
        "batch_size": task.batch_size,
        "pairs_per_second": rates,
        "over_peer_default": {n: round(rates[n] / rates["peer default"], 2) for n in list(tasks)[:2]},
        "over_peer_best": {n: round(rates[n] / best, 2) for n in list(tasks)[:2]},
        "wait_share": wait,
    }


def under_ray(task: Task, repeats: int) -> dict[str, Any]:
    """What Ray Train and DeepSpeed cost, and what a second worker gives; the median of runs that take turns."""
    tasks = {"bare": replace(task, program="bare")}
    tasks |= {f"ray {workers}": replace(task, program="ray", option=workers) for workers in (1, 2)}
    rates: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(repeats):
        for name, one in tasks.items():
            rates[name].append(in_child(one)["rate"])
    middle = {name: median(found) for name, found in rates.items()}
    return {
        "pairs_per_second": rates,
        "one_worker_over_bare": round(middle["ray 1"] / middle["bare"], 3),
        "two_workers_over_one": round(middle["ray 2"] / middle["ray 1"], 3),
        "two_workers_over_bare": round(middle["ray 2"] / middle["bare"], 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the data, which holds train/squad")
    parser.add_argument("--model", help="folder of a small transformer (MiniLM)")
    parser.add_argument("--batch-size", type=int, default=256, help="pairs of a batch of the transformer")
    parser.add_argument("--steps", type=int, default=5, help="steps of the transformer; the static encoder does 60")
    parser.add_argument("--repeats", type=int, default=1, help="the best of so many runs counts")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        task = Task(**json.loads(given.child))
        print(json.dumps(PROGRAMS[task.program](task)))
        return
    if not given.data or not given.model:
        parser.error("--data and --model are needed")
    threads = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pairs = 60 * 1024
        make_world(folder, *squad(given.data, pairs))
        common = {"folder": name, "threads": threads, "option": pairs}
        transformer = Task(
            "prepare", "transformer", model=given.model, batch_size=given.batch_size, steps=given.steps, **common
        )  # type: ignore[arg-type]
        static = Task("prepare", "static", model=str(static_encoder(folder)), batch_size=1024, steps=60, **common)  # type: ignore[arg-type]
        prepared = {task.encoder: in_child(task)["rate"] for task in (transformer, static)}
        transformer, static = replace(transformer, option=0), replace(static, option=0)
        results: dict[str, Any] = {
            "machine": {"processor": platform.machine(), "cores": threads, "python": platform.python_version()},
            "versions": {p: version(p) for p in ("torch", "sentence-transformers", "deepspeed", "ray", "transformers")},
            "pairs_prepared_per_second": prepared,
            "transformer": side_by_side(transformer, (2048, 4096, 8192), given.repeats),
            "static": side_by_side(static, (1, 2), given.repeats),
            "ray": under_ray(transformer, given.repeats),
        }
        results["batches"] = {
            task.encoder: in_child(replace(task, program="batches", batch_size=1024)) for task in (transformer, static)
        }
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
