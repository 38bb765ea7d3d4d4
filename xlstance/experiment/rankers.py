"""What ranks the passages of a benchmark: an encoder's vectors, merged lists, words, or a run that others made."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from xlstance.collection import Benchmark
from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.trec_runs import read_run
from xlstance.errors import DataError
from xlstance.experiment.translate_test import Dictionary, missing_pairs, translate_queries
from xlstance.files import sha256_of
from xlstance.ranking import Scores, matrix_of, vector_scores
from xlstance.ranking.scores import Floats
from xlstance.retrieval.bm25 import ABOUT, bm25_scores, terms_of
from xlstance.retrieval.listed import listed
from xlstance.retrieval.merging import ABOUT as ABOUT_MERGING
from xlstance.retrieval.merging import Merge, merged
from xlstance.retrieval.search import build_index, search
from xlstance.storage import Folder, fingerprint, read_manifest, read_table


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """A benchmark's passages ranked.

    Attributes:
        scores: of all passages for every query, in the pool of all languages.
        in_own_pools: scores for the pools of one language, where they are others.
        run: table ``runs``, the lists that were searched for or given; None: the best by ``scores``.
        index: the FAISS index that gave them; empty for any other.
        notes: what a reader of the figures must know.
    """

    scores: Scores
    in_own_pools: Scores | None = None
    run: pa.Table | None = None
    index: str = ""
    notes: tuple[str, ...] = ()


class Ranker(Protocol):
    """Ranks the passages of one benchmark; a value that goes to another process."""

    @property
    def stamp(self) -> str:
        """Fingerprint of what decides the ranks, beside the benchmark."""

    def rank(self, benchmark: Benchmark, top_k: int) -> Ranked:
        """Ranks; ``top_k`` is the length of lists that are searched for."""


@dataclass(frozen=True, kw_only=True)
class ByVectors:
    """Dot products of published vectors; lists by FAISS.

    Attributes:
        vectors: folder of the vectors of the benchmark's ``queries`` and ``passages``.
        index: FAISS factory string.
    """

    vectors: Folder
    index: str

    @property
    def stamp(self) -> str:
        """Fingerprint of the vectors."""
        return fingerprint([read_manifest(self.vectors / name).fingerprint for name in ("queries", "passages")])

    def rank(self, benchmark: Benchmark, top_k: int) -> Ranked:
        """See ``Ranker``."""
        queries, passages = benchmark.queries, benchmark.passages
        asking, answering = _matrices(self.vectors, benchmark)
        scores = vector_scores(queries, passages, asking, answering)
        ids = (queries["query_id"].combine_chunks(), passages["passage_id"].combine_chunks())
        run = search(build_index(answering, self.index), ids[0], asking, ids[1], top_k)
        return Ranked(scores=scores, run=run, index=self.index)


@dataclass(frozen=True, kw_only=True)
class ByMergedLists:
    """An encoder's list for each language, merged for the pool of all; in the pools of one language the encoder's own.

    Attributes:
        vectors: folder of the encoder's vectors.
        merge: the rule.
        name: what the baseline is called.
        encoder: the arm whose lists are merged.
    """

    vectors: Folder
    merge: Merge
    name: str
    encoder: str

    @property
    def stamp(self) -> str:
        """Fingerprint of the vectors and the rule."""
        return fingerprint("merged", self.merge, ByVectors(vectors=self.vectors, index="").stamp)

    def rank(self, benchmark: Benchmark, top_k: int) -> Ranked:
        """See ``Ranker``."""
        scores = vector_scores(benchmark.queries, benchmark.passages, *_matrices(self.vectors, benchmark))
        note = (
            f"{self.name}: a list for each language by {self.encoder}, merged for the pool of all languages: "
            f"{ABOUT_MERGING[self.merge]}; mono and cross are those of {self.encoder}"
        )
        return Ranked(scores=merged(scores, benchmark.passages, self.merge), in_own_pools=scores, notes=(note,))


@dataclass(frozen=True, kw_only=True)
class ByWords:
    """BM25: each language's pool with an index of its own, the pool of all languages with one index over all."""

    @property
    def stamp(self) -> str:
        """The same for all: words are in the benchmark."""
        return fingerprint("bm25")

    def rank(self, benchmark: Benchmark, top_k: int) -> Ranked:
        """See ``Ranker``."""
        asked, answers = _terms(benchmark.queries), _terms(benchmark.passages)
        languages = benchmark.passages["lang"]
        one_pool = pa.chunked_array([pa.repeat(pa.scalar(""), len(answers))])
        return Ranked(
            scores=bm25_scores({"": asked}, answers, one_pool),
            in_own_pools=bm25_scores(dict.fromkeys(languages.unique().to_pylist(), asked), answers, languages),
            notes=(f"bm25: {ABOUT}; an index for each language, and one over all for the multilingual pool",),
        )


@dataclass(frozen=True, kw_only=True)
class ByTranslatedWords:
    """Translate-test: queries translated word by word into the passages' language, then BM25; lists merged for all.

    Attributes:
        dictionaries: those that are there, for the benchmark's pairs of languages.
    """

    dictionaries: tuple[Dictionary, ...]

    @property
    def stamp(self) -> str:
        """Fingerprint of the dictionaries' content."""
        return fingerprint(
            "translate-test",
            [(d.source, d.target, d.reverse, [sha256_of(Path(path)) for path in d.paths]) for d in self.dictionaries],
        )

    def rank(self, benchmark: Benchmark, top_k: int) -> Ranked:
        """See ``Ranker``."""
        queries, passages = benchmark.queries, benchmark.passages
        terms = cache(terms_of)  # texts without a dictionary are the same for many languages
        asked = {
            lang: [terms(text) for text in translate_queries(queries, lang, self.dictionaries)]
            for lang in passages["lang"].unique().to_pylist()
        }
        scores = bm25_scores(asked, _terms(passages), passages["lang"])
        notes = (
            f"translate-test: queries translated word by word, then {ABOUT} in the passages' language; in the pool of "
            f"all languages the lists are merged {ABOUT_MERGING['normalised']}",
            missing_pairs(queries, passages, self.dictionaries),
        )
        return Ranked(
            scores=merged(scores, passages, "normalised"), in_own_pools=scores, notes=tuple(filter(None, notes))
        )


@dataclass(frozen=True, kw_only=True)
class ByRun:
    """The lists of a run in TREC's columns, whatever made them.

    Attributes:
        path: the file.
        name: what it is called.
    """

    path: str
    name: str

    @property
    def stamp(self) -> str:
        """Fingerprint of the file."""
        return fingerprint("run", sha256_of(Path(self.path)))

    def rank(self, benchmark: Benchmark, top_k: int) -> Ranked:
        """See ``Ranker``."""
        run = read_run(Path(self.path), BadRows())
        try:
            found = listed(run, benchmark.queries, benchmark.passages, benchmark.qrels)
        except DataError as error:
            raise DataError(f"{self.path}: {error}") from error
        return Ranked(scores=found.scores, run=run, notes=(f"{self.name}: {found.about}",))


def _matrices(vectors: Folder, benchmark: Benchmark) -> tuple[Floats, Floats]:
    """The vectors of the queries and of the passages."""
    try:
        return (
            matrix_of(read_table(vectors / "queries", "vectors"), benchmark.queries["query_id"]),
            matrix_of(read_table(vectors / "passages", "vectors"), benchmark.passages["passage_id"]),
        )
    except DataError as error:
        raise DataError(f"{vectors}: {error}") from error


def _terms(texts: pa.Table) -> list[list[str]]:
    return [terms_of(text) for text in texts["text"].to_pylist()]
