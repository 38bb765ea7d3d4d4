"""Settings of a training run, part by part."""

from dataclasses import dataclass, field
from typing import Literal

from xlstance.errors import SettingsError
from xlstance.training.plan import SamplerSettings


@dataclass(frozen=True, kw_only=True)
class LossSettings:
    """The contrastive loss.

    Attributes:
        temperature: divides the cosine in InfoNCE.
        symmetric: whether passages look for their queries too.
    """

    temperature: float = 0.05
    symmetric: bool = True

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise SettingsError(f"training.loss.temperature is {self.temperature}; it must be above 0")


@dataclass(frozen=True, kw_only=True)
class DeepSpeedSettings:
    """The engine.

    Attributes:
        zero_stage: DeepSpeed's ZeRO stage, 0 to 3.
        precision: ``fp32``, or ``bf16`` on machines that have it.
        gradient_clipping: largest norm of the gradient; 0 for none.
    """

    zero_stage: Literal[0, 1, 2, 3] = 0
    precision: Literal["fp32", "bf16"] = "fp32"
    gradient_clipping: float = 1.0

    def __post_init__(self) -> None:
        if self.gradient_clipping < 0:
            raise SettingsError(
                f"training.deepspeed.gradient_clipping is {self.gradient_clipping}; it may not be negative"
            )


@dataclass(frozen=True, kw_only=True)
class ValidationSettings:
    """Validation during training, where the experiment has development pairs.

    Attributes:
        every: steps between validations; 0 for none.
        batches: batches of one validation.
        patience: validations without a better loss after which training stops, keeping the best weights; 0 trains all
            steps and keeps the last.
    """

    every: int = 100
    batches: int = 8
    patience: int = 0

    def __post_init__(self) -> None:
        for name in ("every", "patience"):
            if getattr(self, name) < 0:
                raise SettingsError(f"training.validation.{name} is {getattr(self, name)}; it may not be negative")
        if self.batches < 1:
            raise SettingsError(f"training.validation.batches is {self.batches}; it is a number of batches, at least 1")
        if self.patience and not self.every:
            raise SettingsError("training.validation.patience needs validations: set training.validation.every")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How an encoder is trained.

    Attributes:
        sampler: how batches are mixed.
        loss: what is made small.
        deepspeed: the engine that does it.
        validation: how it is watched.
        steps: optimizer steps; 0 leaves the encoder as it is.
        batch_size: pairs of a global batch; a multiple of the number of workers.
        learning_rate: peak of the schedule.
        weight_decay: of AdamW.
        warmup: share of the steps over which the learning rate rises from 0.
        schedule: what follows the warm-up: ``linear`` or ``cosine`` decay to 0, or ``constant``.
        passage_crop: tokens of a random window of each passage, drawn anew at every step; 0 takes the whole passage.
        checkpoint_every: steps between checkpoints; 0 for none.
        log_every: steps between lines of metrics.
    """

    sampler: SamplerSettings = field(default_factory=SamplerSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    deepspeed: DeepSpeedSettings = field(default_factory=DeepSpeedSettings)
    validation: ValidationSettings = field(default_factory=ValidationSettings)
    steps: int = 500
    batch_size: int = 128
    learning_rate: float = 5e-4
    weight_decay: float = 0.01
    warmup: float = 0.1
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    passage_crop: int = 0
    checkpoint_every: int = 200
    log_every: int = 10

    def __post_init__(self) -> None:
        for name in ("steps", "passage_crop", "checkpoint_every"):
            if getattr(self, name) < 0:
                raise SettingsError(f"training.{name} is {getattr(self, name)}; it may not be negative")
        for name in ("batch_size", "learning_rate", "log_every"):
            if getattr(self, name) <= 0:
                raise SettingsError(f"training.{name} is {getattr(self, name)}; it must be above 0")
        if not 0 <= self.warmup < 1:
            raise SettingsError(f"training.warmup is {self.warmup}; it is a share of the steps, from 0 to below 1")
