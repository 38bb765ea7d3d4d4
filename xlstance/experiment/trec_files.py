"""Judgements and runs for other tools: ``trec/BENCHMARK/qrels.txt`` and ``ARM-SEED.run.gz`` in an output folder."""

import gzip

import numpy as np
import pyarrow as pa

from xlstance.corpora.trec_runs import format_qrels, format_run
from xlstance.storage import Folder

QRELS = "qrels.txt"
_HINDERED = "no TREC files"  # begins the messages


def write_trec_qrels(folder: Folder, qrels: pa.Table) -> None:
    """Writes a benchmark's judgements, gains as they are; a file that is there is left as it is.

    Raises:
        DataError: if an id has white space, which TREC's columns cannot hold.
    """
    if not folder.exists(QRELS):
        folder.write(QRELS, format_qrels(qrels, _HINDERED))


def write_trec_run(folder: Folder, name: str, run: pa.Table) -> None:
    """Writes the ranked lists of a model under its name.

    Tools read the order from the scores and break ties in ways of their own. So of equal scores each is written as the
    next smaller number.

    Args:
        folder: of the benchmark.
        name: of the model.
        run: table ``runs``, ordered by query and rank.

    Raises:
        DataError: if an id has white space.
    """
    text = format_run(_ties_apart(run), name, _HINDERED)
    folder.write(f"{name}.run.gz", gzip.compress(text, mtime=0))  # without the time: the same bytes each time


def _ties_apart(run: pa.Table) -> pa.Table:
    rank, scores = np.asarray(run["rank"]), run["score"].to_numpy().copy()
    for place in range(2, int(rank.max(initial=0)) + 1):
        rows = np.flatnonzero(rank == place)
        scores[rows] = np.minimum(scores[rows], np.nextafter(scores[rows - 1], np.float32(-np.inf)))
    return run.set_column(run.column_names.index("score"), run.schema.field("score"), pa.array(scores))
