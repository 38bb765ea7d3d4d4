"""Texts through the engine: dealt over the ranks in chunks, their vectors gathered on every rank."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from xlstance.encoders import Tokens
from xlstance.training.chunks import deal, default_chunk_tokens
from xlstance.training.collectives import gather
from xlstance.training.engine import Engine, encoder_of


def encode_rows(engine: Engine, tokens: Sequence[Tokens], chunk_tokens: int = 0) -> npt.NDArray[np.float32]:
    """Vectors of texts, without gradient or dropout, encoded by all ranks together; every rank calls it.

    Args:
        engine: the DeepSpeed engine, of any ZeRO stage.
        tokens: of each text, as the encoder's ``tokenize`` gives them; the same texts on every rank.
        chunk_tokens: tokens that a process encodes at a time, padding included; 0 for what suits the device.

    Returns:
        ``[texts, D] float32`` in the given order, the same on every rank.
    """
    encoder = encoder_of(engine)
    if not len(tokens):
        return np.zeros((0, encoder.dimension), dtype=np.float32)
    lengths = np.array([len(ids) for ids in tokens], dtype=np.int64)
    dealt = deal(lengths, engine.world_size, chunk_tokens or default_chunk_tokens(encoder))
    engine.eval()
    with torch.no_grad():
        local, _ = engine([encoder.collate([tokens[i] for i in chunk[engine.global_rank]]) for chunk in dealt.chunks])
    vectors: npt.NDArray[np.float32] = gather(local)[torch.from_numpy(dealt.slots).to(local.device)].cpu().numpy()
    return vectors
