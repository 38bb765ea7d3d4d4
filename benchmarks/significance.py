"""How long the tests between arms take at the size of XQuAD-R, and whether equal seeds give equal p-values.

    python benchmarks/significance.py

13 090 queries: 1 190 questions in 11 languages, from 48 articles, each in the 11 pools of one language and in that of
all. Arms share what makes a question hard and differ by a small shift. 10 000 resamples give, for mono, cross and multi
mAP, the interval of every arm, both p-values of every pair of arms with Holm's correction, and the leaders. Time is the
processor time of one process, the reading of tables apart. The figures go to ``benchmarks/results/significance.json``.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa

from xlstance.evaluation.per_query import SCHEMA
from xlstance.evaluation.results import MAPS
from xlstance.evaluation.settings import EvaluationSettings
from xlstance.evaluation.significance import Run, resample, significance

RESULTS = Path(__file__).parent / "results" / "significance.json"
LANGUAGES, QUESTIONS, ARTICLES = 11, 1190, 48


def make_tables(arms: int, seeds: int) -> dict[Run, pa.Table]:
    """The figures of every query, by arm and seed."""
    langs = [f"l{n:02}" for n in range(LANGUAGES)]
    keys = [(question, lang, pool) for question in range(QUESTIONS) for lang in langs for pool in (*langs, None)]
    rng = np.random.default_rng(0)
    article = rng.integers(0, ARTICLES, QUESTIONS)
    question = np.array([number for number, _, _ in keys])
    columns = {
        "query_id": [f"{lang}/{number}" for number, lang, _ in keys],
        "setting": ["multi" if pool is None else "mono" if pool == lang else "cross" for _, lang, pool in keys],
        "query_lang": [lang for _, lang, _ in keys],
        "passage_lang": [pool for _, _, pool in keys],
        "unit": [f"a{article[number]:02}" for number, _, _ in keys],
    }
    common = rng.normal(0.5, 0.1, ARTICLES)[article[question]] + rng.normal(0, 0.2, QUESTIONS)[question]
    made = {}
    for arm in range(arms):
        for seed in range(seeds):
            values = common + 0.005 * arm + rng.normal(0, 0.02, ARTICLES)[article[question]]
            own = columns | {"map": np.clip(values + rng.normal(0, 0.1, len(keys)), 0, 1)}
            arrays = [
                pa.array(own[field.name], field.type) if field.name in own else pa.nulls(len(keys), field.type)
                for field in SCHEMA
            ]
            made[f"arm{arm}", seed] = pa.table(arrays, schema=SCHEMA)
    return made


def measure(tables: Mapping[Run, pa.Table], settings: EvaluationSettings) -> tuple[dict[str, float], object]:
    """Seconds of the draws, of the tests and of both, and what the tests say."""
    start = time.process_time()
    drawn = resample(tables, MAPS, settings)
    middle = time.process_time()
    assert drawn is not None
    found = significance(drawn)
    end = time.process_time()
    parts = {"draws": middle - start, "tests": end - middle, "together": end - start}
    return {f"{name}_seconds": round(seconds, 2) for name, seconds in parts.items()}, found


def main() -> None:
    """Prints and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    settings = EvaluationSettings(resamples=arguments.resamples)
    rows = []
    for arms, seeds in ((3, 1), (3, 5), (12, 1)):
        tables = make_tables(arms, seeds)
        runs = [measure(tables, settings) for _ in range(arguments.repeat)]
        times = {name: sorted(run[name] for run, _ in runs)[len(runs) // 2] for name in runs[0][0]}
        equal = all(found == runs[0][1] for _, found in runs)
        row = {"arms": arms, "seeds": seeds, "tests": 3 * arms * (arms - 1) // 2, **times, "equal": equal}
        rows.append(row)
        print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    results = {
        "machine": {"cpus": os.cpu_count(), "platform": platform.platform(), "load": round(os.getloadavg()[0], 1)},
        "versions": {"python": platform.python_version(), "numpy": version("numpy")},
        "queries": LANGUAGES * QUESTIONS,
        "articles": ARTICLES,
        "resamples": arguments.resamples,
        "median_of": arguments.repeat,
        "rows": rows,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
