"""DeepSpeed around an encoder: the engine of every training run, on one CPU process as on many GPUs."""

import atexit
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from xlstance.encoders import Encoder, add_adapters
from xlstance.errors import SettingsError
from xlstance.training.collectives import local_device
from xlstance.training.deepspeed_json import deepspeed_config
from xlstance.training.settings import TrainingSettings

Engine = Any  # deepspeed.DeepSpeedEngine: the library ships no types
TextBatch = Mapping[str, torch.Tensor]


class ChunkEncoder(nn.Module):
    """The encoder of queries and passages over chunks of texts, with what else is trained: the module of the engine.

    Args:
        encoder: of queries and passages alike.
        temperature: where a learned temperature of the loss starts; None: it is not learned.
    """

    def __init__(self, encoder: Encoder, temperature: float | None = None) -> None:
        super().__init__()
        self.encoder = encoder
        # Its logarithm, as in CLIP (arXiv 2103.00020, section 2.3): steps then are relative, and it stays positive.
        # One entry, since DeepSpeed cannot send a tensor without dimensions.
        self.log_temperature = None if temperature is None else nn.Parameter(torch.tensor([temperature]).log())

    def forward(
        self, chunks: Sequence[TextBatch], seeds: Sequence[int] | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Vectors of all texts of the chunks, one after the other, and the logarithm of a learned temperature.

        Args:
            chunks: what the encoder's ``collate`` gave, at least one.
            seeds: of the dropout of each chunk. DeepSpeed saves no random state; seeded anew by what identifies a
                chunk, dropout survives resuming and is the same when gradient caching encodes a chunk again.

        Returns:
            ``[texts, D] float32`` and ``[]``, or None where the temperature is not learned.
        """
        vectors = []
        for place, chunk in enumerate(chunks):
            if seeds is not None:
                torch.manual_seed(seeds[place])
            vectors.append(self.encoder({name: values.to(local_device()) for name, values in chunk.items()}))
        # A sum, since ZeRO 3 takes the parameter itself away after this call.
        return torch.cat(vectors), None if self.log_temperature is None else self.log_temperature.sum()


def join_process_group() -> tuple[int, int]:
    """Rank and world size of this run, after making the process group where there is none.

    Ray Train's group is used where there is one, ``torchrun``'s environment otherwise, and else a group of one process.
    It stands until the process ends: DeepSpeed remembers groups, and a second run in the process must meet the same.
    """
    if not dist.is_initialized():
        backend = "nccl" if torch.cuda.is_available() else "gloo"
        if "RANK" in os.environ:
            dist.init_process_group(backend)
        else:
            dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)  # type: ignore[attr-defined]
            os.environ.setdefault("LOCAL_RANK", "0")  # DeepSpeed asks for it
        atexit.register(dist.destroy_process_group)
    return dist.get_rank(), dist.get_world_size()


def make_engine(encoder: Encoder, settings: TrainingSettings, world_size: int, seed: int = 0) -> Engine:
    """Wraps an encoder for training; a process group must stand.

    Args:
        encoder: its parameters are trained in place, or adapters that are added to it.
        settings: adapters, batch size, ZeRO stage, precision, clipping and optimizer.
        world_size: number of processes.
        seed: what new adapters are drawn from.

    Returns:
        A DeepSpeed engine whose module is a ``ChunkEncoder``.

    Raises:
        SettingsError: if the settings do not fit the encoder, the machine or one another.
    """
    config = deepspeed_config(settings, world_size)
    deepspeed = _import_deepspeed()
    _check_precision(config, deepspeed.accelerator.get_accelerator())
    add_adapters(encoder, settings.lora, seed)
    if settings.gradient_checkpointing:
        encoder.enable_gradient_checkpointing()
    loss = settings.loss
    model = ChunkEncoder(encoder, loss.temperature if loss.learn_temperature else None).to(local_device())
    trained = [p for p in model.parameters() if p.requires_grad]
    decayed = [p for p in trained if p.ndim > 1]
    plain = [p for p in trained if p.ndim <= 1]  # biases, norms and the temperature are not decayed, as is usual
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    used = [group for group in groups if group["params"]]
    optimizer = None if "optimizer" in config else torch.optim.AdamW(used, lr=settings.learning_rate, fused=True)
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")  # DeepSpeed's to mend
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            engine, *_ = deepspeed.initialize(
                model=model, model_parameters=used, optimizer=optimizer, config=config, dist_init_required=False
            )
        except Exception as error:
            if not settings.deepspeed.config:
                raise
            reason = " ".join(str(error).split())[:300]
            raise SettingsError(f"DeepSpeed does not take {settings.deepspeed.config}: {reason}") from error
    return engine


def _check_precision(config: Mapping[str, Any], accelerator: Any) -> None:
    for precision in ("bf16", "fp16"):
        supported = getattr(accelerator, f"is_{precision}_supported")
        if config.get(precision, {}).get("enabled") and not supported():
            raise SettingsError(
                f"training.deepspeed.precision is {precision}, which this machine cannot compute with; use fp32"
            )


def _import_deepspeed() -> Any:
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    import deepspeed

    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    if not torch.cuda.is_available():
        # A C++ operator for inference that would be compiled at first use: minutes, and a compiler.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    return deepspeed


def encoder_of(engine: Engine) -> Encoder:
    """The encoder inside an engine."""
    encoder: Encoder = engine.module.encoder
    return encoder


@contextmanager
def one_reduction(engine: Engine) -> Iterator[None]:
    """Backward passes inside add up on each rank, and are averaged over ranks at the end, for one optimizer step.

    Without it DeepSpeed takes every backward pass for a whole step's: under ZeRO 1 and 2 the result is wrong, silently.
    """
    if engine.zero_optimization_stage():
        with engine.coalesce_grad_reduction():
            yield
    else:
        with engine.no_sync():
            yield
        engine.allreduce_gradients()


@contextmanager
def whole_parameters(engine: Engine) -> Iterator[Encoder]:
    """The encoder with all its parameters in place on every rank, also where ZeRO 3 has cut them up."""
    import deepspeed

    encoder = encoder_of(engine)
    with deepspeed.zero.GatheredParameters(list(encoder.parameters()), enabled=engine.zero_optimization_stage() == 3):
        yield encoder
