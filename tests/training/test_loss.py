import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_loss import naive_loss

from xlstance.training import loss as module
from xlstance.training.loss import Share, Targets, share_of_loss
from xlstance.training.settings import LossSettings

TEMPERATURE = 0.3


class Batch:
    """Texts of a global batch with random vectors, known positives, languages and explicit negatives.

    ``known[i, j]`` says that passage j (a positive, or behind them an explicit negative) is known to answer query i.
    """

    def __init__(self, pairs, negatives, seed, density=0.2):
        random = np.random.default_rng(seed)
        self.pairs = pairs
        self.owners = np.repeat(np.arange(pairs), random.integers(0, negatives + 1, pairs))
        texts = 2 * pairs + len(self.owners)
        self.vectors = torch.nn.functional.normalize(torch.from_numpy(random.normal(size=(texts, 6))), dim=1)
        self.known = random.random((pairs, pairs + len(self.owners))) < density
        self.known[np.arange(pairs), np.arange(pairs)] = True
        self.languages = random.integers(0, 3, texts)

    def share(self, start=0, rows=None):
        """What the reader of batches makes of it, written down in another way."""
        n, rows = self.pairs, self.pairs if rows is None else rows
        owner = np.concatenate([np.arange(n), self.owners])
        mine = range(start, start + rows)
        others = [(i, j) for i in mine for j in range(len(owner)) if self.known[i, j] and owner[j] != i]
        explicit = [(i, j) for i in mine for j in range(n, len(owner)) if owner[j] == i]
        answers = [(i, j) for i in mine for j in range(n) if self.known[j, i] and j != i]

        def pairs(places):
            return torch.tensor(places, dtype=torch.int64).reshape(-1, 2)

        languages = torch.from_numpy(self.languages)
        return Share(
            n,
            Targets(start, rows, pairs(others), pairs(explicit), languages[n:]),
            Targets(start, rows, pairs(answers), pairs([]), languages[:n]),
        )


OPTIONS = st.builds(
    LossSettings,
    symmetric=st.booleans(),
    positives=st.sampled_from(["masked", "all"]),
    negatives_in=st.sampled_from(["all", "passage-language"]),
    matryoshka=st.sampled_from([[], [2], [3, 5]]),
)


@settings(max_examples=60, deadline=None)
@given(OPTIONS, st.integers(1, 7), st.integers(0, 2), st.integers(0, 99), st.sampled_from([5, 64, 10**6]))
def test_it_equals_the_naive_loss_and_its_derivatives(options, pairs, negatives, seed, block):
    batch = Batch(pairs, negatives, seed)
    vectors = batch.vectors.clone().requires_grad_()
    log_temperature = torch.tensor(TEMPERATURE, dtype=torch.float64).log().requires_grad_()
    expected = naive_loss(vectors, batch, options, log_temperature.exp())
    expected.backward()
    limit, module._BLOCK_ON_CPU = module._BLOCK_ON_CPU, block
    try:
        loss, gradient, slope = share_of_loss(batch.vectors, batch.share(), TEMPERATURE, options)
    finally:
        module._BLOCK_ON_CPU = limit
    # Whole vectors are taken as they come, of length 1; the naive loss scales them, and so knows no way outwards.
    tangent = gradient - (gradient * batch.vectors).sum(1, keepdim=True) * batch.vectors
    assert float(loss) == pytest.approx(float(expected.detach()), abs=1e-12)
    assert torch.allclose(tangent, vectors.grad, atol=1e-12)
    assert float(slope) == pytest.approx(float(log_temperature.grad or 0.0), abs=1e-12)


@pytest.mark.parametrize("positives", ["masked", "all"])
@pytest.mark.parametrize("negatives_in", ["all", "passage-language"])
def test_shares_add_up_to_the_whole(positives, negatives_in):
    batch = Batch(pairs=8, negatives=2, seed=4)
    options = LossSettings(positives=positives, negatives_in=negatives_in, matryoshka=[3])
    whole = share_of_loss(batch.vectors, batch.share(), TEMPERATURE, options)
    parts = [share_of_loss(batch.vectors, batch.share(start, 2), TEMPERATURE, options) for start in (0, 2, 4, 6)]
    for of_whole, of_parts in zip(whole, zip(*parts, strict=True), strict=True):
        assert torch.allclose(of_whole, sum(of_parts), atol=1e-14)


def test_a_known_positive_of_a_query_has_no_influence_on_it_and_an_explicit_negative_always_has():
    batch = Batch(pairs=4, negatives=2, seed=1, density=0.0)
    first = int(np.flatnonzero(batch.owners == 0)[0]) + 4
    batch.known[0, 2] = True  # in-batch: masked
    batch.known[0, first] = True  # the pair's own explicit negative: still one
    one_row = batch.share(0, 1)
    _, gradient, _ = share_of_loss(batch.vectors, one_row, TEMPERATURE, LossSettings(symmetric=False))
    moved = gradient.abs().sum(dim=1)[4:]
    assert moved[2] == 0
    assert (moved[[0, 1, 3, first]] > 0).all()


def test_without_negatives_the_loss_is_nothing():
    batch = Batch(pairs=3, negatives=0, seed=2, density=1.0)
    for positives in ("masked", "all"):
        loss, gradient, slope = share_of_loss(
            batch.vectors, batch.share(), TEMPERATURE, LossSettings(positives=positives)
        )
        assert (float(loss), float(gradient.abs().max()), float(slope)) == (0, 0, 0)


def test_scores_far_apart_give_no_infinity():
    batch = Batch(pairs=3, negatives=1, seed=2, density=0.0)
    loss, gradient, slope = share_of_loss(batch.vectors.float(), batch.share(), 1e-4, LossSettings())
    assert torch.isfinite(loss)
    assert torch.isfinite(gradient).all()
    assert torch.isfinite(slope)
