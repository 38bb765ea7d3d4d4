from pathlib import Path

import numpy as np
import pytest
import torch

from xlstance.encoders import Encoder, EncoderSettings, load_encoder
from xlstance.errors import SettingsError


def build(vocabulary: Path, seed: int = 1, **changes: object) -> Encoder:
    return load_encoder(
        EncoderSettings(kind="static", dimension=32, **changes),  # type: ignore[arg-type]
        tokenizer=vocabulary,
        seed=seed,
    )


@pytest.fixture(scope="module")
def encoder(vocabulary: Path) -> Encoder:
    return build(vocabulary, query_prefix="Query: ", passage_prefix="Passage: ")


def test_vectors_are_means_of_subword_vectors(encoder: Encoder, texts: list[str]) -> None:
    table = encoder.state_dict()["embedding.weight"].numpy().astype(np.float64)
    means = np.array([table[ids].mean(0) for ids in encoder.tokenize(texts, "passage")])
    expected = means / np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(encoder.encode(texts, "passage"), expected, atol=1e-6)


def test_vectors_do_not_depend_on_the_batch(encoder: Encoder, texts: list[str]) -> None:
    together = encoder.encode(texts, "query")
    assert together.dtype == np.float32
    np.testing.assert_array_equal(encoder.encode(texts, "query", batch_tokens=100), together)
    np.testing.assert_array_equal(encoder.encode(texts[::-1], "query")[::-1], together)


def test_progress_counts_every_text(encoder: Encoder, texts: list[str]) -> None:
    counts: list[int] = []
    encoder.encode(texts, "query", batch_tokens=200, progress=counts.append)
    assert len(counts) > 2
    assert sum(counts) == len(texts)


def test_no_texts(encoder: Encoder) -> None:
    assert encoder.encode([], "query").shape == (0, 32)
    assert encoder(encoder.collate([])).shape == (0, 32)


def test_an_empty_text_has_a_direction(vocabulary: Path) -> None:
    plain = build(vocabulary)
    vectors = plain.encode(["", "final 2008", " \n"], "query")
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(vectors[0], vectors[2])
    np.testing.assert_array_equal(plain.encode([""], "query")[0], vectors[0])


def test_prefix_and_length(encoder: Encoder, vocabulary: Path, texts: list[str]) -> None:
    prefix = build(vocabulary).tokenize(["Query:"], "query")[0]
    for ids in encoder.tokenize(texts, "query"):
        np.testing.assert_array_equal(ids[: len(prefix)], prefix)
    assert max(map(len, encoder.tokenize(texts, "query"))) == 64
    assert max(map(len, encoder.tokenize(texts, "passage"))) == 256


def test_crop_moves_over_the_text_and_keeps_the_prefix(encoder: Encoder, texts: list[str]) -> None:
    ids = encoder.tokenize([texts[-1]], "passage")[0]
    head = len(encoder.tokenize([""], "passage")[0])
    body = ids[head:]
    room = 20 - head
    places = {encoder.crop(ids, "passage", 20, at).tobytes() for at in np.linspace(0, 1, 5000, endpoint=False)}
    expected = {np.concatenate([ids[:head], body[i : i + room]]).tobytes() for i in range(len(body) - room + 1)}
    assert places == expected
    np.testing.assert_array_equal(encoder.crop(ids, "passage", len(ids), 0.9), ids)


def test_weights_come_from_the_seed_alone(vocabulary: Path) -> None:
    state = torch.random.get_rng_state()
    first = build(vocabulary).state_dict()["embedding.weight"]
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.rand(3)
    assert torch.equal(build(vocabulary).state_dict()["embedding.weight"], first)
    assert not torch.equal(build(vocabulary, seed=2).state_dict()["embedding.weight"], first)
    assert abs(first.norm(dim=1).mean() - 1) < 0.05


def test_gradients_reach_the_vectors_that_were_used(vocabulary: Path) -> None:
    encoder = build(vocabulary)
    rows = encoder.tokenize(["final 2008"], "query")
    encoder(encoder.collate(rows))[0, 0].backward()
    gradient = next(encoder.parameters()).grad
    assert gradient is not None
    assert set(gradient.abs().sum(1).nonzero().flatten().tolist()) == set(rows[0].tolist())


def test_a_prefix_that_fills_the_length_is_refused(vocabulary: Path) -> None:
    with pytest.raises(SettingsError, match="max_query_length is 2"):
        build(vocabulary, query_prefix="final 2008", max_query_length=2)
