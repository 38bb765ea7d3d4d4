"""Queries translated word by word: which dictionaries are found, what they do, and what is said of those that lack."""

import gzip

import numpy as np
import pytest

from xlstance.collection import Benchmark
from xlstance.corpora.miniature import MiniatureSettings, lexicon
from xlstance.experiment.rankers import ByTranslatedWords, ByWords
from xlstance.experiment.translate_test import (
    Dictionary,
    find_dictionaries,
    missing_pairs,
    translate_queries,
    write_miniature_dictionaries,
)
from xlstance.storage import Folder
from xlstance.tables import make_table


def texts(table, rows):
    key = "query_id" if table == "queries" else "passage_id"
    ids = [f"{table[0]}{n}" for n in range(len(rows))]
    langs, words = zip(*rows, strict=True)
    return make_table(table, {key: ids, "lang": langs, "text": words, "group_id": ids})


@pytest.fixture
def data(tmp_path):
    (tmp_path / "en-de.tsv").write_text("house\tHaus\nhouse\tGebäude\nold\talt\n")
    (tmp_path / "fi-en.tsv.gz").write_bytes(gzip.compress(b"talo\thouse\n"))
    (tmp_path / "plain.zh.tsv").write_text("house\t房子\n")
    return tmp_path


def pairs(found):
    return {(d.source, d.target, d.reverse): [path.rpartition("/")[2] for path in d.paths] for d in found}


def test_dictionaries_are_found_in_either_direction(data):
    found = find_dictionaries(
        ["{source}-{lang}.tsv", "{source}-{lang}.tsv.gz"], str(data), ["en", "fi"], ["de", "en", "fi"]
    )
    assert pairs(found) == {
        ("en", "de", False): ["en-de.tsv"],
        ("en", "fi", True): ["fi-en.tsv.gz"],
        ("fi", "en", False): ["fi-en.tsv.gz"],
    }


def test_a_path_without_its_source_is_from_english(data):
    found = find_dictionaries(["plain.{lang}.tsv"], str(data), ["de", "en", "zh"], ["de", "en", "zh"])
    assert pairs(found) == {("en", "zh", False): ["plain.zh.tsv"], ("zh", "en", True): ["plain.zh.tsv"]}


def test_every_word_that_has_one_gets_its_first_translation(data):
    queries = texts("queries", [("en", "Is the OLD house, in 1999?"), ("de", "das alte Haus"), ("fi", "talo house")])
    found = find_dictionaries(["{source}-{lang}.tsv"], str(data), ["en", "de", "fi"], ["en", "de"])
    assert translate_queries(queries, "de", found) == ["Is the ALT Haus, in 1999?", "das alte Haus", "talo house"]
    assert translate_queries(queries, "en", found)[1] == "das alte House"  # read in reverse
    assert translate_queries(queries, "fi", found) == queries["text"].to_pylist()


def test_pairs_without_a_dictionary_are_counted_and_named():
    queries, passages = (
        texts("queries", [("de", ""), ("en", "")]),
        texts("passages", [("de", ""), ("en", ""), ("fi", "")]),
    )
    there = [Dictionary(source="en", target=target, paths=()) for target in ("de", "fi")]
    assert "2 of 4 pairs of languages have no dictionary" in missing_pairs(queries, passages, there)
    assert missing_pairs(queries, passages, there).endswith("as they are: de->en, de->fi")
    assert missing_pairs(queries, passages, there[:1]).endswith("as they are: all but en->de")
    assert missing_pairs(queries, passages, []).endswith("as they are: all")
    every = [Dictionary(source="de", target=target, paths=()) for target in ("en", "fi")]
    assert missing_pairs(queries, passages, [*there, *every]) == ""


def test_a_dictionary_finds_what_words_alone_do_not(data):
    passages = texts("passages", [("de", "das alte Haus"), ("de", "ein Hund"), ("en", "a cat"), ("en", "old house")])
    queries = texts("queries", [("en", "house"), ("de", "Haus")])
    qrels = make_table("qrels", {"query_id": ["q0", "q1"], "passage_id": ["p0", "p3"], "gain": [1, 1]})
    benchmark = Benchmark(passages=passages, queries=queries, qrels=qrels)
    found = find_dictionaries(["{source}-{lang}.tsv"], str(data), ["en", "de"], ["en", "de"])

    def best(ranker):
        ranked = ranker.rank(benchmark, 10)
        assert len(ranked.notes) == 1  # every pair has a dictionary
        return ranked.in_own_pools(np.arange(2))

    by_words, translated = best(ByWords()), best(ByTranslatedWords(dictionaries=found))
    assert (np.diag(by_words[:, [0, 3]]) == 0).all()
    assert (np.diag(translated[:, [0, 3]]) > 0).all()
    # Within a language nothing changes.
    np.testing.assert_array_equal(by_words[0, 2:], translated[0, 2:])
    np.testing.assert_array_equal(by_words[1, :2], translated[1, :2])


def test_the_built_in_world_has_dictionaries_for_all_pairs(tmp_path):
    world = MiniatureSettings(languages=3)
    lexicons = write_miniature_dictionaries(world, Folder(tmp_path))
    found = find_dictionaries(lexicons, "anywhere", world.codes, world.codes)
    assert len(found) == 6
    word, translations = next(iter(lexicon(world, "qaa", "qab").items()))
    assert translate_queries(texts("queries", [("qaa", word)]), "qab", found) == [translations[0]]
