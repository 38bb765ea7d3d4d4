"""The static encoder: the mean of a text's subword vectors. It trains and encodes fast on CPUs.

Its folder is that of sentence-transformers' ``StaticEmbedding`` with ``Normalize``.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tokenizers import Tokenizer

from xlstance.encoders.base import Batch, Encoder, Tokens
from xlstance.encoders.folder import write_description
from xlstance.encoders.settings import TextKind


class StaticEncoder(Encoder):
    """The mean of subword vectors, scaled to length 1.

    A text without any token (an empty one) gets the vector of the unknown token, so that it has a direction like
    every other; sentence-transformers gives it zeros.

    Args:
        tokenizer: a subword tokenizer; special tokens are not added.
        weights: the subword vectors; ``[vocabulary, dimension] float32``.
        prefix: what is put before a text, by kind.
        max_length: tokens kept of a text, by kind.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        weights: torch.Tensor,
        *,
        prefix: dict[TextKind, str],
        max_length: dict[TextKind, int],
    ) -> None:
        super().__init__(
            tokenizer, dimension=weights.shape[1], special_tokens=False, prefix=prefix, max_length=max_length
        )
        self.embedding = torch.nn.EmbeddingBag.from_pretrained(weights, freeze=False, mode="mean")
        self._unknown = np.array([tokenizer.token_to_id("[UNK]") or 0], dtype=np.int32)

    @classmethod
    def from_scratch(
        cls,
        tokenizer: Tokenizer,
        dimension: int,
        seed: int,
        *,
        prefix: dict[TextKind, str],
        max_length: dict[TextKind, int],
    ) -> "StaticEncoder":
        """An untrained encoder: normal vectors of length about 1, drawn from the seed."""
        generator = torch.Generator().manual_seed(seed)
        weights = torch.randn(tokenizer.get_vocab_size(), dimension, generator=generator) / dimension**0.5
        return cls(tokenizer, weights, prefix=prefix, max_length=max_length)

    def collate(self, rows: Sequence[Tokens]) -> Batch:
        """All ids in one row, and where each text begins: ``input_ids [tokens]``, ``offsets [texts]``, int64."""
        rows = [row if len(row) else self._unknown for row in rows]
        starts = np.cumsum([0] + [len(row) for row in rows[:-1]], dtype=np.int64)
        ids = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int32)
        return {"input_ids": torch.from_numpy(ids.astype(np.int64)), "offsets": torch.from_numpy(starts[: len(rows)])}

    def forward(self, batch: Batch) -> torch.Tensor:
        """Vectors of a batch of texts, ``[texts, dimension] float32``, each of length 1."""
        return F.normalize(self.embedding(batch["input_ids"], batch["offsets"]).float(), dim=-1)

    def save(self, folder: Path) -> None:
        """Writes a folder that ``load_encoder`` and sentence-transformers read, with the same vectors."""
        own = folder / "0_StaticEmbedding"
        own.mkdir(parents=True, exist_ok=True)
        save_file({"embedding.weight": self.embedding.weight.detach().cpu().contiguous()}, own / "model.safetensors")
        tokenizer = Tokenizer.from_str(self._tokenizer.to_str())
        tokenizer.enable_truncation(max(self.max_length.values()))  # this module knows no other limit of length
        tokenizer.save(str(own / "tokenizer.json"))
        write_description(folder, ["StaticEmbedding", "Normalize"], self.prefix, self.max_length)
