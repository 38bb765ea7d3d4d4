"""A look at what augmentations make of a few pairs, before anything is made of all."""

import shutil
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping

import pyarrow as pa

from xlstance.augmentation.references import rows_of
from xlstance.augmentation.way import Part
from xlstance.errors import SettingsError
from xlstance.experiment.augmentations import parents_of, prepare
from xlstance.experiment.corpora import publish_sources
from xlstance.experiment.settings import ExperimentSettings
from xlstance.storage import Folder
from xlstance.training_data import read_shard_of


def run_preview(settings: ExperimentSettings, count: int) -> None:
    """Prints the first pairs of each source with what every augmentation makes of them.

    Args:
        settings: the run's; its sources are published, and nothing else is.
        count: pairs of each source, for each pair of languages.

    Raises:
        UserError: for settings, data or lexicons that do not fit.
    """
    if count < 1:
        raise SettingsError(f"--preview is {count}; show at least 1")
    for name, part in preview_parts(settings, Folder(settings.output), count).items():
        print(f"\n{name}")
        for line in _lines(part, count, shutil.get_terminal_size((140, 24)).columns):
            print(line)


def preview_parts(settings: ExperimentSettings, root: Folder, count: int) -> dict[str, Part | None]:
    """The first pairs of each source, and what each augmentation makes of them.

    Args:
        settings: the run's.
        root: where the sources are published.
        count: pairs of each source, for each pair of languages.

    Returns:
        By the name of the source or augmentation its pairs with their texts; None for an augmentation that looks at
        all pairs or passages at once.
    """
    data = publish_sources(settings, root)
    parts: dict[str, Part | None] = {}
    for name, source in data.items():
        pairs, queries, passages = read_shard_of([source], 0)
        parts[name] = Part(pairs=_first(pairs, queries, passages, count), queries=queries, passages=passages)
    for augmentation in settings.augmentations:
        names = parents_of(augmentation, settings)
        given = [part for name in names if (part := parts[name])]
        if len(given) < len(names) or not augmentation.way.by_shard:
            parts[augmentation.name] = None
            continue
        prepared, around = prepare(augmentation, settings, root, [data[name] for name in names if name in data])
        prepared.way.before(around)
        whole = _joined(given)
        made = prepared.way.work(around)(whole)
        parts[augmentation.name] = Part(
            pairs=made.pairs,
            queries=_with(whole.queries, made.queries),
            passages=_with(whole.passages, made.passages),
        )
    return parts


def _first(pairs: pa.Table, queries: pa.Table, passages: pa.Table, count: int) -> pa.Table:
    """The first pairs of every query language and passage language."""
    languages = [
        texts["lang"].take(pa.array(rows_of(pairs, column, texts))).to_pylist()
        for column, texts in (("query_id", queries), ("passage_id", passages))
    ]
    seen, taken = Counter[tuple[str, str]](), []
    for row, both in enumerate(zip(*languages, strict=True)):
        seen[both] += 1
        if seen[both] <= count:
            taken.append(row)
    return pairs.take(pa.array(taken, pa.int64()))


def _joined(parts: list[Part]) -> Part:
    tables = {
        name: pa.concat_tables([getattr(part, name) for part in parts]) for name in ("pairs", "queries", "passages")
    }
    return Part(**{name: _unique(table) for name, table in tables.items()})


def _with(texts: pa.Table, new: pa.Table | None) -> pa.Table:
    return texts if new is None else _unique(pa.concat_tables([texts, new]))


def _unique(table: pa.Table) -> pa.Table:
    """Each id once; those that two parents share are the same rows."""
    ids = table.column(0).to_pylist()
    first = {value: row for row, value in reversed(list(enumerate(ids)))}
    return table.take(sorted(first.values()))


def _lines(part: Part | None, count: int, width: int) -> Iterator[str]:
    """A line for each pair: languages, query and passage beside one another."""
    if part is None:
        yield "  looks at all pairs at once and cannot be shown beforehand"
        return
    queries, passages = (_by_id(table) for table in (part.queries, part.passages))
    rows = _first(part.pairs, part.queries, part.passages, count).to_pylist()
    for row in rows:
        query, passage = queries[row["query_id"]], passages[row["passage_id"]]
        languages = f"{query['lang']} > {passage['lang']}"
        half = max((width - 18) // 2, 20)
        yield f"  {languages:<12}  {_cut(query['text'], half)}  {_cut(passage['text'], half)}"
        # A negative may stand in another shard; then there is nothing to show of it.
        for negative in [passages[n["passage_id"]] for n in row["negatives"] or [] if n["passage_id"] in passages][:1]:
            yield f"  {'not':<12}  {'':<{half}}  {_cut(negative['text'], half)}"
    if part.pairs.num_rows > len(rows):
        yield f"  ... and {part.pairs.num_rows - len(rows)} more of these pairs"
    if not rows:
        yield "  nothing"


def _by_id(table: pa.Table) -> Mapping[str, dict[str, str]]:
    return {row[table.column_names[0]]: row for row in table.to_pylist()}


def _cut(text: str, width: int) -> str:
    """The text on so many cells of a terminal; wide characters take two, combining marks none."""
    made, cells = [], 0
    for char in " ".join(text.split()):
        size = 0 if unicodedata.category(char) in ("Mn", "Me") else 1 + (unicodedata.east_asian_width(char) in "WF")
        if cells + size > width - 1:
            made.append("…")
            cells += 1
            break
        made.append(char)
        cells += size
    return "".join(made) + " " * (width - cells)
