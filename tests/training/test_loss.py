import math

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing

from xlstance.training.collectives import gather_with_gradient, mean_over_ranks
from xlstance.training.loss import info_nce

TEMPERATURE = 0.07


def naive_direction(queries, passages, known):
    """InfoNCE in plain floats: a passage known to answer the query is no negative, its own one is its positive."""
    total = 0.0
    for i in range(len(queries)):
        scores = [float(np.dot(queries[i], passage)) / TEMPERATURE for passage in passages]
        kept = [scores[j] for j in range(len(passages)) if j == i or not known[i][j]]
        total += math.log(sum(math.exp(score) for score in kept)) - scores[i]
    return total / len(queries)


def make_batch(rows=7, seed=0):
    random = torch.Generator().manual_seed(seed)
    queries, passages = (torch.randn(rows, 5, generator=random, dtype=torch.float64) for _ in range(2))
    known = torch.rand(rows, rows, generator=random) < 0.3
    known.fill_diagonal_(True)
    return queries, passages, known


def unit(vectors):
    return torch.nn.functional.normalize(vectors, dim=1)


def loss_of(queries, passages, known, symmetric=True):
    answers = known.T.contiguous() if symmetric else None
    return info_nce(unit(queries), unit(passages), known, answers, temperature=TEMPERATURE, rank=0)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("symmetric", [False, True])
def test_it_equals_the_naive_loss(seed, symmetric):
    queries, passages, known = make_batch(seed=seed)
    arrays = unit(queries).numpy(), unit(passages).numpy()
    expected = naive_direction(*arrays, known.numpy())
    if symmetric:
        expected = (expected + naive_direction(arrays[1], arrays[0], known.numpy().T)) / 2
    assert float(loss_of(queries, passages, known, symmetric)) == pytest.approx(expected, abs=1e-12)


def test_a_known_positive_has_no_influence_and_an_unknown_one_has():
    queries, passages, known = make_batch()
    known = torch.eye(7, dtype=torch.bool)
    known[0, 3] = True
    passages.requires_grad_()
    first_row = info_nce(unit(queries[:1]), unit(passages), known[:1], None, temperature=TEMPERATURE, rank=0)
    first_row.backward()
    moved = passages.grad.abs().sum(dim=1)
    assert moved[3] == 0
    assert (moved[[0, 1, 2, 4, 5, 6]] > 0).all()


def test_the_own_positive_is_never_masked():
    queries, passages, _ = make_batch()
    nothing, everything = torch.zeros(7, 7, dtype=torch.bool), torch.ones(7, 7, dtype=torch.bool)
    own = torch.eye(7, dtype=torch.bool)
    assert torch.equal(loss_of(queries, passages, own), loss_of(queries, passages, nothing))
    assert float(loss_of(queries, passages, everything)) == 0  # nothing but the positive is left


def test_gradients_are_right():
    queries, passages, known = make_batch(rows=4)
    assert torch.autograd.gradcheck(
        lambda q, p: loss_of(q, p, known), (queries.requires_grad_(), passages.requires_grad_())
    )


def test_alone_nothing_is_gathered():
    local = torch.randn(3, 2)
    assert gather_with_gradient(local) is local
    assert mean_over_ranks(2.5) == 2.5


def one_of_two(rank, folder):
    """What a process does in the test below; two rows each of a batch of four."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/group", rank=rank, world_size=2)
    queries, passages, known = make_batch(rows=4)
    own = slice(rank * 2, rank * 2 + 2)
    result = {"order": gather_with_gradient(torch.arange(4.0).reshape(4, 1)[own])}
    for symmetric in (False, True):
        local = [tensor[own].clone().requires_grad_() for tensor in (queries, passages)]
        answers = known.T[own].contiguous() if symmetric else None
        loss = info_nce(unit(local[0]), unit(local[1]), known[own], answers, temperature=TEMPERATURE, rank=rank)
        loss.backward()
        result[symmetric] = [mean_over_ranks(float(loss.detach())), *(tensor.grad for tensor in local)]
    torch.save(result, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_equal_one(tmp_path):
    torch.multiprocessing.spawn(one_of_two, (str(tmp_path),), nprocs=2)
    results = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for symmetric in (False, True):
        queries, passages, known = make_batch(rows=4)
        loss = loss_of(queries.requires_grad_(), passages.requires_grad_(), known, symmetric)
        loss.backward()
        for result in results:
            assert result[symmetric][0] == pytest.approx(float(loss.detach()), abs=1e-12)
        for place, whole in ((1, queries), (2, passages)):
            # A parameter's gradient is averaged over ranks: here each rank's rows are parameters of their own.
            averaged = torch.cat([result[symmetric][place] for result in results]) / 2
            assert torch.allclose(averaged, whole.grad, atol=1e-12)
    assert all(result["order"].ravel().tolist() == [0, 1, 2, 3] for result in results)
