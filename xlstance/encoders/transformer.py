"""The transformer encoder: a network of the transformers library, pooled to one vector per text.

Its folder is that of sentence-transformers' ``Transformer``, ``Pooling``, perhaps ``Dense``, and ``Normalize``.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tokenizers import Tokenizer

from xlstance.encoders.base import Batch, Encoder, Tokens
from xlstance.encoders.folder import read_weights, write_description
from xlstance.encoders.lora import merged_weights
from xlstance.encoders.settings import Pooling, TextKind
from xlstance.errors import DataError

_ACTIVATIONS = {
    "torch.nn.modules.activation.Tanh": torch.nn.Tanh,
    "torch.nn.modules.linear.Identity": torch.nn.Identity,
}


class Projection(torch.nn.Module):
    """A linear layer after the pooling, such as LaBSE's.

    Args:
        inputs: entries of a vector before it.
        outputs: entries after it.
        bias: whether it adds a bias.
        activation: class path of what follows it, one of torch's ``Tanh`` and ``Identity``.
    """

    linear: torch.nn.Linear

    def __init__(self, inputs: int, outputs: int, bias: bool, activation: str) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(inputs, outputs, bias=bias)
        self.activation = _ACTIVATIONS[activation]()
        self._name = activation

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """``[texts, inputs]`` to ``[texts, outputs]``."""
        projected: torch.Tensor = self.activation(self.linear(vectors))
        return projected

    @classmethod
    def load(cls, folder: Path) -> "Projection":
        """Reads a ``Dense`` module.

        Raises:
            DataError: if it has an activation other than Tanh and Identity, or broken weights.
            StorageError: if it has no safetensors.
        """
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        activation = config.get("activation_function", "torch.nn.modules.activation.Tanh")
        if activation not in _ACTIVATIONS or config.get("use_residual"):
            raise DataError(f"{folder}: a Dense module with {activation} or a residual is not supported")
        layer = cls(config["in_features"], config["out_features"], config.get("bias", True), activation)
        layer.load_state_dict(read_weights(folder))
        return layer

    def save(self, folder: Path) -> None:
        """Writes a ``Dense`` module."""
        folder.mkdir(parents=True, exist_ok=True)
        config = {
            "in_features": self.linear.in_features,
            "out_features": self.linear.out_features,
            "bias": self.linear.bias is not None,
            "activation_function": self._name,
        }
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        save_file(
            {name: value.detach().cpu() for name, value in self.state_dict().items()}, folder / "model.safetensors"
        )


def first_position(model: Any) -> int:
    """The number of a text's first position: RoBERTa and its kin begin behind the padding token's id, others at 0."""
    padding = getattr(getattr(model, "embeddings", None), "padding_idx", None)
    return 0 if padding is None else int(padding) + 1


class TransformerEncoder(Encoder):
    """A transformer whose token vectors are pooled, projected where it has a projection, and scaled to length 1.

    Args:
        model: a network of the transformers library with ``last_hidden_state`` in its output.
        tokenizer: its fast tokenizer (``PreTrainedTokenizerFast``).
        pooling: mean of the token vectors, the first one, or the last one.
        projections: layers after the pooling.
        prefix: what is put before a text, by kind.
        max_length: tokens kept of a text, special tokens included, by kind.

    Attributes:
        packs: whether batches are packed rather than padded; set by ``attention.set_attention``.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        pooling: Pooling,
        projections: Sequence[Projection] = (),
        prefix: dict[TextKind, str],
        max_length: dict[TextKind, int],
    ) -> None:
        hidden = model.config.hidden_size
        super().__init__(
            Tokenizer.from_str(tokenizer.backend_tokenizer.to_str()),
            dimension=projections[-1].linear.out_features if projections else hidden,
            special_tokens=True,
            prefix=prefix,
            max_length=max_length,
        )
        self.model = model
        self.projections: Sequence[Projection] = torch.nn.ModuleList(projections)  # type: ignore[assignment]
        self.pooling = pooling
        self._saved_tokenizer = tokenizer
        self._hidden = hidden
        self._padding = np.array([tokenizer.pad_token_id or 0], dtype=np.int32)
        self.packs = False

    def collate(self, rows: Sequence[Tokens]) -> Batch:
        """Ids padded at the right to the longest text, or packed: laid end to end.

        A text without any token (an empty one, where the tokenizer adds none) becomes a padding token.

        Args:
            rows: tokens of one text each; ``[tokens] int32``.

        Returns:
            Padded: ``input_ids`` and ``attention_mask``, ``[texts, longest] int64``. Packed: ``input_ids`` and
            ``position_ids``, ``[tokens] int64``; ``offsets``, where texts begin and the last one ends, ``[texts + 1]
            int32``; and ``longest``, whose shape alone counts: the tokens of the longest text, known without asking
            a GPU.
        """
        rows = [row if len(row) else self._padding for row in rows]
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        if self.packs:
            positions = [np.arange(length) + first_position(self.model) for length in lengths]
            return {
                "input_ids": torch.from_numpy(np.concatenate(rows).astype(np.int64)),
                "position_ids": torch.from_numpy(np.concatenate(positions)),
                "offsets": torch.from_numpy(np.concatenate([[0], lengths.cumsum()]).astype(np.int32)),
                "longest": torch.empty(int(lengths.max()), dtype=torch.bool),
            }
        mask = np.arange(lengths.max(initial=0)) < lengths[:, None]
        ids = np.full(mask.shape, self._padding[0], dtype=np.int64)
        if len(rows):
            ids[mask] = np.concatenate(rows)
        return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask.astype(np.int64))}

    def forward(self, batch: Batch) -> torch.Tensor:
        """Vectors of a batch of texts, ``[texts, dimension] float32``, each of length 1."""
        pooled = self._pool_packed(batch) if "offsets" in batch else self._pool_padded(batch)
        for projection in self.projections:
            pooled = projection(pooled)
        return F.normalize(pooled.float(), dim=-1)

    def _pool_padded(self, batch: Batch) -> torch.Tensor:
        mask = batch["attention_mask"]
        states: torch.Tensor = self.model(input_ids=batch["input_ids"], attention_mask=mask).last_hidden_state
        if self.pooling == "mean":
            weights = mask.unsqueeze(-1).to(states.dtype)
            return (states * weights).sum(1) / weights.sum(1).clamp(min=1.0)
        if self.pooling == "cls":
            return states[:, 0]
        return states[torch.arange(len(states), device=states.device), mask.sum(1) - 1]

    def _pool_packed(self, batch: Batch) -> torch.Tensor:
        offsets, longest = batch["offsets"], len(batch["longest"])
        states: torch.Tensor = self.model(
            input_ids=batch["input_ids"][None],
            position_ids=batch["position_ids"][None],
            cu_seq_lens_q=offsets,
            cu_seq_lens_k=offsets,
            max_length_q=longest,
            max_length_k=longest,
        ).last_hidden_state[0]
        if self.pooling == "mean":
            every = torch.arange(len(states), device=states.device, dtype=offsets.dtype)
            return F.embedding_bag(every, states, offsets[:-1], mode="mean")
        return states[offsets[:-1] if self.pooling == "cls" else offsets[1:] - 1]

    def enable_gradient_checkpointing(self) -> None:
        """Has training keep each layer's input alone, and redo the layer in the backward pass: less memory, more time.

        Dropout falls as it did the first time.
        """
        model = self.model
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable({"use_reentrant": False})  # under its newer name where the library has it

    def save(self, folder: Path) -> None:
        """Writes a folder that ``load_encoder`` and sentence-transformers read, with the same vectors.

        Weights are written as float32, so that half precision in training is none in use; adapters as part of the
        weights that they change, though they stay apart here.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.model.save_pretrained(folder, state_dict=merged_weights(self.model))
        self._saved_tokenizer.save_pretrained(folder)
        _change(folder / "config.json", dtype="float32")
        tokenizer = _change(folder / "tokenizer_config.json", is_local=None, local_files_only=None)
        if tokenizer.get("tokenizer_class") == "TokenizersBackend":  # the name in transformers 5; all have the other
            _change(folder / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
        names = ["Transformer", "Pooling", *["Dense"] * len(self.projections), "Normalize"]
        for place, layer in enumerate(self.projections, start=2):
            layer.save(folder / f"{place}_Dense")
        write_description(folder, names, self.prefix, self.max_length, self.pooling, self._hidden)


def _change(path: Path, **changes: Any) -> dict[str, Any]:
    """Rewrites keys of a JSON file, and drops those that are changed to None."""
    content = json.loads(path.read_text(encoding="utf-8")) | changes
    content = {key: value for key, value in content.items() if key not in changes or value is not None}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return content
