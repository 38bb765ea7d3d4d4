import json
import re

import pytest

from xlstance.collection import Benchmark, TrainingSet
from xlstance.errors import DataError, StorageError
from xlstance.experiment.audit import find_leaks, open_index, refuse_leaks, summary_of, without_leaks
from xlstance.experiment.corpora import publish_benchmark
from xlstance.storage import Folder, read_manifest, read_table
from xlstance.tables import make_table
from xlstance.training_data import colocated, publish_source, published

ID = "56beb4343aeaaa14008c925b"
SENTENCE = "the old harbour of the town was filled with sand during the great storm of that winter"
QUESTION = "When was the old harbour of the town filled with sand?"


def benchmark():
    return Benchmark(
        passages=make_table(
            "passages",
            {"passage_id": ["en/0-0-0"], "lang": ["en"], "text": [SENTENCE], "group_id": ["0-0-0"]},
        ),
        queries=make_table("queries", {"query_id": [f"en/{ID}"], "lang": ["en"], "text": [QUESTION], "group_id": [ID]}),
        qrels=make_table("qrels", {"query_id": [f"en/{ID}"], "passage_id": ["en/0-0-0"], "gain": [1]}),
    )


def training_set(pairs, negatives=None):
    """Pairs of (language, question, passage, group); of a question "ID ..." the id is that of an evaluation query."""
    negatives = negatives or {}
    ids = [f"t/{lang}/{ID if text.startswith('ID') else n}" for n, (lang, text, _, _) in enumerate(pairs)]
    langs, questions, answers, groups = map(list, zip(*pairs, strict=True))
    passages = {(f"t/{lang}/p{text}", lang, text, f"t/{group}") for lang, _, text, group in pairs}
    passages |= {(f"t/en/p{text}", "en", text, f"t/{text}") for text in negatives.values()}
    columns = [list(column) for column in zip(*sorted(passages), strict=True)]
    named = [[{"passage_id": f"t/en/p{negatives[n]}"}] if n in negatives else None for n in range(len(pairs))]
    queries = {"query_id": ids, "lang": langs, "text": questions, "group_id": [f"t/{group}q" for group in groups]}
    return TrainingSet(
        passages=make_table("passages", dict(zip(("passage_id", "lang", "text", "group_id"), columns, strict=True))),
        queries=make_table("queries", queries),
        pairs=make_table(
            "pairs",
            {
                "pair_id": ids,
                "query_id": ids,
                "passage_id": [f"t/{lang}/p{text}" for lang, text in zip(langs, answers, strict=True)],
                "negatives": named,
                "source": ["t"] * len(ids),
            },
        ),
    )


GOOD = [
    ("en", f"What is number {n}?", f"Number {n} is one more than the number before it.", f"g{n}") for n in range(20)
]


def audited(root, source, *, shards=4, workers=0):
    folder = Folder(root)
    publish_source(folder / "t", source.stream, "stamp", shards)
    publish_benchmark(folder / "b", benchmark().stream, "stamp", 2)
    data = published(folder / "t", "t")
    index = open_index({"b": folder / "b"}, folder / "index")
    found = find_leaks({"t": data}, index, folder, workers=workers)
    return data, found["t"]


def leaking(folder):
    found = read_table(folder, "leaks").to_pylist()
    return {(row["pair_id"], row["rule"]) for row in found if row["leak"]}


LEAKS = [
    ("en", "when was the OLD harbour of the town filled with sand", "In the winter of the great storm.", "a"),
    ("en", "What became of it?", f"It is said: {SENTENCE.upper()}, and so it stayed.", "b"),
    ("en", "ID of the same source", "A paragraph that two questions are about.", "c"),
    ("en", "Another question", "A paragraph that two questions are about.", "c"),
    ("de", "Eine andere Frage", "Ein Absatz, um den es geht.", "c"),
]
RULES = {
    ("t/en/20", "question-normalised"), ("t/en/21", "ngrams"), (f"t/en/{ID}", "id"), ("t/en/23", "id-context"),
    ("t/de/24", "id-context"),
}  # fmt: skip


@pytest.mark.parametrize("workers", [0, 2])
def test_leaks_are_found_in_every_shard(tmp_path, workers, ray_session):
    _, leaks = audited(tmp_path, training_set(GOOD + LEAKS), workers=workers)
    assert leaking(leaks) == RULES
    summary = summary_of({"t": leaks})
    assert (summary["rows"], summary["leaking"], summary["warned"]) == (25, 5, 0)
    assert summary["by_language"]["de"] == {"rows": 1, "leaking": 1, "warned": 0}
    assert summary["by_source"] == {"t": {"rows": 25, "leaking": 5, "warned": 0}}
    assert {rule: count["leaking"] for rule, count in summary["by_rule"].items()} == {
        "id": 1, "id-context": 2, "ngrams": 1, "question-normalised": 1,
    }  # fmt: skip
    json.dumps(summary)


def test_a_run_on_leaking_data_stops_and_names_the_rows(tmp_path):
    _, leaks = audited(tmp_path, training_set(GOOD + LEAKS))
    with pytest.raises(DataError, match="5 pairs of t: ") as error:
        refuse_leaks({"t": leaks})
    text = str(error.value)
    assert f"t/en/20 (question-normalised of b en/{ID})" in text
    assert "`leakage: drop`" in text
    assert "\n" not in text
    refuse_leaks({"t": audited(tmp_path / "good", training_set(GOOD))[1]})


def test_leaking_pairs_are_dropped_with_their_texts(tmp_path):
    data, leaks = audited(tmp_path, training_set(GOOD + LEAKS))
    clean = without_leaks(data, leaks, Folder(tmp_path) / "clean", workers=0)
    assert {row["pair_id"] for row in read_table(clean.pairs, "pairs").to_pylist()} == {f"t/en/{n}" for n in range(20)}
    for (folder,), table in ((clean.queries, "queries"), (clean.passages, "passages")):
        texts = read_table(folder, table)["text"].to_pylist()
        assert sorted(texts) == sorted(row[1 if table == "queries" else 2] for row in GOOD)
    assert (clean.shards, colocated(clean)) == (data.shards, True)
    again = find_leaks({"t": clean}, Folder(tmp_path) / "index", Folder(tmp_path) / "again", workers=0)
    assert leaking(again["t"]) == set()
    assert read_table(data.pairs, "pairs").num_rows == 25  # nothing is lost


def test_a_text_that_another_pair_needs_stays(tmp_path):
    shared = "A paragraph about nothing in particular that stands in no evaluation set."
    rows = [*GOOD, ("en", QUESTION, shared, "s"), ("en", "Is this something else?", shared, "s")]
    data, leaks = audited(tmp_path, training_set(rows))
    assert leaking(leaks) == {("t/en/20", "question-exact")}
    clean = without_leaks(data, leaks, Folder(tmp_path) / "clean", workers=0)
    assert shared in read_table(clean.passages[0], "passages")["text"].to_pylist()
    assert QUESTION not in read_table(clean.queries[0], "queries")["text"].to_pylist()
    kept = read_table(clean.pairs, "pairs").to_pylist()
    assert "t/en/21" in {row["pair_id"] for row in kept}


def test_queries_that_ask_in_several_shards_stay_as_long_as_one_pair_needs_them(tmp_path):
    source = training_set([*GOOD, LEAKS[1]])
    rows = source.pairs.to_pylist()
    # The first question is also answered by all other passages, the leaking one among them.
    rows += [{**row, "pair_id": f"x{n}", "query_id": "t/en/0"} for n, row in enumerate(rows[1:])]
    pairs = make_table("pairs", {name: [row[name] for row in rows] for name in source.pairs.column_names})
    data, leaks = audited(tmp_path, TrainingSet(passages=source.passages, queries=source.queries, pairs=pairs))
    assert not colocated(data)
    clean = without_leaks(data, leaks, Folder(tmp_path) / "clean", workers=0)
    kept = read_table(clean.pairs, "pairs").to_pylist()
    assert len(kept) == len(rows) - 2
    queries = read_table(clean.queries[0], "queries")["query_id"].to_pylist()
    assert {row["query_id"] for row in kept} == set(queries)
    assert "t/en/20" not in queries


def test_texts_without_a_pair_are_audited_too(tmp_path):
    source = training_set(GOOD, negatives={3: SENTENCE, 4: "An innocent passage.", 5: SENTENCE})
    row = {"query_id": "t/de/alone", "lang": "de", "text": QUESTION, "group_id": "t/g0q"}
    queries = make_table("queries", {k: [*source.queries[k].to_pylist(), row[k]] for k in source.queries.column_names})
    source = TrainingSet(passages=source.passages, queries=queries, pairs=source.pairs)
    data, leaks = audited(tmp_path, source)
    assert {(text, rule) for text, rule in leaking(leaks) if rule != "ngrams"} == {
        (f"t/en/p{SENTENCE}", "passage-exact"),
        ("t/de/alone", "question-exact"),
    }
    assert summary_of({"t": leaks})["rows"] == 23
    assert summary_of({"t": leaks})["leaking"] == 2
    clean = without_leaks(data, leaks, Folder(tmp_path) / "clean", workers=0)
    texts = read_table(clean.passages[0], "passages")["text"].to_pylist()
    assert SENTENCE not in texts
    assert "An innocent passage." in texts
    assert QUESTION not in read_table(clean.queries[0], "queries")["text"].to_pylist()
    rows = read_table(clean.pairs, "pairs").to_pylist()
    assert {row["pair_id"]: row["negatives"] for row in rows if row["negatives"] is not None} == {
        "t/en/3": [],
        "t/en/4": [{"passage_id": "t/en/pAn innocent passage.", "teacher_score": None}],
        "t/en/5": [],
    }
    assert len(rows) == 20


def test_another_evaluation_set_is_another_audit(tmp_path):
    data, leaks = audited(tmp_path, training_set(GOOD))
    folder = Folder(tmp_path)
    publish_benchmark(folder / "c", benchmark().stream, "other", 1)
    with pytest.raises(StorageError, match=re.escape(str(folder / "index"))):
        open_index({"b": folder / "b", "c": folder / "c"}, folder / "index")
    index = open_index({"b": folder / "b", "c": folder / "c"}, folder / "index2")
    with pytest.raises(StorageError, match=re.escape(str(leaks))):
        find_leaks({"t": data}, index, folder, workers=0)
    assert read_manifest(leaks).rows == 0


def test_ids_of_one_source_tell_of_another(tmp_path):
    other, third = "57283db6ff5b5019007d9fbd", "5725b33f6a3fe71400b8952d"

    def named(lang, passage, ids):
        made = training_set([(lang, f"Question {number}?", passage, "p") for number in range(len(ids))])
        names = [f"t/{lang}/{identity}" for identity in ids]
        pairs = made.pairs.to_pydict() | {"pair_id": names, "query_id": names}
        queries = made.queries.to_pydict() | {"query_id": names}
        return TrainingSet(
            passages=made.passages, queries=make_table("queries", queries), pairs=make_table("pairs", pairs)
        )

    folder = Folder(tmp_path)
    publish_benchmark(folder / "b", benchmark().stream, "stamp", 1)
    index = open_index({"b": folder / "b"}, folder / "index")
    # The paragraph's questions: the original has the evaluation's, the translation another and one of its own.
    sources = {
        "original": named("en", "A paragraph.", [ID, other]),
        "translated": named("es", "Un párrafo.", [other, third]),
        "unrelated": named("it", "Un altro paragrafo.", ["d286", "5725b33f6a3fe71400b89abc"]),
    }
    data = {}
    for name, source in sources.items():
        publish_source(folder / name, source.stream, "stamp", 3)
        data[name] = published(folder / name, name)
    alone = find_leaks({"translated": data["translated"]}, index, folder / "alone", workers=0)
    assert leaking(alone["translated"]) == set()
    found = find_leaks(data, index, folder / "together", workers=0)
    assert leaking(found["original"]) == {(f"t/en/{ID}", "id"), (f"t/en/{other}", "id-context")}
    assert leaking(found["translated"]) == {(f"t/es/{other}", "id-context"), (f"t/es/{third}", "id-context")}
    assert leaking(found["unrelated"]) == set()
    assert summary_of(found)["by_source"]["translated"] == {"rows": 2, "leaking": 2, "warned": 0}
    assert find_leaks(data, index, folder / "together", workers=0) == found  # as it was published
