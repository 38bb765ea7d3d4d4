"""What a model that writes texts does, whatever runs it: sources in, texts out, the same text for the same id."""

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from xlstance.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How a text is read from a model's probabilities.

    Attributes:
        method: ``greedy`` takes the likeliest token, ``beam`` keeps the likeliest beginnings, ``sample`` draws each
            token; what is drawn follows from the seed and the row's id.
        beams: beginnings kept by beam search.
        temperature: logits are divided by it before a token is drawn.
        top_k: draw among so many of the likeliest tokens; 0 for all.
        top_p: draw among the likeliest tokens whose probabilities sum to this.
        number: texts for each source: the best of beam search, or so many samples.
        max_tokens: tokens written at most.
        max_ratio: tokens written at most for each token of the source, and 8 more; 0 for no such limit. A translation
            that goes far beyond its source has lost its way, and the whole batch would wait for it.
    """

    method: Literal["greedy", "beam", "sample"] = "greedy"
    beams: int = 4
    temperature: float = 1.0
    top_k: int = 10
    top_p: float = 1.0
    number: int = 1
    max_tokens: int = 256
    max_ratio: float = 0.0

    def __post_init__(self) -> None:
        for name, least in {"beams": 1, "top_k": 0, "number": 1, "max_tokens": 1, "max_ratio": 0}.items():
            if getattr(self, name) < least:
                raise SettingsError(f"decoding: {name} is {getattr(self, name)}; give {least} or more")
        if self.temperature <= 0:
            raise SettingsError(f"decoding: temperature is {self.temperature}; give a number above 0")
        if not 0 < self.top_p <= 1:
            raise SettingsError(f"decoding: top_p is {self.top_p}; give a number above 0 and up to 1")
        if self.number > self.copies:
            allowed = {"greedy": "greedy decoding gives one text", "beam": f"{self.beams} beams give no more texts"}
            raise SettingsError(f"decoding: number is {self.number}, but {allowed[self.method]}; use method sample")

    @property
    def copies(self) -> int:
        """Rows that the model works on for each source."""
        return {"greedy": 1, "beam": self.beams, "sample": self.number}[self.method]


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """Which model writes, and how much at a time.

    Attributes:
        name: a folder, or the name of a model on the Hugging Face hub, with ``@`` and a revision after it where
            another than the newest is wanted; its weights are safetensors.
        precision: of the weights.
        batch_size: sources in a batch at most.
        batch_tokens: tokens of the sources in a batch at most, padding included, a source counted for each of its
            beams or samples; a longer source is a batch of its own.
        max_source_tokens: tokens of a source that the model reads at most.
    """

    name: str
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    batch_size: int = 64
    batch_tokens: int = 8192
    max_source_tokens: int = 256

    def __post_init__(self) -> None:
        if not self.name:
            raise SettingsError("the model's name is empty; give a folder or a name on the hub")
        for name in ("batch_size", "batch_tokens", "max_source_tokens"):
            if getattr(self, name) < 1:
                raise SettingsError(f"model: {name} is {getattr(self, name)}; give 1 or more")


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What a model wants to be told beside the source, by the convention that it was trained with.

    Attributes:
        prefix: is put before the source.
        source_code: the model's own code of the source's language, set in its tokenizer.
        first_token: the first token that it has to write, which stands for the target language.
    """

    prefix: str = ""
    source_code: str = ""
    first_token: int | None = None


class TextModel(abc.ABC):
    """Writes texts for sources."""

    @abc.abstractmethod
    def room(self, frame: Frame | None = None) -> int:
        """Tokens that a source may have beside its frame and the special tokens."""

    @abc.abstractmethod
    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special tokens left out."""

    @abc.abstractmethod
    def cut(self, text: str, tokens: int) -> str:
        """The beginning of a text that has so many tokens at most, special tokens left out; the text if it has."""

    @abc.abstractmethod
    def generate(
        self,
        sources: Sequence[str],
        ids: Sequence[str],
        decoding: Decoding,
        *,
        seed: int = 0,
        frame: Frame | None = None,
        one_line: bool = False,
    ) -> list[list[str]]:
        """Writes texts.

        A text follows from the model, the source, its id, the decoding and the seed. What else is in the call does not
        matter, but for sums of floats that a batch of other shape rounds otherwise: two tokens that are equally likely
        to the last digit may change places.

        Args:
            sources: what the model reads: a text to translate, or a prompt.
            ids: an id for each source; sources of different ids are sampled differently.
            decoding: how.
            seed: of the samples.
            frame: what the model wants to be told beside the source.
            one_line: a text ends where its first line ends.

        Returns:
            For each source, in the given order, ``decoding.number`` texts without special tokens.
        """


def batches(lengths: Sequence[int], *, batch_size: int, batch_tokens: int, copies: int = 1) -> list[list[int]]:
    """Rows put together by length, so that little is padded and all end at about the same time.

    Args:
        lengths: tokens of each row.
        batch_size: rows in a batch at most.
        batch_tokens: rows times copies times tokens of the longest, at most; a longer row is a batch of its own.
        copies: how often each row is worked on.

    Returns:
        Row numbers of each batch; the longest rows first, since what does not fit into memory should fail at once.
    """
    order = sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
    made, start = [], 0
    while start < len(order):
        fitting = batch_tokens // max(1, lengths[order[start]] * copies)
        end = start + max(1, min(batch_size, fitting))
        made.append(order[start:end])
        start = end
    return made
