"""XL-Stance for other people's tools: a folder with each task in BEIR's layout and judgements for trec_eval."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow.compute as pc

from xlstance.collection import Benchmark
from xlstance.corpora.beir import write_beir
from xlstance.corpora.trec_runs import write_qrels
from xlstance.corpora.xl_stance.benchmark import Part, Pool, StanceTask, Task, stance_benchmark
from xlstance.corpora.xl_stance.collection import StanceCollection
from xlstance.files import new_folder, write_whole

TASKS: tuple[Task, ...] = ("topical", "stance")
_PARTS: tuple[Part, ...] = ("test", "valid")

_README = """# {name}

Comments on political questions, to be found by the question (topical) or by the side they take (stance).
Fingerprint of the collection: `{fingerprint}`. {licence}

{tasks}

Each folder is a BEIR folder (`corpus.jsonl`, `queries.jsonl`, `qrels/test.tsv`, `qrels/valid.tsv`) whose rows also have
`lang` and `group_id`. Choose by `valid`, report `test`.

`trec/test.qrels` judges the pool of all languages, `trec/test.LANG.qrels` the pool of one language: with the queries of
that language it is the monolingual setting, with the others the cross-lingual one.

In the topical task every comment on a question has gain 1. In the stance task a comment on the side that is asked for
has gain 2, on the other side 1: mean average precision of the side is that of gain 2 alone (`trec_eval -l 2 -m map`),
while nDCG counts both gains and flatters a ranking that is blind to sides.
"""


def export_collection(
    folder: Path, collection: StanceCollection, pools: Sequence[Pool], *, name: str, licence: str
) -> None:
    """Writes both tasks of a collection.

    Args:
        folder: made by this call; it comes whole or not at all.
        collection: comments and questions.
        pools: in which pools.
        name: of the collection, for the README.
        licence: a sentence on who may use it how.

    Raises:
        DataError: as of ``stance_benchmark``.
        StorageError: if something stands there already, or it cannot be written.
    """
    tasks = []
    with new_folder(folder) as whole:
        for pool in pools:
            for task in TASKS:
                place = task if pool == "natural" else f"{task}-{pool}"
                made: dict[str, Benchmark] = {
                    part: stance_benchmark(collection, StanceTask(task=task, pool=pool, part=part)) for part in _PARTS
                }
                write_beir(whole / place, made)
                (whole / place / "trec").mkdir()
                for part, benchmark in made.items():
                    _write_trec(whole / place / "trec", part, benchmark)
                    tasks.append(f"- `{place}`, {part}: {'; '.join(benchmark.notes)}")
        readme = _README.format(name=name, fingerprint=collection.fingerprint, licence=licence, tasks="\n".join(tasks))
        write_whole(whole / "README.md", readme)


def _write_trec(folder: Path, part: str, benchmark: Benchmark) -> None:
    """Judgements of the whole pool, and of the pool of each language."""
    write_qrels(folder / f"{part}.qrels", benchmark.qrels)
    languages = benchmark.passages["lang"]
    for lang in sorted(set(languages.to_pylist())):
        pool = benchmark.passages["passage_id"].filter(pc.equal(languages, lang))
        judged = benchmark.qrels.filter(pc.is_in(benchmark.qrels["passage_id"], pool.combine_chunks()))
        write_qrels(folder / f"{part}.{lang}.qrels", judged)
