"""A comparison of what experiments really leave behind."""

import pytest

from xlstance.compare.compare import compare_runs
from xlstance.corpora.miniature import MiniatureSettings
from xlstance.corpora.registry import BenchmarkSource
from xlstance.encoders import EncoderSettings, load_encoder, train_vocabulary
from xlstance.evaluation.results import read_results
from xlstance.evaluation.settings import EvaluationSettings
from xlstance.experiment.run import run_experiment
from xlstance.experiment.settings import Arm, ClusterSettings, ExperimentSettings
from xlstance.storage import Folder

WORLD = MiniatureSettings(
    languages=3, concepts=60, names=20, train_passages=20, dev_passages=12, test_passages=24, issues=3
)


@pytest.mark.slow  # two whole experiments, and the pictures
def test_two_evaluations_of_the_miniature(tmp_path, ray_session):
    train_vocabulary([f"word{n} wort{n}" for n in range(99)], 200, lowercase=True).save(
        str(tmp_path / "vocabulary.json")
    )
    runs = []
    for name, dimension in (("small", 4), ("large", 64)):
        encoder = EncoderSettings(kind="static", vocabulary_size=200, dimension=dimension)
        load_encoder(encoder, tokenizer=str(tmp_path / "vocabulary.json")).save(tmp_path / f"{name}-model")
        runs.append(str(tmp_path / name))
        run_experiment(
            ExperimentSettings(
                output=runs[-1],
                miniature=WORLD,
                encoder=EncoderSettings(model=str(tmp_path / f"{name}-model")),
                arms=[Arm(name=f"{name}-model", sampler="none")],
                benchmarks=[BenchmarkSource(name="world", format="miniature")],
                evaluation=EvaluationSettings(resamples=200),
                cluster=ClusterSettings(workers=1, stream_workers=1),
            )
        )
    found = compare_runs(runs, str(tmp_path / "out"))
    own = {arm["name"]: arm for run in runs for arm in read_results(Folder(run))["arms"]}
    assert {arm["name"]: arm for arm in read_results(Folder(tmp_path / "out"))["arms"]} == own
    tested = {
        (row["setting"], row["figure"], row["arm"]): row["value"] for row in found["significance"]["world"]["intervals"]
    }
    for (setting, figure, arm), value in tested.items():
        assert abs(own[arm]["benchmarks"]["world"][setting][figure] - value) < 1e-9
    assert found["looks"]["world"]["models"] == 2
    (line,) = [line for section in found["compared"] for line in section["lines"] if line.startswith("encoder.model: ")]
    assert line.endswith("large-model")
    assert not [line for section in found["compared"] for line in section["lines"] if line.startswith("output")]
