"""Qrels and runs in TREC's columns, as trec_eval and its kin read them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.judged import without_repeats
from xlstance.corpora.records import Records, nullable
from xlstance.corpora.tabular import read_records
from xlstance.errors import DataError, StorageError
from xlstance.files import write_whole
from xlstance.ids import IdSet
from xlstance.tables import SCHEMAS, check_table, make_table

_IDS = [pa.field(name, pa.string(), False) for name in ("query_id", "passage_id")]
_QREL = pa.schema([*_IDS, pa.field("gain", pa.int32(), False)])
_RUN = pa.schema([*_IDS, pa.field("score", pa.float32(), False)])


def write_qrels(path: Path, qrels: pa.Table) -> None:
    """Writes judgements in four columns: query id, 0, passage id, gain.

    Args:
        path: the file; it comes whole or not at all.
        qrels: table ``qrels``.

    Raises:
        DataError: if an id is empty or has white space.
        StorageError: if the file cannot be written.
    """
    _write(path, format_qrels(qrels, str(path)))


def format_qrels(qrels: pa.Table, where: str) -> bytes:
    """The content of a file of judgements, as ``write_qrels`` writes it; ``where`` is the file, for messages."""
    check_table(qrels, "qrels")
    return _lines([*_ids(qrels, where, "0"), qrels["gain"].cast(pa.string())])


def read_qrels(path: Path, bad: BadRows) -> pa.Table:
    """Reads judgements in four columns with any white space between, plain or gzip.

    Args:
        path: the file.
        bad: told of the rows that cannot be used, and of a query and passage that stand twice.

    Returns:
        Table ``qrels`` in the file's order.

    Raises:
        DataError: if the file cannot be read.
    """
    seen = IdSet()
    blocks = [without_repeats(block, seen, bad).table for block in read_qrel_records(path, bad)]
    rows = pa.concat_tables([nullable(_QREL).empty_table(), *blocks])
    return make_table("qrels", {name: rows[name] for name in SCHEMAS["qrels"].names})


def read_qrel_records(path: Path, bad: BadRows) -> Iterator[Records]:
    """Blocks of judgements with columns ``query_id``, ``passage_id``, ``gain``, from TREC's four columns."""
    names = ("query_id", "iteration", "passage_id", "gain")
    return read_records(path, _QREL, bad, names=names, separator=" ")


def write_run(path: Path, runs: pa.Table, tag: str) -> None:
    """Writes a run in six columns: query id, Q0, passage id, rank, score, tag.

    Args:
        path: the file; it comes whole or not at all.
        runs: table ``runs``; a query's rows are written in the order of their ranks.
        tag: name of the run.

    Raises:
        DataError: if an id or the tag is empty or has white space.
        StorageError: if the file cannot be written.
    """
    _write(path, format_run(runs, tag, str(path)))


def format_run(runs: pa.Table, tag: str, where: str) -> bytes:
    """The content of a file of a run, as ``write_run`` writes it; ``where`` is the file, for messages."""
    check_table(runs, "runs")
    if not tag or tag.split() != [tag]:
        raise DataError(f"{where}: the tag is {tag!r}; a run's tag is one word")
    queries = np.asarray(runs["query_id"].combine_chunks().dictionary_encode().indices)
    runs = runs.take(pa.array(np.lexsort((np.asarray(runs["rank"]), queries))))
    ranks, scores = (runs[name].cast(pa.string()) for name in ("rank", "score"))
    return _lines([*_ids(runs, where, "Q0"), ranks, scores, pa.scalar(tag)])


def read_run(path: Path, bad: BadRows) -> pa.Table:
    """Reads a run in six columns with any white space between, plain or gzip.

    Args:
        path: the file.
        bad: told of the rows that cannot be used, and of a query and passage that stand twice.

    Returns:
        Table ``runs``, queries in the order in which they begin. As in trec_eval the score orders a query's passages,
        whatever the file says of ranks; of equal ones the first in the file comes first.

    Raises:
        DataError: if the file cannot be read.
    """
    seen, blocks = IdSet(), [nullable(_RUN).empty_table()]
    for block in read_records(
        path, _RUN, bad, names=("query_id", "iteration", "passage_id", "rank", "score", "tag"), separator=" "
    ):
        block = block.without(pc.is_nan(block.table["score"]), bad, "the score is no number")
        blocks.append(without_repeats(block, seen, bad).table)
    rows = pa.concat_tables(blocks)
    queries = np.asarray(rows["query_id"].combine_chunks().dictionary_encode().indices)
    order = np.lexsort((-np.asarray(rows["score"]), queries))  # stable
    starts = np.searchsorted(queries[order], queries[order])
    rows = rows.take(pa.array(order))
    return make_table("runs", {name: rows[name] for name in _RUN.names} | {"rank": np.arange(len(rows)) - starts + 1})


def _ids(table: pa.Table, where: str, between: str) -> list[Any]:
    """The columns of both ids, with TREC's constant between them."""
    for name in ("query_id", "passage_id"):
        wrong = pc.index(pc.match_substring_regex(table[name], r"^$|[\p{Z}\p{Cc}]"), True).as_py()
        if wrong >= 0:
            value = table[name][wrong].as_py()
            raise DataError(
                f"{where}: row {wrong}: the {name} {value!r} is empty or has white space; TREC's ids have none"
            )
    return [table["query_id"], pa.scalar(between), table["passage_id"]]


def _lines(columns: Sequence[Any]) -> bytes:
    lines = pc.binary_join_element_wise(*columns, " ")
    return "".join(f"{line}\n" for line in lines.to_pylist()).encode()


def _write(path: Path, content: bytes) -> None:
    try:
        write_whole(path, content)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}") from error
