"""DeepSpeed's own settings, made from a run's."""

import json
from pathlib import Path
from typing import Any

from xlstance.errors import SettingsError
from xlstance.training.settings import TrainingSettings

_SCHEDULE = "scheduler"


def deepspeed_config(settings: TrainingSettings, world_size: int) -> dict[str, Any]:
    """What ``deepspeed.initialize`` takes: generated, or read from the file that the settings name.

    Args:
        settings: of the run.
        world_size: number of processes; divides the batch size.

    Raises:
        SettingsError: if the file is not there, is no JSON object, or says something else than the run of what the run
            decides: the batch's size and the learning rate's schedule.
    """
    deepspeed = settings.deepspeed
    decided: dict[str, Any] = {
        "train_batch_size": settings.batch_size,
        "train_micro_batch_size_per_gpu": settings.batch_size // world_size,
        "gradient_accumulation_steps": 1,
    }
    others = {
        "gradient_clipping": deepspeed.gradient_clipping,  # unset, DeepSpeed clips at 1.0
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,  # DeepSpeed's own needs a compiler
        "steps_per_print": 10**9,
    }
    if deepspeed.config:
        given = _read(Path(deepspeed.config))
        for name, value in decided.items():
            if given.get(name, value) not in (value, "auto"):
                raise SettingsError(
                    f"{deepspeed.config}: {name} is {given[name]}, but this run's is {value} (training.batch_size "
                    f"{settings.batch_size}, {world_size} processes); leave it out"
                )
        if _SCHEDULE in given:
            raise SettingsError(
                f"{deepspeed.config}: {_SCHEDULE} is not possible here; set training.schedule and training.warmup"
            )
        return {**others, **given, **decided}
    return {**decided, **others, **_precision(settings), "zero_optimization": _zero(settings)}


def _precision(settings: TrainingSettings) -> dict[str, Any]:
    precision = settings.deepspeed.precision
    return {} if precision == "fp32" else {precision: {"enabled": True}}


def _zero(settings: TrainingSettings) -> dict[str, Any]:
    # On a small model ZeRO 3 partitions nothing unless every parameter counts as large.
    zero: dict[str, Any] = {"stage": settings.deepspeed.zero_stage, "stage3_param_persistence_threshold": 0}
    if settings.deepspeed.offload != "none":
        zero["offload_optimizer"] = {"device": "cpu"}
    if settings.deepspeed.offload == "parameters":
        zero["offload_param"] = {"device": "cpu"}
    return zero


def _read(path: Path) -> dict[str, Any]:
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"training.deepspeed.config: {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise SettingsError(f"training.deepspeed.config: {path} is no JSON: {error}") from error
    if not isinstance(given, dict):
        raise SettingsError(f"training.deepspeed.config: {path} holds no JSON object")
    return given
