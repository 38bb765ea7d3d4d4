"""Tables of the world: monolingual training pairs over parallel groups, the benchmark, and word translations."""

from collections.abc import Sequence

from xlstance.collection import Benchmark, TrainingSet
from xlstance.corpora.miniature.settings import MiniatureSettings
from xlstance.corpora.miniature.world import Split, ask, make_languages, make_thing, tell
from xlstance.errors import SettingsError
from xlstance.tables import make_table

NOTE = (
    "synthetic: the miniature world, generated from a seed in invented languages; its figures say nothing of real text"
)
_SOURCE = "miniature"


def split_size(settings: MiniatureSettings, split: Split) -> int:
    """Number of passage groups of a split."""
    sizes = {"train": settings.train_passages, "dev": settings.dev_passages, "test": settings.test_passages}
    return sizes[split]


def groups(settings: MiniatureSettings, split: Split, start: int, stop: int) -> TrainingSet:
    """A range of a split: passages, questions and pairs of the groups ``start`` to ``stop - 1``.

    A group is a pure function of the settings and its number, so ranges made apart add up to the whole.

    Args:
        settings: the world.
        split: ``train``, ``dev`` or ``test``.
        start: number of the first passage group.
        stop: number after the last one.

    Returns:
        In every language a passage for each group and ``questions_per_passage`` questions about it; a passage's
        ``group_id`` and a question's are the same in all languages. Pairs are monolingual: cross-lingual ones follow
        from the groups.

    Raises:
        SettingsError: if the range leaves the split.
    """
    size = split_size(settings, split)
    if not 0 <= start <= stop <= size:
        raise SettingsError(f"groups {start} to {stop} of the miniature's {split} split; it has the groups 0 to {size}")
    passages, queries, pairs = [], [], []
    for number in range(start, stop):
        thing, questions = make_thing(settings, split, number)
        group = f"{_SOURCE}-{split}-{number}"
        for language in make_languages(settings):
            passage_id = f"{group}-{language.code}"
            passages.append((passage_id, language.code, tell(language, thing), group))
            for index, question in enumerate(questions):
                query_group = f"{group}-q{index}"
                query_id = f"{query_group}-{language.code}"
                queries.append((query_id, language.code, ask(language, thing, question), query_group))
                pairs.append((query_id, query_id, passage_id, _SOURCE))
    return TrainingSet(
        passages=make_table("passages", columns(("passage_id", "lang", "text", "group_id"), passages)),
        queries=make_table("queries", columns(("query_id", "lang", "text", "group_id"), queries)),
        pairs=make_table("pairs", columns(("pair_id", "query_id", "passage_id", "source"), pairs)),
        notes=(NOTE,),
    )


def training_set(settings: MiniatureSettings, split: Split) -> TrainingSet:
    """A split whole; see ``groups``."""
    return groups(settings, split, 0, split_size(settings, split))


def benchmark(settings: MiniatureSettings) -> Benchmark:
    """The test split as a benchmark: a question's relevant passages are its passage in every language, gain 1."""
    test = training_set(settings, "test")
    codes = [language.code for language in make_languages(settings)]
    qrels = [
        (query_id, f"{passage_group}-{code}", 1)
        for query_id, query_group in zip(
            test.queries.column("query_id").to_pylist(), test.queries.column("group_id").to_pylist(), strict=True
        )
        for passage_group in [query_group.rsplit("-", 1)[0]]
        for code in codes
    ]
    return Benchmark(
        passages=test.passages,
        queries=test.queries,
        qrels=make_table("qrels", columns(("query_id", "passage_id", "gain"), qrels)),
        notes=test.notes,
    )


def lexicon(settings: MiniatureSettings, source: str, target: str) -> dict[str, tuple[str, ...]]:
    """Word translations between two languages of the world.

    Args:
        settings: the world.
        source: code of the language to translate from.
        target: code of the language to translate into.

    Returns:
        For every word form of the source its translations in the same case or mood: all synonyms, the closest first.
        Names and numbers need none.

    Raises:
        SettingsError: for a code that is none of the world's.
    """
    by_code = {language.code: language for language in make_languages(settings)}
    for code in (source, target):
        if code not in by_code:
            raise SettingsError(f"the miniature world has no language {code!r}; it has {', '.join(by_code)}")
    found: dict[str, dict[str, None]] = {}
    translations = by_code[target].forms()
    for meaning, forms in by_code[source].forms().items():
        for synonym, form in enumerate(forms):
            same_first = translations[meaning][synonym:] + translations[meaning][:synonym]
            found.setdefault(form, {}).update(dict.fromkeys(same_first))
    return {form: tuple(words) for form, words in found.items()}


def columns(names: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> dict[str, list[object]]:
    """Rows as the columns that ``make_table`` takes."""
    return {name: [row[index] for row in rows] for index, name in enumerate(names)}
