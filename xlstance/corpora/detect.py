"""What a path holds, told by the names of its files and columns: for commands that are given data without settings."""

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.columns import Columns
from xlstance.corpora.lines import read_chunks
from xlstance.corpora.registry import BenchmarkSource, Source
from xlstance.errors import DataError
from xlstance.files import read_text, what_is_there
from xlstance.tables import is_language

_UNDETERMINED = "und"
_KNOWN = (
    "SQuAD's columns or JSON, Tevatron's or FlagEmbedding's JSON lines, columns `query` and `passage`, or `English TAB "
    "other` in a file en-{lang}.tsv"
)


def training_source(path: Path, name: str) -> Source:
    """The settings that read a path as training data: every row, whatever flags it carries.

    Args:
        path: a file; ``*`` in its name stands for anything.
        name: of the source.

    Raises:
        DataError: if what it holds cannot be told.
    """
    first = _first_row(path)
    language = _language_of(path, first)
    if {"id", "question", "context"} <= first.keys() or "data" in first:
        return Source(name=name, format="squad", split="", files={language: str(path)}, exclude_xquad=False)
    if {"query", "positive_passages"} <= first.keys():
        return Source(name=name, format="tevatron", files={language: str(path)})
    if {"query", "pos"} <= first.keys():
        return Source(name=name, format="flagembedding", files={language: str(path)})
    if {"query", "passage"} <= first.keys():
        columns = Columns(language="lang" if "lang" in first else "")
        return Source(
            name=name, format="columns", files={"" if columns.language else language: str(path)}, columns=columns
        )
    if bitext := re.fullmatch(r"[a-z]{2,3}-([A-Za-z-]+)\.tsv(\.gz)?", path.name):
        return Source(name=name, format="bitext", files={bitext.group(1): str(path)})
    raise DataError(f"{path}: this is no training data that can be told without settings; known are {_KNOWN}")


def evaluation_source(path: Path, name: str) -> BenchmarkSource | Source:
    """The settings that read a path as what is to be kept out of training: a benchmark's folder, or pairs.

    Raises:
        DataError: if what it holds cannot be told.
    """
    if not path.is_dir():
        return training_source(path, name)
    if any(path.glob("corpus.jsonl*")):
        splits = sorted(file.name.partition(".")[0] for file in (path / "qrels").glob("*.tsv*"))
        return BenchmarkSource(name=name, format="beir", path=str(path), split="+".join(splits))
    if any(_named_language(file) for file in path.glob("*.json*")):
        return BenchmarkSource(name=name, format="lareqa", path=str(path))
    raise DataError(
        f"{path}: this is no evaluation set that can be told without settings; known are folders with {{lang}}.json "
        f"(XQuAD-R) or corpus.jsonl (BEIR), and files with {_KNOWN}; {what_is_there(path)}"
    )


def _first_row(path: Path) -> dict[str, object]:
    """The first row of a file by its columns; of a file of another kind nothing."""
    ending = path.name.removesuffix(".gz").rpartition(".")[2]
    first: object = {}
    try:
        if ending == "parquet":
            first = next(pq.ParquetFile(path).iter_batches(batch_size=1)).to_pylist()[0]
        elif ending == "json":
            content = json.loads(read_text(path))
            first = content[0] if isinstance(content, list) else content
        elif ending in ("jsonl", "ndjson", "csv", "tsv"):
            line = next(read_chunks(path, BadRows(), size=1 << 16)).data.partition(b"\n")[0].decode().rstrip("\r")
            names = line.split("," if ending == "csv" else "\t")
            first = json.loads(line) if ending in ("jsonl", "ndjson") else dict.fromkeys(names)
    except (pa.ArrowException, OSError, ValueError, LookupError, StopIteration) as error:
        reason = str(error) or "it is empty"
        raise DataError(f"{path} cannot be read ({reason}); {what_is_there(path.parent)}") from error
    return first if isinstance(first, dict) else {}


def _language_of(path: Path, first: dict[str, object]) -> str:
    """What the first row's ``lang`` or the file's name says: ``fi.parquet``, ``en_sentence10k.parquet``."""
    if is_language(first.get("lang")):
        return str(first["lang"])
    return _named_language(path) or _UNDETERMINED


def _named_language(path: Path) -> str:
    """The language code that a file's name begins with; only two letters are no word."""
    part = re.split(r"[._]", path.name)[0]
    return part if is_language(part) and len(part.partition("-")[0]) == 2 else ""
