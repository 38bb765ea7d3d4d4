import random
from collections import Counter, defaultdict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from xlstance.augmentation.pairing import Pairing
from xlstance.augmentation.pairing import pair_across_languages as pair_part
from xlstance.augmentation.way import Part
from xlstance.errors import DataError, SettingsError
from xlstance.tables import hash_ids, make_table

LANGUAGES = ["en", "de", "fi", "zh"]


def pair_across_languages(pairs, queries, passages, settings, seed, limit):
    return pair_part(Part(pairs=pairs, queries=queries, passages=passages), settings, seed, limit)


def world(seed, variants=1, questions=30):
    """Questions over fewer passage groups; texts missing in some languages, in some with several variants."""
    draw = random.Random(seed)
    queries, passages, pairs = [], [], []
    for group in range(questions // 3):
        for lang in draw.sample(LANGUAGES, draw.randint(1, 4)):
            passages += [(f"p{group}-{lang}{v}", lang, f"P{group}") for v in range(draw.randint(1, variants))]
    for question in range(questions):
        for lang in draw.sample(LANGUAGES, draw.randint(1, 4)):
            queries += [(f"q{question}-{lang}{v}", lang, f"Q{question}") for v in range(draw.randint(1, variants))]
    for query, lang, group in queries:
        answers = [row for row in passages if row[2] == f"P{int(group[1:]) // 3}" and row[1] == lang]
        pairs += [(f"{query}+{answer[0]}", query, answer[0]) for answer in answers if draw.random() < 0.7]
    return (
        make_table("pairs", {**columns(pairs, "pair_id", "query_id", "passage_id"), "source": ["s"] * len(pairs)}),
        make_table("queries", {**columns(queries, "query_id", "lang", "group_id"), "text": ["t"] * len(queries)}),
        make_table("passages", {**columns(passages, "passage_id", "lang", "group_id"), "text": ["t"] * len(passages)}),
    )


def columns(rows, *names):
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def cells(pairs, queries, passages):
    """Each pair as ((query group, passage group), (query language, passage language))."""
    q = {row["query_id"]: (row["group_id"], row["lang"]) for row in queries.to_pylist()}
    p = {row["passage_id"]: (row["group_id"], row["lang"]) for row in passages.to_pylist()}
    found = []
    for row in pairs.to_pylist():
        (query_group, a), (passage_group, b) = q[row["query_id"]], p[row["passage_id"]]
        found.append(((query_group, passage_group), (a, b)))
    return found


def expected(pairs, queries, passages):
    """The plain way: every link times every pair of different languages that its groups have."""
    langs = defaultdict(set)
    for row in queries.to_pylist() + passages.to_pylist():
        langs[row["group_id"]].add(row["lang"])
    links = {link for link, _ in cells(pairs, queries, passages)}
    return {((q, p), (a, b)) for q, p in links for a in langs[q] for b in langs[p] if a != b}


@pytest.mark.parametrize("variants", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_every_link_and_pair_of_languages_gives_one_pair(seed, variants):
    tables = world(seed, variants)
    made = pair_across_languages(*tables, Pairing(), seed, 0)
    found = cells(made, *tables[1:])
    assert len(found) == len(set(found)) > 50
    assert set(found) == expected(*tables)


def test_a_pair_says_where_it_comes_from():
    pairs, queries, passages = world(0)
    made = pair_across_languages(pairs, queries, passages, Pairing(name="x"), 0, 0)
    link = dict(zip(pairs["pair_id"].to_pylist(), (link for link, _ in cells(pairs, queries, passages)), strict=True))
    for row, (own, _) in zip(made.to_pylist(), cells(made, queries, passages), strict=True):
        assert link[row["parent_pair_id"]] == own
        assert (row["source"], row["augmentation"], row["negatives"]) == ("s", "x", None)
    assert len(set(made["pair_id"].to_pylist())) == made.num_rows


def test_the_order_of_the_rows_does_not_matter():
    tables = world(1, variants=3)
    shuffled = [table.take(np.random.default_rng(0).permutation(table.num_rows)) for table in tables]
    assert pair_across_languages(*tables, Pairing(), 5, 0) == pair_across_languages(*shuffled, Pairing(), 5, 0)


def test_shards_by_passage_group_give_what_the_whole_gives():
    pairs, queries, passages = world(2, variants=2)
    part = hash_ids(passages["group_id"]) % np.uint64(3)
    whole = set(pair_across_languages(pairs, queries, passages, Pairing(), 0, 0)["pair_id"].to_pylist())
    seen = []
    for index in range(3):
        own = passages.filter(pa.array(part == index))
        theirs = pairs.filter(pc.is_in(pairs["passage_id"], own["passage_id"].combine_chunks()))
        seen += pair_across_languages(theirs, queries, own, Pairing(), 0, 0)["pair_id"].to_pylist()
    assert sorted(seen) == sorted(whole)


def test_limit_is_a_sample_of_each_language_pair_that_grows_with_it_and_changes_with_the_seed():
    tables = world(3, variants=2, questions=90)
    taken = {}
    for limit in (5, 10):
        made = pair_across_languages(*tables, Pairing(), 0, limit)
        sizes = Counter(langs for _, langs in cells(made, *tables[1:]))
        assert set(sizes.values()) == {limit}
        assert len(sizes) == 12
        taken[limit] = set(made["pair_id"].to_pylist())
    whole = set(pair_across_languages(*tables, Pairing(), 0, 0)["pair_id"].to_pylist())
    assert taken[5] < taken[10] < whole
    assert taken[5] != set(pair_across_languages(*tables, Pairing(), 1, 5)["pair_id"].to_pylist())


def test_variants_are_all_used_in_the_long_run():
    pairs, queries, passages = world(4, variants=3, questions=150)
    made = pair_across_languages(pairs, queries, passages, Pairing(), 0, 0)
    share = Counter(identity[-1] for identity in made["passage_id"].to_pylist())
    assert set(share) == {"0", "1", "2"}
    assert min(share.values()) > 0.05 * made.num_rows


def test_languages_can_be_chosen():
    tables = world(0)
    made = pair_across_languages(*tables, Pairing(languages=["en", "fi"]), 0, 0)
    assert {langs for _, langs in cells(made, *tables[1:])} == {("en", "fi"), ("fi", "en")}
    assert made.num_rows == sum(set(langs) == {"en", "fi"} for _, langs in expected(*tables))


def test_a_listed_pair_is_not_made_again():
    pairs, queries, passages = world(0)
    made = pair_across_languages(pairs, queries, passages, Pairing(), 0, 0)
    more = pa.concat_tables([pairs, made.slice(0, 10)])
    again = pair_across_languages(more, queries, passages, Pairing(), 0, 0)
    assert again["pair_id"].to_pylist() == made["pair_id"].to_pylist()[10:]


def test_a_shard_without_parallel_texts_gives_an_empty_table():
    pairs, queries, passages = world(0)
    assert pair_across_languages(pairs, queries, passages, Pairing(languages=["en"]), 0, 3).num_rows == 0
    assert pair_across_languages(pairs.slice(0, 0), queries, passages, Pairing(), 0, 3).num_rows == 0


def test_what_does_not_fit_is_refused():
    pairs, queries, passages = world(0)
    with pytest.raises(DataError, match=r"pair 'q0-.*' refers to query_id 'q0-"):
        pair_across_languages(pairs, queries.slice(20), passages, Pairing(), 0, 0)
    with pytest.raises(SettingsError, match="per_language_pair is -1"):
        Pairing(per_language_pair=-1)
    with pytest.raises(DataError, match="'English' is no language code"):
        Pairing(languages=["English"])
