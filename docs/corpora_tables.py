"""Writes the two tables of docs/corpora.md anew: the catalog, and what is counted when the data at hand are read.

python docs/corpora_tables.py --data ../shared/data
"""

import argparse
import re
import sys
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.catalog import load_catalog
from xlstance.corpora.miniature import MiniatureSettings
from xlstance.corpora.registry import BenchmarkSource, Source, stream_benchmark, stream_source

PAGE = Path(__file__).with_name("corpora.md")
SQUAD = {
    "en": "en", "es": "es", "it": "it", "de": "de", "fi": "fi", "en-backtranslated": "en_backtranslated",
    "en-sentence10k": "en_sentence10k",
}  # fmt: skip
NATIVE = (
    *("ja_jaquad", "th_iapp", "zh-hant_drcd", "zh_cmrc2018", "ar_arcd", "kk_kazqad"),
    *(f"{lang}_tydiqa_goldp" for lang in ("ar", "bn", "en", "fi", "id", "ko", "ru", "sw", "te")),
)


def sources(data: Path) -> Iterable[Source | BenchmarkSource]:
    """What the data at hand are read as; everything that is there, whatever its flags say."""
    yield BenchmarkSource(name="xquad-r", format="lareqa", path="eval/xquad_r")
    yield BenchmarkSource(name="mlqa-r", format="lareqa", path="eval/mlqa_r")
    for split in ("train", "dev", "test"):
        yield BenchmarkSource(name=f"afriqa-{split}", format="beir", path="eval/afriqa", split=split)
    for name, file in SQUAD.items():
        files = {name.partition("-")[0]: f"train/squad/{file}.parquet"}
        yield Source(name=f"squad-{name}", format="squad", split="", files=files, exclude_xquad=False)
    for file in NATIVE:
        lang = file.partition("_")[0].replace("hant", "Hant")
        files = {lang: f"train/native_qa/{file}.parquet"}
        yield Source(name=file, format="squad", split="", files=files, exclude_xquad=False)
    for folder in (
        "train/bitext/tatoeba_challenge_test",
        "train/bitext/tatoeba_manythings",
        "dict/wiktionary",
        "dict/muse",
    ):
        langs = sorted(path.name[3:].partition(".")[0] for path in (data / folder).glob("en-*.tsv.gz"))
        name = folder.rpartition("/")[2]
        yield Source(name=name, format="bitext", path=f"{folder}/en-{{lang}}.tsv.gz", languages=langs)


def catalog_table() -> list[str]:
    """The known sources."""
    lines = ["| source | for | format | languages | fetched | licence |", "|---|---|---|---|---|---|"]
    for entry in load_catalog().values():
        langs = " ".join(entry.languages) if len(entry.languages) <= 12 else f"{len(entry.languages)} languages"
        files = entry.remote_files() if entry.files else []
        pinned = sum(bool(file.sha256) for file in files)
        fetched = f"{len(files)} files" + (f", {pinned} pinned" if pinned else "") if files else "by hand"
        kind = {"both": "both", "training": "training", "benchmark": "evaluation"}[entry.what]
        lines.append(
            f"| [{entry.name}]({entry.homepage}) | {kind} | {entry.format} | {langs} | {fetched} | {entry.licence} |"
        )
    return lines


def counts_table(data: Path) -> list[str]:
    """What comes out of the readers."""
    lines = ["| read | format | languages | queries | passages | pairs or qrels |", "|---|---|---|---|---|---|"]
    for source in sources(data):
        if isinstance(source, Source):
            stream = stream_source(source, str(data), 0, MiniatureSettings(), BadRows())
        else:
            stream = stream_benchmark(source, str(data), MiniatureSettings(), BadRows())
        langs: set[str] = set()
        counts = []
        for blocks in (stream.passages, stream.queries, stream.judgements):  # in the order in which streams are read
            rows = 0
            for block in blocks:
                rows += len(block)
                langs |= set(block["lang"].unique().to_pylist()) if "lang" in block.column_names else set()
            counts.append(rows)
        passages, queries, judgements = counts
        shown = " ".join(sorted(langs)) if len(langs) <= 12 else f"{len(langs)} languages"
        lines.append(f"| {source.name} | {source.format} | {shown} | {queries:,} | {passages:,} | {judgements:,} |")
    return lines


def main() -> None:
    """Puts the tables between their markers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    page = PAGE.read_text()
    for name, lines in {"catalog": catalog_table(), "counts": counts_table(data)}.items():
        table = "\n".join([f"<!-- {name} -->", *lines, f"<!-- /{name} -->"])
        page = re.sub(rf"<!-- {name} -->.*?<!-- /{name} -->", lambda _, table=table: table, page, flags=re.DOTALL)
    PAGE.write_text(page)


if __name__ == "__main__":
    main()
