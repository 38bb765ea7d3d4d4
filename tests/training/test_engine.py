import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing
from safetensors.torch import load_file

from xlstance.encoders import load_encoder
from xlstance.training.batches import BatchReader
from xlstance.training.engine import join_process_group, make_engine, whole_parameters
from xlstance.training.loop import train
from xlstance.training.plan import SamplerSettings
from xlstance.training.store import TrainingStore

STAGES = [0, 1, 2, 3]


def ignore(metrics, folder):
    pass


def make_own_engine(run, world_size):
    return make_engine(load_encoder(run.encoder, tokenizer=run.tokenizer, seed=run.seed), run.settings, world_size)


def one_of_two(rank, folder, runs):
    """What a process does: trains every run, and notes how much of the third stage's parameters it holds."""
    torch.set_num_threads(1)
    os.environ["LOCAL_RANK"] = str(rank)
    dist.init_process_group("gloo", init_method=f"file://{folder}/group", rank=rank, world_size=2)
    for run in runs:
        train(run, ignore)
    engine = make_own_engine(runs[3], 2)
    kept = {name: [p.numel(), p.ds_tensor.numel(), p.ds_numel] for name, p in engine.module.named_parameters()}
    with whole_parameters(engine) as encoder:
        whole = {name: list(p.shape) for name, p in encoder.named_parameters()}
    (folder / f"{rank}.json").write_text(json.dumps([kept, whole]))
    dist.barrier()
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def two_processes(world, tmp_path_factory):
    """Runs of one step at each stage, then of one with checkpoints in sight, trained by two processes."""
    folder = tmp_path_factory.mktemp("two")
    settings = {"dropout": 0.0, "steps": 1, "warmup": 0.0, "validation": {"every": 1, "batches": 2}}
    runs = [world.run(folder / f"stage-{stage}", deepspeed={"zero_stage": stage}, **settings) for stage in STAGES]
    torch.multiprocessing.spawn(one_of_two, (folder, runs), nprocs=2)
    return folder, runs


def weights(run):
    return load_file(Path(run.output) / "model.safetensors")


def logged(run):
    lines = (Path(run.output) / "metrics.jsonl").read_text().splitlines()
    return {name: value for line in lines for name, value in json.loads(line).items() if name.endswith("loss")}


@pytest.mark.parametrize("stage", STAGES)
def test_a_step_of_two_processes_equals_that_of_one(two_processes, tmp_path, stage):
    double = two_processes[1][stage]
    single = replace(double, output=str(tmp_path / "single"))
    train(single, ignore)
    start = load_encoder(single.encoder, tokenizer=single.tokenizer, seed=single.seed).model.state_dict()
    one, two = weights(single), weights(double)
    # Attention does not depend on the biases of keys: their gradients are rounding errors, which AdamW blows up.
    names = [name for name in one if not name.endswith("key.bias")]
    assert max(float((one[name] - start[name]).abs().max()) for name in names) > 1e-4
    assert max(float((one[name] - two[name]).abs().max()) for name in names) < 1e-5
    assert logged(double) == pytest.approx(logged(single), abs=1e-5)
    assert set(logged(double)) == {"loss", "validation_loss"}


def test_stage_3_partitions_every_parameter(two_processes, world):
    shapes = {name: list(p.shape) for name, p in world.encoder.named_parameters()}
    for rank in range(2):
        kept, whole = json.loads((two_processes[0] / f"{rank}.json").read_text())
        assert len(kept) == len(shapes)
        for present, own, total in kept.values():
            assert present <= 1  # an empty place holder
            assert own == (total + 1) // 2
        assert whole == shapes


@pytest.mark.parametrize("stage", STAGES)
def test_the_engine_is_of_the_stage_asked_for(world, tmp_path, stage):
    join_process_group()
    engine = make_own_engine(world.run(tmp_path, deepspeed={"zero_stage": stage, "gradient_clipping": 0.0}), 1)
    assert engine.zero_optimization_stage() == stage
    assert engine.gradient_clipping() == 0
    assert engine.train_batch_size() == 16
    assert all(hasattr(p, "ds_tensor") == (stage == 3) for p in engine.module.parameters())


def test_biases_and_norms_are_not_decayed(world, tmp_path):
    join_process_group()
    engine = make_own_engine(world.run(tmp_path, weight_decay=0.3), 1)
    decay = {id(p): group["weight_decay"] for group in engine.optimizer.param_groups for p in group["params"]}
    assert len(decay) == len(list(engine.module.parameters()))
    for name, parameter in engine.module.named_parameters():
        plain = name.endswith("bias") or "LayerNorm" in name
        assert decay[id(parameter)] == (0.0 if plain else 0.3)


@pytest.mark.parametrize("world_size", [2, 4])
def test_ranks_read_slices_of_one_stream(world, world_size):
    store, sampler = TrainingStore(world.store), SamplerSettings(block=4)

    def reader(rank, of):
        return BatchReader(store, (), sampler, 16, 7, 12, world.encoder, rank, of)

    whole, parts = reader(0, 1), [reader(rank, world_size) for rank in range(world_size)]
    for step in [0, 5, 1, 1000]:
        batch, slices = whole[step], [part[step] for part in parts]
        assert {part.kind for part in slices} == {batch.kind}
        assert all(part.rows == batch.rows for part in slices)
        assert torch.equal(torch.cat([part.known for part in slices]), batch.known)
        assert torch.equal(torch.cat([part.answers for part in slices]), batch.answers)
        assert torch.equal(batch.answers, batch.known.T)
        for side in ("queries", "passages"):
            assert texts(slices, side) == texts([batch], side)


def texts(batches, side):
    """Token ids without padding, row by row."""
    rows = []
    for batch in batches:
        inputs = getattr(batch, side)
        rows += [
            ids[mask.bool()].tolist() for ids, mask in zip(inputs["input_ids"], inputs["attention_mask"], strict=True)
        ]
    return rows


def test_crops_are_windows_drawn_anew_at_every_step(world):
    # One row of one pair alone, so that every step shows the same passage.
    store, sampler = TrainingStore(world.store), SamplerSettings(kind="x-x-mono")
    cropped = BatchReader(store, (), sampler, 16, 7, 8, world.encoder, 0, 1)
    whole = BatchReader(store, (), sampler, 16, 7, 0, world.encoder, 0, 1)
    starts = set()
    for step in range(20):
        for window, passage in zip(texts([cropped[step]], "passages"), texts([whole[step]], "passages"), strict=True):
            assert len(window) == min(8, len(passage))
            places = [i for i in range(len(passage) - 7) if passage[1:-1][i : i + 6] == window[1:-1]]
            assert places
            assert (window[0], window[-1]) == (passage[0], passage[-1])
            starts.add(places[0])
    assert len(starts) > 3
    assert texts([cropped[3]], "queries") == texts([whole[3]], "queries")


def test_only_the_named_sources_are_read(world):
    store = TrainingStore(world.store)
    sampler = SamplerSettings()
    by_name, all_of_them = (BatchReader(store, s, sampler, 16, 7, 0, world.encoder, 0, 1) for s in (("world",), ()))
    assert texts([by_name[2]], "passages") == texts([all_of_them[2]], "passages")
    assert np.array_equal(by_name[2].known, all_of_them[2].known)
