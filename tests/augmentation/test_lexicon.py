import gzip
from pathlib import Path

import pytest

from xlstance.augmentation.lexicon import read_lexicon
from xlstance.errors import DataError

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "dict"


@pytest.fixture
def files(tmp_path):
    (tmp_path / "a.tsv").write_text("cat\tKatze\nCat\tKater\nhouse\tHaus\n")
    (tmp_path / "b.tsv.gz").write_bytes(gzip.compress("CAT\tMieze\ncat\tKatze\nStraße\tstreet\n".encode()))
    return [tmp_path / "a.tsv", tmp_path / "b.tsv.gz"]


def test_files_merge_in_order_and_words_are_case_folded(files):
    assert read_lexicon(files)["cat"] == ("Katze", "Kater", "Mieze")
    assert read_lexicon(files[::-1])["cat"] == ("Mieze", "Katze", "Kater")
    assert read_lexicon(files)["STRASSE".casefold()] == ("street",)


def test_reverse_reads_the_second_column_as_the_word(files):
    assert read_lexicon(files[:1], reverse=True) == {"katze": ("cat",), "kater": ("Cat",), "haus": ("house",)}


def test_a_broken_row_is_named(tmp_path):
    (tmp_path / "x.tsv").write_text("cat\tKatze\n\tHaus\n")
    with pytest.raises(DataError, match=r"x\.tsv: row 2 has an empty side"):
        read_lexicon([tmp_path / "x.tsv"])


@pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data/dict")
def test_a_real_lexicon_keeps_its_order():
    assert read_lexicon([DATA / "muse" / "en-de.tsv.gz"])["the"][:4] == ("die", "der", "dem", "den")
