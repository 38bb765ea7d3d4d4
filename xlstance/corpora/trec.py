"""Collections in TREC's manner: a corpus, topics, and judgements in qrels or triples; MIRACL, mMARCO, Mr. TyDi."""

import glob
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from xlstance.collection import CorpusStream
from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.judged import TEXT, TRIPLE, IdSpace, Named, nonempty, notes_of, read_texts
from xlstance.corpora.records import Records
from xlstance.corpora.tabular import read_records
from xlstance.corpora.topics import read_topics
from xlstance.corpora.trec_runs import read_qrel_records
from xlstance.errors import DataError, SettingsError
from xlstance.files import what_is_there
from xlstance.tables import check_language

LANGUAGE_NAMES = {
    "ar": "arabic", "bn": "bengali", "de": "german", "en": "english", "es": "spanish", "fi": "finnish",
    "fr": "french", "hi": "hindi", "id": "indonesian", "it": "italian", "ja": "japanese", "ko": "korean",
    "nl": "dutch", "pt": "portuguese", "ru": "russian", "sw": "swahili", "te": "telugu", "th": "thai",
    "vi": "vietnamese", "zh": "chinese",
}  # fmt: skip
"""English names of languages, as the publishers of MS MARCO's translations and of Mr. TyDi use them in file names."""


@dataclass(frozen=True, kw_only=True)
class TrecFiles:
    """Where a collection's files stand below its root.

    In every path ``{lang}`` stands for a language's code, ``{language}`` for its English name in lower case,
    ``{split}`` for the split, and ``*`` for anything; files that match come in the order of their numbers.

    Attributes:
        corpus: passages: JSON lines with ``docid``, ``_id`` or ``id``, with ``text`` or ``contents``, and maybe
            ``title``; or ``id TAB text``.
        topics: queries: ``id TAB text``, JSON lines, or TREC's tagged topics.
        qrels: judgements in TREC's four columns; gains above 0 are relevant.
        triples: instead of qrels: query id, id of a relevant passage, id of another, by tabs.
        parallel: an id means the same text in each language.
    """

    corpus: str
    topics: str
    qrels: str = ""
    triples: str = ""
    parallel: bool = False


PRESETS = {
    "miracl": TrecFiles(
        corpus="miracl-corpus-v1.0-{lang}/docs-*.jsonl.gz",
        topics="miracl-v1.0-{lang}/topics/topics.miracl-v1.0-{lang}-{split}.tsv",
        qrels="miracl-v1.0-{lang}/qrels/qrels.miracl-v1.0-{lang}-{split}.tsv",
    ),
    # split "train"; the development queries are judged by MS MARCO's own qrels
    "mmarco": TrecFiles(
        corpus="google/collections/{language}_collection.tsv",
        topics="google/queries/train/{language}_queries.train.tsv",
        triples="triples.train.ids.small.tsv",
        parallel=True,
    ),
    "mmarco-dev": TrecFiles(
        corpus="google/collections/{language}_collection.tsv",
        topics="google/queries/dev/{language}_queries.dev.small.tsv",
        qrels="qrels.dev.small.tsv",
        parallel=True,
    ),
    # as its publishers' archives unpack
    "mr-tydi": TrecFiles(
        corpus="mrtydi-v1.1-{language}/collection/docs.jsonl.gz",
        topics="mrtydi-v1.1-{language}/topic.{split}.tsv",
        qrels="mrtydi-v1.1-{language}/qrels.{split}.txt",
    ),
    # as it stands on the Hugging Face hub
    "mr-tydi-hub": TrecFiles(
        corpus="mrtydi-v1.1-{language}/corpus.jsonl.gz",
        topics="mrtydi-v1.1-{language}/ir-format-data/topics.{split}.txt",
        qrels="mrtydi-v1.1-{language}/ir-format-data/qrels.{split}.txt",
    ),
}
"""The files of collections whose layout is fixed, by name."""


def read_trec(
    files: TrecFiles,
    root: Path,
    languages: Sequence[str],
    *,
    name: str,
    bad: BadRows,
    split: str = "dev",
    judged_only: bool = False,
) -> CorpusStream:
    """Reads a collection of one or several languages.

    Args:
        files: where its files stand.
        root: the folder that their paths begin at.
        languages: codes.
        name: of the collection; begins every id.
        bad: told of the rows that cannot be used.
        split: which topics and judgements.
        judged_only: leave out the passages that no judgement names; the judgements are then read beforehand.

    Returns:
        The stream, its judgements qrels or pairs. Ids are ``{name}/{lang}/{native id}``; a group is ``{name}/{native
        id}`` where ids are parallel. Topics that no judgement names are left out.

    Raises:
        SettingsError: if the files and languages do not fit together.
        DataError: if a file is missing or not what its format says.
    """
    if bool(files.qrels) == bool(files.triples):
        raise SettingsError(f"{name}: give qrels or triples, one of the two")
    if not languages:
        raise SettingsError(f"{name}: no language is given; name at least one")
    counts: Counter[str] = Counter()
    parallel = f"{name}/" if files.parallel else ""
    spaces = {lang: IdSpace(f"{name}/{lang}/", bad, counts, parallel) for lang in languages}
    named: dict[tuple[Path, ...], Named] = {}

    def judgements(lang: str) -> Iterator[Records]:
        for path in _paths(root, files.triples or files.qrels, lang, split):
            if files.triples:
                yield from read_records(path, TRIPLE, bad, names=TRIPLE.names, separator="\t")
            else:
                yield from read_qrel_records(path, bad)

    def named_by_judgements(lang: str) -> Named:
        paths = tuple(_paths(root, files.triples or files.qrels, lang, split))
        if paths not in named:  # languages may share their judgements
            named[paths] = Named(judgements(lang))
        return named[paths]

    def passages() -> Iterator[pa.Table]:
        for lang, space in spaces.items():
            wanted = named_by_judgements(lang).passages if judged_only else None
            for path in _paths(root, files.corpus, lang, split):
                for block in _read_passages(path, bad):
                    yield space.passages(block, lang, wanted)

    def queries() -> Iterator[pa.Table]:
        for lang, space in spaces.items():
            for path in _paths(root, files.topics, lang, split):
                for block in read_topics(path, bad):
                    yield space.queries(block, lang, named_by_judgements(lang).queries)

    def references() -> Iterator[pa.Table]:
        for lang, space in spaces.items():
            for block in judgements(lang):
                yield space.pairs(block, name) if files.triples else space.qrels(block)

    return CorpusStream(
        nonempty(passages(), "passage", f"{root / files.corpus}"),
        nonempty(queries(), "query", f"{root / files.topics}"),
        nonempty(references(), "judgement", f"{root / (files.triples or files.qrels)}"),
        lambda: [f"{len(spaces)} languages ({', '.join(spaces)})", *notes_of(counts)],
    )


def _read_passages(path: Path, bad: BadRows) -> Iterator[Records]:
    if path.name.removesuffix(".gz").endswith((".jsonl", ".ndjson")):
        yield from read_texts(path, bad, ("docid", "_id", "id"), ("text", "contents"), ("title",))
    else:
        yield from read_records(path, TEXT, bad, names=TEXT.names, separator="\t")


def paths_of(files: TrecFiles, root: Path, languages: Sequence[str], split: str) -> list[Path]:
    """Every file of a collection, in the order in which they are read."""
    patterns = (files.corpus, files.topics, files.triples or files.qrels)
    return [path for lang in languages for pattern in patterns for path in _paths(root, pattern, lang, split)]


def _paths(root: Path, pattern: str, lang: str, split: str) -> list[Path]:
    """The files that a pattern stands for, ``docs-2`` before ``docs-10``."""
    check_language(lang)
    if "{language}" in pattern and lang not in LANGUAGE_NAMES:
        raise SettingsError(
            f"no English name of {lang!r} is known for {pattern}; known are {', '.join(LANGUAGE_NAMES)}"
        )
    values = {"{lang}": lang, "{language}": LANGUAGE_NAMES.get(lang, ""), "{split}": split}
    for placeholder, value in values.items():
        pattern = pattern.replace(placeholder, value)
    if "*" not in pattern:
        return [root / pattern]
    found = [root / match for match in glob.glob(pattern, root_dir=root)]
    if not found:
        raise DataError(f"{root / pattern} matches no file; {what_is_there((root / pattern).parent)}")
    return sorted(found, key=_by_numbers)


def _by_numbers(path: Path) -> list[tuple[int, str]]:
    """A sort key that takes the numbers in a name for numbers."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", str(path))]
