"""What ranks tell each other: their vectors, and sums over all of them. With one process all of it is free."""

import os

import torch
import torch.distributed as dist


def local_device() -> torch.device:
    """This process's accelerator, or the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def alone() -> bool:
    """Whether there is no other process to talk to."""
    return not dist.is_initialized() or dist.get_world_size() == 1


def gather(local: torch.Tensor) -> torch.Tensor:
    """The rows of all ranks, in rank order, without gradient.

    Args:
        local: ``[n, D]``, the same n on every rank.

    Returns:
        ``[ranks * n, D]``; with one process ``local`` itself.
    """
    if alone():
        return local
    parts = [torch.empty_like(local) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, local.contiguous())
    return torch.cat(parts)


def sum_over_ranks(tensor: torch.Tensor) -> torch.Tensor:
    """Adds up a tensor over all ranks, in place."""
    if not alone():
        dist.all_reduce(tensor)
    return tensor
