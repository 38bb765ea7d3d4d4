import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from xlstance.encoders import Encoder, EncoderSettings, load_encoder
from xlstance.encoders.attention import set_attention
from xlstance.encoders.transformer import Projection, TransformerEncoder
from xlstance.errors import DataError, SettingsError, StorageError

sentence_transformers = pytest.importorskip("sentence_transformers", reason="needs sentence-transformers (extra dev)")

PREFIXES = {"query_prefix": "Query: ", "passage_prefix": "Passage: "}


def build(vocabulary: Path, **changes: object) -> Encoder:
    small = {"dimension": 32, "layers": 1, "heads": 4, "feed_forward": 64, **PREFIXES, **changes}
    return load_encoder(EncoderSettings(**small), tokenizer=vocabulary, seed=1)  # type: ignore[arg-type]


def assert_same_everywhere(encoder: Encoder, folder: Path, texts: list[str]) -> None:
    """Saved, the encoder is the same for us and for sentence-transformers, texts over the length included."""
    encoder.save(folder)
    again = load_encoder(EncoderSettings(model=str(folder)))
    assert (again.prefix, again.max_length, again.dimension) == (encoder.prefix, encoder.max_length, encoder.dimension)
    theirs = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
    for kind in ("query", "passage"):
        ours = encoder.encode(texts, kind)
        np.testing.assert_array_equal(again.encode(texts, kind), ours)
        np.testing.assert_allclose(theirs.encode(texts, prompt_name=kind), ours, atol=1e-5)
    np.testing.assert_allclose(theirs.encode_document(texts), ours, atol=1e-5)
    np.testing.assert_allclose(theirs.encode(texts, prompt_name="document"), ours, atol=1e-5)
    assert theirs.similarity_fn_name == "cosine"


@pytest.mark.parametrize(
    "changes", [{"kind": "static"}, {"pooling": "mean"}, {"pooling": "cls"}, {"pooling": "last"}], ids=str
)
def test_saved_and_loaded(vocabulary: Path, tmp_path: Path, texts: list[str], changes: dict[str, str]) -> None:
    lengths = {"max_query_length": 50, "max_passage_length": 50}
    encoder = build(vocabulary, **changes, **lengths)
    assert max(map(len, encoder.tokenize(texts, "query"))) == 50
    assert_same_everywhere(encoder, tmp_path / "model", texts)


def test_a_projection_is_kept(vocabulary: Path, tmp_path: Path, texts: list[str]) -> None:
    build(vocabulary).save(tmp_path / "plain")
    plain = load_encoder(EncoderSettings(model=str(tmp_path / "plain"), max_query_length=200, max_passage_length=200))
    assert isinstance(plain, TransformerEncoder)
    torch.manual_seed(0)
    projection = Projection(32, 24, True, "torch.nn.modules.activation.Tanh")
    encoder = TransformerEncoder(
        plain.model,
        plain._saved_tokenizer,
        pooling="cls",
        projections=[projection],
        prefix=plain.prefix,
        max_length=plain.max_length,
    ).eval()
    set_attention(encoder, "auto")
    assert encoder.dimension == 24
    assert_same_everywhere(encoder, tmp_path / "projected", texts)


def test_lengths_differ_by_kind(vocabulary: Path, tmp_path: Path) -> None:
    build(vocabulary, max_query_length=20, max_passage_length=90).save(tmp_path)
    assert load_encoder(EncoderSettings(model=str(tmp_path))).max_length == {"query": 20, "passage": 90}
    changed = EncoderSettings(model=str(tmp_path), max_query_length=30, query_prefix="")
    assert load_encoder(changed).max_length == {"query": 30, "passage": 90}
    assert load_encoder(changed).prefix == {"query": "", "passage": "Passage: "}
    with pytest.raises(SettingsError, match="at most 90"):
        load_encoder(EncoderSettings(model=str(tmp_path), max_passage_length=91))


def test_written_by_sentence_transformers(vocabulary: Path, tmp_path: Path, texts: list[str]) -> None:
    # Their own layout and keys, which differ from those of version 3 that we write.
    encoder = build(vocabulary, pooling="last", max_query_length=50, max_passage_length=50)
    encoder.save(tmp_path / "ours")
    sentence_transformers.SentenceTransformer(str(tmp_path / "ours"), device="cpu").save(str(tmp_path / "theirs"))
    again = load_encoder(EncoderSettings(model=str(tmp_path / "theirs")))
    assert again.prefix == encoder.prefix
    np.testing.assert_array_equal(again.encode(texts, "query"), encoder.encode(texts, "query"))
    build(vocabulary, kind="static").save(tmp_path / "static")
    sentence_transformers.SentenceTransformer(str(tmp_path / "static"), device="cpu").save(str(tmp_path / "theirs2"))
    assert load_encoder(EncoderSettings(model=str(tmp_path / "theirs2"))).prefix == encoder.prefix


def test_a_folder_s_one_limit_holds_for_queries_and_passages(vocabulary: Path, tmp_path: Path) -> None:
    build(vocabulary).save(tmp_path / "ours")
    theirs = sentence_transformers.SentenceTransformer(str(tmp_path / "ours"), device="cpu")
    theirs.max_seq_length = 90
    theirs.save(str(tmp_path / "theirs"))
    assert load_encoder(EncoderSettings(model=str(tmp_path / "theirs"))).max_length == {"query": 90, "passage": 90}


def test_a_plain_transformers_folder(vocabulary: Path, tmp_path: Path, texts: list[str]) -> None:
    encoder = build(vocabulary, query_prefix="", passage_prefix="")
    encoder.save(tmp_path)
    for name in ("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"):
        (tmp_path / name).unlink()
    again = load_encoder(EncoderSettings(model=str(tmp_path)))
    assert again.max_length == {"query": 64, "passage": 256}
    np.testing.assert_array_equal(again.encode(texts, "query"), encoder.encode(texts, "query"))


def test_lower_casing_of_the_folder_is_heeded(vocabulary: Path, tmp_path: Path) -> None:
    from tokenizers import Tokenizer, normalizers

    tokenizer = Tokenizer.from_file(str(vocabulary))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.save(str(tmp_path / "cased.json"))
    build(tmp_path / "cased.json").save(tmp_path / "model")
    cased = load_encoder(EncoderSettings(model=str(tmp_path / "model")))
    assert cased.tokenize(["Final"], "query")[0].tolist() != cased.tokenize(["final"], "query")[0].tolist()
    config = {"max_seq_length": 64, "do_lower_case": True}
    (tmp_path / "model" / "sentence_bert_config.json").write_text(json.dumps(config))
    folded = load_encoder(EncoderSettings(model=str(tmp_path / "model")))
    assert folded.tokenize(["Final"], "query")[0].tolist() == folded.tokenize(["final"], "query")[0].tolist()


def test_older_versions_of_transformers_know_the_tokenizer_class(vocabulary: Path, tmp_path: Path) -> None:
    build(vocabulary).save(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert config["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert "local_files_only" not in config


def broken(vocabulary: Path, folder: Path) -> Path:
    build(vocabulary).save(folder)
    return folder


def change_module(folder: Path, place: int, kind: str) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    modules[place]["type"] = kind
    (folder / "modules.json").write_text(json.dumps(modules))


def test_what_cannot_be_loaded_is_said_in_one_line(vocabulary: Path, tmp_path: Path, monkeypatch) -> None:
    folder = broken(vocabulary, tmp_path / "model")

    def refused(error: type[Exception], match: str, model: Path | str = folder) -> None:
        with pytest.raises(error, match=match) as caught:
            load_encoder(EncoderSettings(model=str(model)))
        assert "\n" not in str(caught.value)

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # no look at a network
    refused(StorageError, "no folder here", tmp_path / "absent")
    refused(StorageError, "no folder here", "nobody/no-such-model")
    change_module(folder, 1, "sentence_transformers.models.LSTM")
    refused(DataError, "LSTM, which is not supported")
    change_module(folder, 1, "strange_code.Pooling")
    refused(DataError, "strange_code.Pooling, which is not supported")
    change_module(folder, 1, "sentence_transformers.models.Pooling")
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_max_tokens": true}')
    refused(DataError, "pooling .* is not supported")
    (folder / "1_Pooling" / "config.json").write_text("{")
    refused(DataError, "no JSON")
    good = (folder / "modules.json").read_text()
    (folder / "modules.json").write_text('[{"idx": 0}]')
    refused(DataError, "no list of modules")
    (folder / "modules.json").write_text("[]")
    refused(DataError, "not supported")
    (folder / "modules.json").write_text(good)
    shutil.copy(folder / "model.safetensors", tmp_path / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode": "mean"}')
    refused(StorageError, "holds no .*safetensors")
    (folder / "model.safetensors").write_bytes(b"cut off")
    refused(DataError, "no model that transformers can open")


def test_a_network_that_lacks_weights_is_refused(vocabulary: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = broken(vocabulary, tmp_path)
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.0.attention.self.query.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError, match="lacks 1 weights"):
        load_encoder(EncoderSettings(model=str(folder)))


def test_from_scratch_needs_a_vocabulary(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="needs a vocabulary"):
        load_encoder(EncoderSettings(kind="static"))
    with pytest.raises(StorageError, match="does not exist"):
        load_encoder(EncoderSettings(kind="static"), tokenizer=tmp_path / "tokenizer.json")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(DataError, match="no tokenizer"):
        load_encoder(EncoderSettings(kind="static"), tokenizer=tmp_path / "tokenizer.json")


def test_a_static_folder_with_broken_weights_is_refused(vocabulary: Path, tmp_path: Path) -> None:
    build(vocabulary, kind="static").save(tmp_path)
    weights = tmp_path / "0_StaticEmbedding" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(DataError, match="cannot be read"):
        load_encoder(EncoderSettings(model=str(tmp_path)))
    weights.unlink()
    with pytest.raises(StorageError, match=r"no \*.safetensors"):
        load_encoder(EncoderSettings(model=str(tmp_path)))
