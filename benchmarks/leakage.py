"""How fast the leakage audit is, how much memory it takes, and which planted leaks it finds.

    python benchmarks/leakage.py --data ../shared/data --rows 1000000

Training pairs are made up: passages of about 110 words and questions of about 10, drawn by the frequency of the words
in XQuAD-R's passages, in the scripts of seven languages. Among them stand texts of XQuAD-R and MLQA-R, as they are and
changed, and near misses that are no leaks. The figures go to ``benchmarks/results/leakage.json``.
"""

import argparse
import json
import os
import platform
import resource
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa

from xlstance.collection import Benchmark
from xlstance.corpora.lareqa import read_lareqa
from xlstance.leakage.audit import audit_rows
from xlstance.leakage.index import EvaluationIndex, EvaluationSet, build_index
from xlstance.leakage.text import hash_texts
from xlstance.storage import Folder, publish, write_shard
from xlstance.tables import make_table
from xlstance.training_data import COLOCATED, TrainingData, published, read_shard_of

LANGUAGES = ("en", "de", "ru", "ar", "hi", "zh", "th")
UNSPACED = {"zh": 2, "th": 4}  # characters that make up a word, about
SHARD = 20_000
PLANTED = 400  # rows of each kind

Change = Callable[[list[str], str, np.random.Generator], list[str]]


def words_of(text: str, lang: str) -> list[str]:
    size = UNSPACED.get(lang)
    return [text[i : i + size] for i in range(0, len(text), size)] if size else text.split()


def join(words: list[str], lang: str) -> str:
    return ("" if lang in UNSPACED else " ").join(words)


def replace_one(words: list[str], lang: str, rng: np.random.Generator) -> list[str]:
    place = int(rng.integers(len(words)))
    return [*words[:place], {"zh": "煜婧", "th": "ฮูกฮ"}.get(lang, "xylq"), *words[place + 1 :]]


def drop_one(words: list[str], lang: str, rng: np.random.Generator) -> list[str]:
    place = int(rng.integers(len(words)))
    return words[:place] + words[place + 1 :]


def punctuate(words: list[str], lang: str, rng: np.random.Generator) -> list[str]:
    if lang in UNSPACED:
        return ["“", *words, "”!"]
    cleaned = ["".join(c if c.isalnum() or not c.isascii() else " " for c in word).strip() for word in words]
    return [f"“{word}”," if i % 4 == 0 else word for i, word in enumerate(cleaned) if word]


CHANGES: dict[str, Change] = {
    "exact": lambda words, lang, rng: words,
    "case": lambda words, lang, rng: [word.upper() for word in words],
    "punctuation": punctuate,
    "one word changed": replace_one,
    "one word dropped": drop_one,
}
NEAR_MISSES: dict[str, Change] = {
    "question: first six words": lambda words, lang, rng: [*words[:6], "qorv", "plim", "dask", "wemb"],
    "passage: eight words of forty": lambda words, lang, rng: words[10:18],
    "passage: its words shuffled": lambda words, lang, rng: [words[i] for i in rng.permutation(len(words))],
}
KINDS = [*(f"{side}: {change}" for side in ("question", "passage") for change in CHANGES), *NEAR_MISSES]


class Writer:
    """Makes up pairs, a shard at a time.

    Args:
        sets: the benchmarks whose texts are planted.
        seed: of everything drawn.
    """

    def __init__(self, sets: list[Benchmark], seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.vocabulary = {}
        for lang in LANGUAGES:
            counts = Counter(w for t, own in texts_of(sets[0].passages) if own == lang for w in words_of(t, lang))
            names, numbers = zip(*sorted(counts.items()), strict=True)
            self.vocabulary[lang] = np.array(names, object), np.cumsum(numbers) / sum(numbers)
        self.questions = [row for part in sets for row in texts_of(part.queries)]
        self.passages = [row for part in sets for row in texts_of(part.passages)]

    def texts(self, count: int, words: int, lang: str) -> list[str]:
        """Texts of ``words`` words, more or less."""
        names, shares = self.vocabulary[lang]
        lengths = self.rng.integers(words // 2, words * 3 // 2, count)
        drawn = names[np.searchsorted(shares, self.rng.random(int(lengths.sum())))].tolist()
        ends = np.cumsum(lengths).tolist()
        return [join(drawn[end - n : end], lang) for end, n in zip(ends, lengths.tolist(), strict=True)]

    def planted(self, kind: str) -> tuple[str, str]:
        """A text of an evaluation set, changed as the kind says, and its language."""
        side, _, change = kind.partition(": ")
        near = kind in NEAR_MISSES
        pool, fewest = (self.questions, 6) if side == "question" else (self.passages, 40 if near else 1)
        while True:
            text, lang = pool[int(self.rng.integers(len(pool)))]
            words = words_of(text.strip(), lang)
            comparable = side == "question" or len(hash_texts([text]).grams)
            if comparable and len(words) >= fewest and not (near and lang in UNSPACED):
                return join((NEAR_MISSES[kind] if near else CHANGES[change])(words, lang, self.rng), lang), lang

    def shard(self, start: int, rows: int, planted: dict[int, str]) -> dict[str, pa.Table]:
        """The three tables of rows ``[start, start + rows)``."""
        langs, questions, passages = [], [], []
        for lang, part in zip(LANGUAGES, np.array_split(np.arange(rows), len(LANGUAGES)), strict=True):
            langs += [lang] * len(part)
            questions += self.texts(len(part), 10, lang)
            passages += self.texts(len(part), 110, lang)
        for number in range(start, start + rows):
            if number in planted:
                row, (text, lang) = number - start, self.planted(planted[number])
                if planted[number].startswith("question"):
                    langs[row], questions[row] = lang, text
                else:
                    half = len(passages[row]) // 2
                    passages[row] = f"{passages[row][:half]}. {text} {passages[row][half:]}"
        names = [f"made/{number:09d}" for number in range(start, start + rows)]
        texts = {"lang": langs, "group_id": names}
        return {
            "queries": make_table("queries", {"query_id": names, "text": questions, **texts}),
            "passages": make_table("passages", {"passage_id": names, "text": passages, **texts}),
            "pairs": make_table(
                "pairs", {"pair_id": names, "query_id": names, "passage_id": names, "source": ["made"] * rows}
            ),
        }


def texts_of(table: pa.Table) -> Iterator[tuple[str, str]]:
    return zip(table["text"].to_pylist(), table["lang"].to_pylist(), strict=True)


def write_pairs(folder: Folder, sets: list[Benchmark], rows: int, seed: int) -> tuple[TrainingData, dict[int, str]]:
    """Writes ``rows`` pairs and says which row holds which kind of planting."""
    writer = Writer(sets, seed)
    places = writer.rng.choice(rows, PLANTED * len(KINDS), replace=False).tolist()
    planted = {place: KINDS[i % len(KINDS)] for i, place in enumerate(places)}
    files = defaultdict(list)
    for index, start in enumerate(range(0, rows, SHARD)):
        for table, content in writer.shard(start, min(SHARD, rows - start), planted).items():
            files[table].append(write_shard(folder / table, f"{index:05d}.parquet", content, None))
    for table, receipts in files.items():
        publish(folder / table, table, f"{rows}-{seed}", receipts, {COLOCATED: True})
    return published(folder, "made"), planted


def audit_shard(data: TrainingData, index: Folder, number: int) -> tuple[dict[str, bool], float, int]:
    """What is found in a shard: the pairs, with whether they leak; processor time; this process's peak memory."""
    start = time.process_time()
    found = audit_rows(*read_shard_of([data], number), EvaluationIndex(index)).to_pandas()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return found.groupby("pair_id")["leak"].any().to_dict(), time.process_time() - start, peak


def audit(data: TrainingData, index: Folder, processes: int) -> tuple[dict[str, bool], dict[str, float]]:
    """Audits all shards, and says how long it took."""
    found: dict[str, bool] = {}
    busy, peak = 0.0, 0
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        pool.submit(os.getpid).result()  # the start of the first process is no part of the work
        start = time.perf_counter()
        for own, worked, used in pool.map(partial(audit_shard, data, index), range(data.shards)):
            found |= own
            busy += worked
            peak = max(peak, used)
        seconds = time.perf_counter() - start
    return found, {
        "rows": data.rows,
        "processes": processes,
        "seconds": round(seconds, 1),
        "processor_seconds": round(busy, 1),
        "rows_per_second": round(data.rows / seconds),
        "peak_resident_mb_per_process": round(peak / 1e6),
    }


def score(found: dict[str, bool], planted: dict[int, str]) -> dict[str, dict[str, float]]:
    """For each kind the share of its rows that leak, and that are found at all, as a leak or with a warning."""
    rows: dict[str, list[bool | None]] = defaultdict(list)
    for number, kind in planted.items():
        rows[kind].append(found.get(f"made/{number:09d}"))
    return {
        kind: {
            "leaking": round(np.mean([value is True for value in rows[kind]]), 3),
            "found": round(np.mean([value is not None for value in rows[kind]]), 3),
        }
        for kind in KINDS
    }


def precision(found: dict[str, bool], planted: dict[int, str], leaking: bool) -> float:
    """The share of the rows found (or leaking) that hold a planted leak."""
    good = {f"made/{number:09d}" for number, kind in planted.items() if kind not in NEAR_MISSES}
    hits = [pair for pair, leak in found.items() if leak or not leaking]
    return round(float(np.mean([pair in good for pair in hits])), 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with eval/xquad_r and eval/mlqa_r")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "leakage.json")
    settings = parser.parse_args()
    sets = {name: read_lareqa(settings.data / "eval" / name) for name in ("xquad_r", "mlqa_r")}
    runs = []
    with tempfile.TemporaryDirectory() as work:
        start = time.perf_counter()
        parts = [EvaluationSet(name=n, queries=[own.queries], passages=[own.passages]) for n, own in sets.items()]
        index = Folder(f"{work}/index")
        build_index(index, parts, "benchmark")
        built = {"seconds": round(time.perf_counter() - start, 2)}
        built["mb"] = round(sum(file.stat().st_size for file in index.local.iterdir()) / 1e6, 1)
        for rows in sorted({settings.rows // 10, settings.rows}):
            data, planted = write_pairs(Folder(f"{work}/{rows}"), list(sets.values()), rows, settings.seed)
            for processes in (1, 2):
                found, figures = audit(data, index, processes)
                runs.append(figures)
                print(json.dumps(figures), flush=True)
    result = {
        "what": "made-up pairs with planted leaks, audited against XQuAD-R and MLQA-R",
        "settings": {"rows": settings.rows, "seed": settings.seed, "shard": SHARD, "planted_of_each_kind": PLANTED},
        "machine": {"cores": os.cpu_count(), "processor": platform.machine(), "python": platform.python_version()},
        "versions": {"numpy": np.__version__, "pyarrow": pa.__version__},
        "index": built,
        "runs": runs,
        "kinds": score(found, planted),
        "precision": {
            "of leaks": precision(found, planted, leaking=True),
            "of all found": precision(found, planted, leaking=False),
        },
    }
    settings.out.parent.mkdir(parents=True, exist_ok=True)
    settings.out.write_text(json.dumps(result, indent=1) + "\n")
    for kind, shares in result["kinds"].items():
        print(f"{kind:32} leaking {shares['leaking']:.3f}  found {shares['found']:.3f}")
    print(f"precision: {result['precision']}; written to {settings.out}")


if __name__ == "__main__":
    main()
