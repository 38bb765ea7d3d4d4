import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from xlstance.encoders import EncoderSettings, load_encoder, train_vocabulary
from xlstance.encoding import TABLE_OF, Encoding, Kind, encode_all, encoder_stamp
from xlstance.errors import StorageError
from xlstance.storage import Folder, fingerprint, read_manifest, read_table, write_table
from xlstance.tables import SCHEMAS, make_table

WORDS = [f"{letter}{number}" for letter in "abcde" for number in range(20)]
KINDS: tuple[Kind, ...] = ("query", "passage")


def texts(count: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, size=rng.integers(1, 30))) for _ in range(count)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two published tables, and a static and a transformer encoder with prefixes."""
    root = tmp_path_factory.mktemp("world")
    for kind, count in (("query", 23), ("passage", 60)):
        columns = {f"{kind}_id": [f"{kind}{i}" for i in range(count)], "lang": ["en", *["no"] * (count - 1)]}
        table = make_table(TABLE_OF[kind], {**columns, "text": texts(count, count), "group_id": columns[f"{kind}_id"]})
        write_table(Folder(root) / TABLE_OF[kind], TABLE_OF[kind], table, "stamp", shards=3)
    vocabulary: Tokenizer = train_vocabulary(texts(200, 0), 150)
    vocabulary.save(str(root / "tokenizer.json"))
    shape = {"dimension": 16, "layers": 1, "heads": 2, "feed_forward": 32, "vocabulary_size": 150}
    for kind in ("static", "transformer"):
        settings = EncoderSettings(kind=kind, query_prefix="a1: ", passage_prefix="b1: ", **shape)
        load_encoder(settings, tokenizer=root / "tokenizer.json", seed=3).save(root / "models" / kind)
    return root


def encode(world: Path, output: Path, *, workers: int, **options: Any) -> None:
    """Both tables by both models."""
    encodings = [
        Encoding(
            encoder=EncoderSettings(model=str(world / "models" / model)),
            stamp=fingerprint(model),
            kind=kind,
            texts=Folder(world) / TABLE_OF[kind],
            output=Folder(output) / model / TABLE_OF[kind],
        )
        for model in ("static", "transformer")
        for kind in KINDS
    ]
    encode_all(encodings, workers=workers, cpus_per_worker=1, gpus_per_worker=0, **{"batch_tokens": None} | options)


@pytest.fixture(scope="module")
def encoded(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("encoded")
    encode(world, output, workers=0)
    return output


@pytest.mark.parametrize("model", ["static", "transformer"])
@pytest.mark.parametrize("kind", KINDS)
def test_vectors_are_those_that_the_encoder_gives(world: Path, encoded: Path, model: str, kind: Kind) -> None:
    table = read_table(Folder(world) / TABLE_OF[kind], TABLE_OF[kind])
    vectors = read_table(Folder(encoded) / model / TABLE_OF[kind], "vectors")
    assert vectors.schema.equals(SCHEMAS["vectors"], check_metadata=True)
    assert vectors["id"].to_pylist() == table[f"{kind}_id"].to_pylist()
    assert vectors["lang"].to_pylist() == table["lang"].to_pylist()
    encoder = load_encoder(EncoderSettings(model=str(world / "models" / model)))
    expected = encoder.encode(table["text"].to_pylist(), kind)
    found = np.array(vectors["vector"].to_pylist(), dtype=np.float32)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    other = encoder.encode(table["text"].to_pylist(), "passage" if kind == "query" else "query")
    assert np.abs(found - other).max() > 1e-3  # the kind's own prefix was used


def test_the_two_models_differ(encoded: Path) -> None:
    tables = [read_table(Folder(encoded) / model / "queries", "vectors") for model in ("static", "transformer")]
    assert tables[0]["id"] == tables[1]["id"]
    assert np.abs(np.array(tables[0]["vector"].to_pylist()) - np.array(tables[1]["vector"].to_pylist())).max() > 0.1


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.*"))}


def test_files_are_the_same_for_workers_on_ray(tmp_path: Path, ray_session: None, world: Path, encoded: Path) -> None:
    encode(world, tmp_path, workers=2)
    assert content(tmp_path) == content(encoded)
    assert len(content(encoded)) == 2 * 2 * (3 + 1)


def test_the_size_of_a_batch_changes_no_more_than_rounding(tmp_path: Path, world: Path, encoded: Path) -> None:
    encode(world, tmp_path, workers=0, batch_tokens=40)
    for model in ("static", "transformer"):
        pair = [read_table(Folder(root) / model / "passages", "vectors") for root in (tmp_path, encoded)]
        np.testing.assert_allclose(*(np.array(table["vector"].to_pylist()) for table in pair), atol=1e-6)


def test_a_shard_without_texts_has_no_vectors(tmp_path: Path, world: Path) -> None:
    write_table(Folder(tmp_path) / "queries", "queries", make_table("queries", {}), "stamp", shards=2)
    one(world / "models" / "static", "m", Folder(tmp_path) / "queries", Folder(tmp_path) / "vectors")
    assert read_manifest(Folder(tmp_path) / "vectors").rows == 0


def one(model: Path, stamp: str, texts: Folder, output: Folder) -> list[str]:
    """Encodes one table of queries; returns the names of the files."""
    encoding = Encoding(
        encoder=EncoderSettings(model=str(model)), stamp=stamp, kind="query", texts=texts, output=output
    )
    encode_all([encoding], batch_tokens=None, workers=0, cpus_per_worker=1, gpus_per_worker=0)
    return [file.name for file in read_manifest(output).files]


def test_other_weights_under_the_same_name_are_not_taken_for_encoded(tmp_path: Path, world: Path) -> None:
    model, texts = world / "models" / "static", Folder(world) / "queries"
    assert one(model, "first", texts, Folder(tmp_path)) == one(model, "first", texts, Folder(tmp_path))
    with pytest.raises(StorageError, match="holds the result of other settings or inputs"):
        one(model, "second", texts, Folder(tmp_path))


def test_a_changed_text_is_encoded_anew_and_with_it_its_shard_alone(tmp_path: Path, world: Path) -> None:
    table = read_table(Folder(world) / "queries", "queries")
    changed = [*table["text"].to_pylist()[:-1], "a1 b2"]
    columns = {name: table[name] for name in table.column_names} | {"text": changed}
    write_table(Folder(tmp_path) / "queries", "queries", make_table("queries", columns), "other", shards=3)
    names = [
        one(world / "models" / "static", "m", Folder(root) / "queries", Folder(tmp_path) / output)
        for root, output in ((world, "before"), (tmp_path, "after"))
    ]
    assert sum(before != after for before, after in zip(*names, strict=True)) == 1


@pytest.mark.parametrize("model", ["static", "transformer"])
def test_an_encoder_is_known_by_what_it_holds_wherever_it_lies(tmp_path: Path, world: Path, model: str) -> None:
    shutil.copytree(world / "models" / model, tmp_path / "copy")
    own = EncoderSettings(model=str(world / "models" / model))
    stamp = encoder_stamp(own)
    assert encoder_stamp(EncoderSettings(model=str(tmp_path / "copy"))) == stamp
    for changed in ({"query_prefix": "b1: "}, {"max_passage_length": 9}, {"precision": "bf16"}):
        assert encoder_stamp(replace(own, **changed)) != stamp
    encoder = load_encoder(EncoderSettings(model=str(tmp_path / "copy")))
    with torch.no_grad():
        next(encoder.parameters()).mul_(1.5)
    encoder.save(tmp_path / "other")
    assert encoder_stamp(EncoderSettings(model=str(tmp_path / "other"))) != stamp


def test_the_prefixes_of_the_settings_are_used(tmp_path: Path, world: Path) -> None:
    settings = EncoderSettings(model=str(world / "models" / "static"), query_prefix="c7 c8: ")
    texts, output = Folder(world) / "queries", Folder(tmp_path)
    encode_all(
        [Encoding(encoder=settings, stamp="s", kind="query", texts=texts, output=output)],
        **{"batch_tokens": None, "workers": 0, "cpus_per_worker": 1, "gpus_per_worker": 0},
    )
    expected = load_encoder(settings).encode(read_table(texts, "queries")["text"].to_pylist(), "query")
    np.testing.assert_allclose(np.array(read_table(output, "vectors")["vector"].to_pylist()), expected, atol=1e-6)
