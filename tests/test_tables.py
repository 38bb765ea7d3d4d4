import numpy as np
import pyarrow as pa
import pytest

from xlstance.errors import DataError
from xlstance.tables import SCHEMAS, check_language, check_table, hash_ids, make_table

COLUMNS = {"query_id": ["q1", "q2"], "lang": ["en", "no"], "text": ["a", "b"], "group_id": ["g", "g"]}


def test_a_table_has_the_schema_and_its_nullable_columns_may_be_left_out() -> None:
    table = make_table("passages", {"passage_id": ["p"], "lang": ["en"], "text": ["t"], "group_id": ["g"]})
    assert table.schema.equals(SCHEMAS["passages"], check_metadata=True)
    assert table.to_pylist() == [
        {"passage_id": "p", "lang": "en", "text": "t", "title": None, "context": None, "group_id": "g"}
    ]


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_table_may_be_empty(name: str) -> None:
    assert make_table(name, {}).num_rows == 0


def test_negatives_keep_their_scores() -> None:
    negatives = [[{"passage_id": "n", "teacher_score": 0.5}, {"passage_id": "m", "teacher_score": None}]]
    columns = {"pair_id": ["x"], "query_id": ["q"], "passage_id": ["p"], "source": ["s"], "negatives": negatives}
    assert make_table("pairs", columns)["negatives"].to_pylist() == negatives


def test_a_wrong_table_is_refused_with_what_is_wrong() -> None:
    with pytest.raises(DataError, match=r"no column 'language'; its columns are query_id, lang, text, group_id"):
        make_table("queries", {**COLUMNS, "language": ["en", "en"]})
    with pytest.raises(DataError, match="row 1: column 'text' of table 'queries' may not be empty"):
        make_table("queries", {**COLUMNS, "text": ["a", None]})
    with pytest.raises(DataError, match="here: this is a table of queries, not of passages"):
        check_table(make_table("queries", COLUMNS), "passages", "here")
    with pytest.raises(DataError, match="lacks the column 'text'"):
        check_table(make_table("queries", COLUMNS).drop_columns("text"), "queries")


def test_a_null_is_found_in_a_later_chunk() -> None:
    first = pa.table(COLUMNS)
    second = pa.table({**COLUMNS, "lang": pa.array(["fi", None])})
    with pytest.raises(DataError, match="row 3: column 'lang'"):
        check_table(pa.concat_tables([first, second]), "queries")


def test_a_newer_version_is_refused() -> None:
    table = make_table("queries", COLUMNS)
    newer = table.replace_schema_metadata({**table.schema.metadata, b"xlstance.version": b"2"})
    with pytest.raises(DataError, match=r"newer version .*update xlstance"):
        check_table(newer, "queries")


@pytest.mark.parametrize("code", ["no", "en", "fil", "zh-Hant", "pt-BR", "zh-Hant-TW", "es-419", "mul", "qaa"])
def test_language_codes(code: str) -> None:
    assert check_language(code) == code


@pytest.mark.parametrize("code", ["english", "EN", False, None, "", "e", "en_US", "en-us", "zh-hant", "en\n", "en-"])
def test_what_is_no_language_code(code: object) -> None:
    with pytest.raises(DataError, match=r"file: .* is no language code; give a BCP 47 code such as"):
        check_language(code, "file")


def test_hashes_of_ids_are_fixed() -> None:
    # Shards, samples and ties follow from them: another value would change every published result.
    ids = ["", "a", "q1", "π-2", "a" * 100]
    golden = [
        1760245841805064774,
        13950350942979735504,
        3076568338158756072,
        13552048332122415143,
        14639178269163135395,
    ]
    hashes = hash_ids(ids)
    assert hashes.dtype == np.uint64
    assert hashes.tolist() == golden
    assert hash_ids(pa.array(ids)).tolist() == golden
    assert hash_ids(pa.chunked_array([ids[:2], ids[2:]])).tolist() == golden
    assert hash_ids([]).tolist() == []
