"""What an encoder is: where it comes from, or how large it is built, and how texts are given to it."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["transformer", "static"]
Pooling = Literal["mean", "cls", "last"]
TextKind = Literal["query", "passage"]
Attention = Literal["auto", "packed", "sdpa", "eager", "flash_attention_2"]
Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True, kw_only=True)
class EncoderSettings:
    """An encoder to load, or to build from scratch.

    What a model folder says of itself (pooling, prefixes, lengths) holds where a setting is left empty (null).

    Attributes:
        kind: from scratch only: ``transformer``, or ``static`` (the mean of subword vectors, made for CPUs). A model
            that is loaded says itself which it is.
        model: a folder (sentence-transformers or transformers) or a hub name; empty builds one from scratch.
        pooling: how a transformer's token vectors become one: their mean, the first token's, or the last token's.
            Default: what the folder says, else the mean.
        query_prefix: put before every query, such as ``"Query: "``. Default: what the folder says, else nothing.
        passage_prefix: put before every passage. Default: what the folder says, else nothing.
        max_query_length: tokens kept of a query, special tokens and prefix included. Default: what the folder says,
            else 64.
        max_passage_length: tokens kept of a passage. Default: what the folder says, else 256.
        attention: how a transformer attends. ``packed`` lays texts end to end without padding; ``sdpa`` (torch's fused
            kernels), ``eager`` and ``flash_attention_2`` (needs the package flash-attn) pad them. Default: packed
            where the network can, else the best of the others that it has.
        precision: of the arithmetic in encoding; the vectors are float32 in any case. Half precision pays on GPUs.
            (Training has its own: ``training.deepspeed.precision``.)
        vocabulary_size: from scratch: subwords in the vocabulary to train.
        dimension: from scratch: entries of a vector.
        layers: from scratch, transformer: number of layers.
        heads: from scratch, transformer: attention heads per layer; they divide ``dimension``.
        feed_forward: from scratch, transformer: width of the feed-forward layers.
        dropout: from scratch, transformer: share of entries dropped in training.
    """

    kind: Kind = "transformer"
    model: str = ""
    pooling: Pooling | None = None
    query_prefix: str | None = None
    passage_prefix: str | None = None
    max_query_length: int | None = None
    max_passage_length: int | None = None
    attention: Attention = "auto"
    precision: Precision = "fp32"
    vocabulary_size: int = 32_000
    dimension: int = 256
    layers: int = 4
    heads: int = 4
    feed_forward: int = 1024
    dropout: float = 0.1
