"""Writes the examples of docs/augmentation.md, made from the embedded collection: XL-Stance's validation part.

    python docs/augmentation_examples.py --data ../shared/data

``--data`` holds the word lists, as ``dict/muse/en-de.tsv.gz``; no text comes from there. Questions are paired with
comments in their own language; their parallels are what the way ``pairing`` finds.
"""

import argparse
import tempfile
from pathlib import Path

from xlstance.augmentation.pairing import Pairing
from xlstance.augmentation.stage import Augmentation
from xlstance.augmentation.stance import Stance
from xlstance.augmentation.switching.code_switching import CodeSwitching
from xlstance.augmentation.way import Part
from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.registry import Source
from xlstance.corpora.xl_stance.collection import EMBEDDED, read_collection
from xlstance.corpora.xl_stance.export import export_collection
from xlstance.experiment.preview import preview_parts
from xlstance.experiment.settings import ExperimentSettings
from xlstance.storage import Folder

PAGE = Path(__file__).with_name("augmentation.md")
BEGIN, END = "<!-- examples -->", "<!-- end of examples -->"
LANGUAGES = ["ar", "de", "el", "es", "fi", "fr", "hi", "it", "ru", "th", "tr", "vi", "zh"]
ROWS = len(LANGUAGES)  # of a table
LEXICONS = ["dict/muse/{source}-{lang}.tsv.gz"]


def keep_own_language(topical: Path) -> None:
    """Leaves the pairs of a question and a comment in one language, so that there is something to pair across."""
    rows = ["query-id\tcorpus-id\tscore"]
    for file in sorted((topical / "trec").glob("valid.*.qrels")):  # one for the comments of each language
        lang = file.suffixes[0][1:]
        judged = (line.split() for line in file.read_text().splitlines())
        rows += [f"{query}\t{comment}\t{gain}" for query, _, comment, gain in judged if query.startswith(f"{lang}/")]
    (topical / "qrels" / "valid.tsv").write_text("\n".join(rows) + "\n")


def settings(data: str, output: str) -> ExperimentSettings:
    """Every way that needs no model, on English comments and their parallels."""

    def switching(name: str, **more: object) -> Augmentation:
        return Augmentation(code_switching=CodeSwitching(name=name, languages=LANGUAGES, lexicons=LEXICONS, **more))

    return ExperimentSettings(
        output=output,
        data=data,
        sources=[Source(name="xl-stance", format="beir", path=f"{output}/exported/topical", split="valid")],
        augmentations=[
            switching("bilingual"),
            switching("query-phrases", side="query", unit="phrase", p=1.0),
            switching("multilingual", mode="multilingual"),
            Augmentation(pairing=Pairing(name="pairing")),
            Augmentation(stance=Stance(name="stance")),
        ],
    )


def rows(part: Part, count: int) -> list[str]:
    """The first pairs of each pair of languages, as rows of a table."""
    texts = {row["query_id"]: row for row in part.queries.to_pylist()}
    texts |= {row["passage_id"]: row for row in part.passages.to_pylist()}
    made: list[str] = []
    seen: dict[tuple[str, str], int] = {}
    pairs = part.pairs.to_pylist()
    pairs.sort(key=lambda pair: texts[pair["query_id"]]["lang"] != texts[pair["passage_id"]]["lang"])
    for pair in pairs:
        query, passage = texts[pair["query_id"]], texts[pair["passage_id"]]
        languages = query["lang"], passage["lang"]
        seen[languages] = seen.get(languages, 0) + 1
        if seen[languages] <= count:
            named = [entry["passage_id"] for entry in pair["negatives"] or []]
            negative = "".join([texts[name]["text"] for name in named if name in texts][:1])  # some in other shards
            cells = [f"{languages[0]} > {languages[1]}", query["text"], passage["text"], negative]
            made.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return made[:: -(-len(made) // ROWS)]  # of all pairs of languages, evenly


def main() -> None:
    """Rewrites the page between its two marks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="root of the word lists")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        collection = read_collection(EMBEDDED, BadRows())
        export_collection(Path(scratch) / "exported", collection, ["natural"], name="XL-Stance", licence="CC BY 4.0.")
        keep_own_language(Path(scratch) / "exported" / "topical")
        parts = preview_parts(settings(given.data, scratch), Folder(scratch), 2)
    lines = []
    for name, part in parts.items():
        if part is not None:
            lines += ["", f"**{name}**", "", "| languages | query | passage | negative |", "|---|---|---|---|"]
            lines += rows(part, 1)
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    PAGE.write_text("\n".join([before + BEGIN, *lines, "", END + rest.partition(END)[2]]))


if __name__ == "__main__":
    main()
