"""What the report shows of augmentations and sources: chosen from published tables, the same each time."""

import json

import pytest
import yaml

from xlstance.augmentation.pairing import Pairing
from xlstance.augmentation.sampling import Sampling
from xlstance.augmentation.stage import Augmentation, augment_below
from xlstance.augmentation.switching.code_switching import CodeSwitching
from xlstance.corpora.miniature import MiniatureSettings
from xlstance.corpora.registry import BenchmarkSource, Source
from xlstance.experiment.augmentations import parents_of, prepare
from xlstance.experiment.corpora import publish_benchmarks, publish_sources
from xlstance.experiment.examples import augmentation_examples
from xlstance.experiment.provenance import REPRODUCE, provenance, write_settings
from xlstance.experiment.settings import Arm, ClusterSettings, ExperimentSettings
from xlstance.settings import make_parser, parse
from xlstance.storage import Folder, read_table


def settings_for(output):
    switched = CodeSwitching(name="switched", source_language="qaa", languages=["qab"], lexicons=["miniature"])
    return ExperimentSettings(
        output=str(output),
        miniature=MiniatureSettings(languages=3, concepts=60, names=20, issues=4, train_passages=40, test_passages=10),
        sources=[
            Source(name="world", format="miniature"),
            Source(name="world-dev", format="miniature", split="dev"),
        ],
        augmentations=[
            Augmentation(of=["world"], code_switching=switched),
            Augmentation(of=["world", "switched"], pairing=Pairing(name="paired")),
            Augmentation(of=["world"], sampling=Sampling(name="few", pairs=1)),
            Augmentation(of=["world-dev"], pairing=Pairing(name="paired-dev")),
        ],
        development=["world-dev", "paired-dev"],
        arms=[Arm(name="hybrid", sampler="hybrid", alpha=0.25)],
        benchmarks=[BenchmarkSource(name="miniature", format="miniature")],
        cluster=ClusterSettings(shards=2, stream_workers=1),
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory, ray_session):
    """Settings, the output folder, and the training data by name."""
    output = tmp_path_factory.mktemp("examples")
    settings, root = settings_for(output), Folder(output)
    data = publish_sources(settings, root)
    for augmentation in settings.augmentations:
        parents = [data[name] for name in parents_of(augmentation, settings)]
        data[augmentation.name] = augment_below(*prepare(augmentation, settings, root, parents))
    return settings, root, data


@pytest.fixture(scope="module")
def examples(made):
    settings, _, data = made
    return augmentation_examples(settings, data)


def of(examples, name):
    return [example for example in examples if example["augmentation"] == name]


def test_examples_of_every_training_augmentation_are_few_and_the_same_each_time(made, examples):
    settings, _, data = made
    assert {example["augmentation"] for example in examples} == {"switched", "paired", "few"}
    assert [example["kind"] for example in of(examples, "switched")[:1]] == ["code_switching"]
    assert len(of(examples, "paired")) == 2 * 4
    assert augmentation_examples(settings, data) == examples
    json.dumps(examples)


def test_a_pair_stands_beside_its_parent(made, examples):
    _, _, data = made
    for name in ("switched", "paired"):
        pairs = read_table(data[name].pairs, "pairs").to_pylist()
        parents = {
            row["pair_id"]: row for n in ("world", "switched") for row in read_table(data[n].pairs, "pairs").to_pylist()
        }
        texts = {}
        for kind in ("queries", "passages"):
            for folder in getattr(data[name], kind):
                texts |= {
                    row[f"{kind[:-1].replace('querie', 'query')}_id"]: row
                    for row in read_table(folder, kind).to_pylist()
                }

        def shown(row, texts=texts):
            both = ((side, texts[row[f"{side}_id"]]) for side in ("query", "passage"))
            return {side: {"lang": text["lang"], "text": text["text"]} for side, text in both}

        known = [(shown(parents[row["parent_pair_id"]]), shown(row)) for row in pairs]
        for example in of(examples, name):
            assert (example["before"], {side: example["after"][side] for side in ("query", "passage")}) in known
    changed = [e for e in of(examples, "switched") if e["before"]["query"]["text"] != e["after"]["query"]["text"]]
    assert changed


def test_examples_of_a_pair_of_languages_stand_together_and_at_most_two(examples):
    pairs = [(e["after"]["query"]["lang"], e["after"]["passage"]["lang"]) for e in of(examples, "paired")]
    assert pairs == sorted(pairs)
    assert {pairs.count(pair) for pair in pairs} == {2}


def test_long_texts_are_cut(made, examples, monkeypatch):
    settings, _, data = made
    monkeypatch.setattr("xlstance.experiment.examples._LENGTH", 10)
    cut = augmentation_examples(settings, data)[0]["after"]["passage"]["text"]
    assert cut == examples[0]["after"]["passage"]["text"][:10] + "…"


def test_provenance_names_every_table_once_with_its_fingerprint(made):
    settings, root, data = made
    benchmarks = publish_benchmarks(settings, root)
    found = provenance(settings, root, benchmarks, data)
    tables = [(table["of"], table["table"]) for table in found["tables"]]
    assert len(tables) == len(set(tables))
    assert tables[:6] == [
        *(("miniature", "queries"), ("miniature", "passages"), ("miniature", "qrels")),
        *(("world", "pairs"), ("world", "queries"), ("world", "passages")),
    ]
    assert ("switched", "queries") in tables
    assert ("few", "queries") not in tables  # its texts are the source's
    rows = {(table["of"], table["table"]): table["rows"] for table in found["tables"]}
    assert rows["world", "pairs"] == data["world"].rows
    assert all(len(table["fingerprint"]) == 16 for table in found["tables"])
    assert [entry["fetch"] for entry in found["data"]] == ["", "", ""]
    assert len(found["lock"]) == 16


@pytest.mark.parametrize(
    ("source", "path", "fetch"),
    [
        (BenchmarkSource(name="b", format="lareqa", path="xquad-r"), "xquad-r", "xquad-r"),
        (Source(name="s", format="bitext", path="tatoeba/en-{lang}.tsv"), "tatoeba/en-{lang}.tsv", "tatoeba"),
        (Source(name="s", format="squad", files={"en": "squad/train-v1.1.json"}), "squad/train-v1.1.json", "squad"),
        (Source(name="s", format="columns", path="mine.tsv"), "mine.tsv", ""),
    ],
)
def test_data_are_found_in_the_catalog_by_their_path(source, path, fetch):
    from xlstance.experiment.provenance import _location

    assert _location(source) == {"name": source.name, "path": path, "fetch": fetch}


def test_the_written_settings_give_the_same_experiment(tmp_path):
    settings = settings_for(tmp_path)
    write_settings(settings, Folder(tmp_path))
    assert "output" not in yaml.safe_load((tmp_path / REPRODUCE).read_text())
    parser = make_parser(ExperimentSettings, "", "xlstance experiment")
    arguments = ["--config", str(tmp_path / REPRODUCE), "--output", str(tmp_path)]
    assert parse(ExperimentSettings, parser, arguments) == settings
