import csv
import gzip
import io
import json
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import mutated_gzip, mutated_lines

from xlstance.corpora import lines
from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.lines import read_chunks
from xlstance.corpora.tabular import read_records
from xlstance.errors import DataError

COLUMNS = pa.schema([pa.field("id", pa.string(), False), pa.field("text", pa.string(), False), ("n", pa.int32())])
NESTED = pa.schema([pa.field("id", pa.string(), False), ("answers.de.0.text", pa.string())])
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(path, columns=COLUMNS, bad=None, **options):
    blocks = list(read_records(path, columns, BadRows() if bad is None else bad, **options))
    rows = [row for block in blocks for row in block.table.to_pylist()]
    return rows, [number for block in blocks for number in block.numbers.tolist()]


def rows_of(count):
    return [{"id": f"row-{n:04d}-{n * 7919:06d}", "text": f"text “{n}” नमस्ते", "n": n} for n in range(count)]


def write(path, rows):
    """The same rows in the format of the name."""
    name = path.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(rows), path)
        return path
    if name.endswith(".jsonl"):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    elif name.endswith(".json"):
        text = json.dumps(rows)
    else:
        out = io.StringIO()
        dialect = {"delimiter": "\t", "quoting": csv.QUOTE_NONE, "quotechar": None} if ".tsv" in name else {}
        writer = csv.DictWriter(out, ["id", "text", "n"], lineterminator="\n", **dialect)
        writer.writeheader()
        writer.writerows(rows)
        text = out.getvalue()
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("size", [200, 1 << 24])
@pytest.mark.parametrize(
    "name", ["a.jsonl", "a.jsonl.gz", "a.json", "a.tsv", "a.tsv.gz", "a.csv", "a.csv.gz", "a.parquet"]
)
def test_every_format_gives_the_same_rows(tmp_path, monkeypatch, name, size):
    monkeypatch.setattr(lines.read_chunks, "__kwdefaults__", {"quoted": False, "size": size})
    rows = rows_of(50)
    found, numbers = read(write(tmp_path / name, rows))
    assert found == rows
    first = 0 if name in ("a.json", "a.parquet") else 1 + (".tsv" in name or ".csv" in name)
    assert numbers == list(range(first, first + 50))


def test_csv_values_hold_commas_quotes_and_newlines(tmp_path):
    rows = [{"id": f"{n}", "text": f'a, "b"\nc{n}\n\nd', "n": n} for n in range(30)]
    found, numbers = read(write(tmp_path / "a.csv", rows))
    assert found == rows
    assert numbers == [2 + 4 * n for n in range(30)]


def test_a_quote_in_tsv_is_text_and_a_line_separator_ends_no_row(tmp_path):
    (tmp_path / "a.tsv").write_text('1\t"a\u2028b" \x85\t7\r\n2\tc"\t8')
    found, _ = read(tmp_path / "a.tsv", names=["id", "text", "n"])
    assert found == [{"id": "1", "text": '"a\u2028b" \x85', "n": 7}, {"id": "2", "text": 'c"', "n": 8}]


def test_white_space_separates_qrels(tmp_path):
    (tmp_path / "qrels.txt").write_text("q1 0  d1\t1\nq2\tQ0\td2 0\n")
    columns = pa.schema([("q", pa.string()), ("d", pa.string()), ("g", pa.int32())])
    found, _ = read(tmp_path / "qrels.txt", columns, names=["q", "it", "d", "g"], separator=" ")
    assert found == [{"q": "q1", "d": "d1", "g": 1}, {"q": "q2", "d": "d2", "g": 0}]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.parquet"])
def test_paths_lead_into_nested_rows(tmp_path, name):
    answers = [{"de": [{"text": "eins"}, {"text": "zwei"}]}, {"de": []}, {"de": None}, {"de": [{"text": None}]}, None]
    found, _ = read(write(tmp_path / name, [{"id": f"{n}", "answers": a} for n, a in enumerate(answers)]), NESTED)
    assert [row["answers.de.0.text"] for row in found] == ["eins", None, None, None, None]


def test_a_date_stays_text_and_a_number_becomes_an_id(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"id": 17, "text": "2020-01-01"}\n{"id": "x", "text": "1e5"}\n')
    assert [(row["id"], row["text"]) for row in read(tmp_path / "a.jsonl")[0]] == [("17", "2020-01-01"), ("x", "1e5")]


BAD_LINES = {
    b'{"id": "b", "text": ["x"], "n": 1}': "'text' is a list; text is wanted",
    b'{"id": "b", "text": true, "n": 1}': "'text' is a bool; text is wanted",
    b'{"id": "b", "text": " \xc2\xa0", "n": 1}': "'text' is missing or empty",
    b'{"id": "b", "n": 1}': "'text' is missing or empty",
    b'{"id": "b", "text": "x", "n": "many"}': "'n'",
    b'{"id": "b", "text": "\\ud800", "n": 1}': "surrogates not allowed",
    b'{"id": "b", "text": "x\xff", "n": 1}': "can't decode byte 0xff",
    b'{"id": "b", "text": "x"': "Expecting ',' delimiter",
    b"[1, 2]": "list where an object is wanted",
    b'{"id": "b", "text": "x"} {"id": "c", "text": "y"}': "Extra data",
    b"[" * 100_000: "recursion",
}


@pytest.mark.parametrize(("line", "said"), BAD_LINES.items(), ids=[str(line[:40]) for line in BAD_LINES])
def test_a_bad_line_is_one_error_or_one_row_aside(tmp_path, line, said):
    good = [b'{"id": "a", "text": "x", "n": 1}', b'{"id": "z", "text": "y", "n": null}']
    (tmp_path / "a.jsonl").write_bytes(b"\n".join([good[0], line, good[1], b""]))
    with pytest.raises(DataError, match=r"a\.jsonl: line 2: ") as error:
        read(tmp_path / "a.jsonl")
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    bad = BadRows("quarantine")
    assert [row["id"] for row in read(tmp_path / "a.jsonl", bad=bad)[0]] == ["a", "z"]
    (row,) = bad.table.to_pylist()
    assert (row["file"], row["place"]) == (str(tmp_path / "a.jsonl"), "line 2")
    assert said in row["reason"]
    assert row["content"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", None, "is no file; .* holds nothing"),
        ("a.parquet", None, "is no file; .* holds nothing"),
        ("a.parquet", b"PAR1", "is no readable Parquet file"),
        ("a.json", b'{"id": 1}', "is no list of rows but a dict"),
        ("a.json", b"[1,", "is no JSON"),
        ("a.tsv", b"id\ttext\n1\tx\n", "has no column 'n'; its columns are id, text"),
        ("a.csv", b"\xff\n1\n", "line 1 is no header"),
        ("a.jsonl.gz", b"", "line 1: the gzip file is cut off or broken"),
        ("a.jsonl.gz", b"plain", "line 1: the gzip file is cut off or broken"),
        ("a.xml", b"", "its name tells no format"),
    ],
)
def test_a_file_that_cannot_be_read_is_said(tmp_path, name, content, said):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said) as error:
        read(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)


def test_a_parquet_file_lacks_a_column_or_holds_bytes_that_are_no_text(tmp_path):
    pq.write_table(pa.table({"id": ["1"], "n": [1]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="has no column 'text'; its columns are id, n"):
        read(tmp_path / "a.parquet")
    pq.write_table(pa.table({"id": ["1", "2"], "text": pa.array([b"\xff", b"x"]), "n": [1, 2]}), tmp_path / "b.parquet")
    bad = BadRows("quarantine")
    assert [row["id"] for row in read(tmp_path / "b.parquet", bad=bad)[0]] == ["2"]
    assert bad.table["place"].to_pylist() == ["row 0"]


def test_a_stray_quote_costs_no_good_row(tmp_path):
    (tmp_path / "a.csv").write_text('id,text,n\n1,x,1\n2,"y,2\n3,z,3\n4,w,4\n')
    bad = BadRows("quarantine")
    assert [row["id"] for row in read(tmp_path / "a.csv", bad=bad)[0]] == ["1", "3", "4"]
    assert bad.table["place"].to_pylist() == ["line 3"]


def test_only_the_block_that_fails_is_read_again_row_by_row(tmp_path, monkeypatch):
    monkeypatch.setattr(lines.read_chunks, "__kwdefaults__", {"quoted": False, "size": 1000})
    path = write(tmp_path / "a.jsonl", rows_of(100))
    data = path.read_bytes().split(b"\n")
    data[50] = b"kaputt"
    path.write_bytes(b"\n".join(data))
    again = []
    monkeypatch.setattr(
        "xlstance.corpora.tabular.json.loads", lambda text: again.append(text) or json.JSONDecoder().decode(text)
    )
    bad = BadRows("quarantine")
    assert len(read(path, bad=bad)[0]) == 99
    assert 1 <= len(again) <= 25
    assert bad.count == 1


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("ending", [b"", b"\n"])
@given(st.integers(1, 400))
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_chunks_are_whole_lines_and_the_whole_file(tmp_path, members, ending, size):
    data = b"\n".join(b"%d" % (n * 997) for n in range(200)) + ending
    path = tmp_path / "a.txt.gz"
    cuts = np.linspace(0, len(data), members + 1).astype(int)
    path.write_bytes(b"".join(gzip.compress(data[a:b]) for a, b in pairwise(cuts)) + bytes(9))
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf" + data)
    for file in (path, tmp_path / "a.txt"):
        chunks = list(read_chunks(file, BadRows(), size=size))
        assert b"".join(chunk.data for chunk in chunks) == data
        assert all(chunk.data.endswith(b"\n") for chunk in chunks[:-1])
        assert [chunk.first for chunk in chunks] == [
            1 + b"".join(c.data for c in chunks[:n]).count(b"\n") for n in range(len(chunks))
        ]


ROWS = rows_of(8)
LINES = {
    "a.jsonl": [json.dumps(row, ensure_ascii=False).encode() for row in ROWS],
    "a.tsv": ["\t".join(map(str, row.values())).encode() for row in ROWS],
    "a.csv": [",".join(f'"{value}"' for value in row.values()).encode() for row in ROWS],
}


@pytest.mark.parametrize("name", LINES)
@given(st.data())
@FUZZ
def test_mutated_files_lose_no_good_row(tmp_path, name, data):
    mutated = data.draw(mutated_lines(LINES[name]))
    (tmp_path / name).write_bytes(mutated.data)
    names = [] if name == "a.jsonl" else ["id", "text", "n"]
    bad = BadRows("quarantine")
    found, _ = read(tmp_path / name, bad=bad, names=names)
    assert all(ROWS[index] in found for index in mutated.untouched)
    try:
        strict, said = read(tmp_path / name, names=names)[0], ""
    except DataError as error:
        strict, said = found, str(error)
    assert strict == found
    assert (str(tmp_path / name) in said) == (bad.count > 0)


@given(st.data())
@FUZZ
def test_a_broken_gzip_file_gives_its_good_beginning(tmp_path, data):
    whole = b"".join(line + b"\n" for line in LINES["a.jsonl"])
    (tmp_path / "a.jsonl.gz").write_bytes(data.draw(mutated_gzip(whole)))
    bad = BadRows("quarantine")
    found, _ = read(tmp_path / "a.jsonl.gz", bad=bad)
    assert len(found) == len(ROWS) or bad.count


@given(st.data())
@FUZZ
def test_a_mutated_parquet_file_is_a_clear_error_at_most(tmp_path, data):
    packed = bytearray(write(tmp_path / "a.parquet", ROWS).read_bytes())
    packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "a.parquet").write_bytes(bytes(packed))
    said = str(tmp_path / "a.parquet")
    try:
        read(tmp_path / "a.parquet", bad=BadRows("quarantine"))
    except DataError as error:
        said = str(error)
    assert str(tmp_path / "a.parquet") in said
