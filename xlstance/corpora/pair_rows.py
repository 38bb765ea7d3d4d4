"""A stream of passages, queries and pairs from rows that hold a question and its passage each.

The rows are read once for each of the three. A text may stand in many rows; an id that stands for two texts makes the
later row a bad one.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.collection import CorpusStream
from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.records import Records
from xlstance.corpora.seen import SeenTexts
from xlstance.errors import DataError
from xlstance.ids import Hashes, IdSet
from xlstance.tables import check_language, hash_ids, make_table


def house_rows(block: Records, name: str, bad: BadRows) -> Records:
    """Rows with the ids and groups of this project's tables.

    Args:
        block: columns ``language, query, passage``, and where there are such ``query_id, passage_id, group, title``;
            nothing but a title is null or blank.
        name: of the source.
        bad: told of the rows whose language is none.

    Returns:
        Columns ``lang, query_id, query, query_group, passage_id, passage, passage_group, title, draw``, all texts;
        ``draw`` is what stands for the question in a draw that keeps languages parallel.
    """
    block = block.without(no_language(block.table["language"]), bad, "this is no language code", "language")
    table = block.table
    lang, given = table["language"], set(table.column_names)
    query = table["query_id"] if "query_id" in given else hashed(table["query"])
    passage = table["passage_id"] if "passage_id" in given else hashed(table["passage"])
    query_id = pc.binary_join_element_wise(name, lang, query, "/")
    passage_id = pc.binary_join_element_wise(name, lang, passage, "/")
    group = pc.binary_join_element_wise(name, table["group"], "/") if "group" in given else None
    rows = {
        "lang": lang,
        "query_id": query_id,
        "query": table["query"],
        "query_group": query_id if group is None else group,
        "passage_id": passage_id,
        "passage": table["passage"],
        "passage_group": passage_id if group is None else group,
        "title": table["title"] if "title" in given else pa.nulls(len(table), pa.string()),
        "draw": query if group is None else group,
    }
    return replace(block, table=pa.table(rows))


def no_language(languages: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whether each language code is none; ``[rows] bool``."""

    def is_none(code: str) -> bool:
        try:
            return not check_language(code)
        except DataError:
            return True

    wrong = [code for code in pc.unique(languages).to_pylist() if is_none(code)]
    return pc.is_in(languages, pa.array(wrong, pa.string()))


def hashed(texts: pa.ChunkedArray) -> pa.Array:
    """What stands for texts without an id: the hash of each."""
    return pa.array([f"{value:016x}" for value in hash_ids(texts).tolist()], pa.string())


class PairRows:
    """The three tables of a source whose rows are pairs.

    Args:
        read: reads all rows, as ``house_rows`` returns them, and counts what it leaves out.
        where: the files, for messages.
        name: of the source.
        bad: told of the rows whose id stands for another text.
        limit: number of questions to draw of each language, 0 for all.
        seed: of that draw.
    """

    def __init__(
        self,
        read: Callable[[Counter[str]], Iterator[Records]],
        *,
        where: str,
        name: str,
        bad: BadRows,
        limit: int,
        seed: int,
    ) -> None:
        self._read, self._where, self._name, self._bad = read, where, name, bad
        self._limit, self._seed = limit, seed
        self._queries, self._passages = SeenTexts(), SeenTexts()
        self._last: dict[str, np.uint64] = {}  # of each language, the highest hash that is drawn
        self._counts: Counter[str] = Counter()
        self._used: Counter[str] = Counter()

    @property
    def stream(self) -> CorpusStream:
        """The source as blocks of its tables."""
        return CorpusStream(self._passage_blocks(), self._query_blocks(), self._pair_blocks(), self._notes)

    def _passage_blocks(self) -> Iterator[pa.Table]:
        if self._limit:
            self._draw()
        for block in self._rows():
            for rows in self._consistent(block):
                table = rows.table
                self._queries.add(table["query_id"], table["query"])
                new = table.filter(pa.array(self._passages.add(table["passage_id"], table["passage"])))
                self._used["passages"] += len(new)
                columns = {
                    **{name: new[name] for name in ("passage_id", "lang", "title")},
                    "text": new["passage"],
                    "group_id": new["passage_group"],
                }
                yield make_table("passages", columns)
        if not self._used["passages"]:
            counted = "; ".join(self._counted()) or "no rows read"
            raise DataError(f"source {self._name!r}: no row is left of {self._where} ({counted})")

    def _query_blocks(self) -> Iterator[pa.Table]:
        given = IdSet()
        for table in self._good():
            new = table.filter(pa.array(given.add(hash_ids(table["query_id"]))))
            self._used["questions"] += len(new)
            columns = {"query_id": new["query_id"], "lang": new["lang"], "text": new["query"]}
            yield make_table("queries", {**columns, "group_id": new["query_group"]})

    def _pair_blocks(self) -> Iterator[pa.Table]:
        given = IdSet()
        for table in self._good():
            pair_ids = pc.binary_join_element_wise(table["query_id"], table["passage_id"], ">")
            new = pa.array(given.add(hash_ids(pair_ids)))
            asked, answered = table["query_id"].filter(new), table["passage_id"].filter(new)
            self._used["pairs"] += len(asked)
            self._counts["left out: repetitions of a pair"] += len(table) - len(asked)
            source = pa.repeat(pa.scalar(self._name), len(asked))
            columns = {"pair_id": pair_ids.filter(new), "query_id": asked, "passage_id": answered, "source": source}
            yield make_table("pairs", columns)

    def _rows(self) -> Iterator[Records]:
        """All rows that are drawn."""
        self._counts.clear()
        for block in self._read(self._counts):
            if self._limit and len(block.table):
                last = np.array([self._last[lang] for lang in block.table["lang"].to_pylist()], dtype=np.uint64)
                drawn = self._drawing(block.table) <= last
                self._counts["left out: not drawn"] += int((~drawn).sum())
                block = block.where(drawn)
            if len(block.table):
                yield block

    def _consistent(self, block: Records) -> Iterator[Records]:
        """The rows whose ids stand for no other text; halves of a block are taken one after the other if one does."""
        table = block.table
        query = self._queries.contradicts(table["query_id"], table["query"])
        passage = self._passages.contradicts(table["passage_id"], table["passage"])
        if not (query | passage).any():
            yield block
        elif len(table) > 1:
            first = np.arange(len(table)) < len(table) // 2
            yield from self._consistent(block.where(first))
            yield from self._consistent(block.where(~first))
        else:
            what = "query_id" if query[0] else "passage_id"
            reason = f"this {what} stands for another text before"
            block.without(np.array([True]), self._bad, reason, what)

    def _good(self) -> Iterator[pa.Table]:
        """The rows that were consistent."""
        for block in self._rows():
            table = block.table
            good = self._queries.has(table["query_id"], table["query"])
            good &= self._passages.has(table["passage_id"], table["passage"])
            yield table.filter(pa.array(good))

    def _draw(self) -> None:
        """Finds the hash of the last question drawn of each language."""
        least: dict[str, Hashes] = {}
        for block in self._read(Counter()):
            hashes, langs = self._drawing(block.table), np.array(block.table["lang"].to_pylist(), dtype=object)
            for lang in pc.unique(block.table["lang"]).to_pylist():
                seen = np.concatenate([least.get(lang, hashes[:0]), hashes[langs == lang]])
                least[lang] = np.unique(seen)[: self._limit]
        self._last = {lang: hashes[-1] for lang, hashes in least.items()}

    def _drawing(self, table: pa.Table) -> npt.NDArray[np.uint64]:
        return hash_ids(pc.binary_join_element_wise(f"{self._seed}", table["draw"], ":"))

    def _counted(self) -> list[str]:
        return [f"{count} {what}" for what, count in self._counts.items() if count]

    def _notes(self) -> Sequence[str]:
        used = ", ".join(f"{count} {what}" for what, count in self._used.items())
        return ["; ".join([f"{self._name}: {used}", *self._counted()])]
