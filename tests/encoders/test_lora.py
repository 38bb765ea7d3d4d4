import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from xlstance.encoders import Encoder, EncoderSettings, LoraSettings, add_adapters, load_encoder
from xlstance.encoders.transformer import Projection, TransformerEncoder
from xlstance.errors import SettingsError

pytest.importorskip("peft", reason="needs peft (extra lora)")


def build(vocabulary: Path, **changes: object) -> Encoder:
    small = {"dimension": 32, "layers": 2, "heads": 4, "feed_forward": 64, **changes}
    return load_encoder(EncoderSettings(**small), tokenizer=vocabulary, seed=1)  # type: ignore[arg-type]


def adapted(vocabulary: Path, seed: int = 5, **settings: object) -> Encoder:
    encoder = build(vocabulary)
    add_adapters(encoder, LoraSettings(**{"rank": 4, **settings}), seed)  # type: ignore[arg-type]
    return encoder


def train(encoder: Encoder, texts: list[str], steps: int = 3) -> None:
    """Moves what trains, by a loss that has no meaning."""
    optimizer = torch.optim.AdamW([p for p in encoder.parameters() if p.requires_grad], lr=0.05)
    encoder.train()
    for _ in range(steps):
        optimizer.zero_grad()
        encoder(encoder.collate(encoder.tokenize(texts, "query")))[:, ::3].sum().backward()
        optimizer.step()
    encoder.eval()


def test_adapters_change_nothing_until_they_are_trained(vocabulary: Path, texts: list[str]) -> None:
    np.testing.assert_array_equal(adapted(vocabulary).encode(texts, "query"), build(vocabulary).encode(texts, "query"))


def test_adapters_alone_train(vocabulary: Path, texts: list[str]) -> None:
    encoder, before = adapted(vocabulary), build(vocabulary).state_dict()
    training = {name for name, p in encoder.named_parameters() if p.requires_grad}
    assert training
    assert all(".lora_" in name for name in training)
    train(encoder, texts)
    for name, value in encoder.state_dict().items():
        if ".lora_" not in name:
            assert torch.equal(value, before[name.replace(".base_layer.", ".")])
    assert all(p.grad is not None for name, p in encoder.named_parameters() if name in training)


def test_targets_are_ends_of_names(vocabulary: Path) -> None:
    def layers(*targets: str) -> set[str]:
        state = adapted(vocabulary, targets=targets).state_dict()
        return {name.partition(".lora_A")[0].removeprefix("model.encoder.layer.") for name in state if "lora_A" in name}

    assert layers("query") == {f"{n}.attention.self.query" for n in (0, 1)}
    assert layers("query", "attention.output.dense") == {
        f"{n}.attention.{name}" for n in (0, 1) for name in ("self.query", "output.dense")
    }
    assert len(layers()) == 12  # four in attention and two behind it, in each layer


def test_the_pooler_gets_none(vocabulary: Path, tmp_path: Path) -> None:
    import transformers

    build(vocabulary).save(tmp_path)
    config = transformers.AutoConfig.from_pretrained(tmp_path)
    transformers.BertModel(config).save_pretrained(tmp_path)
    encoder = load_encoder(EncoderSettings(model=str(tmp_path)))
    add_adapters(encoder, LoraSettings(rank=2), 0)
    names = list(encoder.state_dict())
    assert any("pooler" in name for name in names)
    assert not any("pooler" in name and "lora" in name for name in names)


def test_projections_still_train(vocabulary: Path) -> None:
    plain = build(vocabulary)
    assert isinstance(plain, TransformerEncoder)
    encoder = TransformerEncoder(
        plain.model,
        plain._saved_tokenizer,
        pooling="cls",
        projections=[Projection(32, 24, True, "torch.nn.modules.activation.Tanh")],
        prefix=plain.prefix,
        max_length=plain.max_length,
    )
    add_adapters(encoder, LoraSettings(rank=2), 0)
    assert all(p.requires_grad for p in encoder.projections.parameters())  # type: ignore[attr-defined]


def test_adapters_come_from_the_seed_alone(vocabulary: Path) -> None:
    state = torch.random.get_rng_state()
    first = adapted(vocabulary).state_dict()
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.rand(3)
    again, other = adapted(vocabulary).state_dict(), adapted(vocabulary, seed=6).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_saving_merges_and_leaves_training_alone(
    vocabulary: Path, tmp_path: Path, texts: list[str], dtype: torch.dtype
) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers", reason="needs sentence-transformers")
    encoder, untouched = adapted(vocabulary, alpha=8), build(vocabulary).encode(texts, "passage")
    train(encoder, texts)
    encoder.to(dtype)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    encoder.save(tmp_path)
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert not list(tmp_path.glob("adapter*"))
    vectors = encoder.float().encode(texts, "passage")  # of the same weights, without half precision's own rounding
    assert np.abs(vectors - untouched).max() > 0.01
    again = load_encoder(EncoderSettings(model=str(tmp_path)))
    assert not any("lora" in name for name in again.state_dict())
    np.testing.assert_allclose(again.encode(texts, "passage"), vectors, atol=1e-5)
    theirs = sentence_transformers.SentenceTransformer(str(tmp_path), device="cpu")
    np.testing.assert_allclose(theirs.encode(texts, prompt_name="passage"), vectors, atol=1e-5)


def test_saving_merges_what_zero_3_has_cut_up(vocabulary: Path, tmp_path: Path, texts: list[str]) -> None:
    from xlstance.training.engine import join_process_group, make_engine, whole_parameters
    from xlstance.training.settings import DeepSpeedSettings, TrainingSettings

    encoder = adapted(vocabulary)
    train(encoder, texts)
    expected = encoder.encode(texts, "query")
    join_process_group()
    engine = make_engine(encoder, TrainingSettings(deepspeed=DeepSpeedSettings(zero_stage=3)), 1)
    assert all(hasattr(p, "ds_tensor") for p in encoder.parameters())
    assert all(p.numel() <= 1 for p in encoder.parameters())
    with whole_parameters(engine) as whole:
        whole.save(tmp_path)
    again = load_encoder(EncoderSettings(model=str(tmp_path)))
    np.testing.assert_allclose(again.encode(texts, "query"), expected, atol=1e-5)


def test_no_rank_changes_nothing(vocabulary: Path) -> None:
    encoder = adapted(vocabulary, rank=0)
    assert encoder.state_dict().keys() == build(vocabulary).state_dict().keys()
    assert all(p.requires_grad for p in encoder.parameters())


def test_what_cannot_be_adapted_is_refused(vocabulary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="the encoder is static"):
        add_adapters(build(vocabulary, kind="static"), LoraSettings(rank=2), 0)
    with pytest.raises(SettingsError, match="no linear layer 'q_proj'; its layers are dense, key, query, value"):
        adapted(vocabulary, targets=("query", "q_proj"))
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(SettingsError, match=r"pip install 'xlstance\[lora\]'"):
        adapted(vocabulary)


@pytest.mark.parametrize("wrong", [{"rank": -1}, {"alpha": 0}, {"dropout": 1.0}, {"dropout": -0.1}], ids=str)
def test_settings_are_checked(wrong: dict[str, int]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        LoraSettings(**wrong)
