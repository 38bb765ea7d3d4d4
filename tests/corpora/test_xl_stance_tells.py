"""What the texts of XL-Stance give away stays under its limits, and nothing in them stands elsewhere."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from benchmarks.xl_stance import LIMITS, bm25_ndcg, chance_ndcg, classifiers, tone_auc
from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.beir import write_beir
from xlstance.corpora.xl_stance.benchmark import StanceTask, stance_benchmark
from xlstance.corpora.xl_stance.collection import EMBEDDED, read_collection
from xlstance.corpora.xl_stance.sources import ARGUMENTS, LANGUAGES, read_texts
from xlstance.experiment.audit_paths import audit_paths
from xlstance.storage import Folder
from xlstance.tables import make_table

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_words_do_not_find_the_arguments_that_leave_their_subject_implied(lang):
    issues = read_texts(lang)
    implied, named = bm25_ndcg(issues, lang, "implied"), bm25_ndcg(issues, lang, "named")
    assert implied < LIMITS["implied"]
    assert named > 5 * chance_ndcg(2, 208)  # the measure itself works


@pytest.mark.parametrize("lang", LANGUAGES)
def test_tone_does_not_tell_the_side(lang):
    issues = read_texts(lang)
    for name, classifier in classifiers(lang).items():
        assert tone_auc(issues, classifier) < LIMITS["tone"], name


def test_a_tone_that_tells_the_side_is_heard():
    issues = read_texts("en")
    for texts in issues:
        for argument in ARGUMENTS[:2]:
            texts.arguments[argument] = f"We would win. {texts.arguments[argument]}"
    for name, classifier in classifiers("en").items():
        assert tone_auc(issues, classifier) > LIMITS["tone"], name


@pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data")
def test_no_text_stands_in_another_data_set(tmp_path):
    """Questions and arguments against texts of other people: none is theirs, or theirs but for a word."""
    collection = read_collection(EMBEDDED, BadRows())
    made, asked = stance_benchmark(collection, StanceTask()), collection.questions
    texts = {
        "passage_id": [
            f"question/{lang}/{number}" for lang, number in zip(asked["lang"], asked["question_id"], strict=True)
        ],
        "lang": asked["lang"].tolist(),
        "text": asked["text"].tolist(),
        "group_id": asked["question_id"].astype(str).tolist(),
    }
    every = pa.concat_tables([made.passages, make_table("passages", texts)])
    write_beir(tmp_path / "xl-stance", {"test": replace(made, passages=every)})
    others = {
        path.name.partition(".")[0]: path
        for path in [
            DATA / "train/squad/en_sentence10k.parquet",
            DATA / "train/native_qa/ar_arcd.parquet",
            *(DATA / "train/bitext/tatoeba_challenge_test").glob("en-*.tsv.gz"),
        ]
    }
    summary = audit_paths(
        others, {"xl-stance": tmp_path / "xl-stance"}, Folder(str(tmp_path / "out")), workers=0, shards=1
    )
    assert summary["rows"] > 10_000
    assert summary["leaking"] == summary["warned"] == 0, summary["by_rule"]
