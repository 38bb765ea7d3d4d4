"""Which rank encodes which texts of a global batch, and in which chunks.

All texts of the batch are sorted by length and dealt like cards, so that whatever the lengths of a rank's own rows,
every rank encodes equally many chunks with nearly the same lengths: unequal numbers of chunks would leave ranks waiting
for each other for ever under ZeRO 2 and 3, and padding short texts to long ones is work thrown away.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xlstance.encoders import Encoder, StaticEncoder
from xlstance.training.collectives import local_device


@dataclass(frozen=True)
class Deal:
    """Texts dealt over ranks and chunks.

    Attributes:
        chunks: one array per chunk, ``[ranks, size] int64``: the numbers of the texts that each rank encodes in it. A
            few texts stand twice, where there are too few left for all ranks.
        slots: ``[texts] int64``: where the vector of each text stands once the vectors of all ranks lie one after the
            other, rank by rank and chunk by chunk. Of a text that stands twice, the first.
    """

    chunks: list[npt.NDArray[np.int64]]
    slots: npt.NDArray[np.int64]


def deal(lengths: npt.NDArray[np.int64], ranks: int, chunk_tokens: int) -> Deal:
    """Deals texts over ranks, longest first: what does not fit into memory fails at once.

    Args:
        lengths: ``[texts] int64``, tokens of each text; at least one text.
        ranks: number of processes.
        chunk_tokens: tokens of one rank's chunk at most, padding included; a longer text is a chunk of its own.
    """
    order = np.argsort(-lengths, kind="stable").astype(np.int64)
    chunks = []
    start = 0
    while start < len(order):
        size = max(1, chunk_tokens // max(1, int(lengths[order[start]])))
        taken = order[start : start + size * ranks]
        # Only the last texts, the shortest ones, may be too few: the last of them is then encoded by several ranks.
        filled = np.concatenate([taken, np.repeat(taken[-1:], -len(taken) % ranks)])
        chunks.append(filled.reshape(-1, ranks).T)
        start += len(taken)
    _, slots = np.unique(np.concatenate(chunks, axis=1), return_index=True)
    return Deal(chunks, slots.astype(np.int64))


def default_chunk_tokens(encoder: Encoder) -> int:
    """Tokens of a chunk where the settings leave it open."""
    if isinstance(encoder, StaticEncoder):
        return 1 << 20  # it pads nothing, and the gradient of its whole table is made anew for every chunk
    return 2048 if local_device().type == "cpu" else 16384  # a CPU's caches hold no more
