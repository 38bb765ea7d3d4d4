"""A lexicon from parallel titles: the articles of one group, in two languages, name the same thing."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from xlstance.augmentation.code_points import fold
from xlstance.augmentation.lexicons.lexicon import Lexicon

_QUALIFIER = re.compile(r"\s*[(（][^()（）]*[)）]\s*$")
_CAPITAL_NOUNS = frozenset({"de", "lb", "gsw", "nds"})  # languages that write nouns with a capital


def title_lexicon(passages: Iterable[pa.Table], source: str, target: str) -> Lexicon:
    """Titles and their translations.

    Args:
        passages: tables ``passages``; those of a group stand in one of them.
        source: the language of the titles.
        target: the language of their translations.

    Returns:
        The translations of each title, the one that most groups have first, weighted by the number of groups. What a
        title has in brackets at its end tells it from others and is dropped, and so are titles that are the same in
        both languages. The capital that begins every title is made small where it is the only one and the language
        writes nouns without: where it belongs to a name, the name in the text has one too.
    """
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for table in passages:
        titles = {lang: _titles(table, lang) for lang in (source, target)}
        for group in sorted(titles[source].keys() & titles[target].keys()):
            for title in titles[source][group]:
                counts[fold(title)].update(
                    _inside(translation, target)
                    for translation in titles[target][group]
                    if fold(translation) != fold(title)
                )
    return {
        title: {text: float(count) for text, count in sorted(found.items(), key=lambda item: (-item[1], item[0]))}
        for title, found in sorted(counts.items())
        if found
    }


def _titles(passages: pa.Table, lang: str) -> dict[str, set[str]]:
    """The titles of each group in one language."""
    rows = passages.filter(pc.and_(pc.equal(passages["lang"], lang), pc.is_valid(passages["title"])))
    titles: defaultdict[str, set[str]] = defaultdict(set)
    for group, title in zip(rows["group_id"].to_pylist(), rows["title"].to_pylist(), strict=True):
        if plain := " ".join(_QUALIFIER.sub("", title.replace("_", " ")).split()):
            titles[group].add(plain)
    return titles


def _inside(title: str, lang: str) -> str:
    """A title as it is written inside a sentence."""
    names_something = lang.partition("-")[0] in _CAPITAL_NOUNS or title[1:] != title[1:].lower()
    return title if names_something else title[0].lower() + title[1:]
