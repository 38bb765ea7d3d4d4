"""Whole jobs with their output in a bucket, by the commands themselves and their workers in other processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from s3_server import SECRET

from xlstance.disk_folder import CACHE
from xlstance.storage import Folder

XLSTANCE = (sys.executable, "-c", "from xlstance.cli import entry; entry()")
CONFIG = """\
miniature: {languages: 2, concepts: 30, names: 10, train_passages: 40, dev_passages: 8, test_passages: 8, issues: 2,
            arguments: 1}
sources: [{name: world, format: miniature, split: train}]
augmentations:
  - {of: [world], code_switching: {name: switched, lexicons: [miniature]}}
encoder: {kind: static, vocabulary_size: 300, dimension: 16}
training: {steps: 4, batch_size: 8, validation: {every: 0}, checkpoint_every: 2, log_every: 2}
arms: [{name: x-x-mono, sampler: x-x-mono}]
benchmarks: [{name: miniature, format: miniature}]
cluster: {workers: 1, stream_workers: 1, shards: 2}
"""
SWEEP = """
sources+: {name: world-dev, format: miniature, split: dev}
augmentations+: {of: [world], pairing: {name: paired}}
development: [world-dev]
arms: [{name: hybrid, sampler: hybrid}]
training: {steps: 4, batch_size: 8, validation: {every: 2, batches: 1}, checkpoint_every: 2, log_every: 2}
"""
SPACE = """
space: [{setting: training.sampler.alpha, grid: [0.25, 0.75]}]
seeds: [0]
test: all
"""


def run_job(folder: Path, *arguments: str) -> tuple[str, str]:
    """The table that a job prints, and all that it says."""
    done = subprocess.run(
        [*XLSTANCE, *arguments],
        env={**os.environ, CACHE: str(folder / "cache")},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout[: done.stdout.index("report:")], done.stdout + done.stderr


@pytest.mark.slow
def test_a_whole_experiment_in_a_bucket_equals_the_one_on_a_disk(bucket, tmp_path):
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    command = ("experiment", f"--config={tmp_path / 'tiny.yaml'}")
    table, _ = run_job(tmp_path, *command, f"--output={tmp_path / 'disk'}")
    found, said = run_job(tmp_path, *command, f"--output={bucket}")
    assert found == table
    root, local = Folder(bucket), tmp_path / "disk"
    results = [json.loads(root.read("results.json")), json.loads((local / "results.json").read_text())]
    assert results[0]["arms"][0]["benchmarks"] == results[1]["arms"][0]["benchmarks"]
    for name in ("report.html", "metrics.jsonl", "events.jsonl", "reproduce.yaml"):
        said += root.read(name).decode()
    weights = (local / "models" / "x-x-mono-0" / "0_StaticEmbedding" / "model.safetensors").read_bytes()
    model = root / "models" / "x-x-mono-0"
    assert (model / "0_StaticEmbedding").read("model.safetensors") == weights
    assert not model.exists("checkpoints")
    again, more = run_job(tmp_path, *command, f"--output={bucket}")
    assert again == table  # it goes on where it stood: at the end
    assert SECRET not in said + more + json.dumps(results)


@pytest.mark.slow
def test_a_whole_sweep_in_a_bucket_equals_the_one_on_a_disk(bucket, tmp_path):
    for name, content in (("tiny.yaml", CONFIG), ("sweep.yaml", SWEEP), ("space.yaml", SPACE)):
        (tmp_path / name).write_text(content)
    configs = [f"--config={tmp_path / name}" for name in ("tiny.yaml", "sweep.yaml")]
    command = ("sweep", *configs, f"--space={tmp_path / 'space.yaml'}")
    table, _ = run_job(tmp_path, *command, f"--output={tmp_path / 'disk'}")
    assert run_job(tmp_path, *command, f"--output={bucket}")[0] == table
    root, local = Folder(bucket) / "sweeps" / "space", tmp_path / "disk" / "sweeps" / "space"
    found, wanted = (json.loads(text) for text in (root.read("sweep.json"), (local / "sweep.json").read_bytes()))
    assert found["curves"] == wanted["curves"]
    assert found["recommended"]["model"] == f"{root}/best"
    weights = (local / "best" / "0_StaticEmbedding" / "model.safetensors").read_bytes()
    assert (root / "best" / "0_StaticEmbedding").read("model.safetensors") == weights
    journal = root.read("trials.jsonl")
    assert journal.count(b'"finished"') == 2
    assert run_job(tmp_path, *command, f"--output={bucket}")[0] == table
    assert root.read("trials.jsonl") == journal  # nothing was trained again
