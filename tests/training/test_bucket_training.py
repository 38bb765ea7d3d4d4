"""Training whose model and checkpoints lie in a bucket, by processes that share no disk."""

import json
import random
import subprocess
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from kills import descendants, kill, metrics, steps, timeless, wait_for, weights

from xlstance.disk_folder import DiskFolder
from xlstance.encoders import EncoderSettings, load_encoder
from xlstance.errors import StorageError
from xlstance.storage import Folder
from xlstance.training.checkpoint import finished_steps
from xlstance.training.loop import train

HERE = Path(__file__).parent


def in_bucket(run, bucket, world):
    """The run with its model, store and vocabulary in a bucket."""
    root = Folder(bucket)
    (root / "vocabulary").write("tokenizer.json", world.vocabulary.read_bytes())
    places = {}
    for name in ("store", "validation_store"):
        place = DiskFolder((root / name).uri)
        place.path.mkdir(parents=True, exist_ok=True)
        for file in Path(getattr(run, name)).iterdir():
            (place.path / file.name).write_bytes(file.read_bytes())
        place.keep()
        places[name] = place.uri
    return replace(run, output=f"{bucket}/models/run", tokenizer=f"{bucket}/vocabulary/tokenizer.json", **places)


def test_a_model_in_a_bucket_is_the_one_on_a_disk(world, bucket, node, tmp_path):
    run = world.run(tmp_path / "run", validation={"every": 2, "keep": "best"})
    train(run)
    remote = in_bucket(run, bucket, world)
    train(remote)
    assert remote.trained
    assert remote.place.read("model.safetensors") == weights(run)
    assert timeless(metrics_of(remote)) == timeless(metrics(run))
    assert not [name for name in remote.place.names() if name.startswith(("checkpoints", "best"))]
    assert not remote.checkpoints.path.exists()
    node("second")
    encoder = load_encoder(EncoderSettings(model=remote.output))
    assert (
        encoder.encode(["aa1 bb2"], "query")
        == load_encoder(EncoderSettings(model=run.output)).encode(["aa1 bb2"], "query")
    ).all()


def metrics_of(run):
    return run.place.read("metrics.jsonl").decode().splitlines() if run.place.exists("metrics.jsonl") else []


def test_a_checkpoint_may_come_before_the_first_metrics(world, bucket, node, tmp_path):
    remote = in_bucket(world.run(tmp_path / "run", log_every=100), bucket, world)
    train(remote)
    assert [json.loads(line)["step"] for line in metrics_of(remote)] == [6]


class LostError(Exception):
    """Ends a run as a fault of its machine does."""


class StopAt:
    def __init__(self, step):
        self.step = step

    def log(self, step, metrics):
        if step == self.step:
            raise LostError

    def close(self):
        pass


def test_a_run_goes_on_from_the_bucket_on_another_node(world, bucket, node, tmp_path):
    """With the best weights of a step that lies before the checkpoint, on a node that holds older files."""
    settings = {"steps": 9, "validation": {"every": 1, "keep": "best"}, "learning_rate": 0.05}
    whole = world.run(tmp_path / "run", **settings)
    train(whole)
    remote = in_bucket(whole, bucket, world)
    for name, step in (("first", 3), ("second", 8), ("first", 0)):
        node(name)
        kept = finished_steps(remote.checkpoints)
        if not step:
            assert kept == [4, 6]
            train(remote)
        else:
            with pytest.raises(LostError):
                train(remote, [StopAt(step)])
    assert remote.place.read("model.safetensors") == weights(whole)
    assert timeless(metrics_of(remote)) == timeless(metrics(whole))


def test_a_damaged_checkpoint_in_the_bucket_is_passed_over(world, bucket, node, tmp_path, caplog):
    whole = world.run(tmp_path / "run")
    train(whole)
    remote = in_bucket(whole, bucket, world)
    with pytest.raises(LostError):
        train(remote, [StopAt(5)])
    folder = remote.checkpoints / "step-00000004" / "engine"
    name = folder.names()[0]
    (Folder(remote.output) / "checkpoints" / "step-00000004" / "engine").write(name, folder.read(name)[:-1] + b"?")
    node("second")
    train(remote)
    assert "is not what was written" in caplog.text
    assert remote.place.read("model.safetensors") == weights(whole)


def test_a_bucket_that_is_gone_is_one_line(world, bucket, node, tmp_path):
    run = replace(world.run(tmp_path / "run"), output="s3://no-such-bucket/run")
    with pytest.raises(StorageError) as refused:
        train(run)
    assert "\n" not in str(refused.value)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the processes to kill under /proc")
def test_two_nodes_without_a_shared_disk_go_on_after_a_kill(world, undisturbed, bucket, tmp_path):
    """Both nodes are lost; two new ones, without any file, go on from the bucket and end with the same bytes."""
    run = in_bucket(world.runs_in_turn(tmp_path)[0], bucket, world)
    file = f"{bucket}/training-runs.json"
    Folder(bucket).write("training-runs.json", json.dumps([asdict(run)]).encode())
    command = world.torchrun([run], tmp_path)
    launcher = command["args"][:-2]

    def on_nodes(caches):
        return {**command, "args": [*launcher, str(HERE / "node_of_rank.py"), file, str(tmp_path / caches)]}

    with subprocess.Popen(**on_nodes("old"), stderr=subprocess.DEVNULL) as started:
        first = tmp_path / "old" / "node-0" / "copies" / run.output.partition("://")[2]
        local = replace(run, output=str(first))
        seen = random.Random(0).randrange(20, 60)
        wait_for(lambda: finished_steps(run.checkpoints) and metrics(local) and steps(metrics(local))[-1] >= seen)
        kill([started.pid, *descendants(started.pid)])
    assert not run.trained
    kept = finished_steps(run.checkpoints)[-1]
    assert 0 < kept <= steps(metrics(local))[-1] < 120, "some but not all was done at the kill"
    before = metrics_of(run)[: kept // 5]
    done = subprocess.run(**on_nodes("new"), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    after = metrics_of(run)
    assert after[: kept // 5] == before  # with their measured speeds: these steps were not done again
    assert timeless(after) == timeless(metrics(undisturbed[0]))
    assert run.place.read("model.safetensors") == weights(undisturbed[0])
    left = [path.name for path in (tmp_path / "new").glob("node-*/copies/*/*/*/*/checkpoints/*")]
    assert left == []
