"""A whole experiment over the miniature world on two workers: what comes out, that it is right, that it repeats."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from xlstance.augmentation.pairing import Pairing
from xlstance.augmentation.stage import Augmentation
from xlstance.augmentation.switching.code_switching import CodeSwitching
from xlstance.corpora.miniature import MiniatureSettings
from xlstance.corpora.registry import BenchmarkSource, Source
from xlstance.encoders import EncoderSettings
from xlstance.errors import StorageError
from xlstance.evaluation.settings import EvaluationSettings
from xlstance.experiment.run import run_experiment
from xlstance.experiment.settings import (
    Arm,
    ClusterSettings,
    ExperimentSettings,
    RetrievalSettings,
    VocabularySettings,
)
from xlstance.ranking import matrix_of
from xlstance.storage import Folder, read_manifest, read_table
from xlstance.training.settings import TrainingSettings, ValidationSettings

ARMS = ["as-it-is", "x-x-mono", "x-y", "hybrid"]


def settings_for(output: Path) -> ExperimentSettings:
    return ExperimentSettings(
        output=str(output),
        miniature=MiniatureSettings(
            languages=3,
            concepts=60,
            names=20,
            train_passages=120,
            dev_passages=24,
            test_passages=30,
            issues=4,
            arguments=2,
        ),
        sources=[
            Source(name="world", format="miniature", split="train"),
            Source(name="world-dev", format="miniature", split="dev"),
        ],
        augmentations=[
            Augmentation(
                of=["world"],
                code_switching=CodeSwitching(
                    name="switched", source_language="qaa", languages=["qab"], lexicons=["miniature"]
                ),
            ),
            Augmentation(of=["world", "switched"], pairing=Pairing(name="paired")),
        ],
        development=["world-dev"],
        encoder=EncoderSettings(
            vocabulary_size=600, dimension=32, layers=1, heads=2, feed_forward=64, query_prefix="query: "
        ),
        vocabulary=VocabularySettings(lines=2000),
        training=TrainingSettings(
            steps=12, batch_size=16, learning_rate=5e-3, validation=ValidationSettings(every=6, batches=2), log_every=4
        ),
        arms=[
            Arm(name="as-it-is", sampler="none"),
            Arm(name="x-x-mono", sampler="x-x-mono", sources=["world"]),
            Arm(name="x-y", sampler="x-y"),
            Arm(name="hybrid", sampler="hybrid", start="x-x-mono", steps=6),
        ],
        benchmarks=[BenchmarkSource(name="miniature", format="miniature")],
        retrieval=RetrievalSettings(top_k=20),
        evaluation=EvaluationSettings(resamples=500),
        cluster=ClusterSettings(workers=2, stream_workers=1, shards=2),
    )


@pytest.fixture(scope="module")
def output(ray_session, tmp_path_factory):
    folder = tmp_path_factory.mktemp("experiment") / "first"
    run_experiment(settings_for(folder))
    return folder


@pytest.fixture(scope="module")
def results(output):
    return json.loads((output / "results.json").read_text())


@pytest.fixture(scope="module")
def tables(output):
    folder = Folder(output / "benchmarks" / "miniature")
    return {name: read_table(folder / name, name) for name in ("queries", "passages", "qrels")}


def vectors_of(output: Path, run: str, kind: str, ids) -> np.ndarray:
    return matrix_of(read_table(Folder(output / "vectors" / run / "miniature" / kind), "vectors"), ids)


def test_results_have_their_schema(results):
    assert set(results) == {
        *("schema", "settings", "leakage", "significance", "claims", "looks", "code_version", "machine", "arms"),
        *("examples", "provenance"),
    }
    assert results["schema"] == 1
    assert results["settings"]["miniature"]["languages"] == 3
    assert [(arm["name"], arm["seed"]) for arm in results["arms"]] == [(name, 0) for name in ARMS]
    for arm in results["arms"]:
        assert set(arm) == {"name", "seed", "sampler", "augmentation", "train", "benchmarks"}
        figures = arm["benchmarks"]["miniature"]
        for setting, names in {
            "mono": {"map", "recall@1"},
            "cross": {"map", "recall@1"},
            "multi": {"map", "map_micro", "recall@10", "rank_distance"},
        }.items():
            assert names <= set(figures[setting])
            assert figures[setting]["queries"] == 180
        assert set(figures["per_language"]) == {"qaa", "qab", "qac"}
        assert set(figures["per_pair"]) == {f"{a}->{b}" for a in ("qaa", "qab", "qac") for b in ("qaa", "qab", "qac")}
        assert figures["passages"] == {"qaa": 30, "qab": 30, "qac": 30}
        assert "synthetic" in " ".join(figures["notes"])
        assert figures["protocols"] == {}  # nobody else measures on it
        assert "forgetting" not in figures


def test_results_say_how_each_arm_was_trained(results):
    untrained, mono, cross, hybrid = results["arms"]
    assert (untrained["sampler"], untrained["augmentation"], untrained["train"]["steps"]) == ({}, [], 0)
    assert [arm["train"]["steps"] for arm in (mono, cross, hybrid)] == [12, 12, 6]
    assert [arm["sampler"]["kind"] for arm in (mono, cross, hybrid)] == ["x-x-mono", "x-y", "hybrid"]
    assert (mono["augmentation"], mono["train"]["sources"]) == ([], ["world"])
    assert cross["augmentation"] == hybrid["augmentation"] == ["switched", "paired"]
    assert hybrid["train"]["start"] == "x-x-mono"
    assert all(arm["train"]["pairs_per_second"] > 0 for arm in (mono, cross, hybrid))


def test_results_say_what_is_certain(results, output):
    tests = results["significance"]["miniature"]
    assert (tests["units"], tests["seeds"], tests["resamples"]) == (30, [0], 500)
    figures = {(arm["name"], setting): arm["benchmarks"]["miniature"][setting] for arm in results["arms"]
               for setting in ("mono", "cross", "multi")}  # fmt: skip
    assert len(tests["intervals"]) == 8 * len(ARMS)
    for interval in tests["intervals"]:
        name = interval["figure"]
        value = figures[interval["arm"], interval["setting"]][name]
        assert interval["value"] == pytest.approx(value, abs=1e-9), interval
        assert interval["low"] <= value <= interval["high"]
    by_name = {claim["name"]: claim for claim in results["claims"]}
    # The arms' sources differ, so hybrid has no rival of the same augmentations but the untrained encoder and x-y.
    assert [part["other"] for part in by_name["best-multilingual"]["parts"]] == ["as-it-is", "x-y"]
    assert by_name["no-evaluation-data"]["verdict"] == "supported"
    assert results["looks"] == {"miniature": {"role": "test", "models": len(ARMS)}}
    assert len(list((output / "looks").iterdir())) == len(ARMS)


def test_every_model_folder_has_a_card(output, results, tables):
    cards = {name: (output / "models" / f"{name}-0" / "README.md").read_text() for name in ARMS}
    hybrid = next(arm for arm in results["arms"] if arm["name"] == "hybrid")["benchmarks"]["miniature"]
    assert f"| miniature | {hybrid['mono']['map']:.4f} | {hybrid['cross']['map']:.4f} |" in cards["hybrid"]
    assert "| sampler.kind | hybrid |" in cards["hybrid"]
    assert "It starts from the arm `x-x-mono`." in cards["hybrid"]
    pairs = {name: read_manifest(Folder(output / "corpora" / name / "pairs")).rows for name in ("world", "world-dev")}
    assert f"| world | {pairs['world']} | qaa, qab, qac |" in cards["hybrid"]
    assert "| paired | " in cards["hybrid"]
    assert "paired" not in cards["x-x-mono"]
    assert "world-dev" not in "".join(cards.values())
    assert "## Training" not in cards["as-it-is"]
    for name, card in cards.items():
        assert "Synthetic benchmarks, whose figures say nothing of real text: miniature." in card
        assert ("one seed" in card) == (name != "as-it-is")
        assert 'A query is encoded with "query: " before it' in card
        assert str(output) not in card
        assert "base_model" not in card


def test_metrics_of_all_runs_are_one_file(output):
    rows = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    steps = {name: [row["step"] for row in rows if row["arm"] == name and "loss" in row] for name in ARMS}
    assert steps == {"as-it-is": [], "x-x-mono": [4, 8, 12], "x-y": [4, 8, 12], "hybrid": [4, 6]}
    assert sum("validation_loss" in row for row in rows) == 5


def test_the_report_shows_every_arm_and_loads_nothing(output):
    html = (output / "report.html").read_text()
    assert all(name in html for name in ARMS)
    namespaces = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert set(re.findall(r"https?://[^\s\"'<>)]+", html)) <= namespaces
    assert not re.search(r"<(script|link|img|iframe)[^>]*(src|href)=", html)


def test_training_moves_the_weights_and_an_untrained_arm_keeps_them(output):
    weights = {name: load_file(output / "models" / f"{name}-0" / "model.safetensors") for name in ARMS}

    def equal(one: str, other: str) -> bool:
        return all(np.array_equal(weights[one][key], weights[other][key]) for key in weights[one])

    assert not any(equal(one, other) for one in ARMS for other in ARMS if one < other)
    # Six small steps leave hybrid nearer to the arm it starts from than to an encoder from scratch.
    distance = {
        name: sum(np.abs(weights["hybrid"][key] - weights[name][key]).sum() for key in weights[name]) for name in ARMS
    }
    assert distance["x-x-mono"] < distance["as-it-is"]


@pytest.mark.parametrize("arm", ["as-it-is", "hybrid"])
def test_sentence_transformers_loads_the_model_and_gives_the_same_figures(output, results, tables, arm):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    model = sentence_transformers.SentenceTransformer(str(output / "models" / f"{arm}-0"), device="cpu")
    queries, passages = tables["queries"], tables["passages"]
    query_vectors = model.encode_query(queries["text"].to_pylist(), normalize_embeddings=True)
    passage_vectors = model.encode_document(passages["text"].to_pylist(), normalize_embeddings=True)
    np.testing.assert_allclose(query_vectors, vectors_of(output, f"{arm}-0", "queries", queries["query_id"]), atol=1e-5)
    np.testing.assert_allclose(
        passage_vectors, vectors_of(output, f"{arm}-0", "passages", passages["passage_id"]), atol=1e-5
    )
    figures = next(a for a in results["arms"] if a["name"] == arm)["benchmarks"]["miniature"]
    assert figures["ties"] == 0
    mono, cross, multi = mean_average_precisions(tables, query_vectors @ passage_vectors.T)
    assert figures["mono"]["map"] == pytest.approx(mono, abs=1e-4)
    assert figures["cross"]["map"] == pytest.approx(cross, abs=1e-4)
    assert figures["multi"]["map"] == pytest.approx(multi, abs=1e-4)


def mean_average_precisions(tables, scores):
    """Mono, cross and multi mAP, query by query from sorted lists; every language has the same number of queries."""
    ids, langs = tables["passages"]["passage_id"].to_pylist(), np.array(tables["passages"]["lang"].to_pylist())
    relevant = {(row["query_id"], row["passage_id"]) for row in tables["qrels"].to_pylist() if row["gain"] > 0}
    mono, cross, multi = [], [], []
    for row, query in enumerate(tables["queries"].to_pylist()):
        hits = np.array([(query["query_id"], name) in relevant for name in ids])[np.argsort(-scores[row])]
        ordered = langs[np.argsort(-scores[row])]
        multi.append(average_precision(hits))
        for lang in sorted(set(langs)):
            (mono if lang == query["lang"] else cross).append(average_precision(hits[ordered == lang]))
    return np.mean(mono), np.mean(cross), np.mean(multi)


def average_precision(hits):
    return (np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean()


def test_exact_search_agrees_with_the_exact_ranks(output, results, tables):
    for arm in results["arms"]:
        found = arm["benchmarks"]["miniature"]["search"]
        assert found == {"index": "Flat", "top_k": 20, "agreement@10": 1.0, "overlap@100": None}  # a run of 20
        run = read_table(Folder(output / "runs" / f"{arm['name']}-0" / "miniature"), "runs")
        assert run.num_rows == tables["queries"].num_rows * 20


def files_of(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_second_run_does_no_work_again(output, results, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("done again")

    monkeypatch.setattr("xlstance.training.distributed.TorchTrainer", refuse)
    monkeypatch.setattr("xlstance.streams._run", refuse)
    monkeypatch.setattr("xlstance.experiment.data.train_vocabulary", refuse)
    before = files_of(output)
    cards = {name: (output / name).read_text() for name in before if name.endswith("README.md")}
    drawn = {name: (output / name).read_bytes() for name in before if re.search(r"\.(md|tex|svg|png|pdf|yaml)$", name)}
    again = json.loads(json.dumps(run_experiment(settings_for(output))))
    assert again == {**results, "code_version": again["code_version"]}  # the checkout may have changed meanwhile
    rewritten = {"results.json", "report.html", "metrics.jsonl", "events.jsonl", "reproduce.yaml"}
    rewritten |= {name for name in before if re.fullmatch(r"(tables|pictures)/[^/]+\.(md|tex|svg|png|pdf)", name)}
    after = files_of(output)
    changed = {name for name in after if after[name] != before.get(name)}
    assert {name for name in changed if "lexicons" not in name and not name.endswith("README.md")} <= rewritten
    assert {name: (output / name).read_text() for name in cards} == cards
    assert {name: (output / name).read_bytes() for name in drawn} == drawn
    assert json.loads((output / "results.json").read_text()) == again


def test_a_folder_may_be_tested_with_other_draws(output, results, ray_session):
    settings = replace(settings_for(output), evaluation=EvaluationSettings(resamples=300, seed=1))
    again = json.loads(json.dumps(run_experiment(settings)))
    assert again["arms"] == results["arms"]
    assert again["looks"] == results["looks"]  # the same models on the same data
    tests, before = (found["significance"]["miniature"] for found in (again, results))
    assert tests["resamples"] == 300
    assert [row["value"] for row in tests["intervals"]] == [row["value"] for row in before["intervals"]]
    assert [row["low"] for row in tests["intervals"]] != [row["low"] for row in before["intervals"]]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seeds": [1]}, "seeds"),
        ({"training": TrainingSettings(steps=13, batch_size=16)}, "training"),
        ({"arms": [Arm(name="as-it-is", sampler="none")], "development": []}, "arms, development"),
        ({"cluster": ClusterSettings(shards=3)}, "cluster.shards"),
        ({"evaluation": EvaluationSettings(without_answer="zero")}, "evaluation.without_answer"),
    ],
)
def test_other_settings_are_refused_by_name(output, changes, named):
    before = files_of(output)
    with pytest.raises(StorageError, match=rf"other settings \({named}\)"):
        run_experiment(replace(settings_for(output), **changes))
    assert files_of(output) == before


@pytest.mark.slow  # the whole experiment once more
def test_another_output_gives_equal_weights_and_figures(output, results, ray_session, tmp_path):
    again = json.loads(json.dumps(run_experiment(settings_for(tmp_path / "second"))))
    assert [arm["benchmarks"] for arm in again["arms"]] == [arm["benchmarks"] for arm in results["arms"]]
    assert again["significance"] == results["significance"]
    assert again["claims"] == results["claims"]
    for name in [f"{arm}-0/{file}" for arm in ARMS for file in ("model.safetensors", "README.md")]:
        one, other = ((root / "models" / name).read_bytes() for root in (output, tmp_path / "second"))
        assert one == other, name
    for path in ("augmented", "benchmarks", "corpora"):
        manifests = sorted((output / path).rglob("manifest.json"))
        assert manifests
        for manifest in manifests:
            assert manifest.read_bytes() == (tmp_path / "second" / manifest.relative_to(output)).read_bytes()


@pytest.fixture(scope="module")
def tuned(output, ray_session, tmp_path_factory):
    """An experiment that begins with a finished encoder, the first one's, and does not name it as an arm."""
    first = settings_for(tmp_path_factory.mktemp("experiment") / "tuned")
    settings = replace(
        first,
        encoder=EncoderSettings(model=str(output / "models" / "x-x-mono-0")),
        augmentations=[],
        development=[],
        sources=first.sources[:1],
        seeds=[0, 1],
        training=TrainingSettings(steps=2, batch_size=16, validation=ValidationSettings(every=0)),
        arms=[Arm(name="x-x", sampler="x-x"), Arm(name="x-x-mono", sampler="x-x-mono")],
    )
    return json.loads(json.dumps(run_experiment(settings))), Path(settings.output)


def test_the_untouched_encoder_stands_in_the_table_once(tuned, results, output):
    found, _ = tuned
    runs = [(arm["name"], arm["seed"]) for arm in found["arms"]]
    assert runs == [("untouched", 0), ("x-x", 0), ("x-x-mono", 0), ("x-x", 1), ("x-x-mono", 1)]
    before = next(arm for arm in results["arms"] if arm["name"] == "x-x-mono")["benchmarks"]["miniature"]
    untouched = found["arms"][0]["benchmarks"]["miniature"]
    for setting in ("mono", "cross", "multi"):
        assert untouched[setting] == pytest.approx(before[setting], abs=1e-9)
    assert "forgetting" not in untouched
    for arm in found["arms"][1:]:
        figures = arm["benchmarks"]["miniature"]
        changes = dict(figures["forgetting"])
        assert changes.pop("against") == "untouched"
        assert set(changes) == {"mono", "qaa", "qab", "qac"}  # nobody asks in English
        assert changes["mono"] == figures["mono"]["map"] - untouched["mono"]["map"]
        after, then = (own["per_language"]["qab"]["mono"]["map"] for own in (figures, untouched))
        assert changes["qab"] == after - then
    assert any(arm["benchmarks"]["miniature"]["forgetting"]["mono"] for arm in found["arms"][1:])


def test_an_encoder_without_seeds_is_compared_with_every_seed(tuned):
    found, folder = tuned
    tests = found["significance"]["miniature"]
    assert tests["seeds"] == [0, 1]
    assert {pair for c in tests["comparisons"] for pair in (c["arm"], c["other"])} == {
        *("untouched", "x-x", "x-x-mono")
    }
    assert found["looks"]["miniature"]["models"] == 5
    assert "mono vs untouched" in (folder / "report.html").read_text()
    cards = {path.parent.name: path.read_text() for path in folder.glob("models/*/README.md")}
    assert set(cards) == {"untouched-0", "x-x-0", "x-x-1", "x-x-mono-0", "x-x-mono-1"}
    assert "as it is" in cards["untouched-0"]
    assert "base_model" not in cards["x-x-1"]  # a folder on this machine
    assert "one seed" not in cards["x-x-1"]
