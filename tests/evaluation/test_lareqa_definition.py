"""LAReQA's figures from its files, by the definitions of the paper and a second program: no reader, no ranks of ours.

A candidate is a sentence of a paragraph; a question's answer in a language is the sentence that holds ``answer_start``;
relevant are the answers in every language that has the question (Roy et al. 2020, arXiv 2004.05484, section 3). The
second program sorts every pool for every question.
"""

import gzip
import json
import zlib
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest

from xlstance.corpora.lareqa import read_lareqa
from xlstance.evaluation.protocol import evaluate
from xlstance.evaluation.protocols import HYBRID, LAREQA, XTREME_R, by_protocol
from xlstance.ranking import relevant_ranks

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "eval"


def encode(text, dimension):
    """A random vector for a text; much of it is shared by texts of one length, so that ranks are not all chance."""
    rng = np.random.default_rng(zlib.crc32(text.encode()))
    vector = rng.normal(size=dimension) + np.random.default_rng(len(text) % 7).normal(size=dimension)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def read(folder):
    """Sentences as (language, text); questions as {id: {language: (text, row of its answer sentence)}}.

    A sentence's place stands before its text, as in the ids of ours: XQuAD-R holds some texts twice, which would tie.
    """
    sentences, questions = [], {}
    for path in sorted(folder.iterdir()):
        lang = path.name.split(".")[0]
        data = path.read_bytes()
        for a, article in enumerate(json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)["data"]):
            for p, paragraph in enumerate(article["paragraphs"]):
                first = len(sentences)
                sentences += [(lang, f"{lang}/{a}-{p}-{s} {text}") for s, text in enumerate(paragraph["sentences"])]
                for question in paragraph["qas"]:
                    start = question["answers"][0]["answer_start"]
                    breaks = enumerate(paragraph["sentence_breaks"])
                    (place,) = [number for number, (begin, end) in breaks if begin <= start < end]
                    questions.setdefault(question["id"], {})[lang] = (question["question"], first + place)
    return sentences, questions


def average_precision(ranks, cutoff=None):
    """Mean over the relevant sentences, in rank order, of hits so far / rank."""
    parts = [hits / rank for hits, rank in enumerate(ranks, 1) if cutoff is None or rank <= cutoff]
    return sum(parts) / len(ranks)


FIGURES = {
    "map": average_precision,
    "map@20": lambda ranks: average_precision(ranks, 20),
    "recall@1": lambda ranks: sum(rank <= 1 for rank in ranks) / len(ranks),
    "recall@10": lambda ranks: sum(rank <= 10 for rank in ranks) / len(ranks),
    "rank_distance": lambda ranks: max(ranks) - min(ranks),
}


def by_definition(folder, dimension):
    """Macro and micro means by setting and figure."""
    sentences, questions = read(folder)
    vectors = np.array([encode(text, dimension) for _, text in sentences], dtype=np.float64)
    langs = sorted({lang for lang, _ in sentences})
    pools = {lang: np.array([n for n, (own, _) in enumerate(sentences) if own == lang]) for lang in langs}
    runs = {}
    for of_lang in questions.values():
        for lang, (text, _) in of_lang.items():
            score = vectors @ encode(text, dimension).astype(np.float64)
            for pool in (*langs, None):
                answers = {row for other, (_, row) in of_lang.items() if pool in (None, other)}
                if not answers:
                    continue
                rows = np.arange(len(sentences)) if pool is None else pools[pool]
                ranked = rows[np.argsort(-score[rows])]
                ranks = (1 + np.flatnonzero(np.isin(ranked, list(answers)))).tolist()
                setting = "multi" if pool is None else "mono" if pool == lang else "cross"
                runs.setdefault(setting, {}).setdefault((lang, pool), []).append(ranks)
    found = {}
    for setting, cells in runs.items():
        for name, figure in FIGURES.items():
            found[setting, name] = fmean(fmean(map(figure, own)) for own in cells.values())
            found[setting, f"{name}_micro"] = fmean(figure(ranks) for own in cells.values() for ranks in own)
    return found


def by_the_house(folder, dimension):
    made = read_lareqa(folder)
    ids, texts = (made.passages[name].to_pylist() for name in ("passage_id", "text"))
    asked = np.array([encode(text, dimension) for text in made.queries["text"].to_pylist()])
    said = np.array([encode(f"{place} {text}", dimension) for place, text in zip(ids, texts, strict=True)])
    return evaluate(made.queries, relevant_ranks(made.queries, made.passages, made.qrels, asked, said))


def compare(folder, dimension):
    expected, found = by_definition(folder, dimension), by_the_house(folder, dimension)
    for (setting, name), value in expected.items():
        if name.startswith("rank_distance") and (setting != "multi" or name.endswith("_micro")):
            continue
        assert found[setting][name] == pytest.approx(value, abs=1e-9), (setting, name)
    protocols = by_protocol((LAREQA, HYBRID, XTREME_R), found)
    assert protocols["LAReQA"]["figures"]["multi map_micro"] == pytest.approx(expected["multi", "map_micro"], abs=1e-9)
    assert protocols["XTREME-R"]["figures"]["multi map@20"] == pytest.approx(expected["multi", "map@20"], abs=1e-9)
    for setting in ("mono", "cross", "multi"):
        told = protocols["hybrid batch training"]["figures"][f"{setting} map"]
        assert told == pytest.approx(expected[setting, "map"], abs=1e-9)
    return expected


def write_world(folder, seed):
    """Questions in two to four of four languages, unevenly many of each; sentences that are cut anew in each."""
    rng = np.random.default_rng(seed)
    folder.mkdir()
    asked = {n: rng.permutation(["ar", "de", "en", "zh"])[: rng.integers(2, 5)].tolist() for n in range(25)}
    asked |= {n: ["en", "de"] for n in range(25, 32)}
    for lang in ("ar", "de", "en", "zh"):
        articles = []
        for number in range(8):
            count = int(rng.integers(4, 9))
            sentences = [f"{lang} {number} {n} {'x' * int(rng.integers(1, 30))}." for n in range(count)]
            context, breaks = "", []
            for sentence in sentences:
                breaks.append([len(context), len(context) + len(sentence)])
                context += sentence + " "
            own = [n for n, langs in asked.items() if lang in langs and n % 8 == number]
            qas = []
            for n in own:
                start, end = breaks[n // 8 % count]
                at = int(rng.integers(start, end))
                answer = {"text": context[at:end], "answer_start": at}
                qas.append({"id": f"q{n}", "question": f"{lang} {n}?", "answers": [answer]})
            paragraph = {"context": context, "sentences": sentences, "sentence_breaks": breaks, "qas": qas}
            articles.append({"title": f"T{number}", "paragraphs": [paragraph]})
        (folder / f"{lang}.json").write_text(json.dumps({"data": articles}), encoding="utf-8")
    return folder


@pytest.mark.parametrize("seed", range(4))
def test_a_world_like_mlqa_r(tmp_path, seed):
    expected = compare(write_world(tmp_path / "world", seed), 3)
    for setting in ("mono", "cross", "multi"):  # languages have unequally many questions
        assert expected[setting, "map"] != pytest.approx(expected[setting, "map_micro"], abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["xquad_r", "mlqa_r"])
def test_the_real_files(name):
    if not (DATA / name).is_dir():
        pytest.skip(f"{DATA / name} is no folder")
    expected = compare(DATA / name, 16)
    same = expected["multi", "map"] == pytest.approx(expected["multi", "map_micro"], abs=1e-9)
    assert same == (name == "xquad_r")
