"""DeepSpeed around an encoder: the engine of every training run, on one CPU process as on many GPUs."""

import atexit
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from xlstance.encoders import Encoder
from xlstance.training.collectives import local_device
from xlstance.training.settings import TrainingSettings

Engine = Any  # deepspeed.DeepSpeedEngine: the library ships no types
TextBatch = Mapping[str, torch.Tensor]


class DualEncoder(nn.Module):
    """Both towers, which share their parameters, in one forward pass: ZeRO 3 then fetches each parameter once.

    Args:
        encoder: the shared encoder.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, queries: TextBatch, passages: TextBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Vectors of queries and passages, each ``[b, D] float32``."""
        return self.encoder(queries).float(), self.encoder(passages).float()


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


def make_engine(encoder: Encoder, settings: TrainingSettings, world_size: int) -> Engine:
    """Wraps an encoder for training; a process group must stand.

    Args:
        encoder: its parameters are trained in place.
        settings: batch size, ZeRO stage, precision, clipping and optimizer.
        world_size: number of processes.

    Returns:
        A DeepSpeed engine whose module is a ``DualEncoder``.
    """
    deepspeed = _import_deepspeed()
    model = DualEncoder(encoder).to(local_device())
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]  # biases and norms are not decayed, as is usual
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    used = [group for group in groups if group["params"]]
    optimizer = torch.optim.AdamW(used, lr=settings.learning_rate, fused=True)
    config = {
        "train_micro_batch_size_per_gpu": settings.batch_size // world_size,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": settings.deepspeed.gradient_clipping,  # unset, DeepSpeed clips at 1.0
        "bf16": {"enabled": settings.deepspeed.precision == "bf16"},
        # On a small model ZeRO 3 partitions nothing unless every parameter counts as large.
        "zero_optimization": {"stage": settings.deepspeed.zero_stage, "stage3_param_persistence_threshold": 0},
        "zero_allow_untested_optimizer": True,
        "steps_per_print": 10**9,
    }
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")  # DeepSpeed's to mend
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=config, dist_init_required=False)
    return engine


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
def whole_parameters(engine: Engine) -> Iterator[Encoder]:
    """The encoder with all its parameters in place on every rank, also where ZeRO 3 has cut them up."""
    import deepspeed

    encoder = encoder_of(engine)
    with deepspeed.zero.GatheredParameters(list(encoder.parameters()), enabled=engine.zero_optimization_stage() == 3):
        yield encoder
