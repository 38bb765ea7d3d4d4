import contextlib
import os
from dataclasses import replace

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing
from fake_store import FakeStore

from xlstance.encoders import LoraSettings, add_adapters, load_encoder
from xlstance.training import objective as module
from xlstance.training.batches import BatchReader
from xlstance.training.encode import encode_rows
from xlstance.training.engine import join_process_group, make_engine, whole_parameters
from xlstance.training.objective import Objective
from xlstance.training.plan import SamplerSettings
from xlstance.training.settings import DeepSpeedSettings, LossSettings, TrainingSettings

STAGES = [0, 1, 2, 3]
STEPS = 3


def make_settings(stage=0, **options):
    deepspeed = {"zero_stage": stage, **options.pop("deepspeed", {})}
    defaults = {"batch_size": 12, "negatives": 2, "chunk_tokens": 90, "learning_rate": 2e-3}
    return TrainingSettings(
        deepspeed=DeepSpeedSettings(**deepspeed),
        loss=LossSettings(learn_temperature=True),
        **{**defaults, **options},
    )


def train(encoder_settings, vocabulary, settings, ranks, dropout=0.0):
    """A few steps: losses, weights, and what tells of the engine."""
    rank = dist.get_rank()
    encoder = load_encoder(replace(encoder_settings, dropout=dropout), tokenizer=vocabulary, seed=3)
    engine = make_engine(encoder, settings, ranks, 3)
    objective = Objective(engine, settings, 3, rank)
    # Texts of the third language are much longer: were rows not dealt by length, ranks would differ in their work.
    store = FakeStore(lengths=((3, 9), (3, 9), (30, 60)))
    options = {"negatives": settings.negatives, "chunk_tokens": settings.chunk_tokens}
    reader = BatchReader(
        store, (), SamplerSettings(block=4), settings.batch_size, 3, 0, encoder, rank, ranks, **options
    )
    chunks = [len(reader[step].chunks) for step in range(STEPS)]
    held = {name: [p.numel(), getattr(p, "ds_numel", p.numel())] for name, p in engine.module.named_parameters()}
    losses = [objective.train(reader[step], step) for step in range(STEPS)]
    validation = objective.evaluate(reader[9], 9)
    tokens = store.query_tokens(range(7))
    with whole_parameters(engine) as whole:
        weights = {name: p.detach().clone() for name, p in whole.named_parameters()}
    return {
        "losses": [*losses, validation],
        "weights": weights,
        "temperature": objective.temperature,
        "chunks": chunks,
        "held": held,
        "vectors": torch.from_numpy(encode_rows(engine, tokens, 20)),
    }


def one_of_two(rank, folder, encoder_settings, vocabulary):
    """What a process does: every stage with gradient caching, and without it and without dropout."""
    torch.set_num_threads(1)
    os.environ["LOCAL_RANK"] = str(rank)
    dist.init_process_group("gloo", init_method=f"file://{folder}/group", rank=rank, world_size=2)
    made = {}

    def add(name, stage, dropout, **options):
        made[name, stage] = train(encoder_settings, vocabulary, make_settings(stage, **options), 2, dropout)

    add("full", 0, 0.1)
    for stage in STAGES:
        add("cached", stage, 0.1, gradient_caching=True)
        add("calm", stage, 0.0)
    add("checkpointed", 3, 0.1, gradient_caching=True, gradient_checkpointing=True)
    module.one_reduction = lambda engine: contextlib.nullcontext()  # what other libraries do
    for stage in (1, 2):
        add("naive", stage, 0.1, gradient_caching=True)
    torch.save(made, folder / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def two_processes(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    torch.multiprocessing.spawn(one_of_two, (folder, world.settings, world.vocabulary), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.fixture(scope="module")
def alone(world):
    """The same batches in this process alone, without gradient caching or dropout, all texts in one chunk."""
    join_process_group()
    return train(world.settings, world.vocabulary, make_settings(chunk_tokens=10**6), 1)


def furthest(one, two):
    """The largest difference of a weight.

    Biases of keys are left out: attention does not depend on them, so that their gradients are rounding errors, which
    AdamW blows up.
    """
    one, two = one["weights"], two["weights"]
    return max(float((one[name] - two[name]).abs().max()) for name in one if not name.endswith("key.bias"))


@pytest.mark.parametrize("stage", STAGES)
def test_gradient_caching_changes_nothing(two_processes, stage):
    for made in two_processes:
        full, cached = made["full", 0], made["cached", stage]
        assert max(cached["chunks"]) > 4
        assert furthest(full, cached) < 1e-5
        assert cached["losses"] == pytest.approx(full["losses"], abs=1e-5)
        assert cached["temperature"] == pytest.approx(full["temperature"], abs=1e-6)


@pytest.mark.parametrize("stage", STAGES)
def test_two_processes_equal_one(two_processes, alone, stage):
    for made in two_processes:
        calm = made["calm", stage]
        assert furthest(calm, alone) < 1e-5
        assert calm["losses"] == pytest.approx(alone["losses"], abs=1e-5)
        assert calm["temperature"] == pytest.approx(alone["temperature"], abs=1e-6)
        assert torch.allclose(calm["vectors"], alone["vectors"], atol=1e-5)
    assert alone["chunks"] == [1] * STEPS


def test_training_moves_weights_and_temperature(two_processes, alone, world):
    start = load_encoder(replace(world.settings, dropout=0.0), tokenizer=world.vocabulary, seed=3)
    assert furthest(alone, {"weights": start.state_dict()}) > 1e-3
    assert abs(alone["temperature"] - LossSettings().temperature) > 1e-4
    full, calm = two_processes[0]["full", 0], two_processes[0]["calm", 0]
    assert furthest(full, calm) > 1e-4  # dropout


@pytest.mark.parametrize("stage", STAGES)
def test_ranks_end_with_the_same(two_processes, stage):
    one, two = (made["cached", stage] for made in two_processes)
    assert furthest(one, two) == 0
    assert one["losses"] == two["losses"]
    assert one["chunks"] == two["chunks"]


def test_repeated_backward_without_one_reduction_would_be_wrong(two_processes):
    """The trap that gradient caching falls into elsewhere: there is no error, only other weights."""
    made = two_processes[0]
    for stage in (1, 2):
        assert furthest(made["naive", stage], made["full", 0]) > 1e-4


def test_stage_3_partitions_every_parameter(two_processes, world):
    for made in two_processes:
        for stage in STAGES:
            for present, whole in made["cached", stage]["held"].values():
                assert present <= 1 < whole or whole == 1 if stage == 3 else present == whole
    names = {f"encoder.{name}" for name, _ in world.encoder.named_parameters()}
    assert set(two_processes[0]["cached", 3]["held"]) == {*names, "log_temperature"}


def test_gradient_checkpointing_changes_nothing(two_processes):
    made = two_processes[0]
    assert furthest(made["checkpointed", 3], made["cached", 3]) < 1e-5


def test_adapters_alone_are_trained(world):
    join_process_group()
    lora = LoraSettings(rank=2)
    plain = train(world.settings, world.vocabulary, make_settings(lora=lora), 1, 0.1)
    cached = train(
        world.settings,
        world.vocabulary,
        make_settings(3, lora=lora, gradient_caching=True, gradient_checkpointing=True),
        1,
        0.1,
    )
    assert furthest(plain, cached) < 1e-5
    start = load_encoder(world.settings, tokenizer=world.vocabulary, seed=3)
    add_adapters(start, lora, 3)
    trained = {name for name, value in start.state_dict().items() if not torch.equal(value, plain["weights"][name])}
    assert trained == {name for name in plain["weights"] if "lora_" in name}


@pytest.mark.parametrize("stage", STAGES)
def test_the_engine_is_of_the_stage_asked_for(world, stage):
    join_process_group()
    encoder = load_encoder(world.settings, tokenizer=world.vocabulary)
    engine = make_engine(encoder, make_settings(stage, deepspeed={"gradient_clipping": 0.0}), 1)
    assert engine.zero_optimization_stage() == stage
    assert engine.gradient_clipping() == 0
    assert engine.train_batch_size() == 12
    assert all(hasattr(p, "ds_tensor") == (stage == 3) for p in engine.module.parameters())
    assert encode_rows(engine, []).shape == (0, 32)


def test_biases_norms_and_the_temperature_are_not_decayed(world):
    join_process_group()
    encoder = load_encoder(world.settings, tokenizer=world.vocabulary)
    engine = make_engine(encoder, make_settings(weight_decay=0.3), 1)
    decay = {id(p): group["weight_decay"] for group in engine.optimizer.param_groups for p in group["params"]}
    assert len(decay) == len(list(engine.module.parameters()))
    for name, parameter in engine.module.named_parameters():
        plain = name.endswith("bias") or "LayerNorm" in name or name == "log_temperature"
        assert decay[id(parameter)] == (0.0 if plain else 0.3)


def test_frozen_parameters_stay_as_they_are(world):
    join_process_group()
    encoder = load_encoder(world.settings, tokenizer=world.vocabulary)
    for name, parameter in encoder.named_parameters():
        parameter.requires_grad_("embeddings" not in name)
    engine = make_engine(encoder, make_settings(), 1)
    trained = sum(len(group["params"]) for group in engine.optimizer.param_groups)
    assert trained == 1 + sum("embeddings" not in name for name, _ in encoder.named_parameters())
