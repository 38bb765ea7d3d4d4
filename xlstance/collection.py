"""What a reader returns: the tables of a training set or of a benchmark, not yet published."""

from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class TrainingSet:
    """Pairs and the texts that they refer to.

    Attributes:
        passages: table ``passages``.
        queries: table ``queries``.
        pairs: table ``pairs``; every id in it stands in one of the two others.
        notes: what a reader of the results must know: which rows were used, left out, and why.
    """

    passages: pa.Table
    queries: pa.Table
    pairs: pa.Table
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Benchmark:
    """An evaluation set: every query with all its relevant passages, in all languages.

    Attributes:
        passages: table ``passages``; a language's passages are the pool of that language.
        queries: table ``queries``.
        qrels: table ``qrels``; gains above 0 are relevant.
        notes: what a reader of the results must know.
    """

    passages: pa.Table
    queries: pa.Table
    qrels: pa.Table
    notes: tuple[str, ...] = ()
