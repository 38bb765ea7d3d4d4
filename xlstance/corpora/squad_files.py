"""The rows of one file of a question answering set: SQuAD's own JSON, or Parquet and JSON lines in its columns.

JSON: ``data`` is a list of articles with ``paragraphs``, each a ``context`` with ``qas``: ``id, question, answers``
(``text, answer_start``), and in version 2 ``is_impossible`` (Rajpurkar et al. 2016, 2018, arXiv 1606.05250,
1806.03822). Columns: ``id, question, context``, and where they are there ``lang``, ``answer_text, answer_start`` or
``answers`` (two lists, ``text`` and ``answer_start``), ``split, is_impossible, xquad_paragraph``.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.records import BLANK
from xlstance.corpora.tabular import read_records
from xlstance.errors import DataError
from xlstance.files import read_text

_NEEDED = ("id", "question", "context")
_OPTIONAL = {
    "lang": pa.string(),
    "answer_text": pa.string(),
    "answer_start": pa.int64(),
    "split": pa.string(),
    "is_impossible": pa.bool_(),
    "xquad_paragraph": pa.bool_(),
}
_LISTED = {"answer_text": "answers.text.0", "answer_start": "answers.answer_start.0"}

Places = Callable[[int], str]
"""Where in its file a row of a table stands."""


def load_squad(path: Path, lang: str, bad: BadRows) -> pd.DataFrame:
    """The good rows of a file.

    Args:
        path: ``.json`` or ``.json.gz`` in SQuAD's layout; ``.parquet``, ``.jsonl`` or ``.jsonl.gz`` in its columns.
        lang: the language of all its rows.
        bad: told of the rows with an empty text, an id that stands twice, another language, or an answer that does
            not stand in the context at its offset. A byte-order mark at the start of a context counts as a character.

    Returns:
        Columns ``id, question, context, lang``, and those of the others that the file has; ``answer_start`` is -1
        where there is no answer. Of several answers the first with a text counts.

    Raises:
        DataError: if the file cannot be read or lacks a column.
    """
    ending = path.name.removesuffix(".gz").rpartition(".")[2]
    if ending == "json":
        table, place = _read_json(path, bad)
    elif ending in ("parquet", "jsonl"):
        table, place = _read_columns(path, ending, bad)
    else:
        raise DataError(f"{path}: its name tells no format of SQuAD's; give .json, .jsonl or .parquet")

    def without(wrong: "pd.Series[bool]", what: str, shown: str = "") -> pd.DataFrame:
        for index, row in table[wrong].iterrows():
            value = f" ({row[shown]!r})" if shown else ""
            content = json.dumps(row.to_dict(), ensure_ascii=False, default=str)
            bad.add(path, place(int(str(index))), f"{what}{value}", content)
        return table[~wrong]

    for column in _NEEDED:
        table = without(table[column].isna() | (table[column].str.strip(BLANK) == ""), f"empty {column!r}")
    if "lang" in table:
        table = without(table["lang"] != lang, f"the language is not {lang!r} as the settings say", "lang")
    table = table.assign(lang=lang)
    if {"answer_start", "answer_text"} <= set(table.columns):
        no_text = table["answer_text"].isna() | (table["answer_text"] == "")
        table = table.assign(answer_start=table["answer_start"].fillna(-1).astype(np.int64).where(~no_text, -1))
        answers = zip(table["context"], table["answer_start"], table["answer_text"], strict=True)
        amiss = [start >= 0 and not context.startswith(text, start) for context, start, text in answers]
        wrong = pd.Series(amiss, index=table.index, dtype=bool)
        table = without(wrong, "the answer does not stand at answer_start of its context", "id")
    table = without(table["id"].duplicated(), "this id stands twice; ids are unique within a file", "id")
    return table.reset_index(drop=True)


def _read_columns(path: Path, ending: str, bad: BadRows) -> tuple[pd.DataFrame, Places]:
    names = _parquet_columns(path) if ending == "parquet" else [*_NEEDED, *_OPTIONAL, "answers"]
    columns = {name: pa.string() for name in _NEEDED} | {name: _OPTIONAL[name] for name in _OPTIONAL if name in names}
    both = ending == "jsonl"  # which of the two a line has is not known beforehand
    listed = {name: at for name, at in _LISTED.items() if "answers" in names and (both or name not in names)}
    columns |= {at: _OPTIONAL[name] for name, at in listed.items()}
    schema = pa.schema(list(columns.items()))
    blocks = list(read_records(path, schema, bad))
    table = pa.concat_tables([schema.empty_table(), *(block.table for block in blocks)]).to_pandas()
    for name, at in listed.items():
        table[name] = table[name].fillna(table[at]) if name in table else table[at]
    unsaid = [name for name in _OPTIONAL if both and table[name].isna().all()]
    numbers = [int(number) for block in blocks for number in block.numbers]
    unit = blocks[0].unit if blocks else "row"
    return table.drop(columns=[*listed.values(), *unsaid]), lambda index: f"{unit} {numbers[index]}"


def _parquet_columns(path: Path) -> list[str]:
    """The names of a file's columns; none if it cannot be read, which reading it says."""
    try:
        return list(pq.read_schema(path).names)
    except (pa.ArrowException, OSError, ValueError):
        return []


def _read_json(path: Path, bad: BadRows) -> tuple[pd.DataFrame, Places]:
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: this is not JSON ({error}); fetch the file again") from error
    rows, places = [], []
    for place, context, question in _questions(path, content, bad):
        try:
            rows.append(_row(context, question))
            places.append(place)
        except ValueError as error:
            bad.add(path, place, str(error), json.dumps(question, ensure_ascii=False))
    table = pd.DataFrame(rows, columns=[*_NEEDED, "answer_text", "answer_start", "is_impossible"])
    if table["is_impossible"].isna().all():
        table = table.drop(columns=["is_impossible"])
    return table, lambda index: places[index]


def _questions(path: Path, content: Any, bad: BadRows) -> Iterator[tuple[str, str, Any]]:
    """Every question with its place and its context."""
    if not isinstance(content, dict) or not isinstance(content.get("data"), list):
        raise DataError(f"{path} has no list 'data'; the layout is SQuAD's")
    for article, item in enumerate(content["data"]):
        place = f"article {article}"
        if not isinstance(item, dict) or not isinstance(item.get("paragraphs"), list):
            bad.add(path, place, "no list 'paragraphs'; the layout is SQuAD's", json.dumps(item, ensure_ascii=False))
            continue
        for number, paragraph in enumerate(item["paragraphs"]):
            place = f"article {article}, paragraph {number}"
            given = paragraph if isinstance(paragraph, dict) else {}
            if not isinstance(given.get("context"), str) or not isinstance(given.get("qas"), list):
                reason = "no text 'context' or no list 'qas'; the layout is SQuAD's"
                bad.add(path, place, reason, json.dumps(paragraph, ensure_ascii=False))
                continue
            for index, question in enumerate(given["qas"]):
                yield f"{place}, question {index}", given["context"], question


def _row(context: str, question: Any) -> dict[str, Any]:
    """The columns of a question.

    Raises:
        ValueError: if it is not as the layout says.
    """
    if not isinstance(question, dict):
        raise ValueError("a question is an object with 'id', 'question' and 'answers'")
    identity, text, impossible = (question.get(key) for key in ("id", "question", "is_impossible"))
    if isinstance(identity, int) and not isinstance(identity, bool):
        identity = str(identity)
    if not isinstance(identity, str) or not isinstance(text, str):
        raise ValueError("'id' or 'question' is missing or no text")
    if not isinstance(impossible, bool | None):
        raise ValueError("'is_impossible' is neither true nor false")
    answers = question.get("answers") or []
    if not isinstance(answers, list) or not all(map(_is_answer, answers)):
        raise ValueError("'answers' is no list of objects with 'text' and 'answer_start'")
    answer = next((answer for answer in answers if answer["text"]), {"text": "", "answer_start": -1})
    for value in (identity, text, context, str(answer["text"])):
        value.encode()  # JSON can hold half a surrogate pair, which is no text
    row = {"id": identity, "question": text, "context": context, "is_impossible": impossible}
    return row | {"answer_text": answer["text"], "answer_start": answer["answer_start"]}


def _is_answer(answer: Any) -> bool:
    return (
        isinstance(answer, dict)
        and isinstance(answer.get("text"), str)
        and isinstance(answer.get("answer_start"), int)
        and abs(answer["answer_start"]) < 1 << 62
    )
