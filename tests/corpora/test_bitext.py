import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from mutations import mutated_gzip, mutated_lines

from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.bitext import read_bitext
from xlstance.errors import DataError

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "train" / "bitext"


def write(path, *rows):
    data = "".join(f"{row}\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.fixture
def files(tmp_path):
    return {
        "de": write(tmp_path / "de.tsv", "Hello.\tHallo.", "Hi.\tHallo.", "A cat.\tEine Katze.", "Hi.\tHallo."),
        "fr": write(tmp_path / "fr.tsv.gz", "Hello.\tBonjour.", "A dog.\tUn chien."),
    }


def test_pairs_go_both_ways_and_a_sentence_stands_once(files):
    made = read_bitext(files)
    text = {row["query_id"]: (row["lang"], row["text"]) for row in made.queries.to_pylist()}
    assert made.passages["passage_id"].to_pylist() == made.queries["query_id"].to_pylist()
    assert len(text) == len(set(text.values())) == 8
    pairs = {(text[row["query_id"]], text[row["passage_id"]]) for row in made.pairs.to_pylist()}
    forth = {
        (("en", "Hello."), ("de", "Hallo.")), (("en", "Hi."), ("de", "Hallo.")),
        (("en", "A cat."), ("de", "Eine Katze.")), (("en", "Hello."), ("fr", "Bonjour.")),
        (("en", "A dog."), ("fr", "Un chien.")),
    }  # fmt: skip
    assert pairs == forth | {(passage, query) for query, passage in forth}
    assert made.pairs.num_rows == len(set(made.pairs["pair_id"].to_pylist())) == 10
    assert made.notes[0] == "de: 3 of 4 sentence pairs used; 1 were repetitions"


def test_an_english_sentence_and_its_translations_are_one_group(files):
    rows = read_bitext(files).passages.to_pylist()
    groups = {}
    for row in rows:
        groups.setdefault(row["group_id"], set()).add(row["text"])
    assert sorted(map(sorted, groups.values())) == [
        ["A cat.", "Eine Katze."],
        ["A dog.", "Un chien."],
        ["Bonjour.", "Hallo.", "Hello."],
        ["Hi."],  # "Hallo." translates it too, but stands in one group
    ]


def test_limit_keeps_the_same_english_sentences_in_every_language(tmp_path):
    files = {lang: write(tmp_path / f"{lang}.tsv", *(f"s{i}\t{lang}{i}" for i in range(40))) for lang in ("de", "fr")}
    drawn = []
    for seed in (0, 1):
        made = read_bitext(files, limit=5, seed=seed)
        by_lang = {lang: {row["text"][2:] for row in made.queries.to_pylist() if row["lang"] == lang} for lang in files}
        assert by_lang["de"] == by_lang["fr"]
        assert len(by_lang["de"]) == 5
        drawn.append(by_lang["de"])
    assert drawn[0] != drawn[1]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a\tb", "a b"], "row 2: it has 1 columns"),
        (["a\tb\tc"], "row 1: it has 3 columns"),
        (["a\tb", "a\t "], "row 2: it has an empty side"),
    ],
)
def test_a_broken_row_is_named(tmp_path, rows, message):
    with pytest.raises(DataError, match=rf"de\.tsv: {message}"):
        read_bitext({"de": write(tmp_path / "de.tsv", *rows)})


def test_bad_rows_are_put_aside_and_the_others_read(tmp_path):
    path = tmp_path / "de.tsv"
    path.write_bytes(b"\xef\xbb\xbfa\tb\nno tab\n\nc \xff\td\n\td\ne\tf\xe2\x80\xa8g\n")
    bad = BadRows("quarantine")
    made = read_bitext({"de": path}, bad=bad)
    assert set(made.queries["text"].to_pylist()) == {"a", "b", "e", "f\u2028g"}
    assert bad.table["place"].to_pylist() == ["row 2", "row 3", "row 4", "row 5"]
    with pytest.raises(DataError, match=r"de\.tsv: row 4: it is not UTF-8"):
        read_bitext({"de": write_bytes(path, b"a\tb\na\tb\na\tb\nc \xff\td\n")})
    with pytest.raises(DataError, match="no row with two full columns is left"):
        read_bitext({"de": write_bytes(path, b"a\n")}, bad=BadRows("quarantine"))
    packed = tmp_path / "cut.tsv.gz"
    bad = BadRows("quarantine")
    made = read_bitext({"de": write_bytes(packed, gzip.compress(b"a\tb\nc\td\n")[:-4])}, bad=bad)
    assert set(made.queries["text"].to_pylist()) == {"a", "b", "c", "d"}
    assert bad.count == 1


def write_bytes(path, data):
    path.write_bytes(data)
    return path


def test_files_that_cannot_be_read_are_named(files, tmp_path):
    (tmp_path / "cut.tsv.gz").write_bytes(files["fr"].read_bytes()[:-4])
    with pytest.raises(DataError, match="cut off"):
        read_bitext({"de": tmp_path / "cut.tsv.gz"})
    with pytest.raises(DataError, match=r"xx\.tsv is no file; .*cut\.tsv\.gz, de\.tsv, fr\.tsv\.gz"):
        read_bitext({"de": tmp_path / "xx.tsv"})
    with pytest.raises(DataError, match="name the other language"):
        read_bitext({"en": files["de"]})


@pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data/train/bitext")
def test_a_real_file_has_its_documented_count():
    made = read_bitext({"hi": DATA / "tatoeba_challenge_test" / "en-hi.tsv.gz"})
    assert made.pairs.num_rows == 2 * 5000


ROWS = [f"sentence {n * 7919:06d}\tSatz {n * 104_729:07d} ü".encode() for n in range(8)]
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(mutated=mutated_lines(ROWS))
@FUZZ
def test_no_good_row_of_a_damaged_file_is_lost(tmp_path, mutated):
    (tmp_path / "en-de.tsv").write_bytes(mutated.data)
    bad = BadRows("quarantine")
    made = read_bitext({"de": tmp_path / "en-de.tsv"}, bad=bad)
    texts = set(made.queries["text"].to_pylist())
    for index in mutated.untouched:
        assert set(ROWS[index].decode().split("\t")) <= texts
    try:
        strict = set(read_bitext({"de": tmp_path / "en-de.tsv"}).queries["text"].to_pylist())
    except DataError:
        strict = None
    assert strict == (None if bad.count else texts)


@given(data=mutated_gzip(b"\n".join(ROWS)))
@FUZZ
def test_a_damaged_gzip_file_is_an_error_or_its_good_beginning(tmp_path, data):
    (tmp_path / "en-de.tsv.gz").write_bytes(data)
    bad = BadRows("quarantine")
    try:
        rows = len(read_bitext({"de": tmp_path / "en-de.tsv.gz"}, bad=bad).pairs) // 2
    except DataError as error:
        rows = 0 if "no row with two full columns is left" in str(error) else None
    assert rows == len(ROWS) or (rows is not None and bad.count)
