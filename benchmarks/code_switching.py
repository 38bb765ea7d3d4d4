"""How fast words are switched, and in how much memory; beside what one would write first.

    python benchmarks/code_switching.py --data ../shared/data

English passages of SQuAD, the MUSE and Wiktionary lexicons, half of the words, from lists of strings to Arrow columns.
The peer does the same text by text: a regular expression for the words, a dictionary for the translations, a generator
seeded for each text. (a) On one core, one copy (into German) and ten (into ten languages), each the fastest of several
runs that take turns. (b) Two processes over one. (c) Peak memory of fresh processes that switch more and more rows.
"""

import argparse
import json
import os
import platform
import random
import re
import resource
import subprocess
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from xlstance.augmentation.lexicons.lexicon import Lexicon, read_lexicon
from xlstance.augmentation.switching.switcher import Switcher

RESULTS = Path(__file__).parent / "results" / "code_switching.json"
LANGUAGES = ["de", "es", "fi", "fr", "it", "nl", "pl", "pt", "ru", "zh"]
BATCH, RUNS, P, SEED = 2_000, 7, 0.5, 1

# Python's \w lacks the marks that words of Hindi or Thai are written with, and the joiners of Persian.
MARKS = "".join(mark for mark in map(chr, range(0x300, 0x10000)) if unicodedata.category(mark)[0] == "M")
WORD = re.compile(rf"(?<!\w)[^\W\d_][\w{MARKS}\u200c\u200d]*(?:['’][^\W\d_][\w{MARKS}]*)*")
UNSPACED = {"ja", "km", "lo", "my", "th", "zh"}

Plain = Mapping[str, Mapping[str, str]]  # the first translation of each word, by language


def switch_row(text: str, key: str, translations: Mapping[str, str], lang: str, counts: Counter[str]) -> str:
    """One text, word by word, with the counts, the capitals and the joins of the library."""
    draw = random.Random(f"{SEED}/{key}").random
    unspaced, closes = lang in UNSPACED, False
    pieces, end, tokens, drawn, replaced = [], 0, 0, 0, 0
    for match in WORD.finditer(text):
        tokens += 1
        if draw() >= P:
            continue
        drawn += 1
        word = match.group()
        translation = translations.get(word.casefold())
        if translation is None:
            continue
        replaced += 1
        if word[0].isupper():
            capitals = len(word) > 1 and word.isupper()
            translation = translation.upper() if capitals else translation[0].upper() + translation[1:]
        between = text[end : match.start()]
        pieces += ["" if closes and between.isspace() else between, translation]
        end, closes = match.end(), unspaced
    pieces.append(text[end:])
    counts.update({"tokens": tokens, f"drawn/{lang}": drawn, f"replaced/{lang}": replaced})
    return "".join(pieces)


def switch_rows(texts: Sequence[str], ids: Sequence[str], lexicons: Plain) -> list[tuple[pa.Array, Counter[str]]]:
    made = []
    for lang, translations in lexicons.items():
        counts: Counter[str] = Counter()
        rows = zip(texts, ids, strict=True)
        switched = [switch_row(text, f"{key}~{lang}", translations, lang, counts) for text, key in rows]
        made.append((pa.array(switched), counts))
    return made


def switch_blocks(texts: Sequence[str], ids: Sequence[str], switcher: Switcher, languages: Sequence[str]) -> list:
    return switcher.switch(texts, [([f"{key}~{lang}" for key in ids], [lang]) for lang in languages])


def read_texts(data: Path) -> list[str]:
    texts = pq.read_table(data / "train" / "squad" / "en.parquet", columns=["context"])["context"]
    return sorted(set(texts.to_pylist()))


def read_lexicons(data: Path, languages: Sequence[str]) -> dict[str, Lexicon]:
    files = {
        lang: [data / "dict" / name / f"en-{lang}.tsv.gz" for name in ("muse", "wiktionary")] for lang in languages
    }
    return {lang: read_lexicon([path for path in paths if path.is_file()]) for lang, paths in files.items()}


def on_one_core(texts: list[str], lexicons: Mapping[str, Lexicon]) -> dict[str, object]:
    plain = {lang: {word: next(iter(found)) for word, found in lexicon.items()} for lang, lexicon in lexicons.items()}
    switcher = Switcher(lexicons, p=P, seed=SEED)
    ids, languages = [f"p{row}" for row in range(len(texts))], list(lexicons)
    ways: dict[str, Callable[[], list]] = {
        "xlstance": lambda: switch_blocks(texts, ids, switcher, languages),
        "row by row": lambda: switch_rows(texts, ids, plain),
    }
    seconds, counts = dict.fromkeys(ways, float("inf")), {}
    for _ in range(RUNS):
        for name, way in ways.items():
            start = time.process_time()
            made = way()
            seconds[name] = min(seconds[name], time.process_time() - start)
            counts[name] = sum((Counter(own) for _, own in made), Counter())
    rates = {name: round(len(texts) * len(languages) / best) for name, best in seconds.items()}
    shares = {
        name: round(sum(own[f"replaced/{lang}"] for lang in languages) / own["tokens"], 4)
        for name, own in counts.items()
    }
    ratio = round(seconds["row by row"] / seconds["xlstance"], 2)
    return {
        "texts": len(texts),
        "copies": len(languages),
        "texts_per_second": rates,
        "switched": shares,
        "ratio": ratio,
    }


worker: dict[str, object] = {}


def start_worker(data: Path) -> None:
    texts = read_texts(data)[:BATCH]
    worker["texts"], worker["ids"] = texts, [f"p{row}" for row in range(len(texts))]
    worker["switcher"] = Switcher(read_lexicons(data, ["de"]), p=P, seed=SEED)


def work(_: int) -> int:
    made = switch_blocks(worker["texts"], worker["ids"], worker["switcher"], ["de"])
    return len(made[0][0])


def in_processes(data: Path, batches: int = 40) -> dict[str, object]:
    rates = {}
    for processes in (1, 2):
        with ProcessPoolExecutor(processes, initializer=start_worker, initargs=(data,)) as pool:
            list(pool.map(work, range(4 * processes)))  # all have started
            best = float("inf")
            for _ in range(3):
                start = time.perf_counter()
                rows = sum(pool.map(work, range(batches)))
                best = min(best, time.perf_counter() - start)
        rates[str(processes)] = round(rows / best)
    return {"texts_per_second": rates, "ratio": round(rates["2"] / rates["1"], 2)}


def measure_memory(data: Path, rows: int) -> None:
    """Prints the peak resident memory, in MiB, of the way from lexicons and texts to all rows, batch by batch."""
    texts, switcher = read_texts(data), Switcher(read_lexicons(data, ["de"]), p=P, seed=SEED)
    done, start = 0, time.perf_counter()
    while done < rows:
        batch = [texts[row % len(texts)] for row in range(done, min(done + BATCH, rows))]
        switch_blocks(batch, [f"p{done + row}" for row in range(len(batch))], switcher, ["de"])
        done += len(batch)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"peak_mib": round(peak), "texts_per_second": round(rows / (time.perf_counter() - start))}))


def in_fresh_process(data: Path, rows: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--data", str(data), "--measure", str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the data root")
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 2_000_000], help="for the memory")
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure_memory(arguments.data, arguments.measure)
        return
    results: dict[str, object] = {
        "machine": {"cpus": os.cpu_count(), "platform": platform.platform()},
        "versions": {"python": platform.python_version()} | {name: version(name) for name in ("numpy", "pyarrow")},
    }
    # First, since a process begins with the peak of the one that starts it.
    memory = results["memory"] = {str(rows): in_fresh_process(arguments.data, rows) for rows in arguments.rows}
    print(f"memory: {memory}", flush=True)
    two = results["two_processes"] = in_processes(arguments.data)
    print(f"two processes over one: {two}", flush=True)
    texts, lexicons = read_texts(arguments.data), read_lexicons(arguments.data, LANGUAGES)
    one = results["one_copy"] = on_one_core(texts, {"de": lexicons["de"]})
    print(f"one copy: {one}", flush=True)
    ten = results["ten_copies"] = on_one_core(texts[::4], lexicons)
    print(f"ten copies: {ten}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
