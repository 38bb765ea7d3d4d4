"""Low-rank adapters (LoRA; Hu et al. 2021, arXiv 2106.09685): small trained matrices beside frozen linear layers."""

from dataclasses import dataclass
from typing import Any

import torch

from xlstance.encoders.base import Encoder
from xlstance.encoders.static import StaticEncoder
from xlstance.errors import SettingsError

_ADAPTER = "default"  # peft's name for the only one


@dataclass(frozen=True, kw_only=True)
class LoraSettings:
    """Adapters to train in place of the network's own weights.

    Attributes:
        rank: rows of an adapter's matrices; 0 trains the network itself.
        alpha: what an adapter adds is scaled by ``alpha / rank``.
        dropout: share of an adapter's inputs dropped in training.
        targets: names of the linear layers that get one, such as ``query`` and ``value``; the end of a layer's name is
            enough. Empty: all of them, which comes closest to training the network itself.
    """

    rank: int = 0
    alpha: int = 32
    dropout: float = 0.0
    targets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.rank < 0:
            raise SettingsError(f"lora.rank is {self.rank}; it may not be negative (0 is for none)")
        if self.alpha < 1:
            raise SettingsError(f"lora.alpha is {self.alpha}; it must be at least 1")
        if not 0 <= self.dropout < 1:
            raise SettingsError(f"lora.dropout is {self.dropout}; it is a share, from 0 to below 1")


def add_adapters(encoder: Encoder, settings: LoraSettings, seed: int) -> None:
    """Adds untrained adapters to a transformer, in place; its vectors stay as they are until training.

    The network's weights no longer train; projections after the pooling, which are small, still do.

    Args:
        encoder: a transformer.
        settings: of the adapters; rank 0 changes nothing.
        seed: what they are drawn from.

    Raises:
        SettingsError: if the encoder is static, a target names no linear layer, or ``peft`` is not installed.
    """
    if not settings.rank:
        return
    if isinstance(encoder, StaticEncoder):
        raise SettingsError("lora needs a transformer, but the encoder is static: set lora.rank to 0")
    try:
        import peft
    except ImportError as error:
        raise SettingsError(
            "lora needs the package peft: pip install 'xlstance[lora]', or set lora.rank to 0"
        ) from error
    model: Any = encoder.model
    config = peft.LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=_linear_layers(model, settings.targets),
    )
    with torch.random.fork_rng(devices=[]):  # the library draws from torch's global state
        torch.default_generator.manual_seed(seed)
        peft.inject_adapter_in_model(config, model)


def _linear_layers(model: Any, targets: tuple[str, ...]) -> list[str]:
    # The pooler takes no part in an encoder's vectors.
    names = [
        name
        for name, layer in model.named_modules()
        if isinstance(layer, torch.nn.Linear) and not name.startswith("pooler.")
    ]
    for target in targets:
        if not any(_is_called(name, target) for name in names):
            known = sorted({name.rpartition(".")[2] for name in names})
            raise SettingsError(
                f"lora.targets: this network has no linear layer {target!r}; its layers are {', '.join(known)}"
            )
    return [name for name in names if not targets or any(_is_called(name, target) for target in targets)]


def _is_called(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")


@torch.no_grad()
def merged_weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The weights of a network with what its adapters add, under the names that it has without them.

    The network itself is left as it is.

    Returns:
        The network's own tensors where they need no change; sums, and what was half precision, as float32: a sum in
        half precision would round small changes away.
    """
    weights = {
        name.replace(".base_layer.", "."): value.float() if value.is_floating_point() else value
        for name, value in model.state_dict().items()
        if ".lora_" not in name
    }
    for name, layer in model.named_modules():
        if hasattr(layer, "lora_A"):
            wide, narrow = (getattr(layer, part)[_ADAPTER].weight.float() for part in ("lora_B", "lora_A"))
            weights[f"{name}.weight"] = weights[f"{name}.weight"] + layer.scaling[_ADAPTER] * (wide @ narrow)
    return weights
