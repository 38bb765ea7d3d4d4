from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from xlstance.augmentation.lexicons import induced
from xlstance.augmentation.lexicons.induced import InducedLexicon, frequent_words, induce_lexicon, mutual_neighbours
from xlstance.encoders import StaticEncoder
from xlstance.errors import SettingsError


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def brute_force(source, target, same, k):
    """The formula of the paper, pair by pair, in float64."""
    cosines = np.array([[float(x.astype(np.float64) @ y.astype(np.float64)) for y in target] for x in source])
    for row, column in enumerate(same):
        if column >= 0:
            cosines[row, column] = -1.0
    near_target = [np.mean(sorted(row, reverse=True)[:k]) for row in cosines]
    near_source = [np.mean(sorted(column, reverse=True)[:k]) for column in cosines.T]
    csls = [
        [2 * cosines[i, j] - near_target[i] - near_source[j] for j in range(len(target))] for i in range(len(source))
    ]
    best = [int(np.argmax(row)) for row in csls]
    back = [int(np.argmax([csls[i][j] for i in range(len(source))])) for j in range(len(target))]
    return [[i, j] for i, j in enumerate(best) if back[j] == i]


@pytest.mark.parametrize(("sources", "targets", "k"), [(40, 55, 10), (55, 40, 3), (5, 4, 10), (1, 1, 10), (1, 7, 1)])
def test_equals_the_formula_pair_by_pair(monkeypatch, sources, targets, k):
    monkeypatch.setattr(induced, "_ROWS", 7)  # several blocks
    draw = np.random.default_rng([sources, targets])
    source, target = unit(draw.normal(size=(sources, 8))), unit(draw.normal(size=(targets, 8)))
    same = np.where(draw.random(sources) < 0.2, np.arange(sources), -1)
    same[same >= targets] = -1
    found = mutual_neighbours(source, target, same, k)
    assert found.tolist() == brute_force(source, target, same, k)
    assert len(found)


def test_csls_passes_over_a_word_that_is_near_to_everything():
    """By cosine alone the hub takes the first word, whose translation then is nobody's."""
    source = unit(np.array([[1, 0.3, 0], [0.9, -0.4, 0.3], [0.9, 0, -0.5]]))
    hub = source.mean(axis=0, keepdims=True)
    target = unit(np.concatenate([hub, [[0.8, 0.75, 0.1], [0.5, -0.8, 0.4], [0.5, 0, -0.9]]]))
    none = np.full(3, -1)
    assert (source @ target.T).argmax(axis=1).tolist() == [0, 0, 0]
    assert mutual_neighbours(source, target, none, 2).tolist() == [[0, 1], [1, 2], [2, 3]]


@pytest.fixture
def encoder():
    """Knows cat and Katze, house and Haus as near to each other, and that Berlin is near to itself."""
    vectors = {
        "cat": [1, 0, 0, 0], "Katze": [0.9, 0.1, 0, 0], "house": [0, 1, 0, 0], "Haus": [0, 0.9, 0.2, 0],
        "Berlin": [0, 0, 1, 0], "die": [0, 0, 0, 1], "the": [0.1, 0, 0, 0.9], "[UNK]": [-1, -1, -1, -1],
    }  # fmt: skip
    tokenizer = Tokenizer(models.WordLevel({word: row for row, word in enumerate(vectors)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    lengths = {"query": 8, "passage": 8}
    return StaticEncoder(
        tokenizer, torch.tensor(list(vectors.values())), prefix={"query": "", "passage": ""}, max_length=lengths
    )


def test_words_are_paired_with_their_nearest(encoder):
    english, german = ["the", "Berlin", "cat", "house"], ["die", "Haus", "Berlin", "Katze"]
    found = induce_lexicon(english, german, encoder)
    assert {word: found.get(word) for word in ("cat", "house", "the")} == {
        "cat": {"Katze": 1.0}, "house": {"Haus": 1.0}, "the": {"die": 1.0}
    }  # fmt: skip
    assert "Berlin" not in found.get("berlin", {})  # the same word is no translation
    assert induce_lexicon([], german, encoder) == induce_lexicon(english, [], encoder) == {}


def test_frequent_words_are_written_as_most_often(monkeypatch):
    monkeypatch.setattr(induced, "_TEXTS", 2)  # several blocks
    texts = ["The cat and the House", "The house, the house; House HOUSE House", "And don't 3rd 猫 cats x"] * 2
    words = ["House", "the", "and", "cat", "cats", "don't", "x"]
    assert frequent_words(texts, 100) == words
    assert frequent_words(iter(texts), 3) == words[:3]
    assert frequent_words([], 5) == []


def test_settings_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(SettingsError, match="encoder is empty"):
        InducedLexicon()
    with pytest.raises(SettingsError, match="words is 0"):
        InducedLexicon(encoder="m", words=0)
    (tmp_path / "m").mkdir()
    assert InducedLexicon(encoder="m").located(str(tmp_path)).model == str(Path(tmp_path) / "m")
    assert InducedLexicon(encoder="hub/m").located(str(tmp_path)).model == "hub/m"
