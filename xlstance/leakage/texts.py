"""Texts around the pairs: those that no pair refers to, which are audited too, and those that go with leaking pairs."""

import pyarrow as pa
import pyarrow.compute as pc

from xlstance.tables import make_table

_BLANK = "-"  # begins the ids of what stands in for a missing text


def lone_texts(texts: pa.Table, column: str, pairs: pa.Table) -> pa.Table:
    """The texts that no pair refers to: negatives, and translations that pairing may take."""
    return texts.filter(pc.invert(pc.is_in(texts[column], pc.unique(pairs[column]))))


def pairs_of_lone(lone: pa.Table) -> pa.Table:
    """A pair for each lone text."""
    own = lone.column_names[0]
    other = "passage_id" if own == "query_id" else "query_id"
    columns = {"pair_id": lone[own], own: lone[own], other: _blank_ids(lone), "source": [_BLANK] * len(lone)}
    return make_table("pairs", columns)


def blanks_for(lone: pa.Table, table: str) -> pa.Table:
    """An empty text for each lone one, in a group of its own."""
    ids, key = _blank_ids(lone), "query_id" if table == "queries" else "passage_id"
    return make_table(table, {key: ids, "lang": lone["lang"], "text": [""] * len(lone), "group_id": ids})


def _blank_ids(lone: pa.Table) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(_BLANK, lone.column(0), "/")


def lost_texts(texts: pa.Table, column: str, wrong: pa.Table, right: pa.Table, leaking: pa.Array) -> pa.ChunkedArray:
    """Which texts go: those that leak or that only leaking pairs refer to, and their translations with them.

    A translation stays where another pair of its group does.
    """
    needed = pc.is_in(texts[column], pc.unique(right[column]))
    bad = pc.or_(pc.is_in(texts[column], pc.unique(wrong[column])), pc.is_in(texts[column], leaking))
    groups = pc.and_not(
        pc.is_in(texts["group_id"], pc.unique(texts.filter(bad)["group_id"])),
        pc.is_in(texts["group_id"], pc.unique(texts.filter(needed)["group_id"])),
    )
    return pc.or_(pc.and_not(bad, needed), groups)


def without_negatives(pairs: pa.Table, gone: pa.ChunkedArray) -> pa.Table:
    """The pairs without the negatives that are gone; nested by row, as few sources have any."""
    removed = set(gone.to_pylist())
    lists = [
        None if negatives is None else [item for item in negatives if item["passage_id"] not in removed]
        for negatives in pairs["negatives"].to_pylist()
    ]
    place = pairs.schema.get_field_index("negatives")
    return pairs.set_column(place, pairs.schema.field(place), pa.array(lists, pairs.schema.field(place).type))
