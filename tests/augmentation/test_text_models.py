import json
import shutil

import numpy as np
import pytest
import tiny_models
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from xlstance.augmentation.text_generation.conventions import frame_of
from xlstance.augmentation.text_generation.decoding import LineEnd, RowLimits, Sampler, draws
from xlstance.augmentation.text_generation.text_models import Decoding, ModelSettings, batches
from xlstance.augmentation.text_generation.transformers_model import (
    TransformersModel,
    find_model,
    load_tokenizer,
    model_files,
    read_config,
)
from xlstance.errors import DataError, SettingsError, StorageError

SENTENCES = tiny_models.sentences(40, seed=5)
IDS = [f"row{i}" for i in range(40)]
PROMPTS = [tiny_models.PROMPT.replace("{passage}", text) for text in SENTENCES]
SAMPLE = Decoding(method="sample", number=2, max_tokens=40, top_k=0)


def opened(folder, **changes):
    return TransformersModel(ModelSettings(name=str(folder), **{"max_source_tokens": 64, **changes}))


@pytest.fixture(scope="module")
def causal():
    return opened(tiny_models.llama())


@pytest.fixture(scope="module")
def seq2seq():
    return opened(tiny_models.nllb())


def to_german(model):
    return frame_of("nllb", model.tokenizer, source="en", target="de")


@given(
    st.lists(st.integers(0, 50), max_size=40), st.integers(1, 8), st.integers(1, 200), st.integers(1, 4)
)  # fmt: skip
def test_batches_hold_each_row_once_and_keep_to_their_limits(lengths, batch_size, batch_tokens, copies):
    made = batches(lengths, batch_size=batch_size, batch_tokens=batch_tokens, copies=copies)
    assert sorted(row for batch in made for row in batch) == list(range(len(lengths)))
    for batch in made:
        longest = max(lengths[row] for row in batch)
        assert 1 <= len(batch) <= batch_size
        assert len(batch) == 1 or len(batch) * longest * copies <= batch_tokens
    assert [lengths[row] for batch in made for row in batch] == sorted(lengths, reverse=True)


def test_a_batch_is_as_large_as_its_limits_let_it():
    assert [len(batch) for batch in batches([5] * 10, batch_size=4, batch_tokens=100)] == [4, 4, 2]
    assert [len(batch) for batch in batches([5] * 10, batch_size=9, batch_tokens=30)] == [6, 4]
    assert [len(batch) for batch in batches([5] * 10, batch_size=9, batch_tokens=30, copies=2)] == [3, 3, 3, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"beams": 0}, "beams is 0; give 1 or more"),
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"temperature": 0.0}, "temperature is 0.0; give a number above 0"),
        ({"top_p": 0.0}, "top_p is 0.0"),
        ({"number": 2}, "number is 2, but greedy decoding gives one text"),
        ({"method": "beam", "beams": 3, "number": 4}, "3 beams give no more"),
    ],
)
def test_decoding_that_cannot_be_is_refused(changes, message):
    with pytest.raises(SettingsError, match=message):
        Decoding(**changes)


def pick(probabilities, numbers, **changes):
    """The tokens that a sampler takes from one distribution for several numbers drawn."""
    decoding = Decoding(method="sample", **{"top_k": 0, **changes})
    scores = torch.tensor(probabilities).log().expand(len(numbers), -1)
    made = Sampler(torch.tensor(numbers, dtype=torch.float64)[:, None], decoding)(None, scores)
    assert (made.isfinite().sum(1) == 1).all()
    return made.argmax(1).tolist()


def test_a_token_is_drawn_by_its_probability():
    numbers = (np.arange(1000) / 1000).tolist()
    assert np.bincount(pick([0.5, 0.0, 0.2, 0.3], numbers)).tolist() == pytest.approx([500, 0, 200, 300], abs=1)
    assert pick([0.5, 0.2, 0.3, 0.0], [0.0, 1 - 1e-16, 1.0]) == [0, 2, 2]
    assert pick([0.0, 0.4, 0.6], [0.0]) == [1]
    assert np.bincount(pick([0.1, 0.5, 0.4], numbers, top_k=2)).tolist() == pytest.approx([0, 556, 444], abs=1)
    assert np.bincount(pick([0.1, 0.5, 0.4], numbers, top_p=0.6)).tolist() == pytest.approx([0, 556, 444], abs=1)
    assert set(pick([0.1, 0.5, 0.4], numbers, top_p=0.45)) == {1}
    cold = np.bincount(pick([0.6, 0.4], numbers, temperature=0.5))
    assert cold.tolist() == pytest.approx([692, 308], abs=1)


def test_the_draws_of_a_row_follow_from_seed_and_id():
    few, many = Decoding(method="sample", max_tokens=5), Decoding(method="sample", max_tokens=9, number=3)
    one, all_ = draws(["b"], few, 3), draws(["a", "b"], many, 3)
    assert all_.shape == (6, 9)
    assert torch.equal(one[0], all_[3, :5])
    assert len(torch.unique(all_)) == all_.numel()
    assert not torch.equal(draws(["b"], few, 4), one)


def test_each_row_ends_at_its_own_limit():
    limits = RowLimits(torch.tensor([1, 3]), end=2)
    scores = torch.tensor([[3.0, 2.0, 1.0]]).expand(2, -1)
    steps = [limits(None, scores).argmax(1).tolist() for _ in range(4)]
    assert steps == [[0, 0], [2, 0], [2, 0], [2, 2]]


def test_a_line_ends_after_something_was_written():
    line = LineEnd(breaks=torch.tensor([False, True, False]), blank=torch.tensor([False, True, True]))
    steps = [[1, 0, 2], [2, 2, 1], [0, 1, 0], [1, 0, 1]]  # of three rows: 0 is a word, 1 a line break, 2 a space
    assert [line(torch.tensor([step]).T, None).tolist() for step in steps] == [
        [False, False, False], [False, False, False], [False, True, False], [True, False, True]
    ]  # fmt: skip


def test_a_short_source_has_less_to_write(seq2seq):
    decoding = Decoding(max_tokens=2)
    assert seq2seq.generate(["bana toki sulo"], ["a"], decoding, frame=to_german(seq2seq)) == [["haus"]]
    texts = ["bana toki sulo mire kepa duno " * 2, "bana toki sulo"]
    model = opened(tiny_models.nllb())
    written = model.generate(texts, ["a", "b"], Decoding(max_ratio=0.01, max_tokens=40), frame=to_german(model))
    assert len(model.count_tokens(written[0])) <= 8
    assert written[1] == ["haus baum wein"]


@pytest.mark.parametrize("decoding", [{"method": "sample", "number": 3}, {"method": "beam", "beams": 3, "number": 3}])
def test_every_copy_of_a_source_has_its_limit(seq2seq, decoding):
    texts = ["bana toki sulo mire kepa duno " * 3, "bana"]  # 20 and 3 tokens
    ratio = Decoding(**decoding, max_tokens=40, max_ratio=1.0, top_k=0, temperature=50.0)
    written = seq2seq.generate(texts, ["a", "b"], ratio, frame=to_german(seq2seq))
    assert max(seq2seq.count_tokens(written[1])) <= 3 + 8


def test_what_a_model_says_of_sampling_changes_nothing(causal, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_models.llama(), folder)
    own = {"do_sample": True, "temperature": 0.01, "top_k": 1, "top_p": 0.1, "min_p": 0.9, "typical_p": 0.1}
    (folder / "generation_config.json").write_text(json.dumps({**own, "eos_token_id": 0, "bos_token_id": 0}))
    assert opened(folder).generate(PROMPTS, IDS, SAMPLE, seed=3) == causal.generate(PROMPTS, IDS, SAMPLE, seed=3)
    greedy = causal.generate(PROMPTS, IDS, Decoding(max_tokens=20))
    assert opened(folder).generate(PROMPTS, IDS, Decoding(max_tokens=20)) == greedy


def test_texts_come_in_the_order_of_their_sources(seq2seq):
    written = seq2seq.generate(SENTENCES, IDS, Decoding(max_tokens=20), frame=to_german(seq2seq))
    assert written == [[tiny_models.translate(text, "en", "de")] for text in SENTENCES]
    assert seq2seq.generate([], [], Decoding()) == []


def test_a_causal_model_writes_on_whatever_the_padding(causal):
    written = causal.generate(PROMPTS, IDS, Decoding(max_tokens=40), one_line=True)
    for (answer,), text in zip(written, SENTENCES, strict=True):
        opening, _, rest = answer.partition(" ")
        assert opening in tiny_models.OPENINGS
        assert rest == f"{tiny_models.translate(text, 'en', 'de')}?"


def test_beams_give_what_the_library_gives(seq2seq):
    decoding = Decoding(method="beam", beams=3, number=2, max_tokens=12)
    written = seq2seq.generate(SENTENCES[:4], IDS[:4], decoding, frame=to_german(seq2seq))
    for text, found in zip(SENTENCES, written, strict=False):
        batch = seq2seq.tokenizer([text], return_tensors="pt")
        ids = seq2seq._model.generate(
            **batch,
            num_beams=3,
            num_return_sequences=2,
            max_new_tokens=12,
            forced_bos_token_id=to_german(seq2seq).first_token,
        )
        assert found == seq2seq.tokenizer.batch_decode(ids, skip_special_tokens=True)
        assert found[0] == tiny_models.translate(text, "en", "de")


@pytest.mark.parametrize("settings", [{"batch_size": 1}, {"batch_size": 7}, {"batch_tokens": 60}])
def test_what_is_sampled_does_not_depend_on_the_batch(causal, settings):
    whole = causal.generate(PROMPTS, IDS, SAMPLE, seed=3, one_line=True)
    other = opened(tiny_models.llama(), **settings)
    assert other.generate(PROMPTS[::-1], IDS[::-1], SAMPLE, seed=3, one_line=True) == whole[::-1]
    assert other.generate(PROMPTS[7:9], IDS[7:9], SAMPLE, seed=3, one_line=True) == whole[7:9]


def test_samples_follow_seed_id_and_number(causal):
    def openings(seed=3, ids=IDS, number=2):
        decoding = Decoding(method="sample", number=number, max_tokens=40)
        written = causal.generate(PROMPTS, ids, decoding, seed=seed, one_line=True)
        return [text.partition(" ")[0] for row in written for text in row]

    first = openings()
    assert set(first) == set(tiny_models.OPENINGS)  # all equally likely
    assert min(first.count(opening) for opening in tiny_models.OPENINGS) >= 8
    assert openings(seed=4) != first
    assert openings(ids=[f"other{i}" for i in range(40)]) != first
    assert openings(number=3)[1::3] == first[1::2]
    assert first[::2] != first[1::2]


def test_sampling_leaves_the_global_state_of_torch_alone(causal):
    before = torch.random.get_rng_state()
    causal.generate(PROMPTS[:2], IDS[:2], SAMPLE)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_line_ends_the_text_only_where_it_is_asked_for(causal):
    (whole,), (line,) = (causal.generate(PROMPTS[:1], IDS[:1], Decoding(), one_line=own) for own in (False, True))
    assert whole[0].splitlines()[1] == "odd lines"
    assert line[0] == whole[0].splitlines()[0]


def test_a_text_is_cut_to_its_first_tokens(causal, seq2seq):
    for model in (causal, seq2seq):
        assert model.cut("bana toki sulo", 3) == "bana toki sulo" or model is causal
        short = model.cut("bana toki sulo mire", 2)
        assert "bana toki sulo mire".startswith(short)
        assert model.count_tokens([short])[0] <= 2
    assert seq2seq.cut("bana toki sulo mire", 2) == "bana toki"
    assert seq2seq.room(to_german(seq2seq)) == 64 - 2 - 2  # the source's code, the end, and the seam


def test_a_source_that_is_too_long_is_refused(seq2seq):
    with pytest.raises(DataError, match="r2 has 67 tokens, but max_source_tokens is 64"):
        seq2seq.generate(["bana", "bana" + " bana" * 64], ["r1", "r2"], Decoding(), frame=to_german(seq2seq))


def test_a_model_without_positions_for_its_sources_is_refused():
    with pytest.raises(SettingsError, match="positions for 64 tokens; give 64 or less"):
        opened(tiny_models.nllb(), max_source_tokens=65)


def test_a_folder_that_is_no_such_model_is_refused(tmp_path):
    with pytest.raises(StorageError, match="no folder here and could not be fetched"):
        find_model("no/such/model/here")
    with pytest.raises(StorageError, match=r"holds no \*\.safetensors"):
        find_model(str(tmp_path))
    with pytest.raises(SettingsError, match="name is empty"):
        ModelSettings(name="")
    with pytest.raises(SettingsError, match="model: batch_size is 0"):
        ModelSettings(name="x", batch_size=0)


def test_a_broken_folder_is_refused(tmp_path):
    for number, (name, content, message) in enumerate(
        [
            ("config.json", "{}", "is no model that transformers can open"),
            (
                "config.json",
                json.dumps({"model_type": "vit"}),
                "a model of the type vit writes no texts",
            ),
            ("tokenizer.json", "{", "holds no tokenizer that transformers can open"),
            ("model.safetensors", "no weights", "is no model that transformers can open"),
        ]
    ):
        folder = tmp_path / str(number)
        shutil.copytree(tiny_models.nllb(), folder)
        (folder / name).write_text(content)
        with pytest.raises(DataError, match=message):
            opened(folder)


def test_a_model_that_lacks_weights_is_refused(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_models.llama(), folder)
    config = transformers.AutoConfig.from_pretrained(folder)
    config.num_hidden_layers += 1
    config.layer_types = None
    config.save_pretrained(folder)
    with pytest.raises(DataError, match=r"lacks 9 weights of its network, first model\.layers\.2"):
        opened(folder)


def test_a_model_is_told_by_what_its_files_hold(tmp_path):
    files = model_files(tiny_models.nllb())
    assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"} <= set(files)
    folder = tmp_path / "model"
    shutil.copytree(tiny_models.nllb(), folder)
    (folder / "README.md").write_text("no part of it")
    assert model_files(folder) == files
    (folder / "generation_config.json").write_text("{}")
    assert model_files(folder) != files


def test_configurations_and_tokenizers_open_without_weights():
    assert read_config(tiny_models.llama()).is_encoder_decoder is False
    assert type(load_tokenizer(tiny_models.nllb())).__name__ == "NllbTokenizer"
