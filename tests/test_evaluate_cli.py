"""``xlstance evaluate`` as a user calls it: models, vectors, runs and baselines, and what is said of mistakes."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from xlstance.cli import main
from xlstance.encoders import EncoderSettings, load_encoder, train_vocabulary
from xlstance.storage import Folder, read_manifest


@pytest.fixture
def model(tmp_path):
    """A small static encoder, untrained."""
    words = [f"word{n} wort{n} mot{n} Steuer Helm Autobahn" for n in range(200)]
    train_vocabulary(words, 300, lowercase=True).save(str(tmp_path / "vocabulary.json"))
    settings = EncoderSettings(kind="static", vocabulary_size=300, dimension=16)
    load_encoder(settings, tokenizer=str(tmp_path / "vocabulary.json")).save(tmp_path / "tiny-model")
    return tmp_path / "tiny-model"


@pytest.fixture
def copy(tmp_path):
    """A copy of X-Stance with two unseen questions, in German and French, with an English question."""
    folder = tmp_path / "x-stance"
    folder.mkdir()
    rows = {"train": [], "valid": [], "test": []}
    for question, split in ((1, "train"), (2, "valid"), (3, "test"), (4, "test")):
        for lang in ("de", "fr"):
            for number in range(6):
                row = {"id": question * 100 + (lang == "fr") * 10 + number, "language": lang, "question_id": question}
                row |= {"comment": f"wort{number} mot{question} {lang}", "label": ("FAVOR", "AGAINST")[number % 2]}
                row |= {"topic": f"t{question}", "test_set": "new_topics_defr" if split == "test" else None}
                rows[split].append(row)
    for split, content in rows.items():
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content))
    for lang in ("de", "fr", "en"):
        lines = [{"id": n, "text": f"mot{n} wort{7 * n} Helm word{n}?"} for n in range(1, 5)]
        (folder / f"questions.{lang}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.mark.slow  # four benchmarks, through Ray
def test_a_copy_of_x_stance_is_measured_in_both_tasks_and_pools(model, copy, tmp_path, capsys, ray_session):
    given = ["--model", str(model), "--benchmark", "x-stance", "--data", str(copy), "--output", str(tmp_path / "out")]
    given += ["--evaluation.resamples", "200"]
    assert main(["evaluate", *given]) == 0
    text = capsys.readouterr().out
    assert "tiny-model" in text
    assert "mono AUC" in text
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    (arm,) = results["arms"]
    names = {f"x-stance-{task}{pool}" for task in ("topical", "stance") for pool in ("", "-balanced")}
    assert set(arm["benchmarks"]) == names
    topical, stance = (arm["benchmarks"][f"x-stance-{task}"] for task in ("topical", "stance"))
    assert "auc" not in topical["multi"]
    assert 0 <= stance["cross"]["auc"] <= 1
    assert stance["mono"]["ndcg@10_blind"] == pytest.approx(0.88, abs=0.1)
    assert topical["passages"] == {"de": 24, "fr": 24}
    # English asks and has no comments: a case of its own.
    assert topical["per_language"]["en"]["mono"]["map"] is None
    assert topical["per_language"]["en"]["multi"]["map"] > 0
    assert any("en: questions without comments" in note for note in topical["notes"])
    assert (tmp_path / "out" / "report.html").exists()


@pytest.fixture
def config(tmp_path):
    """An experiment's settings with two small worlds to measure on, and arms that are of no concern here."""
    path = tmp_path / "experiment.yaml"
    path.write_text(
        """
benchmarks: [{name: world, format: miniature}, {name: stances, format: miniature-stance}]
miniature: {languages: 3, concepts: 60, names: 20, test_passages: 20, issues: 4, arguments: 2}
sources: [{name: train, format: miniature}]
arms: [{name: hybrid, sampler: hybrid}]
evaluation: {resamples: 200}
cluster: {shards: 1, stream_workers: 1}
"""
    )
    return path


def test_models_and_baselines_are_measured_on_several_benchmarks(model, config, tmp_path, capsys, ray_session):
    out, other = tmp_path / "out", tmp_path / "other-model"
    shutil.copytree(model, other)
    baselines = ["bm25", "translate-test", "merged-round-robin", "merged-normalised"]
    given = [
        "--config",
        str(config),
        "--model",
        str(model),
        str(other),
        "--baselines",
        *baselines,
        "--output",
        str(out),
    ]
    assert main(["evaluate", *given]) == 0
    assert "merged-round-robin" in capsys.readouterr().out
    results = json.loads((out / "results.json").read_text())
    names = [*baselines, "tiny-model", "other-model"]
    assert [(arm["name"], arm["sampler"]) for arm in results["arms"]] == [(name, {}) for name in names]
    arms = {arm["name"]: arm["benchmarks"] for arm in results["arms"]}
    assert all(set(figures) == {"world", "stances"} for figures in arms.values())
    assert arms["tiny-model"] == arms["other-model"]  # the same weights
    for name in ("merged-round-robin", "merged-normalised"):
        assert arms[name]["world"]["mono"] == arms["tiny-model"]["world"]["mono"]
        assert "search" not in arms[name]["world"]
    assert arms["tiny-model"]["world"]["search"]["overlap@100"] == pytest.approx(1.0, abs=0.02)
    assert 0 < arms["bm25"]["stances"]["mono"]["map"] < 1
    tests = results["significance"]["world"]
    assert {row["arm"] for row in tests["intervals"]} == set(names)
    files = {path.name for path in (out / "trec" / "world").iterdir()}
    assert files == {"qrels.txt", *(f"{name}-0.run.gz" for name in names)}
    assert (out / "report.html").exists()

    # Beside the report stands what measures the same again.
    told = results["provenance"]
    assert told["command"] == ["evaluate", "--model", str(model), str(other), "--baselines", *baselines]
    assert [(row["kind"], row["name"], row["path"]) for row in told["measured"]] == [
        ("model", "tiny-model", str(model)),
        ("model", "other-model", str(other)),
    ]
    assert len({row["fingerprint"] for row in told["measured"]}) == 1  # the same weights
    tables = {(row["of"], row["table"]) for row in told["tables"]}
    assert tables == {(name, kind) for name in ("world", "stances") for kind in ("queries", "passages", "qrels")}
    assert f"xlstance evaluate --model {model} {other} --baselines bm25" in (out / "report.html").read_text()

    # A second time nothing is encoded again.
    before = {path: path.stat().st_mtime_ns for path in (out / "vectors").rglob("*.parquet")}
    assert main(["evaluate", *given]) == 0
    assert json.loads((out / "results.json").read_text())["arms"] == results["arms"]
    assert before == {path: path.stat().st_mtime_ns for path in (out / "vectors").rglob("*.parquet")}

    # What was written for others measures the same when it comes back.
    config.write_text(config.read_text().replace(", {name: stances, format: miniature-stance}", ""))
    back = [
        "--vectors",
        str(out / "vectors" / "tiny-model-0" / "world"),
        "--run",
        str(out / "trec" / "world" / "tiny-model-0.run.gz"),
    ]
    given = ["--config", str(config), *back, "--output", str(tmp_path / "back")]
    assert main(["evaluate", *given]) == 0
    told = json.loads((tmp_path / "back" / "results.json").read_text())["provenance"]
    assert told["command"] == ["evaluate", "--vectors", back[1], "--run", back[3], "--baselines", "untouched"]
    vectors, run = told["measured"]
    assert (vectors["kind"], vectors["name"], vectors["path"]) == ("vectors", "world", back[1])
    assert (run["kind"], run["name"], run["path"]) == ("run", "tiny-model-0", back[3])
    assert run["fingerprint"] == hashlib.sha256(Path(back[3]).read_bytes()).hexdigest()
    published = [row for row in told["tables"] if row["table"] == "vectors"]
    assert [row["fingerprint"] for row in published] == [
        read_manifest(Folder(back[1]) / name).fingerprint for name in ("queries", "passages")
    ]
    returned = {
        arm["name"]: arm["benchmarks"]["world"]
        for arm in json.loads((tmp_path / "back" / "results.json").read_text())["arms"]
    }
    assert set(returned) == {"world", "tiny-model-0"}
    first = arms["tiny-model"]["world"]
    for setting in ("mono", "cross", "multi"):
        assert returned["world"][setting] == first[setting]
        # FAISS has an order of its own for passages whose vectors are equal.
        assert returned["tiny-model-0"][setting]["map"] == pytest.approx(first[setting]["map"], abs=0.01)


@pytest.mark.slow  # two evaluations
def test_what_stands_beside_the_report_measures_the_same_again(model, config, tmp_path, capsys, ray_session):
    out, again = tmp_path / "out", tmp_path / "again"
    config.write_text(config.read_text().replace(", {name: stances, format: miniature-stance}", ""))
    given = ["--config", str(config), "--model", str(model), "--baselines", "bm25", "merged-round-robin"]
    assert main(["evaluate", *given, "--retrieval.top_k", "7", "--output", str(out)]) == 0
    first = json.loads((out / "results.json").read_text())
    told = first["provenance"]
    assert main([*told["command"], "--config", str(out / told["settings"]), "--output", str(again)]) == 0
    repeated = json.loads((again / "results.json").read_text())
    assert [repeated[key] for key in ("arms", "significance", "provenance")] == [
        first[key] for key in ("arms", "significance", "provenance")
    ]
    assert first["arms"][-1]["benchmarks"]["world"]["search"]["top_k"] == 7
    # For an experiment's the settings cannot be taken.
    capsys.readouterr()
    assert main(["experiment", "--config", str(out / told["settings"]), "--output", str(tmp_path / "not")]) == 2
    assert capsys.readouterr().err == "error: arms is empty: an experiment needs at least one\n"


def test_a_run_of_another_benchmark_is_one_line(copy, tmp_path, capsys, ray_session):
    (tmp_path / "wrong.run").write_text("q1 Q0 p1 1 0.5 tag\n")
    given = ["--run", str(tmp_path / "wrong.run"), "--benchmark", "x-stance-topical", "--data", str(copy)]
    assert main(["evaluate", *given, "--output", str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err.splitlines()[-1]
    assert err.startswith(f"error: {tmp_path / 'wrong.run'}: the run names the query 'q1', which the benchmark has not")


def test_an_experiments_folder_is_left_alone(model, tmp_path, capsys):
    (tmp_path / "settings.json").write_text("{}")
    assert main(["evaluate", "--model", str(model), "--output", str(tmp_path)]) == 2
    assert "holds an experiment; choose another --output" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nothing to measure: give --model, --vectors, --run or --baselines"),
        (["--model", "m", "--benchmark", "x-stanse"], "no source is called 'x-stanse'; did you mean x-stance?"),
        (["--model", "m", "--benchmark", "muse"], "muse is no benchmark; benchmarks are xl-stance, x-stance, xquad-r"),
        (["--run", "nowhere/a.run", "--benchmark", "xl-stance-topical"], "--run nowhere/a.run: there is no such file"),
        (["--run", "a.run"], "--run needs one benchmark; here are xl-stance-topical, xl-stance-stance"),
        (["--vectors", "v"], "--vectors needs one benchmark"),
        (["--baselines", "bm25", "bm26", "--workers", "1"], "--baselines names 'bm26'; known are untouched, bm25"),
        (["--baselines", "merged-normalised"], "merges the lists of the untouched encoder; name a pretrained one"),
        (["--baselines", "translate-test"], "translate-test needs dictionaries, and lexicons is empty"),
        (["--model", "a/m", "a/m"], "one of a/m, a/m is given twice"),
        (["--model", "a/bm25", "--baselines", "bm25"], "arm bm25: a baseline has this name"),
        (["--modle", "m"], "--modle"),
    ],
)
def test_mistakes_are_one_line(arguments, said, capsys):
    assert main(["evaluate", *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert said in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--benchmark", "x-stanse"], "--benchmark is 'x-stanse'; give xl-stance or x-stance"),
        (["--benchmark", "x-stance"], "x-stance needs --data"),
        (["--data", "d"], "xl-stance is embedded and needs none"),
    ],
)
def test_what_cannot_be_exported_is_one_line(arguments, said, capsys):
    assert main(["export", *arguments]) == 2
    assert said in capsys.readouterr().err
