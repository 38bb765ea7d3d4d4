"""Topics of a judged collection: queries as TSV, as JSON lines, or in TREC's tagged form."""

import html
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.judged import TEXT, read_texts
from xlstance.corpora.lines import read_chunks
from xlstance.corpora.records import Records
from xlstance.corpora.tabular import read_records

_IDS = ("id", "_id", "query_id", "qid", "topic_id")
_TEXTS = ("text", "query", "question", "title")

# Tags are not always closed, and the number may be an attribute of the topic; a value ends where the next tag begins.
_TAGGED = re.compile(
    rb"<(?P<tag>/?top(?:ic)?|num|number|identifier|(?:[a-z]{2}-)?title|query)\b(?P<attributes>[^>]*)>(?P<value>[^<]*)",
    re.IGNORECASE,
)
_NUMBER = re.compile(rb"\b(?:number|num|id)\s*=\s*[\"']?([^\"'\s>]+)", re.IGNORECASE)
_LABEL = re.compile(r"\s*(?:number|topic)\s*:", re.IGNORECASE)


def read_topics(path: Path, bad: BadRows) -> Iterator[Records]:
    """Reads topics.

    Args:
        path: ``.jsonl`` with an id and a text; or a file of TREC's ``<top>``, ``<num>``, ``<title>``; or any other
            name: ``id TAB text`` without a header. All also with ``.gz`` behind.
        bad: told of the rows that cannot be used.

    Yields:
        Blocks with columns ``id`` and ``text``. A tagged topic's text is its title, on one line.

    Raises:
        DataError: if the file cannot be read.
    """
    if path.name.removesuffix(".gz").endswith((".jsonl", ".ndjson")):
        yield from read_texts(path, bad, _IDS, _TEXTS)
    elif _is_tagged(path, bad):
        yield _read_tagged(path, bad)
    else:
        yield from read_records(path, TEXT, bad, names=TEXT.names, separator="\t")


def _is_tagged(path: Path, bad: BadRows) -> bool:
    first = next(read_chunks(path, bad), None)
    return first is not None and first.data.lstrip().startswith(b"<")


def _read_tagged(path: Path, bad: BadRows) -> Records:
    data = b"".join(chunk.data for chunk in read_chunks(path, bad))
    numbers: list[int] = []
    rows: list[dict[str, str]] = []
    number, identity = 0, ""  # of the topic that has no title yet; no line: none is open

    def close() -> None:
        nonlocal number
        if number:
            bad.add(path, f"line {number}", f"the topic {identity!r} has no title; give <num> and <title>")
        number = 0

    line, seen = 1, 0
    for match in _TAGGED.finditer(data):
        line, seen = line + data.count(b"\n", seen, match.start()), match.start()
        tag = match["tag"].lower()
        named = _NUMBER.search(match["attributes"]) if tag in (b"top", b"topic") else None
        try:
            value = html.unescape((named[1] if named else match["value"]).decode())
        except UnicodeDecodeError:
            bad.add(path, f"line {line}", "this is not UTF-8; convert the file", match[0].decode(errors="replace"))
            number = 0
            continue
        value = " ".join(_LABEL.sub("", value, count=1).split())
        if tag.endswith((b"title", b"query")):
            if not (number and identity and value):
                bad.add(
                    path, f"line {line}", "a title without a number, or an empty one; give <num> and <title>", value
                )
            else:
                rows.append({"id": identity, "text": value})
                numbers.append(number)
            number = 0
        else:
            close()
            if named or tag in (b"num", b"number", b"identifier"):
                number, identity = line, value.partition(" ")[0]  # an unclosed tag's value may run on
    close()
    return Records(
        path=path, unit="line", numbers=np.array(numbers, dtype=np.int64), table=pa.Table.from_pylist(rows, schema=TEXT)
    )
