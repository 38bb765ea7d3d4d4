"""The batch plan: which rows make up global batch n, as a pure function of (settings, partitions, seed, n)."""

from xlstance.training.plan.batch_plan import Batch, BatchPlan, Kind
from xlstance.training.plan.pools import Partition
from xlstance.training.plan.sampler import Sampler, SamplerSettings

__all__ = ["Batch", "BatchPlan", "Kind", "Partition", "Sampler", "SamplerSettings"]
