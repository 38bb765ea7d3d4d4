import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlstance.leakage.text import GRAM, NEAR, hash_texts, normalise


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("Who's there? 3.5 km!", "who s there 3 5 km"),
        ("\ufeffSoft\u00adhyphen, zero\u200dwidth\u200b, e\u0301\ufe0f", "softhyphen zerowidth é"),
        ("a\u00ad\u0301 I\u200d\u0307 x\U000e01efy", "á i xy"),
        ("STRASSE ﬁn １９９０", "strasse fin 1990"),
        ("Straße", "strasse"),
        ("İstanbul ISPARTA ısparta", "istanbul isparta isparta"),
        ("हिन्दी में क्या है?", "हिन्दी में क्या है"),
        ("العَرَبِيَّة، نعم", "العَرَبِيَّة نعم"),
        ("1990年は東京、abc", "1990 年 は 東 京 abc"),
        ("\u0e19\u0e49\u0e33\u0e17\u0e35\u0e48", "\u0e19\u0e49\u0e4d \u0e32 \u0e17\u0e35\u0e48"),  # sara am comes apart
        ("한국어 문장", "한국어 문장"),
        ("a\0b", "a b"),
        (" ... ", ""),
        ("", ""),
    ],
)
def test_units(text, units):
    assert normalise(text) == units


def worth(unit):
    return 1 if "\u0e00" <= unit[0] <= "\u0eff" else 3


def grams_of(units):
    """Every shortest run of units that is worth eight words."""
    found = []
    for start in range(len(units)):
        total = 0
        for end in range(start, len(units)):
            total += worth(units[end])
            if total >= 3 * GRAM:
                found.append(tuple(units[start : end + 1]))
                break
    return found


def without_one(units):
    inside = NEAR[0] <= len(units) <= NEAR[1]
    return [tuple(units[:i] + units[i + 1 :]) for i in range(len(units))] if inside else []


texts = st.lists(st.text(alphabet="ab b A.,é\u0301\u00ad年は กิ้ हि\0", max_size=60), max_size=8)


@settings(deadline=None)
@given(texts)
def test_hashes_stand_for_units_grams_and_texts_without_a_unit(block):
    hashed = hash_texts(block)
    units = [normalise(text).split() for text in block]
    assert hashed.units.tolist() == [len(own) for own in units]
    meant = {
        "texts": ([tuple(own) for own in units], hashed.texts),
        "grams": ([gram for own in units for gram in grams_of(own)], hashed.grams),
        "without": ([rest for own in units for rest in without_one(own)], hashed.without),
    }
    for sequences, hashes in meant.values():
        assert len(sequences) == len(hashes)
        assert (
            len(set(sequences)) == len(set(hashes.tolist())) == len(set(zip(sequences, hashes.tolist(), strict=True)))
        )
    assert hashed.gram_rows.tolist() == [row for row, own in enumerate(units) for _ in grams_of(own)]
    assert hashed.without_rows.tolist() == [row for row, own in enumerate(units) for _ in without_one(own)]


@settings(deadline=None)
@given(texts)
def test_a_text_hashes_alone_as_in_a_block_and_again_when_normalised(block):
    together = hash_texts(block)
    for row, text in enumerate(block):
        alone = hash_texts([text])
        assert alone.texts[0] == together.texts[row]
        assert alone.grams.tolist() == together.grams[together.gram_rows == row].tolist()
        assert hash_texts([normalise(text)]).texts[0] == alone.texts[0]


def test_a_unit_left_out_hashes_as_the_text_without_it():
    words = ["one", "two", "three", "four", "five", "six", "seven"]
    rest = hash_texts([" ".join(words[:3] + words[4:])]).texts[0]
    assert hash_texts([" ".join(words)]).without[3] == rest


def test_no_two_words_of_many_share_a_hash():
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [a + b + c for a in letters for b in letters for c in letters]
    assert len(np.unique(hash_texts(words).texts)) == len(words)


def test_the_hash_of_a_text_is_written_down():
    """An index on disk outlives the code that wrote it: a hash that changes would find nothing, and say nothing."""
    assert hash_texts(["Who was it?"]).texts.tolist() == [5497022938458873758]
