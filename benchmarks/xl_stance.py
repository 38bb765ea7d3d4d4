"""What the texts of XL-Stance give away, by language: the tables of docs/xl_stance.md.

    make .venv/developer; .venv/bin/python benchmarks/xl_stance.py

BM25 finds the comments on a question by its words alone: nDCG@10 among all comments of its language, among those that
name their subject, and among those that leave it implied. The tone AUC is of a classifier that sees a comment without
its question, trained on other issues; .5 is chance. The test suite holds both to their limits.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bm25s
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import Pipeline, make_pipeline

from xlstance.corpora.xl_stance.sources import ARGUMENTS, LANGUAGES, Texts, read_texts
from xlstance.leakage.text import normalise

RESULTS = Path(__file__).parent / "results" / "xl_stance.json"
WITHOUT_SPACES = ("th", "zh")
DISCOUNT = 1 / np.log2(np.arange(2, 12))
LIMITS = {"implied": 0.6, "tone": 0.65}
KINDS = ("all", "named", "implied")


def classifiers(lang: str) -> dict[str, Pipeline]:
    """Four makes: what one misses another may tell. The editors of the texts saw the first three, never the forest."""
    word = r"(?s)\S" if lang in WITHOUT_SPACES else r"\w+|[^\w\s]"
    return {
        "words": make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), _regression()),
        "characters": make_pipeline(
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True), _regression()
        ),
        "bayes": make_pipeline(CountVectorizer(token_pattern=word, ngram_range=(1, 2)), MultinomialNB(alpha=0.3)),
        "forest": make_pipeline(
            CountVectorizer(token_pattern=word, min_df=8),
            RandomForestClassifier(100, min_samples_leaf=3, random_state=0),
        ),
    }


def _regression() -> LogisticRegression:
    return LogisticRegression(C=10, max_iter=2000)


def tokens(text: str, lang: str) -> list[str]:
    """Words, or character bigrams where words are not set apart."""
    plain = normalise(text)
    if lang in WITHOUT_SPACES:
        plain = plain.replace(" ", "")
        return [plain[i : i + 2] for i in range(len(plain) - 1)]
    return plain.split()


def bm25_ndcg(issues: Sequence[Texts], lang: str, kind: str) -> float:
    """nDCG@10 of the questions among the arguments of a kind: ``all``, ``named`` or ``implied``."""
    pool = [
        (texts.issue.name, text)
        for texts in issues
        for argument, text in texts.arguments.items()
        if kind == "all" or texts.issue.names_its_subject(argument) == (kind == "named")
    ]
    index = bm25s.BM25()
    index.index([tokens(text, lang) for _, text in pool], show_progress=False)
    names, figures = np.array([name for name, _ in pool]), []
    for texts in issues:
        order = np.argsort(-index.get_scores(tokens(texts.question, lang)), kind="stable")[:10]
        found = names[order] == texts.issue.name
        figures.append(DISCOUNT[found].sum() / DISCOUNT[: (names == texts.issue.name).sum()].sum())
    return float(np.mean(figures))


def chance_ndcg(relevant: int, pool: int) -> float:
    """nDCG@10 to be expected of a random order."""
    return float(DISCOUNT.sum() * relevant / pool / DISCOUNT[:relevant].sum())


def tone_auc(issues: Sequence[Texts], classifier: Pipeline) -> float:
    """How well a classifier tells the side of an argument without its question; issues in ten folds."""
    rows = [(texts.arguments[a], a.startswith("f"), texts.issue.name) for texts in issues for a in ARGUMENTS]
    texts, sides, groups = (np.array(column) for column in zip(*rows, strict=True))
    scores = np.zeros(len(rows))
    for train, test in GroupKFold(10).split(texts, sides, groups):
        scores[test] = classifier.fit(texts[train], sides[train]).predict_proba(texts[test])[:, 1]
    return float(roc_auc_score(sides, scores))


def describe(lang: str) -> dict[str, Any]:
    """The row of a language."""
    issues = read_texts(lang)
    lengths = [len(text) for texts in issues for text in texts.arguments.values()]
    return {
        "arguments": len(lengths),
        "length": {"min": min(lengths), "mean": round(float(np.mean(lengths)), 1), "max": max(lengths)},
        "bm25": {kind: round(bm25_ndcg(issues, lang, kind), 3) for kind in KINDS},
        "tone_auc": {name: round(tone_auc(issues, model), 3) for name, model in classifiers(lang).items()},
    }


def main() -> None:
    """Prints the tables of docs/xl_stance.md and writes their figures."""
    table = {lang: describe(lang) for lang in LANGUAGES}
    print(f"Chance: all {chance_ndcg(4, 416):.3f}, named and implied {chance_ndcg(2, 208):.3f}\n")
    print(
        "| lang | arguments | mean length (range) | BM25, all | named | implied | words | characters | Bayes | forest |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for lang, row in table.items():
        length, figures = row["length"], [*row["bm25"].values(), *row["tone_auc"].values()]
        shown = " | ".join(f"{figure:.3f}" for figure in figures)
        print(f"| {lang} | {row['arguments']} | {length['mean']} ({length['min']} to {length['max']}) | {shown} |")
    RESULTS.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
