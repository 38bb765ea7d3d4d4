"""Draws `batch_kinds.svg`, the picture in training.md: what the batches of each kind hold, by the plan itself.

python docs/batch_kinds.py
"""

from pathlib import Path
from typing import NamedTuple

from xlstance.training.plan import Batch, BatchPlan, Partition, SamplerSettings


class Row(NamedTuple):
    """One row of the picture: a kind with its settings, and what to say of it."""

    settings: SamplerSettings
    title: str
    says: str


LANGUAGES = ("en", "de", "hi", "zh")
# Okabe and Ito's colours, which colour-blind readers tell apart.
COLOURS = dict(zip(LANGUAGES, ("#0072b2", "#e69f00", "#009e73", "#cc79a7"), strict=True))
ROWS = [
    Row(SamplerSettings(kind="x-x"), "X-X", "one language in a pair, all of them in a batch"),
    Row(SamplerSettings(kind="x-x-mono"), "X-X-mono", "one language in a batch"),
    Row(SamplerSettings(kind="x-y"), "X-Y", "two languages in a pair"),
    Row(SamplerSettings(kind="hybrid", alpha=0.5, block=4), "hybrid, alpha 0.5", "each batch X-X-mono or X-Y"),
    Row(SamplerSettings(kind="round-robin"), "round robin", "the passages' languages in turn"),
    Row(SamplerSettings(kind="mix-entries"), "mix entries", "any pair; its negatives in the passage's language"),
    Row(SamplerSettings(kind="mix-passages"), "mix passages", "any pair; each negative in a language of its own"),
]
BATCHES, SIZE, SEED = 8, 12, 3
CELL, LEFT, TOP, HIGH = 9, 264, 60, 84
SVG = Path(__file__).with_name("batch_kinds.svg")


def draw() -> str:
    """The picture as SVG: pairs as two cells, the query's language at the left and the passage's at the right."""
    pairs = [(query, passage) for query in LANGUAGES for passage in LANGUAGES]
    partitions = [Partition(source="pairs", query_lang=q, passage_lang=p, rows=1000) for q, p in pairs]
    width, height = LEFT + BATCHES * 76 + 10, TOP + len(ROWS) * HIGH
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for place, lang in enumerate(LANGUAGES):
        x = LEFT + 60 * place
        parts.append(f'<rect x="{x}" y="14" width="14" height="14" fill="{COLOURS[lang]}"/>')
        parts.append(_text(x + 20, 26, lang))
    parts.append(_text(LEFT + 260, 26, "left: query, right: passage; a box is a batch"))
    for number, row in enumerate(ROWS):
        y = TOP + number * HIGH
        parts += [_text(10, y + 26, row.title, 17, "bold"), _text(10, y + 46, row.says, 11)]
        plan = BatchPlan(partitions, row.settings, SIZE, SEED)
        for step in range(BATCHES):
            parts += _box(plan.batch(step), pairs, LEFT + step * 76, y)
    return "\n".join([*parts, "</svg>", ""])


def _box(batch: Batch, pairs: list[tuple[str, str]], x: int, y: int) -> list[str]:
    """A batch: its pairs in three columns."""
    drawn = [f'<rect x="{x}" y="{y}" width="68" height="62" rx="4" fill="none" stroke="#666666"/>']
    for place, partition in enumerate(batch.partition):
        left, top = x + 4 + place // 4 * 21, y + 6 + place % 4 * 13
        drawn += [
            f'<rect x="{left + side * CELL}" y="{top}" width="{CELL}" height="{CELL}" fill="{COLOURS[lang]}"/>'
            for side, lang in enumerate(pairs[partition])
        ]
    return drawn


def _text(x: int, y: int, words: str, size: int = 14, weight: str = "normal") -> str:
    return f'<text x="{x}" y="{y}" font-size="{size}" font-weight="{weight}" fill="#222222">{words}</text>'


if __name__ == "__main__":
    SVG.write_text(draw(), encoding="utf-8")
