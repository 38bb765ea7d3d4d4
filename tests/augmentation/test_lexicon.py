import gzip
from pathlib import Path

import pytest

from xlstance.augmentation.lexicons.lexicon import format_lexicon, merge_lexicons, read_lexicon, unpack_lexicon
from xlstance.errors import DataError, StorageError
from xlstance.storage import Folder

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "dict"


@pytest.fixture
def files(tmp_path):
    (tmp_path / "a.tsv").write_text("cat\tKatze\nCat\tKater\nhouse\tHaus\n")
    (tmp_path / "b.tsv.gz").write_bytes(gzip.compress("CAT\tMieze\ncat\tKatze\nStraße\tstreet\n".encode()))
    return [tmp_path / "a.tsv", tmp_path / "b.tsv.gz"]


def test_files_merge_in_order_and_words_are_folded(files):
    assert list(read_lexicon(files)["cat"]) == ["Katze", "Kater", "Mieze"]
    assert list(read_lexicon(files[::-1])["cat"]) == ["Mieze", "Katze", "Kater"]
    assert list(read_lexicon(files)["strasse"]) == ["street"]


def test_weights_fall_with_the_rank_and_files_have_an_equal_say(files):
    assert read_lexicon(files[:1])["cat"] == pytest.approx({"Katze": 2 / 3, "Kater": 1 / 3})
    assert read_lexicon(files)["cat"] == pytest.approx({"Katze": 2 / 3 + 1 / 3, "Kater": 1 / 3, "Mieze": 2 / 3})


def test_counts_are_the_weights(tmp_path):
    (tmp_path / "c.tsv").write_text("the\tder\t1\nthe\tdie\t2.5\nthe\tder\t0.5\nNew  York\tNeu-York\n’tis\tes ist\n")
    lexicon = read_lexicon([tmp_path / "c.tsv"])
    assert lexicon["the"] == pytest.approx({"der": 1.5 / 4, "die": 2.5 / 4})
    assert list(lexicon) == ["the", "new york", "'tis"]


def test_a_translation_listed_twice_keeps_its_rank(tmp_path):
    (tmp_path / "c.tsv").write_text("the\tdie\nthe\tder\nthe\tdie\n")
    assert read_lexicon([tmp_path / "c.tsv"])["the"] == pytest.approx({"die": 2 / 3, "der": 1 / 3})


def test_reverse_reads_the_second_column_as_the_word(files):
    lexicon = read_lexicon(files[:1], reverse=True)
    assert {word: list(found) for word, found in lexicon.items()} == {
        "katze": ["cat"], "kater": ["Cat"], "haus": ["house"]
    }  # fmt: skip


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("\tHaus", r"x\.tsv: row 2 has an empty side"),
        ("house", r"x\.tsv: row 2 has 1 columns; every row is 'word TAB translation'"),
        ("house\tHaus\t1\t2", r"x\.tsv: row 2 has 4 columns"),
        ("house\tHaus\tmany", r"x\.tsv: row 2 has the count 'many'; give a number above 0"),
        ("house\tHaus\t0", "row 2 has the count '0'"),
        ("house\tHaus\tnan", "row 2 has the count 'nan'"),
        ("house\tHaus\tinf", "row 2 has the count 'inf'"),
        ("house\tHaus\t", "row 2 has the count ''"),
    ],
)
def test_a_broken_row_is_named(tmp_path, row, message):
    (tmp_path / "x.tsv").write_text(f"cat\tKatze\n{row}\n")
    with pytest.raises(DataError, match=message):
        read_lexicon([tmp_path / "x.tsv"])


def test_an_empty_file_is_an_empty_lexicon(tmp_path):
    (tmp_path / "x.tsv").write_text("")
    assert read_lexicon([tmp_path / "x.tsv"]) == {}


def test_a_made_lexicon_comes_back_as_it_was(tmp_path):
    folder, lexicon = Folder(tmp_path), {"the": {"die": 0.75, "der": 0.25}, "new york": {"Neu-York": 1.0}}
    folder.write("l.tsv.gz", format_lexicon(lexicon))
    assert merge_lexicons([unpack_lexicon(folder, "l.tsv.gz")]) == lexicon
    assert format_lexicon(lexicon) == format_lexicon(dict(lexicon))
    folder.write("none.tsv.gz", format_lexicon({}))
    assert unpack_lexicon(folder, "none.tsv.gz") == {}
    folder.write("l.tsv.gz", format_lexicon(lexicon)[:-9])
    with pytest.raises(DataError, match=r"l\.tsv\.gz is cut off or broken .*; remove it and run again"):
        unpack_lexicon(folder, "l.tsv.gz")
    with pytest.raises(StorageError, match="does not exist"):
        unpack_lexicon(folder, "absent.tsv.gz")


@pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data/dict")
def test_a_real_lexicon_keeps_its_order():
    assert list(read_lexicon([DATA / "muse" / "en-de.tsv.gz"])["the"])[:4] == ["die", "der", "dem", "den"]
