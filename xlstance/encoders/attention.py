"""How a transformer attends: the library's ways, and one over texts laid end to end without padding.

In a packed batch every token is one of a text: the linear layers, most of the work, see no padding, and attention is
kept within each text by the offsets at which texts begin. The library hands those offsets through its layers to the
attention function (the names are those of its own packed batches); a network that does not, or that attends in a way
of its own, is found out by trying when it is loaded, and gets padded batches.
"""

import logging
from itertools import groupby
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import sdpa_mask
from transformers.utils import is_flash_attn_2_available

from xlstance.encoders.settings import Attention
from xlstance.encoders.transformer import TransformerEncoder
from xlstance.errors import SettingsError

logger = logging.getLogger(__name__)

_PACKED = "packed_sdpa"  # what transformers knows it by
_OTHER_WAYS = ("sliding_window", "softcap", "s_aux", "position_bias")


def set_attention(encoder: TransformerEncoder, wanted: Attention) -> None:
    """Makes a transformer attend as asked; see ``EncoderSettings.attention``.

    Raises:
        SettingsError: if the network, or what is installed, does not have the way that was named.
    """
    if wanted == "flash_attention_2" and not is_flash_attn_2_available():
        raise SettingsError(
            "encoder.attention is flash_attention_2, which needs a GPU and the package flash-attn; install it, or use "
            "auto, which needs neither"
        )
    if wanted in ("auto", "packed"):
        before = encoder.model.config._attn_implementation
        encoder.packs = _choose(encoder, _PACKED) and _packs_faithfully(encoder)
        if not encoder.packs:
            _choose(encoder, before)
            name = type(encoder.model).__name__
            if wanted == "packed":
                raise SettingsError(f"encoder.attention is packed, but {name} cannot attend to packed texts; use auto")
            logger.info("%s cannot attend to packed texts: its batches are padded", name)
    elif wanted != "auto" and not _choose(encoder, wanted):
        name = type(encoder.model).__name__
        raise SettingsError(f"encoder.attention is {wanted}, which {name} does not have; use auto")


def _choose(encoder: TransformerEncoder, implementation: str) -> bool:
    try:
        encoder.model.set_attn_implementation(implementation)
    except (ValueError, ImportError):
        return False
    return bool(encoder.model.config._attn_implementation == implementation)


@torch.no_grad()
def _packs_faithfully(encoder: TransformerEncoder) -> bool:
    ids = np.arange(1, 10, dtype=np.int32) * (encoder.model.config.vocab_size // 10)
    vectors, was_training = [], encoder.training
    encoder.eval()
    try:
        for encoder.packs in (True, False):
            vectors.append(encoder(encoder.collate([ids[:3], ids[3:]])))
    except Exception:  # there are as many ways to fail as there are architectures
        return False
    finally:
        encoder.train(was_training)
    return torch.allclose(vectors[0], vectors[1], rtol=0, atol=1e-4)


def attend_packed(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    cu_seq_lens_q: torch.Tensor | None = None,
    max_length_q: int | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attention for transformers' interface: within each text of a packed batch, as usual in a padded one.

    Args:
        module: the attention layer.
        query: ``[1, heads, tokens, entries]`` if packed, else ``[texts, heads, tokens, entries]``.
        key: the same of the keys; they may have fewer heads.
        value: the same of the values.
        attention_mask: of a padded batch.
        dropout: share of the attention weights dropped.
        scaling: multiplies the scores; default: ``entries ** -0.5``.
        is_causal: whether a token sees only those before it. Default: what the layer says.
        cu_seq_lens_q: offset of each text, and of the end; ``[texts + 1] int32``. None: the batch is padded.
        max_length_q: tokens of the longest text.
        options: what else the layer hands over.

    Returns:
        ``[1, tokens, heads, entries]`` if packed, and None in place of the weights.

    Raises:
        ValueError: if a packed layer attends in a way that is not supported.
    """
    if cu_seq_lens_q is None:
        out: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout, scaling, is_causal, **options
        )
        return out
    if attention_mask is not None or any(options.get(name) is not None for name in _OTHER_WAYS):
        raise ValueError(f"{type(module).__name__} attends in a way that packed texts do not have")
    causal = bool(getattr(module, "is_causal", False) if is_causal is None else is_causal)
    shared = query.shape[1] // key.shape[1]
    # [tokens, heads, entries], as the layer's linear maps laid them out
    parts = [part[0].transpose(0, 1) for part in (query, repeat_kv(key, shared), repeat_kv(value, shared))]
    if query.is_cuda:
        attended = _attend_nested(parts, cu_seq_lens_q, cast(int, max_length_q), dropout, scaling, causal)
    else:
        attended = _attend_in_turn(parts, cu_seq_lens_q, dropout, scaling, causal)
    return attended[None], None


def _attend_nested(
    parts: list[torch.Tensor], offsets: torch.Tensor, longest: int, dropout: float, scale: float | None, causal: bool
) -> torch.Tensor:
    # One kernel for all texts: flash attention in half precision, memory-efficient attention in float32.
    # The lengths are given, since asking the GPU for them would wait for it.
    query, key, value = (
        torch.nested.nested_tensor_from_jagged(part.contiguous(), offsets, min_seqlen=1, max_seqlen=longest).transpose(
            1, 2
        )
        for part in parts
    )
    attended = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, scale=scale, is_causal=causal)
    return attended.transpose(1, 2).values()


def _attend_in_turn(
    parts: list[torch.Tensor], offsets: torch.Tensor, dropout: float, scale: float | None, causal: bool
) -> torch.Tensor:
    # Neighbours of equal length go together, which are many where texts come in order of length.
    attended, start = [], 0
    for length, alike in groupby(offsets.diff().tolist()):
        count = len(list(alike))
        query, key, value = (
            part[start : start + count * length].view(count, length, *part.shape[1:]).transpose(1, 2) for part in parts
        )
        one = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, scale=scale, is_causal=causal)
        attended.append(one.transpose(1, 2).flatten(0, 1))
        start += count * length
    return torch.cat(attended)


def _mask(*sizes: Any, attention_mask: torch.Tensor | None = None, **options: Any) -> torch.Tensor | None:
    # Only a packed batch comes without a mask; the offsets say what one would.
    return None if attention_mask is None else sdpa_mask(*sizes, attention_mask=attention_mask, **options)


transformers.AttentionInterface.register(_PACKED, attend_packed)
transformers.AttentionMaskInterface.register(_PACKED, _mask)
