"""A tiny experiment over the miniature world, and sweeps over it: what the tests of sweeps share."""

from pathlib import Path

from xlstance.augmentation.pairing import Pairing
from xlstance.augmentation.stage import Augmentation
from xlstance.augmentation.switching.code_switching import CodeSwitching
from xlstance.corpora.miniature import MiniatureSettings
from xlstance.corpora.registry import BenchmarkSource, Source
from xlstance.encoders import EncoderSettings
from xlstance.evaluation.settings import EvaluationSettings
from xlstance.experiment.settings import Arm, ClusterSettings, ExperimentSettings, RetrievalSettings, VocabularySettings
from xlstance.sweep.journal import Trial
from xlstance.sweep.points import label_of
from xlstance.sweep.settings import Axis, SweepSettings
from xlstance.training.settings import TrainingSettings, ValidationSettings

ALPHA = "training.sampler.alpha"


def experiment(output: Path, *, steps: int = 8, workers: int = 1, switching: bool = False) -> ExperimentSettings:
    switched = [
        Augmentation(
            of=["world"],
            code_switching=CodeSwitching(
                name="switched", source_language="qaa", languages=["qab"], lexicons=["miniature"]
            ),
        )
    ]
    return ExperimentSettings(
        output=str(output),
        miniature=MiniatureSettings(
            languages=2,
            concepts=60,
            names=20,
            train_passages=80,
            dev_passages=20,
            test_passages=20,
            issues=4,
            arguments=2,
        ),
        sources=[
            Source(name="world", format="miniature", split="train"),
            Source(name="world-dev", format="miniature", split="dev"),
        ],
        augmentations=[
            *(switched if switching else []),
            Augmentation(of=["world"], pairing=Pairing(name="paired")),
        ],
        development=["world-dev"],
        encoder=EncoderSettings(vocabulary_size=400, dimension=16, layers=1, heads=2, feed_forward=32, dropout=0.0),
        vocabulary=VocabularySettings(lines=1000),
        training=TrainingSettings(
            steps=steps,
            batch_size=8,
            learning_rate=5e-3,
            validation=ValidationSettings(every=2, batches=1, queries=20),
            log_every=2,
            checkpoint_every=2,
        ),
        arms=[
            Arm(name="first", sampler="x-x-mono", steps=2),
            Arm(name="hybrid", sampler="hybrid", start="first"),
        ],
        benchmarks=[BenchmarkSource(name="miniature", format="miniature")],
        retrieval=RetrievalSettings(top_k=10),
        evaluation=EvaluationSettings(resamples=200),
        cluster=ClusterSettings(workers=workers, stream_workers=1, shards=1),
    )


def alpha_sweep(*alphas: float, **settings) -> SweepSettings:
    space = settings.pop("space", None) or [Axis(setting=ALPHA, grid=list(alphas))]
    return SweepSettings(**{"seeds": [0], "space": space, **settings})


def ended(point: dict, seed: int = 0, state: str = "finished", **figures: float) -> Trial:
    """A trial that has come to its end."""
    name = f"{label_of(point)}-{seed}"
    return Trial(name=name, point=point, seed=seed, state=state, figures={"steps": 8, **figures} if figures else {})


def at_alpha(alpha: float, value: float, seed: int = 0, **more: float) -> Trial:
    """A finished trial whose mean average precisions are all alike."""
    figures = {"mono": value, "cross": value, "multi": value, "rank_distance": 100 * (1 - value), **more}
    return ended({ALPHA: alpha}, seed, **figures)
