"""Gathering over ranks, with gradient."""

import os
from typing import Any

import torch
import torch.distributed as dist


def local_device() -> torch.device:
    """This process's accelerator, or the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, local: torch.Tensor) -> torch.Tensor:
        parts = [torch.empty_like(local) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, local.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        # Every rank's loss depends on this rank's rows: their gradients add up.
        gradient = gradient.contiguous()
        dist.all_reduce(gradient)
        return gradient.chunk(dist.get_world_size())[dist.get_rank()]


def gather_with_gradient(local: torch.Tensor) -> torch.Tensor:
    """Concatenates the rows of all ranks, in rank order.

    Args:
        local: ``[n, D]``, the same n on every rank.

    Returns:
        ``[world * n, D]``; its gradient, summed over the losses of all ranks, flows back to each rank's own rows. With
        one process it is ``local`` itself.
    """
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return local
    gathered: torch.Tensor = _Gather.apply(local)  # type: ignore[no-untyped-call]
    return gathered


def mean_over_ranks(value: float) -> float:
    """The mean of a number over all ranks."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return value
    tensor = torch.tensor([value], dtype=torch.float64, device=local_device())  # NCCL knows no tensors on the CPU
    dist.all_reduce(tensor)
    return float(tensor) / dist.get_world_size()
