"""Code switching: one language's pairs made to serve several by replacing words with their translations.

After Litschko et al. 2023 (arXiv 2305.05295, section 3). *Bilingual* (BL-CS): each token is replaced with probability
p by its translation into one language. *Multilingual* (ML-CS): with probability p, its target language is drawn
uniformly for each token. A word without translation stays. Their lexicon comes from aligned word vectors, this one
from word lists.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.augmentation.lexicon import Lexicon, read_lexicon
from xlstance.augmentation.references import rows_of
from xlstance.augmentation.switching import SwitchCounts, switch_texts
from xlstance.collection import TrainingSet
from xlstance.errors import DataError, SettingsError
from xlstance.files import what_is_there
from xlstance.tables import check_language, make_table

MULTIPLE = "mul"  # the language code of a text in several languages (BCP 47, from ISO 639-2)


@dataclass(frozen=True, kw_only=True)
class CodeSwitching:
    """Settings of code switching.

    Attributes:
        name: stands in ``pairs.augmentation`` and in the new ids, so it is unique among the augmentations of a run.
        mode: ``bilingual`` makes one copy of a pair for each language, ``multilingual`` one copy in which the language
            is drawn for each word; its texts have the language code ``mul``.
        languages: the languages to switch into.
        lexicons: paths below the data root in which ``{lang}`` stands for the target language and ``{source}`` for the
            source language. Several are merged in this order; one that has no file for a language is passed over as
            long as another has.
        reverse: the lexicons' first column is the target language.
        source_language: language of the pairs to switch; pairs with a text in another language are left alone.
        p: probability that a token is replaced.
        side: switch the query, the passage, or both; with one side the pair becomes cross-lingual.
        translation: the first translation of a word, or one of its first three drawn uniformly.
    """

    name: str = "code-switching"
    mode: Literal["bilingual", "multilingual"] = "bilingual"
    languages: list[str] = field(default_factory=list)
    lexicons: list[str] = field(default_factory=list)
    reverse: bool = False
    source_language: str = "en"
    p: float = 0.5
    side: Literal["both", "query", "passage"] = "both"
    translation: Literal["first", "uniform"] = "first"

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise SettingsError(f"code switching: p is {self.p}; give a probability from 0 to 1")
        if not self.languages:
            raise SettingsError("code switching: languages is empty; name the languages to switch into")
        for lang in (*self.languages, self.source_language):
            check_language(lang, "code switching")
        if self.source_language in self.languages:
            raise SettingsError(
                f"code switching: {self.source_language} is the source language; take it out of languages"
            )


def read_lexicons(settings: CodeSwitching, data: str) -> dict[str, Lexicon]:
    """Reads the lexicon of each target language.

    Raises:
        DataError: if a language has no file, or a file is broken.
    """
    lexicons = {}
    for lang in settings.languages:
        named = [p.replace("{lang}", lang).replace("{source}", settings.source_language) for p in settings.lexicons]
        paths = [path for path in (Path(data) / name for name in named) if path.is_file()]
        if not paths:
            there = f"; {what_is_there((Path(data) / named[0]).parent)}" if named else "; lexicons is empty"
            raise DataError(f"no lexicon for {lang}: none of {named} is a file below {data}{there}")
        lexicons[lang] = read_lexicon(paths, reverse=settings.reverse)
    return lexicons


def switch_pairs(
    pairs: pa.Table,
    queries: pa.Table,
    passages: pa.Table,
    settings: CodeSwitching,
    lexicons: Mapping[str, Lexicon],
    seed: int,
) -> tuple[TrainingSet, SwitchCounts]:
    """Switches the pairs of one shard.

    Args:
        pairs: table ``pairs``; those whose two texts are in the source language are switched, the others left out.
        queries: table ``queries``; may hold more than the pairs refer to.
        passages: table ``passages``; the same.
        settings: what to switch, and into what.
        lexicons: the lexicon of each target language, as ``read_lexicons`` gives them.
        seed: of all draws.

    Returns:
        The new texts and pairs alone, and what was replaced. A text that several pairs share is switched once, so
        shards which hold the same text make the same row of it. A new text has its parent's group, its parent's id
        with ``~{name}-{language}`` at the end, and a title and context switched like it. A new pair names
        its parent; explicit negatives are kept where the passage is, since a negative in another language than the
        positive would teach the language.

    Raises:
        SettingsError: if a language has no lexicon.
        DataError: if a pair refers to a text that is not there.
    """
    if missing := [lang for lang in settings.languages if lang not in lexicons]:
        raise SettingsError(f"code switching: no lexicon for {missing[0]}; there are {', '.join(lexicons) or 'none'}")
    query_rows, passage_rows = rows_of(pairs, "query_id", queries), rows_of(pairs, "passage_id", passages)
    ours = [
        pc.equal(texts.column("lang"), settings.source_language).to_numpy(zero_copy_only=False)[rows]
        for texts, rows in ((queries, query_rows), (passages, passage_rows))
    ]
    chosen = np.flatnonzero(ours[0] & ours[1])
    parents = pairs.take(chosen)
    used = {
        "queries": queries.take(np.unique(query_rows[chosen])) if settings.side != "passage" else queries.slice(0, 0),
        "passages": passages.take(np.unique(passage_rows[chosen]))
        if settings.side != "query"
        else passages.slice(0, 0),
    }
    targets = {lang: [lang] for lang in settings.languages}
    if settings.mode == "multilingual":
        targets = {MULTIPLE: settings.languages}
    made: dict[str, list[pa.Table]] = {"queries": [], "passages": [], "pairs": []}
    counts = SwitchCounts()
    for label, languages in targets.items():
        ending = f"~{settings.name}-{label}"
        for name, texts in used.items():
            switched, own = _switch_table(texts, name, label, ending, languages, settings, lexicons, seed)
            made[name].append(switched)
            counts += own
        made["pairs"].append(_new_pairs(parents, ending, settings))
    tables = {name: pa.concat_tables(parts) for name, parts in made.items()}
    return TrainingSet(**tables), counts


def _switch_table(
    texts: pa.Table,
    name: str,
    label: str,
    ending: str,
    languages: list[str],
    settings: CodeSwitching,
    lexicons: Mapping[str, Lexicon],
    seed: int,
) -> tuple[pa.Table, SwitchCounts]:
    """Queries or passages switched, with new ids and the language code ``label``."""
    ids = [f"{value}{ending}" for value in texts.column(0).to_pylist()]
    columns: dict[str, object] = {texts.column_names[0]: ids, "group_id": texts.column("group_id")}
    columns["lang"] = [label] * len(ids)
    counts = SwitchCounts()
    for column in ("text", "title", "context"):
        if column not in texts.column_names:
            continue
        values = texts.column(column).to_pylist()
        rows = [row for row, value in enumerate(values) if value is not None]
        switched, own = switch_texts(
            [values[row] for row in rows],
            [ids[row] if column == "text" else f"{ids[row]}#{column}" for row in rows],
            lexicons,
            languages,
            p=settings.p,
            translation=settings.translation,
            seed=seed,
        )
        for row, text in zip(rows, switched, strict=True):
            values[row] = text
        columns[column] = values
        counts += own
    return make_table(name, columns), counts


def _new_pairs(parents: pa.Table, ending: str, settings: CodeSwitching) -> pa.Table:
    def renamed(column: str, new: bool = True) -> pa.ChunkedArray:
        values = parents.column(column)
        return pc.binary_join_element_wise(values, ending, "") if new else values

    keeps_passage = settings.side == "query"
    return make_table(
        "pairs",
        {
            "pair_id": renamed("pair_id"),
            "query_id": renamed("query_id", settings.side != "passage"),
            "passage_id": renamed("passage_id", not keeps_passage),
            "negatives": parents.column("negatives") if keeps_passage else None,
            "source": parents.column("source"),
            "augmentation": [settings.name] * parents.num_rows,
            "parent_pair_id": parents.column("pair_id"),
        },
    )
