"""A step's loss and gradient in float64, with an engine that does no more than average over ranks."""

from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing
from fake_store import FakeStore
from naive_loss import naive_loss
from torch.nn.utils.rnn import pad_sequence

from xlstance.errors import SettingsError
from xlstance.training.batches import BatchReader
from xlstance.training.engine import ChunkEncoder
from xlstance.training.objective import Objective
from xlstance.training.plan import BatchPlan, SamplerSettings
from xlstance.training.settings import LossSettings, TrainingSettings

SIZE, SEED, STEP = 8, 5, 1
STORE, SAMPLER = FakeStore(groups=12, lengths=((3, 6), (3, 6), (12, 20))), SamplerSettings(kind="x-y")
CASES = {
    "plain": LossSettings(),
    "one way": LossSettings(symmetric=False, temperature=0.2),
    "all": LossSettings(positives="all", negatives_in="passage-language", matryoshka=[3, 5], learn_temperature=True),
}


class BagEncoder(torch.nn.Module):
    """The mean of token vectors with a dropout that is drawn from the global state, in float64."""

    dimension = 7

    def __init__(self, dropout):
        super().__init__()
        random = torch.Generator().manual_seed(1)
        self.vectors = torch.nn.Parameter(torch.randn(90, self.dimension, generator=random, dtype=torch.float64))
        self.dropout = torch.nn.Dropout(dropout)

    def collate(self, rows):
        return {"input_ids": pad_sequence([torch.from_numpy(row).long() for row in rows], batch_first=True)}

    def forward(self, batch):
        ids = batch["input_ids"]
        weights = (ids > 0).double()[:, :, None]
        means = (self.vectors[ids] * weights).sum(1) / weights.sum(1)
        return torch.nn.functional.normalize(self.dropout(means), dim=1)


class PlainEngine:
    """As much of DeepSpeed's engine as a step asks for; ``gradients`` are averaged over ranks."""

    def __init__(self, module, rank, ranks):
        self.module, self.global_rank, self.world_size, self.backwards = module, rank, ranks, 0
        self.train, self.eval = module.train, module.eval

    def __call__(self, *arguments):
        return self.module(*arguments)

    def zero_optimization_stage(self):
        return 0

    @contextmanager
    def no_sync(self):
        yield

    def allreduce_gradients(self):
        pass

    def backward(self, loss):
        self.backwards += 1
        loss.backward()

    def step(self):
        self.gradients = {}
        for name, parameter in self.module.named_parameters():
            gradient = parameter.grad.clone()
            if self.world_size > 1:
                dist.all_reduce(gradient)
            self.gradients[name] = gradient / self.world_size


def step(rank, ranks, loss, caching, dropout=0.0, chunk_tokens=20):
    encoder = BagEncoder(dropout)
    module = ChunkEncoder(encoder, loss.temperature if loss.learn_temperature else None).double()
    engine = PlainEngine(module, rank, ranks)
    settings = TrainingSettings(batch_size=SIZE, loss=loss, gradient_caching=caching)
    objective = Objective(engine, settings, SEED, rank)
    options = {"negatives": 2, "chunk_tokens": chunk_tokens}
    batch = BatchReader(STORE, (), SAMPLER, SIZE, SEED, 0, encoder, rank, ranks, **options)[STEP]
    return objective.train(batch, STEP), engine.gradients, engine.backwards, objective.evaluate(batch, STEP)


def expected(loss):
    """Loss and gradients of the global batch by automatic differentiation of the naive loss, all texts at once."""
    plan = BatchPlan(STORE.partitions, SAMPLER, SIZE, SEED).batch(STEP)
    queries, passages = STORE.locate(plan.partition, plan.row)
    owners, places = np.nonzero((named := STORE.negatives(plan.partition, plan.row, 2)) >= 0)
    passages = np.concatenate([passages, named[owners, places]])
    batch = SimpleNamespace(
        pairs=SIZE,
        owners=owners,
        known=STORE.known_positives(queries, passages),
        languages=np.concatenate([queries, passages]) % 3,
    )
    assert len(owners) > SIZE / 2
    encoder = BagEncoder(0.0)
    learned = torch.tensor([loss.temperature], dtype=torch.float32 if loss.learn_temperature else torch.float64)
    log_temperature = learned.log().double().requires_grad_()
    tokens = STORE.query_tokens(queries) + STORE.passage_tokens(passages)
    value = naive_loss(encoder(encoder.collate(tokens)), batch, loss, log_temperature.exp()).sum()
    value.backward()
    return float(value.detach()), {"encoder.vectors": encoder.vectors.grad, "log_temperature": log_temperature.grad}


def check(made, loss):
    value, gradients, _, validation = made
    wanted, wanted_gradients = expected(loss)
    assert value == pytest.approx(wanted, rel=1e-10)
    assert validation == pytest.approx(wanted, rel=1e-10)
    for name, gradient in gradients.items():
        assert torch.allclose(gradient, wanted_gradients[name], rtol=1e-8, atol=1e-12), name
    assert ("log_temperature" in gradients) == loss.learn_temperature


def one_of_two(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/group", rank=rank, world_size=2)
    made = {(name, caching): step(rank, 2, loss, caching) for name, loss in CASES.items() for caching in (False, True)}
    for caching in (False, True):
        made["dropout", caching] = step(rank, 2, CASES["all"], caching, dropout=0.5)
    torch.save(made, folder / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    torch.multiprocessing.spawn(one_of_two, (folder,), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("caching", [False, True])
@pytest.mark.parametrize("name", ["plain", "one way", "all"])
def test_a_step_is_that_of_the_naive_loss(name, caching):
    check(step(0, 1, CASES[name], caching), CASES[name])


@pytest.mark.parametrize("caching", [False, True])
@pytest.mark.parametrize("name", ["plain", "one way", "all"])
def test_a_step_of_two_processes_is_that_of_the_naive_loss(two_processes, name, caching):
    for made in two_processes:
        check(made[name, caching], CASES[name])


def test_gradient_caching_has_a_backward_pass_for_each_chunk(two_processes):
    full, cached = two_processes[0]["all", False], two_processes[0]["all", True]
    assert full[2] == 1
    assert cached[2] > 4


def test_gradient_caching_meets_the_same_dropout(two_processes):
    full, cached, calm = (two_processes[0][key] for key in (("dropout", False), ("dropout", True), ("all", False)))
    assert cached[0] == pytest.approx(full[0], rel=1e-12)
    assert torch.allclose(cached[1]["encoder.vectors"], full[1]["encoder.vectors"], rtol=1e-9, atol=1e-14)
    assert abs(cached[0] - calm[0]) > 1e-3
    assert cached[3] == pytest.approx(calm[3], rel=1e-12)  # validation is without


@pytest.mark.parametrize(("temperature", "sinks"), [(0.03, True), (0.01, False), (0.005, False)])
def test_a_learned_temperature_sinks_no_further_than_its_least(temperature, sinks):
    # Each passage says what its query says: the colder the better, for ever.
    store = FakeStore(groups=12)
    store.passage_tokens, store.passage_lengths = store.query_tokens, store.query_lengths
    loss = LossSettings(learn_temperature=True, temperature=temperature)
    module = ChunkEncoder(encoder := BagEncoder(0.0), temperature).double()
    reader = BatchReader(store, (), SamplerSettings(kind="x-x-mono"), SIZE, SEED, 0, encoder, 0, 1)
    objective = Objective(engine := PlainEngine(module, 0, 1), TrainingSettings(loss=loss), SEED, 0)
    objective.train(reader[0], 0)
    assert objective.temperature == pytest.approx(temperature)
    assert (float(engine.gradients["log_temperature"]) > 0) == sinks


def test_matryoshka_sizes_fit_the_encoder():
    with pytest.raises(SettingsError, match=r"matryoshka is \[3, 8\], but the encoder's vectors have 7 entries"):
        step(0, 1, LossSettings(matryoshka=[3, 8]), False)
