import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from xlstance.encoders import EncoderSettings, LoraSettings, load_encoder, train_vocabulary
from xlstance.storage import Folder, write_table
from xlstance.tables import make_table
from xlstance.training.plan import SamplerSettings
from xlstance.training.run import TrainingRun
from xlstance.training.settings import DeepSpeedSettings, LossSettings, TrainingSettings, ValidationSettings
from xlstance.training.store.preparation import prepare_store
from xlstance.training_data import published

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = ("aa", "bb", "cc")
PARTS = {
    "sampler": SamplerSettings,
    "loss": LossSettings,
    "deepspeed": DeepSpeedSettings,
    "lora": LoraSettings,
    "validation": ValidationSettings,
}


def make_columns(rows, names):
    return dict(zip(names, zip(*rows, strict=True), strict=True))


def make_world(groups=60, seed=0):
    """Parallel queries and passages in three languages of invented words, as tables.

    Every tenth group is a copy of the one before it under other ids, and every seventh query has a second passage.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, 80, size=(groups, 6))
    drawn[9::10] = drawn[8::10][: len(drawn[9::10])]
    queries, passages, pairs = [], [], []
    for group, words in enumerate(drawn):
        for lang in LANGUAGES:
            text = " ".join(f"{lang}{word}" for word in words)
            queries.append((f"q{group}-{lang}", lang, text[:20], f"qg{group}"))
            passages.append((f"p{group}-{lang}", lang, text, f"pg{group}"))
        answers = [group, (group + 3) % groups] if group % 7 == 3 else [group]
        pairs += [
            (f"{group}-{answer}-{a}-{b}", f"q{group}-{a}", f"p{answer}-{b}")
            for answer in answers
            for a in LANGUAGES
            for b in LANGUAGES
        ]
    texts = ("lang", "text", "group_id")
    return {
        "queries": make_table("queries", make_columns(queries, ("query_id", *texts))),
        "passages": make_table("passages", make_columns(passages, ("passage_id", *texts))),
        "pairs": make_table(
            "pairs",
            make_columns(pairs, ("pair_id", "query_id", "passage_id")) | {"source": ["world"] * len(pairs)},
        ),
    }


class World:
    """A small world on disk: tables, vocabulary, a training store and a store of development pairs."""

    def __init__(self, root):
        self.root, self.tables = root, make_world()
        self.vocabulary = root / "tokenizer.json"
        train_vocabulary(self.tables["passages"]["text"].to_pylist(), 400).save(str(self.vocabulary))
        self.settings = EncoderSettings(dimension=32, layers=1, heads=2, feed_forward=64, vocabulary_size=400)
        self.encoder = load_encoder(self.settings, tokenizer=self.vocabulary)
        self.store = self.prepare("world", self.tables)
        self.validation_store = self.prepare("development", make_world(groups=20, seed=1))

    def publish(self, name, tables, shards=1):
        folder = self.root / name
        for table, rows in tables.items():
            key = rows["group_id"] if table == "passages" else None
            write_table(Folder(folder) / table, table, rows, "stamp", shards=shards, key=key)
        return published(Folder(folder), name)

    def prepare(self, name, tables, shards=1):
        folder = self.root / f"store-{name}"
        prepare_store([self.publish(name, tables, shards)], lambda: self.encoder, "tokenizer", Folder(folder))
        return folder

    def run(self, output, *, dropout=0.1, **settings):
        """A run of a tiny transformer; keywords change its settings, those of a part given as a dict."""
        settings = {"sampler": {"block": 4}, "validation": {"every": 0}, **settings}
        for name, part in PARTS.items():
            given = settings.get(name, {})
            settings[name] = part(**given) if isinstance(given, dict) else given
        defaults = {"steps": 6, "batch_size": 16, "checkpoint_every": 2, "log_every": 1}
        return TrainingRun(
            arm=Path(output).name,
            seed=3,
            settings=TrainingSettings(**{**defaults, **settings}),
            encoder=replace(self.settings, dropout=dropout),
            tokenizer=str(self.vocabulary),
            store=str(self.store),
            validation_store=str(self.validation_store),
            output=str(output),
        )

    def runs_in_turn(self, folder):
        """Two runs for two processes, the second of which starts from the first one's model."""
        settings = {"steps": 120, "checkpoint_every": 10, "log_every": 5, "deepspeed": {"zero_stage": 2}}
        first = self.run(folder / "first", **settings)
        return [first, replace(self.run(folder / "second", **settings), start=first.output)]

    @staticmethod
    def torchrun(runs, folder):
        """The command of two processes that train the runs, and its environment, for ``subprocess``."""
        file = folder / "training-runs.json"
        file.write_text(json.dumps([asdict(run) for run in runs]))
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        # A group that this process has joined is not the children's.
        environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "LOCAL_RANK")}
        return {"args": [*launcher, str(ROOT / "jobs" / "train.py"), str(file)], "env": environment}


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def undisturbed(world, tmp_path_factory):
    """``runs_in_turn`` as two processes of torchrun train them when nothing goes wrong."""
    folder = tmp_path_factory.mktemp("undisturbed")
    runs = world.runs_in_turn(folder)
    done = subprocess.run(**world.torchrun(runs, folder), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return runs
