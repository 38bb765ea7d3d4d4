"""What the readers of judged collections share: texts whose ids stand once, and judgements that refer to them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.records import Records, complete, is_blank
from xlstance.corpora.tabular import read_records
from xlstance.errors import DataError
from xlstance.ids import IdSet
from xlstance.tables import hash_ids, is_language, make_table

_string = pa.string()
_REFERENCES = ("query_id", "passage_id", "negative_id")
TEXT = pa.schema([pa.field(name, _string, False) for name in ("id", "text")])
TRIPLE = pa.schema([pa.field(name, _string, False) for name in _REFERENCES])


class IdSpace:
    """The texts and judgements of one space of ids: a language of a collection, or a whole collection.

    Passages come first, then queries, then judgements, so that what a judgement names is known when it comes.

    Args:
        prefix: of the house's ids; native ids follow it.
        bad: told of the rows that cannot be used.
        counts: where rows are counted for the notes.
        parallel: begins the group ids of texts whose native id means the same in other languages; empty where it
            does not.
    """

    def __init__(self, prefix: str, bad: BadRows, counts: Counter[str], parallel: str = "") -> None:
        self._prefix, self._bad, self._counts, self._parallel = prefix, bad, counts, parallel
        self._passages, self._queries, self._judgements = IdSet(), IdSet(), IdSet()
        self._files: dict[str, int] = {}

    def passages(self, block: Records, lang: str, wanted: IdSet | None = None) -> pa.Table:
        """A block of ``passages``.

        Args:
            block: columns ``id``, ``text``, ``title``, and ``group_id``, ``context`` where the file has them.
            lang: its language; empty: the column ``lang`` has it.
            wanted: native ids to keep; None for all.
        """
        return self._texts("passage", block, lang, self._passages, wanted)

    def queries(self, block: Records, lang: str, wanted: IdSet) -> pa.Table:
        """A block of ``queries``; those that no judgement names are left out and counted."""
        return self._texts("query", block, lang, self._queries, wanted)

    def _texts(self, kind: str, block: Records, lang: str, known: IdSet, wanted: IdSet | None) -> pa.Table:
        hashes = hash_ids(block.table["id"])
        if wanted is not None:
            keep = wanted.contains(hashes)
            self._counts[f"{kind} left out"] += int(len(keep) - keep.sum())
            if not keep.all():
                block, hashes = block.where(keep), hashes[keep]
        block = block.without(~known.add(hashes), self._bad, "the id stands twice; ids are unique", "id")
        table = block.table
        self._counts[kind] += len(table)
        ids = self._named(table["id"])
        made = {f"{kind}_id": ids, "text": table["text"], "group_id": self._groups(table, ids)}
        made["lang"] = pa.repeat(pa.scalar(lang), len(table)) if lang else table["lang"]
        if kind == "query":
            return make_table("queries", made)
        return make_table(
            "passages", made | {name: table[name] for name in ("title", "context") if name in table.column_names}
        )

    def _named(self, ids: Any) -> Any:
        return pc.binary_join_element_wise(pa.scalar(self._prefix), ids, "")

    def _groups(self, table: pa.Table, ids: Any) -> Any:
        if self._parallel:
            return pc.binary_join_element_wise(pa.scalar(self._parallel), table["id"], "")
        if "group_id" not in table.column_names:
            return ids
        return pc.coalesce(self._named(table["group_id"]), ids)

    def qrels(self, block: Records) -> pa.Table:
        """A block of ``qrels`` from columns ``query_id``, ``passage_id``, ``gain``."""
        block = self._known(block, ("query_id", "passage_id"))
        table = without_repeats(block, self._judgements, self._bad).table
        self._counts["judgement"] += len(table)
        named = {name: self._named(table[name]) for name in ("query_id", "passage_id")}
        return make_table("qrels", named | {"gain": table["gain"]})

    def pairs(self, block: Records, source: str) -> pa.Table:
        """A block of ``pairs`` with a negative each, from columns ``query_id``, ``passage_id``, ``negative_id``."""
        block = self._known(block, _REFERENCES)
        table = block.table
        self._counts["judgement"] += len(table)
        file = self._files.setdefault(str(block.path), len(self._files))
        part = pa.scalar(f"{file}-" if file else "")  # lines are counted anew in a second file
        asked, positive, negative = (self._named(table[name]).combine_chunks() for name in _REFERENCES)
        lists = pa.StructArray.from_arrays(
            [negative, pa.nulls(len(table), pa.float32())], names=["passage_id", "teacher_score"]
        )
        return make_table(
            "pairs",
            {
                "pair_id": self._named(pc.binary_join_element_wise(part, pa.array(block.numbers).cast(_string), "")),
                "query_id": asked,
                "passage_id": positive,
                "negatives": pa.ListArray.from_arrays(np.arange(len(table) + 1, dtype=np.int32), lists),
                "source": pa.repeat(pa.scalar(source), len(table)),
            },
        )

    def _known(self, block: Records, references: Sequence[str]) -> Records:
        """The judgements whose query and passages have been read."""
        for name in references:
            known, kind = (self._queries, "query") if name == "query_id" else (self._passages, "passage")
            stranger = ~known.contains(hash_ids(block.table[name]))
            block = block.without(stranger, self._bad, f"no file has this {kind}, or not as a good row", name)
        return block


class Named:
    """The native ids that judgements name.

    Args:
        blocks: the judgements, as blocks with columns of ids.
    """

    def __init__(self, blocks: Iterable[Records]) -> None:
        self.queries, self.passages = IdSet(), IdSet()
        for block in blocks:
            for name in _REFERENCES:
                if name in block.table.column_names:
                    ids = self.queries if name == "query_id" else self.passages
                    ids.add(hash_ids(block.table[name]))


def read_texts(
    path: Path, bad: BadRows, ids: Sequence[str], texts: Sequence[str], more: Sequence[str] = ()
) -> Iterator[Records]:
    """Reads texts from JSON lines whose publishers name the columns differently.

    Args:
        path: the file.
        bad: told of the rows without an id or a text.
        ids: the names that the column of ids may have.
        texts: the names that the column of texts may have; ``contents`` holds a title on its first line, if it has
            several.
        more: optional columns to read.

    Yields:
        Blocks with columns ``id``, ``text`` and those of ``more``. Where a row has a ``title`` and no text, the title
        is its text; an empty title is none.
    """
    columns = pa.schema([(name, _string) for name in (*ids, *texts, *more)])
    for block in read_records(path, columns, bad):
        found = {name: block.table[name] for name in more}
        if "contents" in texts and block.table["contents"].null_count < len(block.table):
            head, body = _first_line(block.table["contents"])
            found["title"] = pc.coalesce(found["title"], head)
            block = replace(
                block, table=block.table.set_column(block.table.column_names.index("contents"), "contents", body)
            )
        text = pc.coalesce(*(block.table[name] for name in texts))
        if "title" in more:
            found["title"] = pc.if_else(is_blank(found["title"]), None, found["title"])
            text = pc.if_else(is_blank(text), found["title"], text)
        found = {"id": pc.coalesce(*(block.table[name] for name in ids)), "text": text} | found
        yield complete(replace(block, table=pa.table(found)), TEXT, bad)


def _first_line(contents: pa.ChunkedArray) -> tuple[Any, Any]:
    """The first line of each text, null where it has only one, and what follows."""
    parts = pc.split_pattern(contents.combine_chunks(), "\n", max_splits=1)
    several = pc.greater(pc.list_value_length(parts), 1)
    first, last = (parts.values.take(pa.array(at, mask=np.asarray(pc.is_null(parts)))) for at in _ends(parts.offsets))
    title = pc.if_else(several, first, None)
    return pa.chunked_array([title]), pa.chunked_array([pc.utf8_ltrim(last, characters="\n")])


def _ends(offsets: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where the first and the last element of each list stand."""
    bounds = np.asarray(offsets).astype(np.int64)
    return bounds[:-1], bounds[1:] - 1


def without_repeats(block: Records, seen: IdSet, bad: BadRows) -> Records:
    """The rows whose query and passage have not been seen together; they are added to ``seen``."""
    query, passage = (hash_ids(block.table[name]) for name in ("query_id", "passage_id"))
    both = query * np.uint64(0x9E3779B97F4A7C15) ^ passage  # an odd number, so that no two queries become one
    return block.without(~seen.add(both), bad, "this query and passage stand together twice; remove one of the rows")


def with_language(block: Records, bad: BadRows) -> Records:
    """The rows whose column ``lang`` is a language code."""
    wrong = [code for code in block.table["lang"].unique().to_pylist() if not is_language(code)]
    if not wrong:
        return block
    mask = pc.is_in(block.table["lang"], pa.array(wrong, _string))
    return block.without(mask, bad, "'lang' is no language code; give a BCP 47 code such as en, fi or zh-Hant", "lang")


def nonempty(blocks: Iterable[pa.Table], what: str, place: str) -> Iterator[pa.Table]:
    """The blocks, of which at least one must have a row.

    Raises:
        DataError: at the end, if none has.
    """
    found = False
    for block in blocks:
        if len(block):
            found = True
            yield block
    if not found:
        raise DataError(f"{place}: no {what} could be read; is this the right file, language and split?")


def notes_of(counts: Counter[str]) -> list[str]:
    """What was read and left out, for the notes."""
    notes = [f"{counts['passage']} passages, {counts['query']} queries, {counts['judgement']} judgements"]
    if counts["passage left out"]:
        notes.append(f"{counts['passage left out']} passages that no judgement names were left out")
    if counts["query left out"]:
        notes.append(f"{counts['query left out']} queries without a judgement were left out")
    return notes
