"""A stream of passages, queries and pairs from rows that hold a query and lists of passages.

The rows are read once for each of the three. A text may stand in many rows; an id that stands for two texts makes the
later row a bad one.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.collection import CorpusStream
from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.pair_rows import no_language
from xlstance.corpora.records import Records
from xlstance.corpora.seen import SeenTexts
from xlstance.errors import DataError
from xlstance.ids import IdSet
from xlstance.tables import SCHEMAS, hash_ids, make_table


@dataclass(frozen=True)
class JudgedBlock:
    """Some rows and their passages.

    Attributes:
        rows: columns ``lang, query_id, query``.
        passages: columns ``row`` (place in ``rows``), ``positive, passage_id, lang, title, text, score``.
    """

    rows: Records
    passages: pa.Table

    def where(self, keep: npt.NDArray[np.bool_]) -> "JudgedBlock":
        """The rows to keep, ``[rows] bool``, with their passages."""
        row = np.asarray(self.passages["row"])
        moved = self.passages.set_column(0, "row", pa.array(np.cumsum(keep)[row] - 1))
        return JudgedBlock(self.rows.where(keep), moved.filter(pa.array(keep[row])))

    def without(self, wrong: Any, bad: BadRows, reason: str) -> "JudgedBlock":
        """The rows none of whose passages is wrong, ``[passages] bool``; the others are told to ``bad``."""
        keep = ~self._any(wrong)
        self.rows.without(~keep, bad, reason)
        return self.where(keep)

    def of_known_languages(self, bad: BadRows) -> "JudgedBlock":
        """The rows whose language is one, and their passages' languages; the others are told to ``bad``."""
        unknown = np.asarray(no_language(self.rows.table["lang"]))
        self.rows.without(unknown, bad, "this is no language code", "lang")
        block = self.where(~unknown)
        return block.without(no_language(block.passages["lang"]), bad, "a passage's 'lang' is no language code")

    def contradicts(self, queries: SeenTexts, passages: SeenTexts) -> npt.NDArray[np.bool_]:
        """Whether a row has an id that stands for another text; ``[rows] bool``."""
        wrong = self._any(passages.contradicts(self.passages["passage_id"], self.passages["text"]))
        return wrong | queries.contradicts(self.rows.table["query_id"], self.rows.table["query"])

    def known(self, queries: SeenTexts, passages: SeenTexts) -> "JudgedBlock":
        """The rows whose texts were all added."""
        unknown = self._any(~passages.has(self.passages["passage_id"], self.passages["text"]))
        return self.where(~unknown & queries.has(self.rows.table["query_id"], self.rows.table["query"]))

    def _any(self, wrong: Any) -> npt.NDArray[np.bool_]:
        """Whether any passage of a row is wrong."""
        rows = np.zeros(len(self.rows.table), dtype=bool)
        rows[np.asarray(self.passages["row"])[np.asarray(wrong, dtype=bool)]] = True
        return rows


class JudgedRows:
    """The three tables of a source whose rows hold a query and its passages.

    Args:
        read: reads all rows.
        where: the files, for messages.
        name: of the source.
        bad: told of the rows with an id that stands for another text.
    """

    def __init__(self, read: Callable[[], Iterator[JudgedBlock]], *, where: str, name: str, bad: BadRows) -> None:
        self._read, self._where, self._name, self._bad = read, where, name, bad
        self._queries, self._passages = SeenTexts(), SeenTexts()
        self._used: Counter[str] = Counter()

    @property
    def stream(self) -> CorpusStream:
        """The source as blocks of its tables."""
        return CorpusStream(self._passage_blocks(), self._query_blocks(), self._pair_blocks(), self._notes)

    def _passage_blocks(self) -> Iterator[pa.Table]:
        for whole in self._read():
            for block in self._consistent(whole):
                self._queries.add(block.rows.table["query_id"], block.rows.table["query"])
                passages = block.passages
                new = passages.filter(pa.array(self._passages.add(passages["passage_id"], passages["text"])))
                self._used["passages"] += len(new)
                columns = {name: new[name] for name in ("passage_id", "lang", "text", "title")}
                yield make_table("passages", {**columns, "group_id": new["passage_id"]})
        if not self._used["passages"]:
            raise DataError(f"source {self._name!r}: no row is left of {self._where}")

    def _consistent(self, block: JudgedBlock) -> Iterator[JudgedBlock]:
        """The rows whose ids stand for no other text; halves of a block are taken one after the other if one does."""
        rows = len(block.rows.table)
        wrong = block.contradicts(self._queries, self._passages)
        if not wrong.any():
            yield block
        elif rows > 1:
            first = np.arange(rows) < rows // 2
            yield from self._consistent(block.where(first))
            yield from self._consistent(block.where(~first))
        else:
            block.rows.without(wrong, self._bad, "an id of this row stands for another text before")

    def _good(self) -> Iterator[JudgedBlock]:
        for block in self._read():
            yield block.known(self._queries, self._passages)

    def _query_blocks(self) -> Iterator[pa.Table]:
        given = IdSet()
        for block in self._good():
            table = block.rows.table
            new = table.filter(pa.array(given.add(hash_ids(table["query_id"]))))
            self._used["queries"] += len(new)
            columns = {"query_id": new["query_id"], "lang": new["lang"], "text": new["query"]}
            yield make_table("queries", {**columns, "group_id": new["query_id"]})

    def _pair_blocks(self) -> Iterator[pa.Table]:
        given = IdSet()
        for block in self._good():
            table = _pairs(block, self._name)
            new = table.filter(pa.array(given.add(hash_ids(table["pair_id"]))))
            self._used["pairs"] += len(new)
            self._used["repetitions of a pair left out"] += len(table) - len(new)
            yield new

    def _notes(self) -> Sequence[str]:
        return [f"{self._name}: " + ", ".join(f"{count} {what}" for what, count in self._used.items() if count)]


def _pairs(block: JudgedBlock, name: str) -> pa.Table:
    """A pair for each positive passage, with the negatives of its row."""
    positive = block.passages.filter(block.passages["positive"])
    negative = block.passages.filter(pc.invert(block.passages["positive"]))
    lengths = np.bincount(np.asarray(negative["row"]), minlength=len(block.rows.table))
    element = pa.StructArray.from_arrays(
        [negative["passage_id"].combine_chunks(), negative["score"].combine_chunks()],
        fields=list(SCHEMAS["pairs"].field("negatives").type.value_type),
    )
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    lists = pa.ListArray.from_arrays(pa.array(offsets), element, mask=pa.array(lengths == 0))
    query_id = block.rows.table["query_id"].take(positive["row"])
    return make_table(
        "pairs",
        {
            "pair_id": pc.binary_join_element_wise(query_id, positive["passage_id"], ">"),
            "query_id": query_id,
            "passage_id": positive["passage_id"],
            "negatives": lists.take(positive["row"].combine_chunks()),
            "teacher_score": positive["score"],
            "source": pa.repeat(pa.scalar(name), len(positive)),
        },
    )
