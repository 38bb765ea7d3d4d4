"""Code switching: one language's pairs made to serve several by replacing words with their translations.

After Litschko et al. 2023 (arXiv 2305.05295, section 3). *Bilingual* (BL-CS): each token is replaced with probability
p by its translation into one language. *Multilingual* (ML-CS): with probability p, its target language is drawn
uniformly for each token. *Wiki-CS*: phrases are replaced by parallel titles (``unit: phrase``, ``titles: true``, p 1).
A word without translation stays. Their lexicon comes from aligned word vectors, as ``induced`` does here; word lists
serve as well.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import compress
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.augmentation.lexicons.foreign_scripts import drop_foreign
from xlstance.augmentation.lexicons.index import Translation, Unit
from xlstance.augmentation.lexicons.induced import InducedLexicon, frequent_words, induce_lexicon
from xlstance.augmentation.lexicons.lexicon import (
    Lexicon,
    format_lexicon,
    merge_lexicons,
    read_lexicon,
    unpack_lexicon,
)
from xlstance.augmentation.lexicons.titles import title_lexicon
from xlstance.augmentation.references import derived_pairs, rows_of
from xlstance.augmentation.switching.switcher import Switcher
from xlstance.augmentation.way import Made, Part, Surroundings, Way, Work
from xlstance.disk_folder import on_this_node
from xlstance.encoders import load_encoder
from xlstance.errors import DataError, SettingsError
from xlstance.files import sha256_of, what_is_there
from xlstance.tables import check_language, make_table
from xlstance.training_data import read_shard_of

MULTIPLE = "mul"  # the language code of a text in several languages (BCP 47, from ISO 639-2)
_TITLES, _INDUCED = "titles-{}.tsv.gz", "induced-{}.tsv.gz"


@dataclass(frozen=True, kw_only=True)
class CodeSwitching(Way):
    """Settings of code switching.

    Attributes:
        name: stands in ``pairs.augmentation`` and in the new ids, so it is unique among the augmentations of a run.
        mode: ``bilingual`` makes one copy of a pair for each language, ``multilingual`` one copy in which the language
            is drawn for each word; its texts have the language code ``mul``.
        languages: the languages to switch into; empty for the run's.
        lexicons: paths below the data root in which ``{lang}`` stands for the target language and ``{source}`` for the
            source language; empty for the run's. Several are merged in this order; one that has no file for a language
            is passed over as long as another has.
        reverse: the lexicons' first column is the target language.
        titles: also learn translations from the titles of passages of one group in both languages.
        induced: also induce translations from an encoder's vectors of the words of both languages.
        source_language: language of the pairs to switch; pairs with a text in another language are left alone.
        p: probability that a word, or a phrase, is replaced.
        side: switch the query, the passage, or both; with one side the pair becomes cross-lingual.
        unit: replace single words, or phrases too: of the entries that begin at a word the longest is taken. In scripts
            without spaces words are found so in either case.
        translation: the first translation of a word; one of its first three, drawn uniformly; or one of all, drawn by
            the weights of the lexicon, which fall with the rank where it has no counts.
    """

    name: str = "code-switching"
    mode: Literal["bilingual", "multilingual"] = "bilingual"
    languages: list[str] = field(default_factory=list)
    lexicons: list[str] = field(default_factory=list)
    reverse: bool = False
    titles: bool = False
    induced: InducedLexicon | None = None
    source_language: str = "en"
    p: float = 0.5
    side: Literal["both", "query", "passage"] = "both"
    unit: Unit = "word"
    translation: Translation = "first"

    shared: ClassVar[tuple[str, ...]] = ("languages", "lexicons")

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise SettingsError(f"code switching: p is {self.p}; give a probability from 0 to 1")
        for lang in (*self.languages, self.source_language):
            check_language(lang, "code switching")
        if self.source_language in self.languages:
            raise SettingsError(
                f"code switching: {self.source_language} is the source language; take it out of languages"
            )

    @property
    def by_shard(self) -> bool:
        """Not where a lexicon is made of all texts."""
        return not (self.titles or self.induced)

    def inputs(self, around: Surroundings) -> Any:
        """The word lists and the encoder by content; the parents, where a lexicon is made of all their texts."""
        if not self.languages:
            raise SettingsError("code switching: languages is empty; name the languages to switch into")
        hashes = {lang: [sha256_of(path) for path in _files(self, lang, around.data)] for lang in self.languages}
        encoder = ""
        if self.induced:
            from xlstance.encoding import encoder_stamp  # needs Ray, which nothing else here does

            encoder = encoder_stamp(self.induced.located(around.data))
        made = self.titles or self.induced
        return [hashes, encoder, [parent.stamps for parent in around.parents] if made else []]

    def before(self, around: Surroundings) -> None:
        """Makes the lexicons of titles and of an encoder, and writes them into the augmentation's own folder."""
        if self.titles:
            for lang in self.languages:
                found = title_lexicon(_texts(around, "passages"), self.source_language, lang)
                around.folder.write(_TITLES.format(lang), format_lexicon(found))
        if self.induced:
            encoder, limit = load_encoder(self.induced.located(around.data)), self.induced.words
            source = frequent_words(_texts_in(around, self.source_language), limit)
            for lang in self.languages:
                target = frequent_words(_texts_in(around, lang), limit)
                around.folder.write(_INDUCED.format(lang), format_lexicon(induce_lexicon(source, target, encoder)))
        read_lexicons(self, around)  # what is wrong with them is said before any work

    def work(self, around: Surroundings) -> Work:
        """See ``switch_pairs``."""
        lexicons, foreign = read_lexicons(self, around)
        switcher = Switcher(lexicons, p=self.p, seed=around.seed, unit=self.unit, translation=self.translation)
        return partial(switch_pairs, settings=self, switcher=switcher, foreign=foreign)

    def summary(self, counts: Mapping[str, int]) -> dict[str, Any]:
        """Ratios of the counts, and the translations that the lexicons lost.

        Args:
            counts: see ``switch_pairs``.

        Returns:
            ``switch_ratio``, the share of words that were replaced; ``out_of_lexicon``, by language, of the words
            drawn, the share without a translation; ``foreign_translations``, by language and script, how many were left
            out of the lexicon.
        """
        drawn = {key.removeprefix("drawn/"): count for key, count in counts.items() if key.startswith("drawn/")}
        replaced = {lang: counts.get(f"replaced/{lang}", 0) for lang in drawn}
        tokens = counts.get("tokens", 0)
        foreign: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for key in counts:
            if key.startswith("foreign/"):
                _, lang, script = key.split("/")
                foreign[lang][script] = counts[key]
        return {
            "switch_ratio": sum(replaced.values()) / tokens if tokens else 0.0,
            "out_of_lexicon": {lang: 1 - replaced[lang] / count for lang, count in drawn.items()},
            "foreign_translations": dict(foreign),
        }


def read_lexicons(settings: CodeSwitching, around: Surroundings) -> tuple[dict[str, Lexicon], dict[str, int]]:
    """The lexicon of each target language: of the word lists, then of titles, then of an encoder.

    Returns:
        The lexicons, without translations in foreign scripts (``drop_foreign``); ``foreign/ar/HEBREW``, how many of
        these there were.

    Raises:
        DataError: if a language has no word list and none is made, or a file is broken, or a lexicon has no entry.
    """
    lexicons: dict[str, Lexicon] = {}
    lost: dict[str, int] = {}
    for lang in settings.languages:
        parts = [read_lexicon(_files(settings, lang, around.data), reverse=settings.reverse)]
        made = [name for name, wanted in ((_TITLES, settings.titles), (_INDUCED, settings.induced)) if wanted]
        parts += [unpack_lexicon(around.folder, name.format(lang)) for name in made]
        lexicons[lang], foreign = drop_foreign(merge_lexicons(parts))
        lost |= {f"foreign/{lang}/{script}": count for script, count in sorted(foreign.items())}
        if not lexicons[lang]:
            raise DataError(
                f"the lexicon for {lang} has no entry: the texts that {settings.name} is applied to have no titles, or "
                f"no words with spaces between them, in both {settings.source_language} and {lang}; name a word list"
            )
    return lexicons, lost


def _files(settings: CodeSwitching, lang: str, data: str) -> list[Path]:
    """The word lists that are there for a language."""
    named = [p.replace("{lang}", lang).replace("{source}", settings.source_language) for p in settings.lexicons]
    root = on_this_node(data, *named)
    paths = [path for path in (root / name for name in named) if path.is_file()]
    if not paths and (named or not (settings.titles or settings.induced)):
        there = f"; {what_is_there((root / named[0]).parent)}" if named else "; lexicons is empty"
        raise DataError(f"no lexicon for {lang}: none of {named} is a file below {data}{there}")
    return paths


def _texts(around: Surroundings, table: Literal["queries", "passages"]) -> Iterator[pa.Table]:
    """The texts of all parents, shard by shard."""
    for index in range(around.parents[0].shards):
        _, queries, passages = read_shard_of(around.parents, index)
        yield queries if table == "queries" else passages


def _texts_in(around: Surroundings, lang: str) -> Iterator[str]:
    """The queries and passages of all parents in one language."""
    for table in ("passages", "queries"):
        for texts in _texts(around, table):
            yield from texts.filter(pc.equal(texts["lang"], lang))["text"].to_pylist()


def switch_pairs(
    part: Part, *, settings: CodeSwitching, switcher: Switcher, foreign: Mapping[str, int] | None = None
) -> Made:
    """Switches the pairs of one shard.

    Args:
        part: the shard; the pairs whose two texts are in the source language are switched, the others left out.
        settings: what to switch, and into what.
        switcher: switches texts.
        foreign: what the lexicons lost (see ``read_lexicons``).

    Returns:
        The new texts and pairs alone, and what was replaced (see ``Switcher.switch``). A text that several pairs share
        is switched once, so shards which hold the same text make the same row of it. A new text has its parent's
        group, its parent's id with ``~{name}-{language}`` at the end, and a title and context switched like it. A new
        pair names its parent; explicit negatives are kept where the passage is, since a negative in another language
        than the positive would teach the language.

    Raises:
        DataError: if a pair refers to a text that is not there.
    """
    rows = {"queries": rows_of(part.pairs, "query_id", part.queries)}
    rows["passages"] = rows_of(part.pairs, "passage_id", part.passages)
    texts = {"queries": part.queries, "passages": part.passages}
    chosen = np.ones(part.pairs.num_rows, bool)
    for name, table in texts.items():
        chosen &= np.asarray(pc.equal(table["lang"], settings.source_language))[rows[name]]
    parents = part.pairs.take(np.flatnonzero(chosen))
    targets = {lang: [lang] for lang in settings.languages}
    if settings.mode == "multilingual":
        targets = {MULTIPLE: settings.languages}
    counts: Counter[str] = Counter()
    if part.index == 0 and foreign:  # the lexicons are the same for all shards, whose counts are added up
        counts.update(foreign)
    switched = {}
    for name, left_alone in (("queries", "passage"), ("passages", "query")):
        used = np.unique(rows[name][chosen]) if settings.side != left_alone else np.empty(0, np.int64)
        switched[name] = _switch_table(texts[name].take(used), name, targets, settings.name, switcher, counts)
    pairs = pa.concat_tables(
        [
            derived_pairs(parents, f"~{settings.name}-{label}", name=settings.name, side=settings.side)
            for label in targets
        ]
    )
    return Made(pairs=pairs, queries=switched["queries"], passages=switched["passages"], counts=dict(counts))


def _switch_table(
    texts: pa.Table,
    table: str,
    targets: Mapping[str, list[str]],
    name: str,
    switcher: Switcher,
    counts: Counter[str],
) -> pa.Table:
    """Queries or passages switched, a copy for each target, with new ids and the target's language code."""
    parents = texts.column(0).to_pylist()
    ids = {label: [f"{parent}~{name}-{label}" for parent in parents] for label in targets}
    columns: dict[str, dict[str, object]] = {
        label: {texts.column_names[0]: ids[label], "group_id": texts["group_id"], "lang": [label] * len(texts)}
        for label in targets
    }
    for column in ("text", "title", "context"):
        if column not in texts.column_names:
            continue
        known = np.asarray(pc.is_valid(texts[column]))
        ending = "" if column == "text" else f"#{column}"
        copies = [
            ([f"{row}{ending}" for row in compress(ids[label], known)], langs) for label, langs in targets.items()
        ]
        made = switcher.switch(texts[column].drop_null().to_pylist(), copies)
        # Where a text stands among those that are there; nothing where there is none.
        places = pa.array(np.cumsum(known) - 1, mask=~known)
        for label, (switched, own) in zip(targets, made, strict=True):
            columns[label][column] = switched.take(places)
            counts.update(own)
    return pa.concat_tables([make_table(table, columns[label]) for label in targets])
