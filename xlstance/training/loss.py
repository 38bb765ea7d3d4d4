"""InfoNCE over in-batch negatives of all ranks, with known false negatives masked.

InfoNCE: van den Oord et al., arXiv 1807.03748, section 2.3; in-batch negatives for retrieval: Karpukhin et al.,
arXiv 2004.04906, section 3.2.

Shapes: b local rows, n = b x ranks global rows, d dimensions.
"""

import torch
import torch.nn.functional as F

from xlstance.training.collectives import gather_with_gradient


def info_nce(
    queries_bd: torch.Tensor,
    passages_bd: torch.Tensor,
    known_bn: torch.Tensor,
    answers_bn: torch.Tensor | None,
    *,
    temperature: float,
    rank: int,
) -> torch.Tensor:
    """The loss of this rank's rows against the passages (and queries) of all ranks.

    The mean over ranks of this value is the loss of the global batch, and the mean of its gradients is that loss's
    gradient: what DeepSpeed's averaging computes.

    Args:
        queries_bd: ``[b, d]`` normalised vectors of this rank's queries.
        passages_bd: ``[b, d]`` of their passages, in the same order.
        known_bn: ``[b, n] bool``: global passages known to answer each local query. Except the row's own passage, they
            are no negatives.
        answers_bn: ``[b, n] bool``: global queries that each local passage is known to answer; with it the loss is
            symmetric, the mean of both directions. None: queries to passages alone.
        temperature: divides the cosine.
        rank: this process's number; its rows are ``rank * b`` to ``(rank + 1) * b`` of the global batch.

    Returns:
        A scalar.
    """
    loss = _one_direction(queries_bd, passages_bd, known_bn, temperature, rank)
    if answers_bn is None:
        return loss
    return (loss + _one_direction(passages_bd, queries_bd, answers_bn, temperature, rank)) / 2


def _one_direction(
    from_bd: torch.Tensor, to_bd: torch.Tensor, known_bn: torch.Tensor, temperature: float, rank: int
) -> torch.Tensor:
    scores_bn = from_bd @ gather_with_gradient(to_bd).T / temperature
    own = torch.arange(len(from_bd), device=from_bd.device) + rank * len(from_bd)
    masked = known_bn.scatter(1, own[:, None], False)
    return F.cross_entropy(scores_bn.masked_fill(masked, float("-inf")), own)
