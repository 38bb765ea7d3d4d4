import gzip
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from xlstance.augmentation.lexicons.induced import InducedLexicon
from xlstance.augmentation.switching.code_switching import CodeSwitching, read_lexicons, switch_pairs
from xlstance.augmentation.switching.switcher import Switcher
from xlstance.augmentation.way import Part, Surroundings
from xlstance.collection import TrainingSet
from xlstance.encoders import StaticEncoder
from xlstance.errors import DataError, SettingsError
from xlstance.storage import Folder
from xlstance.tables import make_table
from xlstance.training_data import publish_source, published, read_shard_of

LEXICONS = {
    "de": {"the": {"die": 1.0}, "cat": {"Katze": 1.0}, "house": {"haus": 1.0}},
    "zh": {"the": {"这": 1.0}, "cat": {"猫": 1.0}, "sees": {"看": 1.0}},
}


@pytest.fixture
def shard():
    """Two pairs share a passage; the third is German, the fourth mixed; one passage belongs to no pair."""
    queries = make_table(
        "queries",
        {
            "query_id": ["q1", "q2", "q3"],
            "lang": ["en", "en", "de"],
            "text": ["the cat", "the house", "die Katze"],
            "group_id": ["g1", "g2", "g1"],
        },
    )
    passages = make_table(
        "passages",
        {
            "passage_id": ["p1", "p2", "unused"],
            "lang": ["en", "de", "en"],
            "text": ["The cat and the house.", "Die Katze.", "the cat"],
            "title": ["Cat", None, "Cat"],
            "context": ["See the cat.", None, None],
            "group_id": ["h1", "h1", "h2"],
        },
    )
    negatives = [{"passage_id": "unused", "teacher_score": None}]
    pairs = make_table(
        "pairs",
        {
            "pair_id": ["a", "b", "c", "d"],
            "query_id": ["q1", "q2", "q3", "q1"],
            "passage_id": ["p1", "p1", "p2", "p2"],
            "negatives": [negatives, None, None, None],
            "source": ["s"] * 4,
        },
    )
    return Part(pairs=pairs, queries=queries, passages=passages)


def settings(**changes):
    return CodeSwitching(**{"languages": ["de", "zh"], "p": 1.0, "name": "cs", **changes})


def switch(part, way, seed=0):
    return switch_pairs(part, settings=way, switcher=Switcher(LEXICONS, p=way.p, seed=seed))


def cut(part, start, length):
    return Part(pairs=part.pairs.slice(start, length), queries=part.queries, passages=part.passages)


def test_bilingual_makes_a_copy_for_each_language_of_the_pairs_in_the_source_language(shard):
    made = switch(shard, settings())
    queries = {row["query_id"]: row for row in made.queries.to_pylist()}
    passages = {row["passage_id"]: row for row in made.passages.to_pylist()}
    assert list(queries) == ["q1~cs-de", "q2~cs-de", "q1~cs-zh", "q2~cs-zh"]
    assert list(passages) == ["p1~cs-de", "p1~cs-zh"]  # shared by two pairs, switched once
    assert queries["q1~cs-zh"] == {"query_id": "q1~cs-zh", "lang": "zh", "text": "这猫", "group_id": "g1"}
    assert passages["p1~cs-de"]["text"] == "Die Katze and die haus."
    assert (passages["p1~cs-de"]["title"], passages["p1~cs-de"]["context"]) == ("Katze", "See die Katze.")
    assert passages["p1~cs-de"]["group_id"] == "h1"
    assert made.pairs.num_rows == 4
    first = made.pairs.to_pylist()[0]
    assert first == {
        "pair_id": "a~cs-de", "query_id": "q1~cs-de", "passage_id": "p1~cs-de", "negatives": None,
        "teacher_score": None, "source": "s", "augmentation": "cs", "parent_pair_id": "a",
    }  # fmt: skip
    assert made.counts == {
        "tokens": 2 * (2 + 2 + 5 + 1 + 3), "drawn/de": 13, "replaced/de": 11, "drawn/zh": 13, "replaced/zh": 9
    }  # fmt: skip
    assert settings().summary(made.counts) == {
        "switch_ratio": pytest.approx(20 / 26), "out_of_lexicon": pytest.approx({"de": 2 / 13, "zh": 4 / 13}),
        "foreign_translations": {},
    }  # fmt: skip
    assert settings().summary({}) == {"switch_ratio": 0.0, "out_of_lexicon": {}, "foreign_translations": {}}


def test_multilingual_makes_one_copy_labelled_mul(shard):
    made = switch(shard, settings(mode="multilingual"))
    assert made.pairs["pair_id"].to_pylist() == ["a~cs-mul", "b~cs-mul"]
    assert set(made.queries["lang"].to_pylist() + made.passages["lang"].to_pylist()) == {"mul"}
    assert {"drawn/de", "drawn/zh"} <= made.counts.keys()


@pytest.mark.parametrize(
    ("side", "query", "passage", "negatives"),
    [
        ("query", "q1~cs-de", "p1", [{"passage_id": "unused", "teacher_score": None}]),
        ("passage", "q1", "p1~cs-de", None),
    ],
)
def test_one_side_makes_the_pair_cross_lingual(shard, side, query, passage, negatives):
    made = switch(shard, settings(side=side))
    first = made.pairs.to_pylist()[0]
    assert (first["query_id"], first["passage_id"], first["negatives"]) == (query, passage, negatives)
    assert (made.queries.num_rows, made.passages.num_rows) == ((4, 0) if side == "query" else (0, 2))


def test_shards_give_what_the_whole_gives(shard):
    whole = switch(shard, settings(p=0.5), 7)
    parts = [switch(cut(shard, row, 1), settings(p=0.5), 7) for row in range(4)]
    for name in ("queries", "passages", "pairs"):
        together = {str(row) for part in parts for row in getattr(part, name).to_pylist()}
        assert together == {str(row) for row in getattr(whole, name).to_pylist()}


def test_a_shard_without_pairs_to_switch_gives_empty_tables(shard):
    made = switch(cut(shard, 2, 2), settings())
    assert (made.pairs.num_rows, made.queries.num_rows, made.passages.num_rows) == (0, 0, 0)
    assert not any(made.counts.values())


def test_a_chunked_table_is_switched_like_a_whole_one(shard):
    chunked = pa.concat_tables([shard.queries.slice(0, 1), shard.queries.slice(1)])
    made = switch(Part(pairs=shard.pairs, queries=chunked, passages=shard.passages), settings())
    assert made.queries == switch(shard, settings()).queries


def test_what_does_not_fit_is_refused(shard, tmp_path):
    with pytest.raises(DataError, match="pair 'a' refers to query_id 'q1'"):
        switch(Part(pairs=shard.pairs, queries=shard.queries.slice(1), passages=shard.passages), settings())
    for changes, message in [({"p": 1.5}, "p is 1.5"), ({"languages": ["en"]}, "source language")]:
        with pytest.raises(SettingsError, match=message):
            settings(**changes)
    with pytest.raises(DataError, match="'German' is no language code"):
        settings(languages=["German"])
    with pytest.raises(SettingsError, match="languages is empty"):
        settings(languages=[]).inputs(around(tmp_path))


def around(tmp_path, *parents, seed=0):
    return Surroundings(parents=parents, folder=Folder(tmp_path / "own"), data=str(tmp_path), seed=seed)


def write_lists(tmp_path, lists):
    for name, text in lists.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(gzip.compress(text.encode()))


def plain(read):
    lexicons, _ = read
    return {lang: {word: list(found) for word, found in lexicon.items()} for lang, lexicon in lexicons.items()}


def test_lexicons_merge_the_files_that_are_there(tmp_path):
    lists = {"a/en-de.tsv.gz": "cat\tKatze\n", "b/en-de.tsv.gz": "cat\tKater\n", "a/en-el.tsv.gz": "cat\tγάτα\n"}
    write_lists(tmp_path, lists)
    both = settings(languages=["de", "el"], lexicons=["b/en-{lang}.tsv.gz", "a/{source}-{lang}.tsv.gz"])
    assert plain(read_lexicons(both, around(tmp_path))) == {"de": {"cat": ["Kater", "Katze"]}, "el": {"cat": ["γάτα"]}}
    back = settings(source_language="de", languages=["en"], lexicons=["a/{lang}-{source}.tsv.gz"], reverse=True)
    assert plain(read_lexicons(back, around(tmp_path))) == {"en": {"katze": ["cat"]}}
    missing = settings(languages=["fr"], lexicons=["a/en-{lang}.tsv.gz"])
    for read in (lambda: read_lexicons(missing, around(tmp_path)), lambda: missing.inputs(around(tmp_path))):
        with pytest.raises(DataError, match=r"no lexicon for fr: .*holds en-de\.tsv\.gz, en-el\.tsv\.gz"):
            read()
    with pytest.raises(DataError, match=r"no lexicon for de: .*lexicons is empty"):
        settings(languages=["de"]).inputs(around(tmp_path))


def test_what_a_lexicon_loses_is_counted_once_for_all_shards(tmp_path, parent):
    russian = "cat\tкот\nhouse\tдом\nthe\tэтот\ncat\tneko\nhouse\tבית\nwhat\tque\nhouse\tздание\n"
    write_lists(tmp_path, {"a/en-ru.tsv.gz": russian, "a/en-de.tsv.gz": "cat\tKatze\n"})
    way, where = settings(languages=["de", "ru"], lexicons=["a/en-{lang}.tsv.gz"]), around(tmp_path, parent)
    assert read_lexicons(way, where)[1] == {"foreign/ru/HEBREW": 1, "foreign/ru/LATIN": 2}
    way.before(where)
    work, counts = way.work(where), Counter()
    for index in range(2):
        pairs, queries, passages = read_shard_of(where.parents, index)
        made = work(Part(pairs=pairs, queries=queries, passages=passages, index=index, count=2))
        counts.update(made.counts)
    assert "what этот кот дом" not in made.queries["text"].to_pylist()  # "que" is gone, "is" was never there
    assert "what is этот кот дом" in made.queries["text"].to_pylist()
    assert way.summary(counts)["foreign_translations"] == {"ru": {"HEBREW": 1, "LATIN": 2}}


def test_the_fingerprint_follows_what_the_lists_hold(tmp_path):
    write_lists(tmp_path, {"a/en-de.tsv.gz": "cat\tKatze\n", "b/en-de.tsv.gz": "cat\tKatze\n"})
    a, b = (settings(languages=["de"], lexicons=[f"{name}/en-{{lang}}.tsv.gz"]) for name in "ab")
    before = a.inputs(around(tmp_path))
    assert before == b.inputs(around(tmp_path))  # wherever the file lies
    write_lists(tmp_path, {"b/en-de.tsv.gz": "cat\tKater\n"})
    assert before == a.inputs(around(tmp_path)) != b.inputs(around(tmp_path))


@pytest.fixture
def parent(tmp_path):
    """Passages of three groups in English and German, with titles; questions in English."""
    groups = [("cat", "Cat", "Katze"), ("house", "House", "Haus"), ("both", "Cat house", "Katzenhaus")]
    rows = [
        (f"{group}-{lang}", lang, f"{start} {title} {'is' if lang == 'en' else 'ist'} {title}", title, group)
        for group, *titles in groups
        for lang, start, title in zip(("en", "de"), ("the", "das"), titles, strict=True)
    ]
    ids, langs, texts, titles, of = zip(*rows, strict=True)
    passages = {"passage_id": ids, "lang": langs, "text": texts, "title": titles, "group_id": of}
    names = [group for group, *_ in groups]
    queries = {"query_id": names, "lang": ["en"] * 3, "text": ["what is the cat house"] * 3, "group_id": names}
    pairs = {"pair_id": names, "query_id": names, "passage_id": [f"{n}-en" for n in names], "source": ["s"] * 3}
    source = TrainingSet(
        passages=make_table("passages", passages),
        queries=make_table("queries", queries),
        pairs=make_table("pairs", pairs),
    )
    publish_source(Folder(tmp_path / "source"), source.stream, "stamp", 2)
    return published(Folder(tmp_path / "source"), "source")


def run(way, where):
    """The switched queries of both shards, as the stage makes them."""
    way.inputs(where)
    way.before(where)
    work = way.work(where)
    parts = [read_shard_of(where.parents, index) for index in range(2)]
    made = [work(Part(pairs=pairs, queries=queries, passages=passages)) for pairs, queries, passages in parts]
    return {row["query_id"]: row["text"] for part in made for row in part.queries.to_pylist()}


def test_titles_make_a_lexicon(tmp_path, parent):
    where = around(tmp_path, parent)
    phrases = run(settings(languages=["de"], titles=True, unit="phrase"), where)
    assert phrases == {f"{group}~cs-de": "what is the Katzenhaus" for group in ("cat", "house", "both")}
    written = (tmp_path / "own" / "titles-de.tsv.gz").read_bytes()
    words = run(settings(languages=["de"], titles=True), where)
    assert set(words.values()) == {"what is the Katze Haus"}
    assert (tmp_path / "own" / "titles-de.tsv.gz").read_bytes() == written
    with pytest.raises(DataError, match=r"the lexicon for fi has no entry: .* both en and fi; name a word list"):
        run(settings(languages=["fi"], titles=True), where)


def test_made_lexicons_follow_all_texts_of_the_parents(tmp_path, parent):
    write_lists(tmp_path, {"a/en-de.tsv.gz": "cat\tMieze\n"})
    lists, where = {"languages": ["de"], "lexicons": ["a/en-{lang}.tsv.gz"]}, around(tmp_path, parent)
    assert settings(**lists, titles=True).inputs(where)[-1] == [parent.stamps]
    assert settings(**lists).inputs(where) == settings(**lists).inputs(around(tmp_path))


def test_word_lists_come_before_titles(tmp_path, parent):
    write_lists(tmp_path, {"a/en-de.tsv.gz": "cat\tMieze\n"})
    way = settings(languages=["de"], titles=True, lexicons=["a/en-{lang}.tsv.gz"])
    assert set(run(way, around(tmp_path, parent)).values()) == {"what is the Mieze Haus"}


def test_an_encoder_induces_a_lexicon(tmp_path, parent):
    pairs = [("cat", "Katze"), ("house", "Haus"), ("the", "das"), ("is", "ist"), ("what", "Katzenhaus")]
    vectors = {}
    for row, (word, translation) in enumerate(pairs):
        vectors |= {word: torch.eye(5)[row], word.title(): torch.eye(5)[row]}
        vectors[translation] = torch.eye(5)[row] + 0.1 * torch.eye(5)[row - 1]
    vocabulary = {word: row for row, word in enumerate([*vectors, "[UNK]"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    lengths, prefix = {"query": 8, "passage": 8}, {"query": "", "passage": ""}
    weights = torch.stack([*vectors.values(), -torch.ones(5)])
    StaticEncoder(tokenizer, weights, prefix=prefix, max_length=lengths).save(Path(tmp_path) / "model")
    way = settings(languages=["de"], induced=InducedLexicon(encoder="model"))
    assert set(run(way, around(tmp_path, parent)).values()) == {"Katzenhaus ist das Katze Haus"}
    few = settings(languages=["de"], induced=InducedLexicon(encoder="model", words=2))
    assert few.inputs(around(tmp_path, parent)) == way.inputs(around(tmp_path, parent))  # settings stand beside these
    assert set(run(few, around(tmp_path, parent)).values()) != {"Katzenhaus ist das Katze Haus"}
