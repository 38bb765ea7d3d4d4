"""The audit of one shard of training data: which pairs hold what an evaluation set holds.

It reads texts and ids, never a flag column. These are the rules; each makes a leak where it does not say otherwise:

``question-exact``, ``question-normalised``
    Its query or its passage is an evaluation question, as it stands or when normalised.
``passage-exact``, ``passage-normalised``
    Its query or its passage is an evaluation passage. One too short for an 8-gram ("Thank you.") is a warning: such
    sentences stand everywhere.
``near``
    Its query or its passage is an evaluation question or passage of 6 to 40 units but for one: changed, dropped, added
    or moved. A warning: most short questions of this kind ask the same of something else ("What is the official
    language of Togo?").
``ngrams``
    At least half of an evaluation passage's distinct 8-grams stand in its query, its passage or the passage's context.
    Any fewer are a warning.
``id``
    Its id, its query's id or its query group's id is one of an evaluation text.
``id-context``
    Its passage has such an id, or has its group, its normalised text or its normalised context in common with a passage
    that has, or that a pair which leaks by ``id`` leads to: another question about what the evaluation asks about.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.errors import DataError
from xlstance.leakage.index import EvaluationIndex, hash_blocks, id_keys, near_keys
from xlstance.leakage.postings import equal_in
from xlstance.leakage.text import Hashed, Hashes, Numbers
from xlstance.tables import hash_ids, make_table

LEAK = 0.5  # share of an evaluation passage's 8-grams from which on it is a leak

RULES = (
    "id",
    "id-context",
    "question-exact",
    "question-normalised",
    "passage-exact",
    "passage-normalised",
    "near",
    "ngrams",
)
# A finding in the making: the row of a text, later of a pair; the evaluation entry; the rule's number; the share.
_HIT = np.dtype([("row", np.int64), ("entry", np.int64), ("rule", np.int64), ("share", np.float64)])
Hits = npt.NDArray[np.void]
_ID, _CONTEXT, _QUESTION, _, _PASSAGE, _, _NEAR, _NGRAMS = range(len(RULES))


def audit_rows(pairs: pa.Table, queries: pa.Table, passages: pa.Table, index: EvaluationIndex) -> pa.Table:
    """Looks the pairs of one shard up in the index of evaluation sets.

    Args:
        pairs: table ``pairs``.
        queries: table ``queries``, with those of the pairs; may hold more.
        passages: table ``passages``, with those of the pairs; may hold more.
        index: of the evaluation sets.

    Returns:
        Table ``leaks``: for every pair, benchmark and rule that applies one row with the strongest overlap, in the
        order of the pairs. ``lang`` is the query's; ``share`` is the part of the evaluation passage's 8-grams that
        was found, 1 for equal texts, the part of the units that is the same for near ones, and 0 for ids, whose texts
        are not compared.

    Raises:
        DataError: if a pair refers to a text that is not there.
    """
    asked, answers = _rows_of(pairs, "query_id", queries), _rows_of(pairs, "passage_id", passages)
    contexts = passages["context"].drop_null().unique()  # one stands beside each sentence of a paragraph
    around = np.asarray(pc.fill_null(pc.index_in(passages["context"], contexts), len(contexts)), np.int64)
    query_hits, _ = _text_hits(queries["text"], index)
    passage_hits, text_keys = _text_hits(passages["text"], index)
    context_hits, context_keys = _text_hits(pa.chunked_array([contexts]), index)
    own = np.concatenate(
        [
            _id_hits([pairs["pair_id"]], index),
            _of_pairs(_id_hits([queries["query_id"], queries["group_id"]], index), asked),
        ]
    )
    seeds = np.concatenate(
        [_hits(answers[own["row"]], own["entry"], _ID), _id_hits([passages["passage_id"], passages["group_id"]], index)]
    )
    seeds["rule"] = _CONTEXT
    shared = (hash_ids(passages["group_id"]), text_keys, np.append(context_keys, np.uint64(0))[around])
    hits = [
        own,
        _of_pairs(_spread(seeds, shared, index), answers),
        _of_pairs(query_hits, asked),
        _of_pairs(passage_hits, answers),
        _of_pairs(context_hits[context_hits["rule"] == _NGRAMS], around[answers]),
    ]
    found = _strongest(np.concatenate(hits), index)
    # Rules come in order, so a pair's own id stands before what spread to it.
    place = found["row"] * len(index.benchmarks) + index.entries["part"][found["entry"]]
    by_id = np.append(False, (found["rule"][:-1] == _ID) & (np.diff(place) == 0))
    found = found[~(by_id & (found["rule"] == _CONTEXT))]
    return _table(found, pairs, queries.take(asked[found["row"]]), passages.take(answers[found["row"]]), index)


def count_rows(pairs: pa.Table, queries: pa.Table) -> dict[str, int]:
    """The number of pairs by their query's language."""
    langs = queries["lang"].take(pa.array(_rows_of(pairs, "query_id", queries)))
    return {str(count["values"]): int(count["counts"]) for count in pc.value_counts(langs).to_pylist()}


def summarise(findings: Iterable[pa.Table], rows: Mapping[str, int]) -> dict[str, Any]:
    """What ``leakage.json`` says.

    Args:
        findings: tables ``leaks``, each with all the findings of its pairs: those of one shard.
        rows: number of pairs audited by language, as ``count_rows`` gives it for each shard.

    Returns:
        ``rows``, ``leaking`` and ``warned`` (pairs with findings none of which is a leak), and the latter two
        ``by_rule``, ``by_language`` (with ``rows``) and ``by_benchmark``. A pair counts once in each place: under a
        rule or benchmark as leaking if it leaks by that one.
    """
    total: Counter[str] = Counter()
    by: dict[str, dict[str, Counter[str]]] = {
        "rule": {},
        "language": {lang: Counter(rows=count) for lang, count in sorted(rows.items())},
        "benchmark": {},
    }
    columns = {"rule": "rule", "language": "lang", "benchmark": "benchmark"}
    for table in findings:
        pair = table.select(["source", "pair_id", "leak", *columns.values()]).to_pandas()
        total.update(pair.groupby(["source", "pair_id"])["leak"].any().map({True: "leaking", False: "warned"}))
        for name, column in columns.items():
            leaks = pair.groupby([column, "source", "pair_id"])["leak"].any()
            for (key, leak), count in leaks.groupby([leaks.index.get_level_values(0), leaks]).size().items():
                by[name].setdefault(key, Counter())["leaking" if leak else "warned"] += int(count)
    numbers = {"rows": sum(rows.values()), "leaking": total["leaking"], "warned": total["warned"]}
    return numbers | {
        f"by_{name}": {
            key: ({"rows": count["rows"]} if name == "language" else {})
            | {"leaking": count["leaking"], "warned": count["warned"]}
            for key, count in sorted(counts.items())
        }
        for name, counts in by.items()
    }


def _rows_of(pairs: pa.Table, column: str, texts: pa.Table) -> Numbers:
    rows = pc.index_in(pairs[column], texts[column])
    if rows.null_count:
        pair = pairs.slice(pc.index(pc.is_null(rows), True).as_py(), 1).to_pylist()[0]
        raise DataError(f"pair {pair['pair_id']!r} refers to {column} {pair[column]!r}, which stands in no table")
    return np.asarray(rows, np.int64)


def _hits(rows: Numbers, entries: Numbers, rule: int | Numbers, share: float | npt.NDArray[np.float64] = 0.0) -> Hits:
    found = np.empty(len(rows), _HIT)
    found["row"], found["entry"], found["rule"], found["share"] = rows, entries, rule, share
    return found


def _text_hits(texts: pa.ChunkedArray, index: EvaluationIndex) -> tuple[Hits, Hashes]:
    """What the texts of a column share with evaluation texts, and the hash of each normalised text (0 for none)."""
    keys = np.zeros(len(texts), np.uint64)
    hits = [np.empty(0, _HIT)]
    for start, block, hashed in hash_blocks(texts):
        keys[start : start + len(block)] = hashed.texts
        equal = _equal(block, hashed, index)
        found = _strongest(np.concatenate([equal, _near(equal, hashed, index), _containing(hashed, index)]), index)
        found["row"] += start
        hits.append(found)
    return np.concatenate(hits), keys


def _equal(block: list[str], hashed: Hashed, index: EvaluationIndex) -> Hits:
    """Texts that are evaluation texts as a whole."""
    rows, entries = index.texts.find(hashed.texts)
    facts = index.entries[entries]
    normalised = hash_ids([block[row] for row in rows]) != facts["text"]
    return _hits(rows, entries, np.where(facts["question"], _QUESTION, _PASSAGE) + normalised, 1.0)


def _near(equal: Hits, hashed: Hashed, index: EvaluationIndex) -> Hits:
    """Texts that are evaluation texts but for one unit."""
    keys, rows = near_keys(hashed)
    matches, entries = index.near.find(keys)
    rows = rows[matches]
    other = ~np.isin((rows << 32) + entries, (equal["row"] << 32) + equal["entry"])
    return _hits(rows[other], entries[other], _NEAR, 1 - 1 / hashed.units[rows[other]])


def _containing(hashed: Hashed, index: EvaluationIndex) -> Hits:
    """Texts that hold 8-grams of evaluation passages."""
    matches, entries = index.grams.find(hashed.grams)
    rows, grams = hashed.gram_rows[matches], hashed.grams[matches]
    order = np.lexsort((grams, entries, rows))
    rows, entries, grams = rows[order], entries[order], grams[order]
    changes = [np.diff(values, prepend=~values[:1]) != 0 for values in (rows, entries, grams)]
    starts = np.flatnonzero(changes[0] | changes[1])
    distinct = np.add.reduceat(changes[0] | changes[1] | changes[2], starts, dtype=np.int64)
    rows, entries = rows[starts], entries[starts]
    return _hits(rows, entries, _NGRAMS, distinct / index.entries["grams"][entries])


def _id_hits(columns: Iterable[pa.ChunkedArray], index: EvaluationIndex) -> Hits:
    """Rows with an id that an evaluation text has too."""
    hits = []
    for ids in columns:
        rows, keys = id_keys(ids)
        matches, entries = index.ids.find(keys)
        hits.append(_hits(rows[matches], entries, _ID))
    return np.concatenate(hits)


def _spread(seeds: Hits, columns: Iterable[Hashes], index: EvaluationIndex) -> Hits:
    """Hits of passages, and of those that have the value of a column in common with them (0 is none)."""
    seeds = _strongest(seeds, index)
    hits = [seeds]
    for column in columns:
        # One seed for each value and evaluation set is enough.
        values, parts = column[seeds["row"]], index.entries["part"][seeds["entry"]]
        chosen = np.unique(np.stack([values, parts.astype(np.uint64)]), axis=1, return_index=True)[1]
        chosen = chosen[values[chosen] != 0]
        rows, places = equal_in(column, values[chosen])
        hits.append(_hits(rows, seeds["entry"][chosen[places]], _CONTEXT))
    return np.concatenate(hits)


def _of_pairs(hits: Hits, texts: Numbers) -> Hits:
    """Hits of texts as hits of the pairs that refer to them: ``texts`` is the row of each pair's text."""
    hits = hits[np.argsort(hits["row"])]
    pairs, places = equal_in(texts, hits["row"])
    found = hits[places]
    found["row"] = pairs
    return found


def _strongest(hits: Hits, index: EvaluationIndex) -> Hits:
    """One hit for each row, evaluation set and rule, in this order: the strongest, of equals the first entry."""
    part = index.entries["part"][hits["entry"]]
    order = np.lexsort((hits["entry"], -hits["share"], hits["rule"], part, hits["row"]))
    hits, part = hits[order], part[order]
    new = [np.diff(values, prepend=-1) != 0 for values in (hits["row"], part, hits["rule"])]
    first: Hits = hits[new[0] | new[1] | new[2]]
    return first


def _table(found: Hits, pairs: pa.Table, queries: pa.Table, passages: pa.Table, index: EvaluationIndex) -> pa.Table:
    """Findings as the table ``leaks``; ``queries`` and ``passages`` are those of the findings."""
    facts, rule = index.entries[found["entry"]], found["rule"]
    short = (rule >= _PASSAGE) & (facts["grams"] == 0)
    leak = np.select([rule == _NGRAMS, (rule == _NEAR) | short], [found["share"] >= LEAK, False], True)
    own = pairs.take(pa.array(found["row"]))
    return make_table(
        "leaks",
        {
            **{column: own[column] for column in ("pair_id", "source", "query_id", "passage_id")},
            "lang": queries["lang"],
            "benchmark": np.array(index.benchmarks, object)[facts["part"]].tolist(),
            "evaluation_id": index.name(found["entry"]),
            "rule": np.array(RULES, object)[rule].tolist(),
            "share": found["share"],
            "leak": leak,
            "query_text": queries["text"],
            "passage_text": passages["text"],
        },
    )
