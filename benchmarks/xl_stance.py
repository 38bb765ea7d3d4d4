"""What the texts of XL-Stance give away, by language: the tables of docs/xl_stance.md.

    pip install bm25s scikit-learn; python benchmarks/xl_stance.py

BM25 finds the comments on a question by its words alone: nDCG@10 among the comments that name their subject, and among
those that leave it implied. The tone AUC is of a classifier that sees a comment without its question, trained on other
issues; .5 is chance, and it stays under .65.
"""

import json
from pathlib import Path

import bm25s
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline

from xlstance.corpora.xl_stance.sources import ARGUMENTS, LANGUAGES, Texts, read_texts
from xlstance.leakage.text import normalise

RESULTS = Path(__file__).parent / "results" / "xl_stance.json"
WITHOUT_SPACES = ("th", "zh")
VECTORS = {
    "words": TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
    "characters": TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True),
}


def tokens(text: str, lang: str) -> list[str]:
    """Words, or character bigrams where words are not set apart."""
    plain = normalise(text)
    if lang in WITHOUT_SPACES:
        plain = plain.replace(" ", "")
        return [plain[i : i + 2] for i in range(len(plain) - 1)]
    return plain.split()


def bm25_ndcg(issues: list[Texts], lang: str, *, implied: bool) -> float:
    """nDCG@10 of the questions among the arguments that name their subject, or those that do not."""
    pool = [
        (texts.issue.name, text)
        for texts in issues
        for argument, text in texts.arguments.items()
        if texts.issue.names_its_subject(argument) != implied
    ]
    index = bm25s.BM25()
    index.index([tokens(text, lang) for _, text in pool], show_progress=False)
    names, figures = np.array([name for name, _ in pool]), []
    for texts in issues:
        order = np.argsort(-index.get_scores(tokens(texts.question, lang)), kind="stable")[:10]
        discount = 1 / np.log2(np.arange(2, 12))
        figures.append(discount[names[order] == texts.issue.name].sum() / discount[:2].sum())
    return float(np.mean(figures))


def tone_auc(issues: list[Texts], vectors: TfidfVectorizer) -> float:
    """How well a classifier tells the side of an argument without its question; issues in ten folds."""
    rows = [(texts.arguments[a], a.startswith("f"), texts.issue.name) for texts in issues for a in ARGUMENTS]
    texts, sides, groups = (np.array(column) for column in zip(*rows, strict=True))
    scores = np.zeros(len(rows))
    for train, test in GroupKFold(10).split(texts, sides, groups):
        model = make_pipeline(vectors, LogisticRegression(C=10, max_iter=2000)).fit(texts[train], sides[train])
        scores[test] = model.decision_function(texts[test])
    return float(roc_auc_score(sides, scores))


def main() -> None:
    """Prints a row for each language and writes them."""
    table = {}
    print("lang  arguments  mean length  BM25 named  BM25 implied  tone by words  by characters")
    for lang in LANGUAGES:
        issues = read_texts(lang)
        lengths = [len(text) for texts in issues for text in texts.arguments.values()]
        row = {
            "arguments": len(lengths),
            "length": {"min": min(lengths), "mean": round(float(np.mean(lengths)), 1), "max": max(lengths)},
            "bm25": {
                kind: round(bm25_ndcg(issues, lang, implied=kind == "implied"), 3) for kind in ("named", "implied")
            },
            "tone_auc": {name: round(tone_auc(issues, vectors), 3) for name, vectors in VECTORS.items()},
        }
        table[lang] = row
        print(
            f"{lang:<4} {row['arguments']:10} {row['length']['mean']:12} {row['bm25']['named']:11.3f} "
            f"{row['bm25']['implied']:13.3f} {row['tone_auc']['words']:14.3f} {row['tone_auc']['characters']:14.3f}"
        )
    RESULTS.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
