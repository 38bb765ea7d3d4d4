"""XL-Stance from files in X-Stance's format: a small made copy with every published column and all six test sets."""

import json
from collections import Counter
from dataclasses import replace

import pandas as pd
import pytest

from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.registry import BenchmarkSource, file_hashes, read_benchmark
from xlstance.corpora.xl_stance.benchmark import StanceTask, stance_benchmark, templates
from xlstance.corpora.xl_stance.collection import near_duplicates, read_collection
from xlstance.errors import DataError, SettingsError

QUESTIONS = {
    1: ("Steuern", "Soll der Bund eine Steuer auf grosse Vermögen erheben?"),
    2: ("Steuern", "Soll die Erbschaftssteuer im ganzen Land abgeschafft werden?"),
    3: ("Verkehr", "Sollen Velofahrende künftig überall einen Helm tragen müssen?"),
    4: ("Verkehr", "Befürworten Sie eine Autobahn durch den Berg?"),
    5: ("Energie", "Sind neue Atomkraftwerke für Sie denkbar?"),
    6: ("Energie", "Soll der Bund eine Steuer auf grosse Vermögen einmalig erheben?"),  # nearly question 1
}
PARTS = {
    1: ("train", ""), 2: ("valid", ""), 3: ("test", "new_questions"), 4: ("test", "new_questions"),
    5: ("test", "new_topics"), 6: ("test", "new_topics"),
}  # fmt: skip


def comment(question, lang, number, label, test_set):
    row = {
        "id": question * 1000 + {"de": 0, "fr": 100, "it": 200}[lang] + number,
        "language": lang,
        "question_id": question,
        "question": QUESTIONS[question][1],
        "comment": f"{lang} {question} {label} {number}: ein Kommentar.",
        "label": label,
        "numerical_label": 100 if label == "FAVOR" else 0,
        "author": f"a{number}",
        "topic": QUESTIONS[question][0],
    }
    return row | ({"test_set": f"{test_set}_{'it' if lang == 'it' else 'defr'}"} if test_set else {})


@pytest.fixture
def folder(tmp_path):
    rows = {"train": [], "valid": [], "test": []}
    for question, (split, test_set) in PARTS.items():
        for lang, count in {"de": 8, "fr": 6, "it": 3 if split == "test" else 0}.items():
            for number in range(count):
                label = "FAVOR" if number % 2 else "AGAINST"
                rows[split].append(comment(question, lang, number, label, test_set))
    rows["test"] += [comment(1, lang, 50 + n, "FAVOR", "new_comments") for lang in ("de", "fr", "it") for n in range(2)]
    for split, content in rows.items():
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content))
    for lang in ("de", "fr", "it", "en"):
        lines = [{"id": n, "topic": topic, "text": f"{lang}: {text}"} for n, (topic, text) in QUESTIONS.items()]
        (tmp_path / f"questions.{lang}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def made(folder, **settings):
    return stance_benchmark(read_collection(folder, BadRows()), StanceTask(**settings))


def gains(benchmark):
    sides = {text["passage_id"]: text["text"].split()[2] for text in benchmark.passages.to_pylist()}
    rows = benchmark.qrels.to_pylist()
    return Counter((row["query_id"], sides[row["passage_id"]], row["gain"]) for row in rows)


def test_a_copy_has_all_six_test_sets(folder):
    sets = set(read_collection(folder, BadRows()).comments["test_set"]) - {""}
    kinds = ("new_comments", "new_questions", "new_topics")
    assert sets == {f"{kind}_{langs}" for kind in kinds for langs in ("defr", "it")}


def test_only_unseen_questions_are_asked_and_all_comments_are_in_the_pool(folder):
    benchmark = made(folder)
    assert set(benchmark.queries["query_id"].to_pylist()) == {
        f"{lang}/{question}" for lang in ("de", "fr", "it", "en") for question in (3, 4, 5)
    }  # 6 is a near-duplicate of 1, which trains
    assert benchmark.passages.num_rows == 2 * 14 + 4 * 17 + 6
    counts = Counter(row["query_id"] for row in benchmark.qrels.to_pylist())
    assert set(counts.values()) == {17}
    assert set(benchmark.qrels["gain"].to_pylist()) == {1}
    units = {question: question for question in ("3", "4", "5")}
    assert benchmark.info == {"relevant_from": 1, "by_argument": False, "units": units}
    assert any("en: questions without comments" in note for note in benchmark.notes)


def test_the_validation_part_is_apart(folder):
    benchmark = made(folder, part="valid")
    assert {row["group_id"] for row in benchmark.queries.to_pylist()} == {"2"}


def test_a_near_duplicate_widens_the_topic_and_leaves_the_pool_of_the_stance_task(folder):
    # Without its double in training, question 6 and the new comments on question 1 are one unseen issue.
    (folder / "train.jsonl").write_text(json.dumps(comment(2, "de", 90, "FAVOR", "")) + "\n")
    lines = (folder / "test.jsonl").read_text().splitlines()
    kept = [line for line in lines if json.loads(line)["question_id"] != 1]
    kept += [json.dumps(comment(1, "de", n, "FAVOR", "new_topics")) for n in (70, 71)]
    (folder / "test.jsonl").write_text("\n".join(kept))
    topical = made(folder)
    assert {row["group_id"] for row in topical.queries.to_pylist()} == {"1", "3", "4", "5"}
    counts = Counter(row["query_id"] for row in topical.qrels.to_pylist())
    assert counts["de/1"] == 17 + 2
    stance = made(folder, task="stance")
    texts = stance.passages["text"].to_pylist()
    assert not any(text.startswith(("de 6", "fr 6", "it 6")) for text in texts)
    assert any("17 comments on near-duplicates" in note for note in stance.notes)


def test_the_stance_task_grades_the_sides(folder):
    benchmark = made(folder, task="stance")
    found = gains(benchmark)
    # German has 4 and 4, French 3 and 3, Italian 1 and 2 comments in favour and against.
    assert found["en/3/favour", "FAVOR", 2] == 4 + 3 + 1
    assert found["en/3/favour", "AGAINST", 1] == 4 + 3 + 2
    assert found["en/3/against", "AGAINST", 2] == 4 + 3 + 2
    assert not found["en/3/against", "FAVOR", 2]
    texts = {row["query_id"]: row["text"] for row in benchmark.queries.to_pylist()}
    assert texts["en/3/against"] == f"Reasons to say no: en: {QUESTIONS[3][1]}"
    assert texts["de/3/favour"] == f"Gründe für ein Ja: de: {QUESTIONS[3][1]}"
    assert benchmark.info["relevant_from"] == 2
    sides = ("favour", "against")
    assert benchmark.info["units"] == {f"{q}/{side}": str(q) for q in (3, 4, 5) for side in sides}


def test_a_balanced_pool_has_as_many_comments_in_each_language(folder):
    benchmark = made(folder, pool="balanced")
    same = {"6": "1"}  # one issue, with 18 German, 14 French and 5 Italian comments
    words = [row["text"].split()[:2] for row in benchmark.passages.to_pylist()]
    counts = Counter((lang, same.get(question, question)) for lang, question in words)
    wanted = {(lang, question): 6 for lang in ("de", "fr") for question in "2345"}  # three Italian ones are too few
    assert counts == wanted | {(lang, "1"): 5 for lang in ("de", "fr", "it")}
    assert made(folder, pool="balanced").passages == benchmark.passages
    other = made(folder, pool="balanced", seed=1)
    assert other.passages != benchmark.passages
    fewer = made(folder, pool="balanced", fewest=3)
    assert Counter(fewer.passages["lang"].to_pylist()) == {"de": 6 + 3 * 3 + 5, "fr": 6 + 3 * 3 + 5, "it": 3 * 3 + 5}


def test_near_duplicates_are_found_over_several_steps():
    words = [f"word{n}" for n in range(12)]
    texts = [" ".join(words), " ".join([*words[:11], "x"]), " ".join([*words[:10], "y", "x"]), "something else"]
    table = [(n, "en", text) for n, text in enumerate(texts)]
    assert near_duplicates(pd.DataFrame(table, columns=["question_id", "lang", "text"])) == {0: 0, 1: 0, 2: 0, 3: 3}


def test_settings_reach_the_benchmark(folder):
    source = BenchmarkSource(name="x", format="xl-stance", path=str(folder), split="test", task="stance")
    assert read_benchmark(source, ".", None).info["relevant_from"] == 2
    assert len(file_hashes(source, ".")) == 7
    with pytest.raises(SettingsError, match="split is 'dev'; XL-Stance has test and valid"):
        read_benchmark(replace(source, split="dev"), ".", None)


def test_a_copy_that_is_not_whole_is_refused(folder):
    (folder / "test.jsonl").write_text(json.dumps(comment(1, "de", 3, "FAVOR", "new_comments")) + "\n")
    with pytest.raises(DataError, match="no question of the test part stands in no other part"):
        made(folder)
    (folder / "valid.jsonl").unlink()
    with pytest.raises(DataError, match=r"has no valid\.jsonl"):
        made(folder)


def test_templates_ask_for_both_sides_in_words_of_their_own():
    texts = [text for sides in templates().values() for text in sides.values()]
    assert len(set(texts)) == 26
    assert all(text.count("{question}") == 1 for text in texts)
