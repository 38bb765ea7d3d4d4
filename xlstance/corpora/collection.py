from xlstance.collection import Benchmark, TrainingSet  # noqa
