from pathlib import Path

import numpy as np
import pytest
import yaml

from xlstance.encoders import EncoderSettings, ModelFacts, load_encoder, write_model_card
from xlstance.encoders.model_card import model_card

FACTS = ModelFacts(
    name="lab/retriever",
    summary="Finds passages in any of its languages.",
    base_model="FacebookAI/xlm-roberta-base",
    languages=["zh-Hans", "no", "de", "zh-Hant", "miniature"],
    dimension=768,
    prefix={"query": "Query: ", "passage": ""},
    max_length={"query": 64, "passage": 256},
    training={"steps": 500, "sampler": {"kind": "hybrid", "alpha": 0.5}, "negatives": {}},
    sources=[{"source": "a|b", "rows": 1000}, {"source": "two\nlines", "rows": 5, "license": "<b>"}],
    results=[{"test": "XQuAD-R", "mono": 0.51, "cross": 0.4}],
    limitations=["Not tried on speech.", "Half of the\ndata is synthetic."],
)


def front_matter(card: str) -> dict[str, object]:
    start, text, _ = card.split("---\n", 2)
    assert start == ""
    parsed: dict[str, object] = yaml.safe_load(text)
    return parsed


def table(card: str, title: str) -> list[str]:
    return [line for line in card.split(f"## {title}\n")[1].split("\n## ")[0].splitlines() if line.startswith("|")]


def test_the_front_matter_is_what_the_hub_reads() -> None:
    read = front_matter(model_card(FACTS))
    assert read["language"] == ["multilingual", "de", "no", "zh"]  # Norwegian, not false
    assert read["library_name"] == "sentence-transformers"
    assert read["pipeline_tag"] == "sentence-similarity"
    assert read["base_model"] == "FacebookAI/xlm-roberta-base"
    assert "license" not in read
    assert front_matter(model_card({**FACTS, "license": "apache-2.0"}))["license"] == "apache-2.0"
    assert front_matter(model_card({**FACTS, "languages": ["no"]}))["language"] == ["no"]


@pytest.mark.parametrize("path", ["/models/base", "./base", "runs/arm/seed/base", ""])
def test_a_folder_is_no_base_model_of_the_hub(path: str) -> None:
    assert "base_model" not in front_matter(model_card({**FACTS, "base_model": path}))


def test_tables_hold_every_fact() -> None:
    card = model_card(FACTS)
    assert table(card, "Training") == [
        *("| setting | value |", "| --- | --- |", "| steps | 500 |", "| sampler.kind | hybrid |"),
        *("| sampler.alpha | 0.5 |", "| negatives | {} |"),
    ]
    assert table(card, "Training data") == [
        *("| source | rows | license |", "| --- | --- | --- |"),
        *("| a\\|b | 1000 |  |", "| two lines | 5 | &lt;b> |"),
    ]
    assert table(card, "Results")[2] == "| XQuAD-R | 0.51 | 0.4 |"
    assert "- Half of the data is synthetic.\n" in card
    assert 'A query is encoded with "Query: "' in card
    assert "A passage is encoded with" not in card


def test_what_is_not_known_is_not_spoken_of() -> None:
    card = model_card({"name": "bare"})
    assert [line for line in card.splitlines() if line.startswith("#")] == ["# bare", "## Use"]
    assert card == model_card({"name": "bare"})
    assert "\n\n\n" not in card


def test_the_examples_of_a_card_run(vocabulary: Path, tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers", reason="needs sentence-transformers (extra dev)")
    settings = EncoderSettings(kind="static", dimension=16, query_prefix="Query: ", passage_prefix="Passage: ")
    load_encoder(settings, tokenizer=vocabulary, seed=1).save(tmp_path)
    write_model_card(tmp_path, {**FACTS, "name": str(tmp_path)})
    blocks = (tmp_path / "README.md").read_text().split("```python\n")[1:]
    scores = []
    for block in blocks:
        names: dict[str, object] = {}
        exec(block.split("```")[0], names)  # the card's own code
        scores.append(np.asarray(names["scores"]))
    assert len(scores) == 2
    assert scores[0].shape == (1, 2)
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-5)
