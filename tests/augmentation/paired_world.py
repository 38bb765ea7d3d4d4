"""A small source in three languages, with what its augmentations in the tests need."""

from pathlib import Path
from typing import Any

from xlstance.augmentation.pairing import Pairing
from xlstance.augmentation.stage import Augmentation, augment
from xlstance.augmentation.switching.code_switching import CodeSwitching
from xlstance.augmentation.way import Surroundings
from xlstance.collection import TrainingSet
from xlstance.storage import Folder, read_manifest, read_table
from xlstance.tables import make_table
from xlstance.training_data import TrainingData, publish_source, published

GROUPS = 30
LEXICONS = {"de": "the\tdie\ncat\tkatze\nsees\tsieht\n", "fi": "cat\tkissa\nsees\tnäkee\n"}
SWITCH = Augmentation(
    of=["world"], code_switching=CodeSwitching(name="cs", languages=["de", "fi"], lexicons=["en-{lang}.tsv"], p=0.6)
)
PAIR = Augmentation(of=["world", "cs"], pairing=Pairing(name="cross"))


def world(linked: bool = False) -> TrainingSet:
    """Thirty groups told in en, de and fi, a question each in en and de; pairs in en and de.

    Args:
        linked: the question of group 0 is answered by the passages of groups 1 to 5 too.
    """
    passages = [(group, lang) for group in range(GROUPS) for lang in ("en", "de", "fi")]
    queries = [(group, lang) for group, lang in passages if lang != "fi"]
    links = [(group, group, lang) for group, lang in queries]
    if linked:
        links += [(0, group, lang) for group in range(1, 6) for lang in ("en", "de")]
    return TrainingSet(
        passages=make_table(
            "passages",
            {
                "passage_id": [f"p{group}-{lang}" for group, lang in passages],
                "lang": [lang for _, lang in passages],
                "text": [f"the cat {group} sees the dog in {lang}" for group, lang in passages],
                "group_id": [f"article-{group}" for group, _ in passages],
            },
        ),
        queries=make_table(
            "queries",
            {
                "query_id": [f"q{group}-{lang}" for group, lang in queries],
                "lang": [lang for _, lang in queries],
                "text": [f"who sees the cat {group} in {lang}" for group, lang in queries],
                "group_id": [f"question-{group}" for group, _ in queries],
            },
        ),
        pairs=make_table(
            "pairs",
            {
                "pair_id": [f"{q}-{p}-{lang}" for q, p, lang in links],
                "query_id": [f"q{q}-{lang}" for q, _, lang in links],
                "passage_id": [f"p{p}-{lang}" for _, p, lang in links],
                "source": ["world"] * len(links),
            },
        ),
    )


def write_lexicons(folder: Path) -> Path:
    folder.mkdir()
    for lang, text in LEXICONS.items():
        (folder / f"en-{lang}.tsv").write_text(text, encoding="utf-8")
    return folder


def publish(folder: Path, source: TrainingSet, shards: int = 4, stamp: str = "stamp") -> TrainingData:
    publish_source(Folder(folder), source.stream, stamp, shards)
    return published(Folder(folder), "world")


def run(
    augmentation: Augmentation, parents: list[TrainingData], folder: Path, lexicons: Path, workers: int = 0
) -> TrainingData:
    place = Folder(folder) / augmentation.name
    return augment(
        augmentation,
        Surroundings(parents=tuple(parents), folder=place, data=str(lexicons), seed=1, workers=workers),
    )


def rows(folder: Folder, table: str) -> list[dict[str, Any]]:
    """All rows, each once, in the order of their ids."""
    found = read_table(folder, table)
    unique = {row[found.column_names[0]]: row for row in found.to_pylist()}
    return [unique[key] for key in sorted(unique)]


def files(data: TrainingData) -> list[str]:
    return [file.name for file in read_manifest(data.pairs).files]


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.*"))}
