import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from xlstance.encoders import train_vocabulary
from xlstance.encoders.vocabulary import SPECIAL_TOKENS


@pytest.fixture(scope="module")
def tokenizer(texts: list[str]) -> Tokenizer:
    return train_vocabulary(texts, 300)


def tokens(tokenizer: Tokenizer, text: str) -> list[str]:
    return tokenizer.encode(text, add_special_tokens=False).tokens


def test_size_and_special_tokens(tokenizer: Tokenizer) -> None:
    assert tokenizer.get_vocab_size() == 300
    assert [tokenizer.id_to_token(i) for i in range(5)] == list(SPECIAL_TOKENS)
    assert tokenizer.encode("2008").tokens == ["[CLS]", "2008", "[SEP]"]
    assert tokens(tokenizer, "2008") == ["2008"]


def test_same_texts_give_the_same_vocabulary(tokenizer: Tokenizer, texts: list[str]) -> None:
    assert train_vocabulary(texts, 300).to_str() == tokenizer.to_str()
    assert train_vocabulary(texts, 250).to_str() != tokenizer.to_str()


@pytest.mark.parametrize("text", ["在2008年", "ปี2008จัดขึ้น", "in 2008,", "(2008)", "2008年の", "عام 2008.", "-2008-"])
def test_a_number_is_the_same_token_in_every_language(tokenizer: Tokenizer, text: str) -> None:
    assert "2008" in tokens(tokenizer, text)


@pytest.mark.parametrize(("text", "words"), [("bowl决赛", ("bowl", "决赛")), ("bowlรอบ", ("bowl", "รอบ"))])
def test_scripts_are_cut_apart(tokenizer: Tokenizer, text: str, words: tuple[str, str]) -> None:
    assert tokens(tokenizer, text) == tokens(tokenizer, words[0]) + tokens(tokenizer, words[1])


def test_case_and_width_are_folded(tokenizer: Tokenizer, texts: list[str]) -> None:
    assert tokens(tokenizer, "ＮＥＷ York") == tokens(tokenizer, "new york")
    assert tokens(tokenizer, "İstanbul") == tokens(tokenizer, "istanbul")
    cased = train_vocabulary(texts, 300, lowercase=False)
    assert tokens(cased, "NEW") != tokens(cased, "new")


def test_tokens_are_no_longer_than_asked(texts: list[str]) -> None:
    assert max(map(len, set(train_vocabulary(texts, 300, longest=4).get_vocab()) - set(SPECIAL_TOKENS))) == 4


def test_only_the_most_frequent_characters_are_kept(texts: list[str]) -> None:
    limited = train_vocabulary(["aaa bbb ccc zz yy"], 100, alphabet=3)
    assert tokens(limited, "a b c") == ["a", "b", "c"]
    assert tokens(limited, "z y az") == ["[UNK]", "[UNK]", "a", "[UNK]"]


def test_equally_frequent_characters_are_kept_alike_in_every_process() -> None:
    # The library's own limit breaks ties by the order of a hash map, which differs from run to run.
    script = (
        "import hashlib; from xlstance.encoders import train_vocabulary; "
        "made = train_vocabulary([chr(code) for code in range(0x4E00, 0x5000)], 300, alphabet=200); "
        "print(hashlib.sha256(made.to_str().encode()).hexdigest())"
    )
    outputs = {subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout for _ in range(2)}
    assert len(outputs) == 1


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1))
def test_no_visible_text_becomes_empty(tokenizer: Tokenizer, text: str) -> None:
    # A lone dot above is all that lower-casing removes.
    assert tokens(tokenizer, text) or set(text) == {"\u0307"}
