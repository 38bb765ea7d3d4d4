"""What a reader returns: a corpus as a stream of blocks, or the whole tables of a training set or a benchmark."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from xlstance.tables import SCHEMAS, make_table


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

    @property
    def stream(self) -> "CorpusStream":
        """The same as a stream of one block each."""
        return CorpusStream([self.passages], [self.queries], [self.pairs], lambda: self.notes)


@dataclass(frozen=True)
class Benchmark:
    """An evaluation set: every query with all its relevant passages, in all languages.

    Attributes:
        passages: table ``passages``; a language's passages are the pool of that language.
        queries: table ``queries``.
        qrels: table ``qrels``; gains above 0 are relevant.
        notes: what a reader of the results must know.
        info: how it is scored, as keyword arguments of ``evaluation.protocol.evaluate``: ``relevant_from``, the gain
            from which on a passage counts in figures without grades, and ``by_argument``, whether rank distances are
            over the languages of each passage group. And ``units``, by query group what tests draw together; see
            ``evaluation.units.units_of``.
    """

    passages: pa.Table
    queries: pa.Table
    qrels: pa.Table
    notes: tuple[str, ...] = ()
    info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stream(self) -> "CorpusStream":
        """The same as a stream of one block each."""
        return CorpusStream([self.passages], [self.queries], [self.qrels], lambda: self.notes, self.info)


@dataclass(frozen=True)
class CorpusStream:
    """A corpus as its readers give it: blocks of tables, so that millions of passages need the memory of one block.

    The three streams are read once and in the order in which they stand here, since what a pair or a qrel refers to
    is known only then.

    Attributes:
        passages: blocks of the table ``passages``; every id once.
        queries: blocks of the table ``queries``; every id once.
        judgements: blocks of the table ``pairs``, or of ``qrels``; they refer to texts that came before.
        notes: what a reader of the results must know; asked for once the streams are at their end.
        info: as of ``Benchmark``.
    """

    passages: Iterable[pa.Table]
    queries: Iterable[pa.Table]
    judgements: Iterable[pa.Table]
    notes: Callable[[], Sequence[str]] = tuple
    info: Mapping[str, Any] = field(default_factory=dict)


def pairs_of(judgements: Iterable[pa.Table], source: str) -> Iterator[pa.Table]:
    """Blocks of ``pairs`` from blocks of ``pairs`` or ``qrels``: a relevant passage makes a pair.

    Args:
        judgements: the blocks.
        source: name of the source, for pairs made of qrels.
    """
    for block in judgements:
        if "pair_id" in block.column_names:
            yield block
            continue
        relevant = block.filter(pc.greater(block["gain"], 0))
        ids = pc.binary_join_element_wise(relevant["query_id"], relevant["passage_id"], ">")
        asked, answered = relevant["query_id"], relevant["passage_id"]
        names = pa.repeat(pa.scalar(source), len(relevant))
        yield make_table("pairs", {"pair_id": ids, "query_id": asked, "passage_id": answered, "source": names})


def qrels_of(judgements: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Blocks of ``qrels`` from blocks of ``qrels`` or ``pairs``: a pair's passage has gain 1."""
    for block in judgements:
        if "gain" in block.column_names:
            yield block
        else:
            yield make_table(
                "qrels",
                {"query_id": block["query_id"], "passage_id": block["passage_id"], "gain": [1] * len(block)},
            )


def collect_training(stream: CorpusStream, source: str) -> TrainingSet:
    """A training set that fits into memory, from a stream."""
    passages, queries = _whole(stream.passages, "passages"), _whole(stream.queries, "queries")
    pairs = _whole(pairs_of(stream.judgements, source), "pairs")
    return TrainingSet(passages=passages, queries=queries, pairs=pairs, notes=tuple(stream.notes()))


def collect_benchmark(stream: CorpusStream) -> Benchmark:
    """A benchmark that fits into memory, from a stream."""
    passages, queries = _whole(stream.passages, "passages"), _whole(stream.queries, "queries")
    qrels = _whole(qrels_of(stream.judgements), "qrels")
    return Benchmark(
        passages=passages, queries=queries, qrels=qrels, notes=tuple(stream.notes()), info=dict(stream.info)
    )


def _whole(blocks: Iterable[pa.Table], table: str) -> pa.Table:
    return pa.concat_tables([SCHEMAS[table].empty_table(), *blocks])
