"""Partitions and plans that several test files use."""

from xlstance.training.plan import BatchPlan, Partition, SamplerSettings

KINDS = ("x-x", "x-x-mono", "x-y", "hybrid", "mix-entries", "mix-passages", "round-robin")
LANGUAGES = ("de", "en", "fi")


def partition(query, passage, rows, source="s", bitext=False):
    return Partition(source=source, query_lang=query, passage_lang=passage, rows=rows, bitext=bitext)


def full_grid(rows=7, **changes):
    return [partition(a, b, rows, **changes) for a in LANGUAGES for b in LANGUAGES]


def read(partitions, steps, batch_size=8, seed=0, **sampler):
    plan = BatchPlan(partitions, SamplerSettings(**sampler), batch_size, seed)
    return [plan.batch(step) for step in range(steps)]
