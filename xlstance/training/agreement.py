"""Ranks that fail together: what one of them meets, all raise, so that none waits for another that has left."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist

from xlstance.errors import StorageError, UserError
from xlstance.training.collectives import local_device


def gather_text(text: str) -> list[str]:
    """Every rank's text, in the order of the ranks; all ranks call it."""
    world_size = dist.get_world_size()
    if world_size == 1:
        return [text]
    device = local_device()
    own = text.encode()
    lengths = torch.zeros(world_size, dtype=torch.int64, device=device)
    lengths[dist.get_rank()] = len(own)
    dist.all_reduce(lengths)
    longest = int(lengths.max())
    if not longest:
        return [""] * world_size
    padded = torch.tensor([*own, *bytes(longest - len(own))], dtype=torch.uint8, device=device)
    parts = [torch.empty_like(padded) for _ in range(world_size)]
    dist.all_gather(parts, padded)
    return [bytes(part.tolist())[:length].decode() for part, length in zip(parts, lengths.tolist(), strict=True)]


def from_first_rank(values: Sequence[float]) -> list[float]:
    """The first rank's numbers on every rank, so that what follows from them is the same everywhere.

    Args:
        values: as many on every rank; only the first rank's count.
    """
    if dist.get_world_size() == 1:
        return list(values)
    shared = torch.tensor(values, dtype=torch.float64, device=local_device())
    dist.broadcast(shared, src=0)
    return [float(value) for value in shared.tolist()]


@contextmanager
def together(what: str) -> Iterator[None]:
    """A block that fails on every rank if it fails on one; all ranks enter it, and it holds no other collective.

    Args:
        what: what the block does, for the message: ``the checkpoint of step 40 cannot be written``.

    Raises:
        UserError: the rank's own one, where the block raised it.
        StorageError: for an error of a file system, and on the other ranks.
    """
    error: UserError | OSError | None = None
    try:
        yield
    except (UserError, OSError) as caught:
        error = caught
    own = "" if error is None else f"{error}" if isinstance(error, UserError) else f"{what}: {error}"
    said = [text for text in gather_text(own) if text]
    if isinstance(error, UserError):
        raise error
    if said:
        raise StorageError(said[0]) from error
