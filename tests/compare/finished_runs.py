"""Output folders as experiments leave them, made without training: a small benchmark and encoders of set quality."""

from dataclasses import asdict

import numpy as np

from xlstance.evaluation.per_query import figures_by_query, query_table
from xlstance.evaluation.protocol import summarise
from xlstance.evaluation.protocols import by_protocol, protocols_of
from xlstance.evaluation.results import ArmResult, make_results, write_results
from xlstance.evaluation.settings import EvaluationSettings
from xlstance.evaluation.units import units_of
from xlstance.ranking import relevant_ranks
from xlstance.storage import Folder, read_table, write_table
from xlstance.tables import make_table

LANGS, GROUPS = ("de", "en"), 24
TABLES = ("queries", "passages", "qrels")


def benchmark_tables(groups=GROUPS, langs=LANGS):
    """A question and its answer for each group and language; an answer is relevant in every language."""
    ids = [(f"{lang}/{n}", lang, f"g{n}", n) for n in range(groups) for lang in langs]

    def texts(table, key, kind):
        columns = {
            "lang": [i[1] for i in ids],
            "text": [f"{kind} {i[0]}" for i in ids],
            "group_id": [i[2] for i in ids],
        }
        return make_table(table, {key: [i[0] for i in ids], **columns})

    pairs = [(a[0], b[0]) for a in ids for b in ids if a[3] == b[3]]
    columns = {"query_id": [a for a, _ in pairs], "passage_id": [b for _, b in pairs], "gain": [1] * len(pairs)}
    return texts("queries", "query_id", "ask"), texts("passages", "passage_id", "say"), make_table("qrels", columns)


def vectors(name, seed, noise, groups, langs=LANGS):
    """Unit vectors: what a text means, and a noise; the same for the same name and seed."""
    rng = np.random.default_rng([seed, *name.encode()])
    meaning = np.repeat(np.random.default_rng(7).normal(size=(groups, 12)), len(langs), axis=0)
    made = [meaning + noise * rng.normal(size=meaning.shape) for _ in range(2)]
    return [(rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32) for rows in made]


def finish(
    folder,
    arms,
    *,
    seeds=(0,),
    benchmarks=("small",),
    groups=GROUPS,
    stamp="stamp",
    shards=1,
    format="lareqa",  # noqa: A002
    augmentation=(),
    claims=(),
    leakage=None,
    without_answer="excluded",
    **settings,
):
    """Writes the folder of a run.

    Args:
        folder: where to.
        arms: by name (sampler's kind or empty, noise of the encoder); the noise decides how good it is.
        seeds: of the trained arms; the others have the first alone.
        benchmarks: names of the benchmarks, all of the same content.
        groups: questions of each language.
        stamp: fingerprint of the benchmarks' tables.
        shards: files of each of their tables.
        format: of the benchmarks' settings.
        augmentation: of all arms.
        claims: that stand in the results.
        leakage: that stands there.
        without_answer: as of ``figures_by_query``.
        settings: that are not the usual.
    """
    root = Folder(folder)
    for name in benchmarks:
        for table, rows in zip(TABLES, benchmark_tables(groups), strict=True):
            write_table(root / "benchmarks" / name / table, table, rows, stamp, shards=shards)
    results = []
    for arm, (kind, noise) in arms.items():
        for seed in seeds if kind else seeds[:1]:
            figures = {}
            for name in benchmarks:
                tables = [read_table(root / "benchmarks" / name / table, table) for table in TABLES]
                queries, passages, qrels = tables
                found = dict(zip(benchmark_tables(groups)[0]["query_id"].to_pylist(), range(10**6), strict=False))
                order = [[found[i] for i in t.column(0).to_pylist()] for t in (queries, passages)]
                made = vectors(arm, seed, noise, groups)
                ranks = relevant_ranks(*tables, *(rows[place] for rows, place in zip(made, order, strict=True)))
                by_query = figures_by_query(queries, ranks, without_answer=without_answer)
                table = query_table(by_query, queries, units_of(queries, passages, qrels))
                write_table(root / "figures" / f"{arm}-{seed}" / name, "query_figures", table, "figures")
                figures[name] = summarise(by_query, queries, ranks)
                figures[name]["protocols"] = by_protocol(protocols_of(format, "topical"), figures[name])
            sampler = {"kind": kind} if kind else {}
            results.append(
                ArmResult(
                    name=arm,
                    seed=seed,
                    sampler=sampler,
                    augmentation=augmentation if kind else (),
                    train={"steps": 9} if kind else {},
                    benchmarks=figures,
                )
            )
    given = {
        "output": str(folder),
        "training": {"batch_size": 64, "sampler": {"alpha": 0.5}},
        "sources": [],
        "augmentations": [],
        "arms": [
            {"name": arm, "sampler": kind or "none", "sources": [], "start": ""} for arm, (kind, _) in arms.items()
        ],
        "benchmarks": [{"name": name, "format": format, "split": "test"} for name in benchmarks],
        "evaluation": asdict(EvaluationSettings(resamples=500, without_answer=without_answer)),
        **settings,
    }
    write_results(root, make_results(results, given, evidence={"claims": list(claims)}, leakage=leakage, looks={}))
    return str(folder)
