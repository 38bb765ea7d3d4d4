from pathlib import Path

import pandas as pd
import pytest

from xlstance.corpora.bitext import read_bitext
from xlstance.corpora.lareqa import read_lareqa
from xlstance.corpora.squad import SquadSettings, read_squad
from xlstance.leakage.audit import audit_rows, count_rows, summarise
from xlstance.leakage.index import EvaluationSet, build_index
from xlstance.storage import Folder

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
SQUAD = DATA / "train" / "squad"
pytestmark = pytest.mark.skipif(not SQUAD.is_dir(), reason="needs ../shared/data (SQuAD, XQuAD-R, MLQA-R)")

ALL_ROWS = SquadSettings(passage="paragraph", exclude_xquad=False, answerable_only=False, split="")


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    sets = []
    for name in ("xquad_r", "mlqa_r"):
        benchmark = read_lareqa(DATA / "eval" / name)
        sets.append(EvaluationSet(name=name, queries=[benchmark.queries], passages=[benchmark.passages]))
    return build_index(Folder(tmp_path_factory.mktemp("index") / "index"), sets, "stamp")


def audit(index, training):
    return audit_rows(training.pairs, training.queries, training.passages, index)


def squad(**files):
    paths = {lang: SQUAD / f"{name}.parquet" for lang, name in files.items()}
    return read_squad(paths, name="squad", settings=ALL_ROWS)


def xquad_rows(lang, name):
    """The pairs whose question belongs to one of XQuAD's paragraphs, by the flag that the audit does not read."""
    rows = pd.read_parquet(SQUAD / f"{name}.parquet", columns=["id", "xquad_paragraph"])
    return set(f"squad/{lang}/" + rows["id"][rows["xquad_paragraph"].eq(True)])


def leaking(found, benchmark):
    rows = found.to_pandas()
    return set(rows["pair_id"][rows["leak"] & (rows["benchmark"] == benchmark)])


@pytest.mark.parametrize(
    ("lang", "name", "rows", "others"), [("it", "it", 778, 0), ("fi", "fi", 1699, 0), ("en", "en", 2072, 10)]
)
def test_every_row_of_an_xquad_paragraph_is_found_and_next_to_no_other(index, lang, name, rows, others):
    expected, found = xquad_rows(lang, name), leaking(audit(index, squad(**{lang: name})), "xquad_r")
    assert len(expected) == rows
    assert expected <= found
    assert len(found - expected) == others


def test_languages_of_one_source_tell_of_each_other(index):
    """Of two Spanish paragraphs no question of XQuAD is left: their groups' English paragraphs give them away."""
    alone = leaking(audit(index, squad(es="es")), "xquad_r")
    assert len(xquad_rows("es", "es") - alone) == 3
    assert xquad_rows("es", "es") <= leaking(audit(index, squad(es="es", en="en")), "xquad_r")


def test_the_few_leaks_of_the_train_rows_are_found(index):
    training = squad(en="en_backtranslated")
    found = audit(index, training)
    rows = found.to_pandas()
    train = rows[rows["leak"] & rows["pair_id"].str.contains("/sq2t-", regex=False)]
    exact = train[train["rule"].str.startswith("question")]
    assert set(exact["query_text"]) == {
        *("What was the average family size?", "Who was elected president in 2005?", "When did Prince Albert die?")
    }
    sentences = train[train["rule"] == "ngrams"]
    assert sentences.groupby("benchmark")["evaluation_id"].nunique().to_dict() == {"mlqa_r": 5}
    assert train["pair_id"].nunique() < 100
    summary = summarise([found], count_rows(training.pairs, training.queries))
    assert (summary["rows"], summary["by_benchmark"]["xquad_r"]["leaking"]) == (142_192, 1711)


def test_sentences_of_mlqa_are_found_in_the_sentences_of_squad(index):
    rows = audit(index, squad(en="en_sentence10k")).to_pandas()
    assert set(rows["evaluation_id"][rows["leak"]]) == {
        *("en/136-8-13", "en/136-6-2", "en/307-0-4", "en/123-0-1", "en/263-0-4")
    }


def test_texts_of_another_origin_do_not_leak(index):
    assert audit(index, squad(de="de")).num_rows == 0
    files = {lang: DATA / "train" / "bitext" / "tatoeba_manythings" / f"en-{lang}.tsv.gz" for lang in ("hi", "vi")}
    training = read_bitext(files)
    summary = summarise([audit(index, training)], count_rows(training.pairs, training.queries))
    assert (summary["leaking"], summary["rows"]) == (0, training.pairs.num_rows)


def test_thai_is_not_warned_of_for_every_common_phrase(index):
    training = read_squad({"th": DATA / "train" / "native_qa" / "th_iapp.parquet"}, name="iapp", settings=ALL_ROWS)
    found = audit(index, training).to_pandas()
    assert not found["leak"].any()
    assert found["pair_id"].nunique() < 0.02 * training.pairs.num_rows
