"""Settings of an experiment: what is refused and in which words, what an arm inherits, and the ready configurations."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from xlstance.augmentation.pairing import Pairing
from xlstance.augmentation.stage import Augmentation
from xlstance.corpora.registry import BenchmarkSource, Source
from xlstance.encoders import EncoderSettings
from xlstance.errors import SettingsError
from xlstance.experiment.run import run_experiment
from xlstance.experiment.settings import Arm, ClusterSettings, ExperimentSettings, StartSettings
from xlstance.settings import make_parser, parse
from xlstance.training.plan import SamplerSettings
from xlstance.training.settings import TrainingSettings

CONFIGS = sorted((Path(__file__).resolve().parents[2] / "jobs" / "configs").glob("*.yaml"))
WORLD = Source(name="world", format="miniature", split="train")
MINIATURE = BenchmarkSource(name="miniature", format="miniature")
XQUAD = BenchmarkSource(name="xquad-r", format="lareqa", path="x")
HYBRID = Arm(name="hybrid", sampler="hybrid")
AS_IT_IS = Arm(name="as-it-is", sampler="none")


def settings(**changes):
    return ExperimentSettings(**{"sources": [WORLD], "benchmarks": [MINIATURE], "arms": [HYBRID], **changes})


def test_an_arm_inherits_what_it_does_not_say():
    common = TrainingSettings(steps=70, batch_size=32, sampler=SamplerSettings(alpha=0.25, bitext_share=0.125))
    plain = Arm(name="a", sampler="hybrid").training(common)
    assert (plain.steps, plain.batch_size, plain.sampler.kind) == (70, 32, "hybrid")
    assert (plain.sampler.alpha, plain.sampler.bitext_share) == (0.25, 0.125)
    own = Arm(name="a", sampler="hybrid", alpha=0.0, bitext_share=0.0, steps=3, learning_rate=1.0).training(common)
    assert (own.steps, own.batch_size, own.learning_rate) == (3, 32, 1.0)
    assert (own.sampler.alpha, own.sampler.bitext_share) == (0.0, 0.0)  # nought is said, not left out
    assert Arm(name="a", sampler="none").training(common).steps == 0


def test_runs_are_every_arm_by_every_seed():
    made = settings(seeds=[3, 1], arms=[HYBRID, Arm(name="later", sampler="hybrid", start="hybrid")])
    assert [(arm.name, seed) for arm, seed in made.runs()] == [
        *(("hybrid", 3), ("later", 3)),
        *(("hybrid", 1), ("later", 1)),
    ]


PRETRAINED = EncoderSettings(model="encoder")
UNTOUCHED = Arm(name="untouched", sampler="none")


@pytest.mark.parametrize(
    ("changes", "untouched", "added"),
    [
        ({}, None, None),  # from scratch
        ({"encoder": PRETRAINED}, UNTOUCHED, UNTOUCHED),
        ({"encoder": PRETRAINED, "baselines": []}, None, None),
        ({"encoder": PRETRAINED, "arms": [HYBRID, AS_IT_IS]}, AS_IT_IS, None),
        ({"encoder": PRETRAINED, "arms": [HYBRID, AS_IT_IS], "baselines": []}, AS_IT_IS, None),
        ({"encoder": PRETRAINED, "arms": [HYBRID, replace(AS_IT_IS, compare=False)]}, UNTOUCHED, UNTOUCHED),
        ({"encoder": PRETRAINED, "arms": [HYBRID, replace(AS_IT_IS, start="hybrid")]}, UNTOUCHED, UNTOUCHED),
    ],
)
def test_the_untouched_encoder_is_an_arm_once(changes, untouched, added):
    made = settings(**{"seeds": [3, 1], **changes})
    assert (made.untouched, made.added_baseline) == (untouched, added)
    runs = [(arm, seed) for seed in (3, 1) for arm in made.arms]
    assert list(made.runs()) == ([(added, 3), *runs] if added else runs)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"output": ""}, "output is empty"),
        ({"seeds": []}, "seeds is empty"),
        ({"seeds": [1, 1]}, r"seeds are \[1, 1\]"),
        ({"seeds": [-1]}, r"seeds are \[-1\]"),
        ({"sources": [WORLD, WORLD]}, "two entries are called 'world'"),
        ({"arms": [HYBRID, HYBRID]}, "two entries are called 'hybrid'"),
        ({"arms": [Arm(name="../up", sampler="none")]}, "'../up' is no name"),
        ({"arms": [Arm(name="", sampler="none")]}, "'' is no name"),
        ({"development": ["dev"]}, "development names 'dev'; known here are world"),
        ({"bitext": ["tatoeba"]}, "bitext names 'tatoeba'"),
        ({"arms": [Arm(name="a", sampler="x-y", sources=["squad"])]}, "arm a: sources names 'squad'"),
        ({"arms": [Arm(name="a", sampler="x-y", start="later"), Arm(name="later", sampler="x-y")]}, "an earlier arm"),
        ({"arms": [Arm(name="a", sampler="x-y", batch_size=9)]}, "batch_size 9 is no multiple of cluster.workers 2"),
        ({"arms": [Arm(name="a", sampler="hybrid", alpha=2.0)]}, "alpha is 2.0"),
        ({"sources": []}, "arm hybrid is trained, but sources is empty"),
        ({"start": StartSettings(rarity=True)}, "start is for a static encoder from scratch"),
        (
            {"start": StartSettings(lexicons=["muse"]), "encoder": EncoderSettings(kind="static")},
            "start.lexicons names 'muse'",
        ),
        ({"encoder": PRETRAINED, "arms": [Arm(name="untouched", sampler="x-y")]}, "arm untouched: .* has this name"),
        ({"baselines": ["bm25", "bm25"]}, "baselines names bm25 twice"),
        ({"baselines": ["bm25"], "arms": [Arm(name="bm25", sampler="x-y")]}, "arm bm25: a baseline has this name"),
        ({"baselines": ["merged-normalised"]}, "merged-normalised merges .*; name a pretrained one in encoder.model"),
        ({"baselines": ["merged-round-robin"], "encoder": PRETRAINED}, "lists of the untouched encoder; add untouched"),
        ({"baselines": ["translate-test"], "benchmarks": [XQUAD]}, "translate-test needs dictionaries"),
        ({"baselines": ["translate-test"], "lexicons": ["en-de.tsv"]}, "lexicon 'en-de.tsv' lacks {lang}"),
        (
            {"augmentations": [Augmentation(of=["later"], pairing=Pairing(name="later"))]},
            "augmentation later: of names 'later'",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(changes, message):
    with pytest.raises(SettingsError, match=message) as caught:
        settings(**changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "once"),
    [
        ({}, set()),
        ({"baselines": ["bm25", "translate-test"]}, {"bm25", "translate-test"}),
        ({"encoder": PRETRAINED}, {"untouched"}),
        ({"encoder": PRETRAINED, "arms": [AS_IT_IS], "baselines": ["untouched", "bm25"]}, {"bm25"}),
        ({"encoder": PRETRAINED, "arms": [AS_IT_IS], "baselines": ["merged-normalised"]}, {"merged-normalised"}),
    ],
)
def test_a_baseline_is_measured_once_for_all_seeds(changes, once):
    assert settings(**{"seeds": [3, 1], **changes}).measured_once == once


@pytest.mark.parametrize("name", ["arms", "benchmarks"])
def test_an_experiment_needs_something_to_compare_and_to_compare_on(name, tmp_path):
    with pytest.raises(SettingsError, match=f"^{name} is empty"):
        run_experiment(settings(**{"output": str(tmp_path / "out"), name: []}))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["workers", "cpus_per_worker", "stream_workers", "shards"])
def test_a_cluster_needs_at_least_one_of_each(name):
    with pytest.raises(SettingsError, match=f"cluster.{name} is 0"):
        ClusterSettings(**{name: 0})


def test_an_untrained_encoder_needs_no_source():
    assert settings(sources=[], arms=[Arm(name="as-it-is", sampler="none")]).arms[0].sampler == "none"


def read(*arguments):
    return parse(ExperimentSettings, make_parser(ExperimentSettings, "", "xlstance experiment"), arguments)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_ready_configurations_are_read(path):
    made = read("--config", str(path))
    assert list(made.runs())
    assert made.output == f"runs/{path.stem}"
    lexicons = [file for a in made.augmentations if a.code_switching for file in a.code_switching.lexicons]
    entries = [*made.sources, *made.benchmarks]
    paths = [entry.path for entry in entries] + [file for entry in entries for file in entry.files.values()]
    for text in [made.output, made.data, *paths, *lexicons]:
        assert not Path(text).is_absolute(), text
        assert "://" not in text, text
        assert ".." not in Path(text).parts, text


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_the_first_line_says_whether_data_are_needed(path):
    first = path.read_text().splitlines()[0]
    assert first.startswith("# ")
    made = read("--config", str(path))
    built_in = all(entry.format.startswith("miniature") for entry in [*made.sources, *made.benchmarks])
    assert ("--data" in first) == (not built_in)
    assert ("no download" in first) == (built_in and not made.encoder.model)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_the_command_line_wins_over_a_configuration(path):
    made = read("--config", str(path), "--training.sampler.alpha", "0.125", "--output", "elsewhere")
    assert made.training.sampler.alpha == 0.125
    assert made.output == "elsewhere"
    assert made.arms == read("--config", str(path)).arms


def test_baselines_and_tests_are_set_on_the_command_line():
    path = str(CONFIGS[0])
    assert read("--config", path).baselines == ["untouched"]
    made = read("--config", path, "--baselines", "[]", "--evaluation.resamples", "500")
    assert (made.baselines, made.evaluation.resamples) == ([], 500)


def test_norwegian_is_a_language_in_a_configuration(tmp_path):
    path = tmp_path / "norwegian.yaml"
    path.write_text(
        "sources: [{name: opus, format: bitext, path: 'en-{lang}.tsv', languages: [no, sv]}]\n"
        "benchmarks: [{name: miniature, format: miniature}]\narms: [{name: as-it-is, sampler: none}]\n"
    )
    assert yaml.safe_load(path.read_text())["sources"][0]["languages"] == [False, "sv"]  # what YAML 1.1 makes of it
    assert read("--config", str(path)).sources[0].languages == ["no", "sv"]
