import json

import pytest

from xlstance.cli import main
from xlstance.storage import Folder, read_table

LEAK = "the old harbour of the town was filled with sand during the great storm of that winter"


def test_corpora_lists_the_sources_or_describes_one(capsys):
    assert main(["corpora"]) == 0
    text = capsys.readouterr().out
    assert "xquad-r" in text
    assert "CC BY-NC 4.0 (non-commercial)" in text
    assert main(["corpora", "miracl", "x-stance"]) == 0
    text = capsys.readouterr().out
    assert "licence: Apache 2.0" in text
    assert "layout: miracl" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["corpora", "xquadr"], "xquad-r"),
        (["fetch", "xquadr", "--into", "x"], "xquad-r"),
        (["fetch", "newsqa", "--into", "x"], "no address"),
        (["fetch", "xquad-r", "--into", "x", "--languages", "fi"], "'fi'"),
        (["fetch", "xquad-r"], "into"),
        (["fetch"], "names"),
        (["leakage", "--train", "a.jsonl"], "eval"),
        (["leakage", "--train", "a.jsonl", "--eval", "b.jsonl", "--workers", "0"], "b.jsonl"),
    ],
)
def test_mistakes_are_one_line(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert err.splitlines()[-1].startswith("error: ")
    assert said in err.splitlines()[-1]
    assert out == ""


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [{"query": f"What is {n}?", "passage": f"It is {n} and nothing else.", "lang": "en"} for n in range(9)]
    rows.append({"query": "What became of the harbour?", "passage": f"They say {LEAK}.", "lang": "de"})
    for name, part in {"own": rows, "test": [{"query": "Which harbour?", "passage": LEAK, "lang": "en"}]}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    return tmp_path


@pytest.mark.parametrize("workers", ["0", "2"])
def test_leakage_between_files(files, capsys, workers, ray_session):
    paths = ["--train", "own/rows.jsonl", "--eval", "test/rows.jsonl"]
    assert main(["leakage", *paths, "--into", "out", "--workers", workers]) == 0
    text = capsys.readouterr().out
    assert "ngrams" in text
    assert "counts: out/leakage.json" in text
    summary = json.loads((files / "out" / "leakage.json").read_text())
    assert (summary["rows"], summary["leaking"]) == (10, 1)
    assert summary["by_language"]["de"] == {"rows": 1, "leaking": 1, "warned": 0}
    (leak,) = read_table(Folder(files / "out" / "leaks" / "rows"), "leaks").to_pylist()
    assert (leak["rule"], leak["share"], leak["query_text"]) == ("ngrams", 1.0, "What became of the harbour?")
    # What an experiment published is taken as it is.
    again = ["--train", "out/training/rows", "--eval", "out/evaluation/rows", "--workers", "0"]
    assert main(["leakage", *again, "--into", "again"]) == 0
    assert json.loads((files / "again" / "leakage.json").read_text())["leaking"] == 1


def test_other_data_in_the_same_folder_are_refused(files, capsys):
    paths = ["--train", "own/rows.jsonl", "--eval", "test/rows.jsonl", "--into", "out", "--workers", "0"]
    assert main(["leakage", *paths]) == 0
    (files / "own" / "rows.jsonl").write_text('{"query": "Who?", "passage": "Me.", "lang": "en"}\n')
    assert main(["leakage", *paths]) == 2
    assert "holds the result of other settings or inputs" in capsys.readouterr().err
