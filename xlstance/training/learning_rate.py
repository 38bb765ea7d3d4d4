"""The learning rate over the steps of a run."""

import math

from xlstance.training.settings import TrainingSettings


def learning_rate_at(settings: TrainingSettings, step: int) -> float:
    """The learning rate at a step (from 0): a linear rise to the peak, then the schedule's decay."""
    warm = settings.warmup * settings.steps
    if step < warm:
        return settings.learning_rate * (step + 1) / (warm + 1)
    done = (step - warm) / max(1.0, settings.steps - warm)
    share = {"linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2, "constant": 1.0}[settings.schedule]
    return settings.learning_rate * share
