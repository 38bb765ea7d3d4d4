import json

import pytest

from xlstance.cli import main
from xlstance.encoders import EncoderSettings, load_encoder, train_vocabulary


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


def test_a_copy_of_x_stance_is_measured_in_both_tasks_and_pools(model, copy, tmp_path, capsys, ray_session):
    given = ["--model", str(model), "--benchmark", "x-stance", "--data", str(copy), "--output", str(tmp_path / "out")]
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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "model"),
        (["--model", "m", "--benchmark", "x-stanse"], "--benchmark is 'x-stanse'; give xl-stance or x-stance"),
        (["--model", "m", "--benchmark", "x-stance"], "x-stance needs --data"),
        (["--model", "m", "--data", "d"], "xl-stance is embedded and needs none"),
    ],
)
def test_mistakes_are_one_line(arguments, said, capsys):
    assert main(["evaluate", *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert said in err
