from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from xlstance.encoders import EncoderSettings, load_encoder
from xlstance.encoders.attention import _attend_in_turn, _attend_nested, attend_packed
from xlstance.encoders.transformer import Projection, TransformerEncoder
from xlstance.errors import SettingsError

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
POSITIONS = {"max_position_embeddings": 300}
NETWORKS = {
    "bert": transformers.BertConfig(**SIZES, **POSITIONS, vocab_size=400),
    "xlm-roberta": transformers.XLMRobertaConfig(**SIZES, **POSITIONS, vocab_size=400, pad_token_id=0),
    "distilbert": transformers.DistilBertConfig(
        dim=32, n_layers=2, n_heads=2, hidden_dim=64, **POSITIONS, vocab_size=400
    ),
    "mpnet": transformers.MPNetConfig(**SIZES, **POSITIONS, vocab_size=400),
    "modernbert": transformers.ModernBertConfig(
        **SIZES, **POSITIONS, vocab_size=400, local_attention=64, pad_token_id=0, cls_token_id=2, sep_token_id=3
    ),
    "qwen3": transformers.Qwen3Config(
        **SIZES, **POSITIONS, vocab_size=400, num_key_value_heads=1, head_dim=16, pad_token_id=0
    ),
}


@pytest.fixture(scope="module")
def folders(vocabulary: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A plain transformers folder of each network, untrained."""
    root = tmp_path_factory.mktemp("networks")
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(vocabulary), pad_token="[PAD]", unk_token="[UNK]"
    )
    for name, config in NETWORKS.items():
        torch.manual_seed(0)
        transformers.AutoModel.from_config(config).save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
    return {name: root / name for name in NETWORKS}


def load(folder: Path, attention: str, **changes: object) -> TransformerEncoder:
    settings = EncoderSettings(model=str(folder), attention=attention, **changes)  # type: ignore[arg-type]
    encoder = load_encoder(settings)
    assert isinstance(encoder, TransformerEncoder)
    return encoder


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
@pytest.mark.parametrize("name", ["bert", "xlm-roberta", "distilbert", "qwen3"])
def test_packed_texts_get_the_vectors_and_gradients_of_padded_ones(folders, texts, name: str, pooling: str) -> None:
    packed, padded = (load(folders[name], attention, pooling=pooling) for attention in ("packed", "sdpa"))
    rows = padded.tokenize(texts, "passage")
    assert packed.packs
    assert not padded.packs
    assert len(packed.collate(rows)["input_ids"]) == sum(map(len, rows))
    for encoder in (packed, padded):
        encoder(encoder.collate(rows))[:, ::3].sum().backward()
    np.testing.assert_allclose(packed.encode(texts, "passage"), padded.encode(texts, "passage"), atol=1e-5)
    expected = {where: weight.grad for where, weight in padded.named_parameters() if weight.grad is not None}
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    found = {where: weight.grad for where, weight in packed.named_parameters() if weight.grad is not None}
    assert found.keys() == expected.keys()
    for where, gradient in expected.items():
        assert float((found[where] - gradient).abs().max()) < 1e-5 * largest, where


@pytest.mark.parametrize("name", ["mpnet", "modernbert"])
def test_a_network_that_attends_in_its_own_way_gets_padded_texts(
    folders, texts, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(SettingsError, match="cannot attend to packed texts"):
        load(folders[name], "packed")
    padded = load(folders[name], "eager")
    with caplog.at_level("INFO", logger="xlstance"):
        automatic = load(folders[name], "auto")
    assert "its batches are padded" in caplog.text
    assert not automatic.packs
    assert automatic.model.config._attn_implementation != "packed_sdpa"
    np.testing.assert_allclose(automatic.encode(texts, "query"), padded.encode(texts, "query"), atol=1e-5)


def test_a_network_that_gives_packed_texts_other_vectors_is_found_out(folders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xlstance.encoders.transformer.first_position", lambda model: 5)
    with pytest.raises(SettingsError, match="BertModel cannot attend to packed texts"):
        load(folders["bert"], "packed")


def test_auto_packs_where_the_network_can(folders) -> None:
    assert load(folders["bert"], "auto").packs


def test_every_way_gives_the_same_vectors(folders, texts) -> None:
    eager, fused = load(folders["bert"], "eager"), load(folders["bert"], "sdpa")
    assert eager.model.config._attn_implementation == "eager"
    assert fused.model.config._attn_implementation == "sdpa"
    np.testing.assert_allclose(eager.encode(texts, "query"), fused.encode(texts, "query"), atol=1e-5)


def test_flash_attention_that_is_not_there_is_refused(folders) -> None:
    if transformers.utils.is_flash_attn_2_available():
        pytest.skip("flash-attn is installed")
    with pytest.raises(SettingsError, match="needs a GPU and the package flash-attn"):
        load(folders["bert"], "flash_attention_2")


def test_a_way_that_the_network_lacks_is_refused(folders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformers.BertModel, "_supports_sdpa", False)
    with pytest.raises(SettingsError, match="is sdpa, which BertModel does not have"):
        load(folders["bert"], "sdpa")


def test_a_padded_batch_is_attended_to_as_usual_by_a_network_that_packs(folders, texts) -> None:
    packed, padded = load(folders["bert"], "packed"), load(folders["bert"], "sdpa")
    rows = padded.tokenize(texts[:20], "query")
    with torch.no_grad():
        torch.testing.assert_close(packed(padded.collate(rows)), padded(padded.collate(rows)), rtol=0, atol=1e-6)


def test_what_is_saved_does_not_say_how_it_attended(folders, tmp_path: Path, texts) -> None:
    packed = load(folders["bert"], "packed")
    packed.save(tmp_path)
    assert "packed" not in (tmp_path / "config.json").read_text()
    again = load_encoder(EncoderSettings(model=str(tmp_path)))
    np.testing.assert_allclose(again.encode(texts, "query"), packed.encode(texts, "query"), atol=1e-5)


def test_dropout_of_attention_is_kept(folders) -> None:
    packed = load(folders["bert"], "packed").train()
    for module in packed.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    rows = packed.tokenize(["final in New York 2008"], "query")
    assert torch.equal(packed(packed.collate(rows)), packed(packed.collate(rows)))
    for layer in packed.model.encoder.layer:
        layer.attention.self.dropout.p = 0.5
    assert not torch.equal(packed(packed.collate(rows)), packed(packed.collate(rows)))


def test_a_projection_gets_the_mean_of_packed_states(folders, texts) -> None:
    packed, padded = load(folders["bert"], "packed"), load(folders["bert"], "sdpa")
    torch.manual_seed(0)
    projection = Projection(32, 24, True, "torch.nn.modules.activation.Tanh")
    for encoder in (packed, padded):
        encoder.projections = torch.nn.ModuleList([projection])  # type: ignore[assignment]
    rows = padded.tokenize(texts, "query")
    with torch.no_grad():
        torch.testing.assert_close(packed(packed.collate(rows)), padded(padded.collate(rows)), rtol=0, atol=1e-5)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_both_ways_to_attend_within_texts_agree() -> None:
    # The one for GPUs has a slow way on the CPU, for what is not causal.
    offsets = torch.tensor([0, 1, 8, 15, 18], dtype=torch.int32)
    torch.manual_seed(0)
    drawn = [torch.randn(18, 4, 8) for _ in range(3)]
    results = []
    for nested in (False, True):
        parts = [part.clone().requires_grad_() for part in drawn]
        if nested:
            out = _attend_nested(parts, offsets, 7, 0.0, 0.3, False)
        else:
            out = _attend_in_turn(parts, offsets, 0.0, 0.3, False)
        out.square().sum().backward()
        results.append([out, *(part.grad for part in parts)])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_an_empty_text_has_a_direction(folders) -> None:
    packed, padded = load(folders["bert"], "packed"), load(folders["bert"], "sdpa")
    # A tokenizer that adds no special tokens makes none of it.
    rows = [np.array(ids, dtype=np.int32) for ids in ([5, 6], [], [7])]
    with torch.no_grad():
        vectors = [encoder(encoder.collate(rows)) for encoder in (packed, padded)]
    torch.testing.assert_close(*vectors, rtol=0, atol=1e-5)
    torch.testing.assert_close(vectors[0].norm(dim=1), torch.ones(3))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2), (torch.float16, 2e-3)], ids=str
)
def test_the_kernel_of_a_gpu_equals_attention_text_by_text(dtype: torch.dtype, tolerance: float, causal: bool) -> None:
    lengths = [1, 7, 64, 3, 200]
    offsets = torch.tensor([0, *np.cumsum(lengths)], dtype=torch.int32)
    torch.manual_seed(0)
    parts = [torch.randn(1, 4, sum(lengths), 32) for _ in range(3)]
    outputs = []
    for device, kind in (("cpu", torch.float32), ("cuda", dtype)):
        own = [part.to(device, kind).detach().requires_grad_() for part in parts]
        out, _ = attend_packed(
            torch.nn.Module(), *own, None, is_causal=causal, cu_seq_lens_q=offsets.to(device), max_length_q=200
        )
        out.float().square().sum().backward()
        outputs.append([out, *(part.grad for part in own)])
    for ours, theirs in zip(*outputs, strict=True):
        scale = float(ours.abs().max())
        assert float((ours - theirs.float().cpu()).abs().max()) < tolerance * max(1.0, scale)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("name", ["bert", "xlm-roberta", "distilbert", "qwen3"])
def test_a_gpu_gives_the_vectors_of_the_cpu(folders, texts, name: str, precision: str) -> None:
    expected = load(folders[name], "sdpa").encode(texts, "query")
    encoder = load(folders[name], "auto", precision=precision).cuda()
    assert encoder.packs
    vectors = encoder.encode(texts, "query")
    assert vectors.dtype == np.float32
    assert float((vectors * expected).sum(1).min()) > {"fp32": 1 - 1e-5, "bf16": 0.99, "fp16": 0.9995}[precision]
