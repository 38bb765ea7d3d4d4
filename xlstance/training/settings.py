"""Settings of a training run, part by part."""

from dataclasses import dataclass, field
from typing import Literal

from xlstance.encoders import LoraSettings
from xlstance.errors import SettingsError
from xlstance.training.plan import SamplerSettings


@dataclass(frozen=True, kw_only=True)
class LossSettings:
    """The contrastive loss.

    Attributes:
        temperature: divides the cosine in InfoNCE; what a learned one starts from.
        learn_temperature: whether the temperature is trained with the encoder, down to 0.01 at least.
        symmetric: whether passages look for their queries too.
        positives: what becomes of the other passages in the batch that are known to answer a query: ``masked``, they
            are neither positives nor negatives; ``all``, they are positives too.
        negatives_in: which passages of the batch are negatives: ``all``, or ``passage-language``, only those in the
            language of the query's own positive (its explicit negatives count in any language); for passages that look
            for their queries, those queries in the language of the passage's own.
        matryoshka: numbers of entries, below the encoder's; the loss is the mean of that of the whole vectors and those
            of their first so many entries.
    """

    temperature: float = 0.05
    learn_temperature: bool = False
    symmetric: bool = True
    positives: Literal["masked", "all"] = "masked"
    negatives_in: Literal["all", "passage-language"] = "all"
    matryoshka: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise SettingsError(f"training.loss.temperature is {self.temperature}; it must be above 0")
        if any(size < 1 for size in self.matryoshka):
            raise SettingsError(
                f"training.loss.matryoshka is {self.matryoshka}; it lists numbers of entries, each at least 1"
            )


@dataclass(frozen=True, kw_only=True)
class DeepSpeedSettings:
    """The engine.

    Attributes:
        zero_stage: DeepSpeed's ZeRO stage, 0 to 3.
        precision: ``fp32``, or ``bf16`` or ``fp16`` on machines that have it.
        gradient_clipping: largest norm of the gradient; 0 for none.
        offload: what is kept in the main memory and not in the GPU's: ``none``; ``optimizer``, its state (needs ZeRO 1
            to 3); ``parameters``, these too (needs ZeRO 3).
        config: path of a JSON of DeepSpeed's own, which every process can read, to use in place of the settings above;
            what it leaves out of the batch's size and of clipping is filled in.
    """

    zero_stage: Literal[0, 1, 2, 3] = 0
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    gradient_clipping: float = 1.0
    offload: Literal["none", "optimizer", "parameters"] = "none"
    config: str = ""

    def __post_init__(self) -> None:
        needed = {"none": 0, "optimizer": 1, "parameters": 3}[self.offload]
        if self.zero_stage < needed:
            raise SettingsError(
                f"training.deepspeed.offload is {self.offload!r}, which needs training.deepspeed.zero_stage {needed} "
                f"or above, not {self.zero_stage}"
            )
        if self.gradient_clipping < 0:
            raise SettingsError(
                f"training.deepspeed.gradient_clipping is {self.gradient_clipping}; it may not be negative"
            )


@dataclass(frozen=True, kw_only=True)
class ValidationSettings:
    """Validation during training, where the experiment has development pairs.

    Attributes:
        every: steps between validations; 0 for none.
        batches: batches whose loss is measured.
        queries: development queries of a small retrieval whose mean average precision is measured; 0 for none.
        watch: what decides which validation is the best: ``loss``, or ``retrieval``, the mean over the settings (mono,
            cross, multi) that the development pairs have.
        patience: validations without a better figure after which training stops; 0 trains all steps.
        keep: which weights become the model, the ``last`` or those of the ``best`` validation. Default: the best where
            training may stop early, else the last.
    """

    every: int = 100
    batches: int = 8
    queries: int = 200
    watch: Literal["loss", "retrieval"] = "loss"
    patience: int = 0
    keep: Literal["last", "best"] | None = None

    def __post_init__(self) -> None:
        for name in ("every", "queries", "patience"):
            if getattr(self, name) < 0:
                raise SettingsError(f"training.validation.{name} is {getattr(self, name)}; it may not be negative")
        if self.batches < 1:
            raise SettingsError(f"training.validation.batches is {self.batches}; it is a number of batches, at least 1")
        if self.watch == "retrieval" and not self.queries:
            raise SettingsError("training.validation.watch is 'retrieval': set training.validation.queries above 0")
        if self.keeps_best and not self.every:
            name = "patience" if self.patience else "keep: best"
            raise SettingsError(f"training.validation.{name} needs validations: set training.validation.every")

    @property
    def keeps_best(self) -> bool:
        """Whether the weights of the best validation become the model."""
        return bool(self.patience) if self.keep is None else self.keep == "best"


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How an encoder is trained.

    Attributes:
        sampler: how batches are mixed.
        loss: what is made small.
        deepspeed: the engine that does it.
        lora: adapters to train in place of the network.
        validation: how it is watched.
        steps: optimizer steps; 0 leaves the encoder as it is.
        batch_size: pairs of a global batch; a multiple of the number of workers.
        learning_rate: peak of the schedule.
        weight_decay: of AdamW.
        warmup: share of the steps over which the learning rate rises from 0.
        schedule: what follows the warm-up: ``linear`` or ``cosine`` decay to 0, or ``constant``.
        passage_crop: tokens of a random window of each passage, drawn anew at every step; 0 takes the whole passage.
        negatives: explicit negatives used per pair, the first ones that it names; pairs may have fewer.
        gradient_caching: whether texts are encoded twice, chunk by chunk, so that a batch of any size needs the memory
            of one chunk. The result is the same.
        chunk_tokens: tokens that a process encodes at a time, padding included; 0 for what suits the device.
        gradient_checkpointing: whether the network's inner values are computed again for the gradient, to save memory.
        divergence: nats by which the running mean of the loss (over about ten batches of a kind) may rise above its
            lowest value before training stops with an error; 0: by any. A loss that is no number always stops it.
        checkpoint_every: steps between checkpoints; 0 for none.
        log_every: steps between lines of metrics.
        tensorboard: whether the metrics are also written for TensorBoard, into the model's folder.
    """

    sampler: SamplerSettings = field(default_factory=SamplerSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    deepspeed: DeepSpeedSettings = field(default_factory=DeepSpeedSettings)
    lora: LoraSettings = field(default_factory=LoraSettings)
    validation: ValidationSettings = field(default_factory=ValidationSettings)
    steps: int = 500
    batch_size: int = 128
    learning_rate: float = 5e-4
    weight_decay: float = 0.01
    warmup: float = 0.1
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    passage_crop: int = 0
    negatives: int = 0
    gradient_caching: bool = False
    chunk_tokens: int = 0
    gradient_checkpointing: bool = False
    divergence: float = 3.0
    checkpoint_every: int = 200
    log_every: int = 10
    tensorboard: bool = False

    def __post_init__(self) -> None:
        for name in ("steps", "passage_crop", "negatives", "chunk_tokens", "divergence", "checkpoint_every"):
            if getattr(self, name) < 0:
                raise SettingsError(f"training.{name} is {getattr(self, name)}; it may not be negative")
        for name in ("batch_size", "learning_rate", "log_every"):
            if getattr(self, name) <= 0:
                raise SettingsError(f"training.{name} is {getattr(self, name)}; it must be above 0")
        if not 0 <= self.warmup < 1:
            raise SettingsError(f"training.warmup is {self.warmup}; it is a share of the steps, from 0 to below 1")
