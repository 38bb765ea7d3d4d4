"""What every encoder does, whatever its network: texts to tokens, tokens to a batch, a batch to unit vectors."""

import abc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer

from xlstance.encoders.settings import Precision, TextKind
from xlstance.errors import SettingsError

Tokens = npt.NDArray[np.int32]
Batch = dict[str, torch.Tensor]

_DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Encoder(torch.nn.Module, abc.ABC):
    """Gives texts of any language vectors of length 1, whose dot product is their similarity.

    Args:
        tokenizer: a subword tokenizer; its padding and truncation are switched off.
        dimension: entries of a vector.
        special_tokens: whether the tokenizer's special tokens are put around a text.
        prefix: what is put before a text, by kind.
        max_length: tokens kept of a text, special tokens and prefix included, by kind.

    Attributes:
        dimension: entries of a vector.
        prefix: as given.
        max_length: as given.
        precision: of the arithmetic in ``encode``; may be set.

    Raises:
        SettingsError: if a length leaves no room for a single token of the text.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        dimension: int,
        special_tokens: bool,
        prefix: dict[TextKind, str],
        max_length: dict[TextKind, int],
    ) -> None:
        super().__init__()
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self.dimension = dimension
        self.prefix = prefix
        self.max_length = max_length
        self.precision: Precision = "fp32"
        self._tokenizer = tokenizer
        self._special_tokens = special_tokens
        self._frame = {kind: self._measure_frame(text) for kind, text in prefix.items()}
        for kind, length in max_length.items():
            if length <= sum(self._frame[kind]):
                raise SettingsError(
                    f"max_{kind}_length is {length}, but the {kind} prefix and the special tokens take "
                    f"{sum(self._frame[kind])} tokens; give at least {sum(self._frame[kind]) + 1}"
                )

    def _measure_frame(self, prefix: str) -> tuple[int, int]:
        # The tokens before and after the text itself, which a crop leaves in place. A space at the prefix's end
        # belongs to the next word in most vocabularies.
        special = self._tokenizer.encode("a", add_special_tokens=self._special_tokens).special_tokens_mask
        before = special.index(0) if 0 in special else 0
        after = special[::-1].index(0) if 0 in special else 0
        return before + len(self._tokenizer.encode(prefix.rstrip(), add_special_tokens=False).ids), after

    def tokenize(self, texts: Sequence[str], kind: TextKind) -> list[Tokens]:
        """Texts as token ids: prefix and special tokens added, cut at the right to the kind's length.

        Args:
            texts: the texts, as they are.
            kind: which prefix and which length.

        Returns:
            For each text its ids, ``[tokens] int32``.
        """
        prefix, length = self.prefix[kind], self.max_length[kind]
        encoded = self._tokenizer.encode_batch_fast(
            [prefix + text for text in texts], add_special_tokens=self._special_tokens
        )
        return [self.crop(np.array(one.ids, dtype=np.int32), kind, length, 0.0) for one in encoded]

    def crop(self, ids: Tokens, kind: TextKind, length: int, at: float) -> Tokens:
        """A window of a text, with its special tokens and prefix in place.

        Args:
            ids: tokens of one text, as ``tokenize`` gives them; ``[tokens] int32``.
            kind: the kind it was tokenised as.
            length: tokens to keep at most, special tokens and prefix included.
            at: where the window begins, as a fraction in [0, 1) of the possible places: 0 is the first.

        Returns:
            ``[min(length, tokens)] int32``.
        """
        excess = len(ids) - length
        if excess <= 0:
            return ids
        before, after = self._frame[kind]
        start = before + int(at * (excess + 1))
        end = len(ids) - after
        return np.concatenate([ids[:before], ids[start : start + length - before - after], ids[end:]])

    @abc.abstractmethod
    def collate(self, rows: Sequence[Tokens]) -> Batch:
        """The batch, on the CPU, that ``forward`` takes; nothing else depends on what it holds.

        Args:
            rows: tokens of one text each; ``[tokens] int32``.
        """

    @abc.abstractmethod
    def forward(self, batch: Batch) -> torch.Tensor:
        """Vectors of a batch of texts.

        Args:
            batch: what ``collate`` gave, on the device of the weights.

        Returns:
            ``[texts, dimension] float32``, each of length 1.
        """

    def enable_gradient_checkpointing(self) -> None:
        """Has training keep each layer's input alone, and redo the layer in the backward pass: less memory, more time.

        An encoder without layers has nothing to do.
        """

    @abc.abstractmethod
    def save(self, folder: Path) -> None:
        """Writes a folder that ``load_encoder`` and sentence-transformers read, with the same vectors."""

    def encode(
        self,
        texts: Sequence[str],
        kind: TextKind,
        batch_tokens: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> npt.NDArray[np.float32]:
        """Vectors of any number of texts, without gradients; the same texts give the same vectors.

        Texts are encoded in order of length, so that padding costs little.

        Args:
            texts: the texts, as they are.
            kind: query or passage.
            batch_tokens: tokens in a batch at most, padding included; a longer text is a batch of its own. Default:
                2048 on a CPU (its caches hold no more; 16384 takes twice the time), else 32768.
            progress: called after each batch with the number of texts in it.

        Returns:
            ``[texts, dimension] float32`` in the given order, each of length 1.
        """
        rows = self.tokenize(texts, kind)
        vectors = np.empty((len(rows), self.dimension), dtype=np.float32)
        device = next(self.parameters()).device
        batch_tokens = batch_tokens or (2048 if device.type == "cpu" else 32768)
        was_training = self.training
        self.eval()
        half = torch.autocast(device.type, _DTYPES[self.precision], enabled=self.precision != "fp32")
        try:
            with torch.no_grad(), half:
                for part in _batches(rows, batch_tokens):
                    batch = {name: values.to(device) for name, values in self.collate([rows[i] for i in part]).items()}
                    vectors[part] = self(batch).cpu().numpy()
                    if progress is not None:
                        progress(len(part))
        finally:
            self.train(was_training)
        return vectors


def _batches(rows: Sequence[Tokens], batch_tokens: int) -> Iterator[npt.NDArray[np.intp]]:
    # Longest first: what does not fit into memory fails at once, not after an hour.
    lengths = np.array([len(row) for row in rows], dtype=np.intp)
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        end = start + max(1, batch_tokens // max(1, int(lengths[order[start]])))
        yield order[start:end]
        start = end
