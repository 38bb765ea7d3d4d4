"""The ready recipes over the built-in world: each makes what it says, of every language, with nothing left to set."""

import json
from contextlib import nullcontext
from dataclasses import replace
from itertools import product
from pathlib import Path

import pyarrow as pa
import pytest

from xlstance import streams
from xlstance.augmentation.lexicons.induced import InducedLexicon
from xlstance.augmentation.stage import COUNTS, Augmentation, augment_below
from xlstance.augmentation.stance import Stance
from xlstance.augmentation.switching.code_switching import CodeSwitching
from xlstance.corpora.miniature import MiniatureSettings, stance_wordings
from xlstance.corpora.registry import Source
from xlstance.errors import SettingsError, StorageError
from xlstance.experiment import corpora, run
from xlstance.experiment.audit import find_leaks, open_index, summary_of
from xlstance.experiment.augmentations import parents_of, prepare
from xlstance.experiment.corpora import publish_benchmarks, publish_sources
from xlstance.experiment.place import claim_root
from xlstance.experiment.settings import ExperimentSettings
from xlstance.experiment_cli import run_job, with_recipe
from xlstance.settings import make_parser, parse
from xlstance.storage import Folder, read_table
from xlstance.training_data import TrainingData

LANGUAGES, QUESTIONS = 3, 2 * 24
WORLD = """
miniature: {languages: 3, concepts: 60, names: 20, train_passages: 24, dev_passages: 4, test_passages: 6, issues: 4,
            arguments: 2}
sources: [{name: world, format: miniature, split: train}, {name: dev, format: miniature, split: dev}]
development: [dev]
cluster: {shards: 3, stream_workers: 2}
"""
ONE_SIDE = QUESTIONS * (LANGUAGES - 1)  # the first language's pairs switched into each of the others
PAIRED = QUESTIONS * LANGUAGES * (LANGUAGES - 1)  # every ordered pair of languages
MONO = {"switched": ONE_SIDE, "stance-mono": 2 * (QUESTIONS * LANGUAGES + ONE_SIDE)}
CROSS = {"switched-query": ONE_SIDE, "paired": PAIRED, "stance-cross": 2 * (ONE_SIDE + PAIRED)}
MADE = {
    "none": {},
    "mono": MONO,
    "cross": CROSS,
    "both": MONO | CROSS,
    "generic": {
        **{f"switched{side}{draw}": ONE_SIDE for side in ("", "-query") for draw in ("", "-2", "-3")},
        "paired": PAIRED,
    },
}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipes") / "world.yaml"
    path.write_text(WORLD)
    return path


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    """One folder for all recipes: what they have in common is made once, or refused if it differs."""
    return tmp_path_factory.mktemp("recipes") / "out"


def read(config, output, *more) -> ExperimentSettings:
    arguments = with_recipe(["--config", str(config), "--output", str(output), *more])
    return parse(ExperimentSettings, make_parser(ExperimentSettings, "", "xlstance augment"), arguments)


def make_all(settings: ExperimentSettings) -> dict[str, TrainingData]:
    """What the job publishes, in this process."""
    root = Folder(settings.output)
    data = publish_sources(settings, root)
    for augmentation in settings.augmentations:
        parents = [data[name] for name in parents_of(augmentation, settings)]
        prepared, around = prepare(augmentation, settings, root, parents)
        data[augmentation.name] = augment_below(prepared, replace(around, workers=0))
    return data


def folder_of(output, name: str) -> Folder:
    """The one folder of an augmentation, whose name ends in a fingerprint of its settings."""
    (found,) = [path for path in (Path(output) / "augmented").iterdir() if path.name.rpartition("-")[0] == name]
    return Folder(found)


def rows(folders, table: str) -> dict[str, dict]:
    """The rows of several folders by id, each once."""
    whole = pa.concat_tables([read_table(folder, table) for folder in folders]).to_pylist()
    found = {row[f"{ {'queries': 'query', 'passages': 'passage', 'pairs': 'pair'}[table] }_id"]: row for row in whole}
    assert len(found) == len(whole)
    return found


@pytest.mark.parametrize("recipe", MADE)
def test_a_recipe_makes_what_it_says(recipe, config, output):
    settings = read(config, output, "--recipe", recipe)
    data = make_all(settings)
    assert {name: own.rows for name, own in data.items() if name not in ("world", "dev")} == MADE[recipe]
    pairs = {name: rows([own.pairs], "pairs") for name, own in data.items()}
    codes = set(settings.miniature.codes)
    for augmentation in settings.augmentations:
        own, made = data[augmentation.name], pairs[augmentation.name]
        queries, passages = rows(own.queries, "queries"), rows(own.passages, "passages")
        parents = {key for name in parents_of(augmentation, settings) for key in pairs[name]}
        assert {row["parent_pair_id"] for row in made.values()} <= parents
        asked = [queries[row["query_id"]] for row in made.values()]
        told = [passages[row["passage_id"]] for row in made.values()]
        same = {query["lang"] == passage["lang"] for query, passage in zip(asked, told, strict=True)}
        crosses = augmentation.name.startswith(("switched-query", "paired", "stance-cross"))
        assert same == {not crosses}
        # Switching goes into the other languages, out of the first; all else speaks every language on both sides.
        expected = codes - {"qaa"} if augmentation.code_switching else codes
        assert {query["lang"] for query in asked} == expected
        assert {passage["lang"] for passage in told} == ({"qaa"} if "switched-query" in augmentation.name else expected)
        if augmentation.stance:
            for row in made.values():
                (negative,) = row["negatives"]
                assert passages[negative["passage_id"]]["lang"] == passages[row["passage_id"]]["lang"]
                assert negative["passage_id"] != row["passage_id"]
            counts = json.loads(folder_of(output, augmentation.name).read(COUNTS))
            assert counts["counts"] == {"claims": 0, "made": len(made), **counts["counts"]}
            assert counts["counts"]["pairs"] == len(made) // 2
            assert not [key for key in counts["counts"] if key.startswith("left_out")]


def test_the_job_publishes_the_same(config, output, ray_session, tmp_path, capsys):
    run_job("augment", ["--config", str(config), "--recipe=mono", f"--output={tmp_path / 'job'}"])
    assert f"stance-mono: {MONO['stance-mono']} pairs in" in capsys.readouterr().out
    make_all(read(config, output, "--recipe", "mono"))
    for name, table in product(MONO, ("queries", "passages", "pairs")):
        one, other = (folder_of(root, name) / table for root in (output, tmp_path / "job"))
        assert rows([one], table) == rows([other], table)


CHAIN = """
augmentations:
- code_switching: {{name: switched, p: {p}}}
- {{of: [world, switched], pairing: {{name: paired}}}}
- sampling: {{name: beside, pairs: 10}}
"""
EXPERIMENT = ["--benchmarks=[{name: facts, format: miniature}]", "--arms=[{name: as-it-is, sampler: none}]"]


def files_of(folder: Path) -> dict[str, int]:
    """When each file that a job leaves as it is was written: not its notes, nor the dictionary that it brings along."""
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    notes = ("events.jsonl", "leakage.json", "corpora/lexicons/")
    return {name: path.stat().st_mtime_ns for name, path in files.items() if not name.startswith(notes)}


@pytest.fixture
def in_process(monkeypatch):
    """Jobs without Ray, which would take most of their time."""
    through_ray = streams._run
    monkeypatch.setattr(run, "ray_session", lambda *_: nullcontext())
    monkeypatch.setattr(streams, "_run", lambda *work, **asked: through_ray(*work, **{**asked, "workers": 0}))


@pytest.mark.parametrize("leaking", [0, 1])
def test_a_changed_setting_is_made_beside_what_an_experiment_has(
    leaking, config, tmp_path, in_process, monkeypatch, capsys
):
    # What leaks is published once more, without its leaks, and descendants are made of that: here as if all did.
    monkeypatch.setattr(
        corpora, "summary_of", lambda found: {"by_source": {name: {"leaking": leaking} for name in found}}
    )
    output = tmp_path / "out"

    def arguments(p: float) -> list[str]:
        chain = tmp_path / f"{p}.yaml"
        chain.write_text(CHAIN.format(p=p))
        return ["--config", str(config), "--config", str(chain), f"--output={output}", "--leakage=drop", *EXPERIMENT]

    def made(p: float) -> dict[str, str]:
        """The folders of the augmentations' pairs, as the job prints them."""
        run_job("augment", arguments(p))
        lines = [line for line in capsys.readouterr().out.splitlines() if " pairs in " in line and "augmented" in line]
        return {line.partition(":")[0]: line.partition(" pairs in ")[2] for line in lines}

    first = made(0.5)
    assert list(first) == ["switched", "paired", "beside"]
    assert all((Path(folder) / "manifest.json").is_file() for folder in first.values())
    assert first["switched"].endswith("/clean/switched/pairs") == bool(leaking)
    given = parse(ExperimentSettings, make_parser(ExperimentSettings, "", ""), arguments(0.5))
    claim_root(Folder(output), run._deciding(given))
    before = files_of(output)
    second = made(0.3)
    after = files_of(output)
    assert second["beside"] == first["beside"]
    assert after.items() >= before.items()
    places = [second[name].removeprefix(f"{output}/").split("/")[:2] for name in ("switched", "paired")]
    assert {tuple(name.split("/")[:2]) for name in after.keys() - before.keys()} == set(map(tuple, places))
    assert made(0.5) == first
    assert files_of(output) == after
    # The experiment's own results are still those of its settings.
    with pytest.raises(StorageError, match=r"other settings \(augmentations\)"):
        run_job("experiment", arguments(0.3))
    assert files_of(output) == after


def test_no_recipe_leaks_the_benchmarks_of_the_world(config, output, tmp_path):
    benchmarks = "[{name: facts, format: miniature}, {name: stances, format: miniature-stance}]"
    data = {}
    for recipe in ("both", "generic"):
        data |= make_all(read(config, output, "--recipe", recipe))
    settings = read(config, tmp_path, f"--benchmarks={benchmarks}")
    index = open_index(publish_benchmarks(settings, Folder(tmp_path)), Folder(tmp_path) / "index")
    found = summary_of(find_leaks(data, index, Folder(tmp_path) / "leaks", workers=0))
    assert {name: part["leaking"] for name, part in found["by_source"].items()} == dict.fromkeys(data, 0)


def prepared(way, tmp_path, **changes):
    """The way as the run's settings complete it, and the data root of its paths."""
    given = {
        "sources": [Source(name="world", format="miniature", split="train")],
        "miniature": MiniatureSettings(languages=3, concepts=60, names=20),
        "data": "below",
        **changes,
    }
    (slot,) = (name for name, kind in {"code_switching": CodeSwitching, "stance": Stance}.items() if type(way) is kind)
    settings = ExperimentSettings(output=str(tmp_path / "out"), augmentations=[Augmentation(**{slot: way})], **given)
    augmentation, around = prepare(settings.augmentations[0], settings, Folder(settings.output), [])
    return augmentation.way, around


def test_what_is_left_open_in_the_built_in_world_is_its_own(tmp_path):
    switching, around = prepared(CodeSwitching(), tmp_path)
    assert (switching.source_language, switching.languages) == ("qaa", ["qab", "qac"])
    assert switching.lexicons == ["{source}-{lang}.tsv"]
    assert around.data == str(tmp_path / "out" / "corpora" / "lexicons")
    assert switching.inputs(around)
    stance, around = prepared(Stance(wordings=4), tmp_path)
    assert stance.languages == ["qaa", "qab", "qac"]
    assert stance.templates_below(around.data) == stance_wordings(MiniatureSettings(languages=3, concepts=60, names=20))


def test_what_is_said_wins_over_what_the_built_in_world_has(tmp_path):
    switching, _ = prepared(CodeSwitching(source_language="qac", languages=["qab"]), tmp_path)
    assert (switching.source_language, switching.languages) == ("qac", ["qab"])
    switching, around = prepared(CodeSwitching(), tmp_path, languages=["qaa", "qac"], lexicons=["dict/{lang}.tsv"])
    assert (switching.source_language, switching.languages) == ("qaa", ["qac"])
    assert (switching.lexicons, around.data) == (["dict/{lang}.tsv"], "below")
    # What learns its lexicon gets no other beside it.
    switching, _ = prepared(CodeSwitching(induced=InducedLexicon(encoder="m")), tmp_path)
    assert (switching.languages, switching.lexicons) == (["qab", "qac"], [])
    stance, around = prepared(Stance(templates="own.yaml"), tmp_path)
    assert (stance.templates, stance.languages, around.data) == ("own.yaml", [], "below")
    with pytest.raises(SettingsError, match="the miniature world has no language 'fi'; it has qaa, qab, qac"):
        prepared(CodeSwitching(source_language="fi"), tmp_path)


def test_beside_other_sources_the_built_in_world_is_asked_for_by_name(tmp_path):
    sources = [
        Source(name="world", format="miniature", split="train"),
        Source(name="squad", format="squad", files={"en": "en.parquet"}),
    ]
    switching, around = prepared(CodeSwitching(), tmp_path, sources=sources)
    assert (switching.source_language, switching.languages, switching.lexicons) == ("en", [], [])
    stance, around = prepared(Stance(), tmp_path, sources=sources)
    assert (stance.templates, stance.languages, around.data) == ("", [], "below")
    stance, around = prepared(Stance(templates="miniature"), tmp_path, sources=sources)
    assert {"en", "qaa", "qab", "qac"} <= set(stance.templates_below(around.data))
    assert not set(stance.languages)
