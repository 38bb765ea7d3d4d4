"""Machine translation of pairs by a sequence-to-sequence model, with a filter of what came out."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.augmentation.references import derived_pairs, rows_of
from xlstance.augmentation.text_generation.conventions import Convention, find_convention, frame_of
from xlstance.augmentation.text_generation.quality import Filter, Quality
from xlstance.augmentation.text_generation.splitting import join, segments
from xlstance.augmentation.text_generation.text_models import Decoding, Frame, ModelSettings, TextModel
from xlstance.augmentation.text_generation.transformers_model import (
    TransformersModel,
    check_length,
    find_model,
    load_tokenizer,
    model_files,
    read_config,
)
from xlstance.augmentation.way import Made, Part, Surroundings, Way, Work
from xlstance.errors import SettingsError
from xlstance.tables import check_language, make_table

Translator = Callable[[Sequence[str], Sequence[str]], list[str]]
"""Texts and their ids to translations."""


@dataclass(frozen=True, kw_only=True)
class Translation(Way):
    """Settings of machine translation.

    Attributes:
        name: stands in ``pairs.augmentation`` and in the new ids.
        languages: the languages to translate into; each pair is translated into each of them.
        source_language: language of the pairs to translate; pairs with a text in another are left alone.
        side: translate the query, the passage, or both; with one side the pair becomes cross-lingual.
        model: which model. ``{source}`` and ``{target}`` in its name stand for the languages where there is a model for
            each pair of languages, as in ``Helsinki-NLP/opus-mt-{source}-{target}``.
        convention: how the model is told the languages; ``auto`` goes by its tokenizer.
        prefix: for the convention ``prefix``: what is put before each text, such as ``<2{target}> `` or ``translate
            {source_name} to {target_name}: ``.
        decoding: how a translation is read from the model.
        quality: which translations are kept; a pair is made only if its texts are.
    """

    name: str = "translation"
    languages: list[str] = field(default_factory=list)
    source_language: str = "en"
    side: Literal["both", "query", "passage"] = "both"
    model: ModelSettings
    convention: Literal["auto", "nllb", "m2m100", "opus", "prefix"] = "auto"
    prefix: str = ""
    decoding: Decoding = field(default_factory=lambda: Decoding(max_ratio=3.0))
    quality: Quality = field(default_factory=Quality)

    uses_model: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.languages:
            raise SettingsError("translation: languages is empty; name the languages to translate into")
        for lang in (*self.languages, self.source_language):
            check_language(lang, "translation")
        if self.source_language in self.languages:
            raise SettingsError(f"translation: {self.source_language} is the source language; take it out of languages")
        if self.decoding.number != 1:
            raise SettingsError(f"translation: decoding.number is {self.decoding.number}; a text has one translation")
        if self.convention == "prefix" and not self.prefix:
            raise SettingsError("translation: the convention prefix needs a prefix, such as '<2{target}> '")

    def model_for(self, lang: str) -> ModelSettings:
        """The model that translates into a language."""
        name = self.model.name.replace("{source}", self.source_language).replace("{target}", lang)
        return ModelSettings(**{**vars(self.model), "name": name})

    def frame(self, tokenizer: Any, lang: str) -> Frame:
        """What the model is told, to translate into a language.

        Raises:
            SettingsError: if it lacks the language, or its tokenizer does not say how it is told.
        """
        model = self.model_for(lang).name
        convention: Convention = find_convention(tokenizer, model) if self.convention == "auto" else self.convention
        return frame_of(
            convention, tokenizer, source=self.source_language, target=lang, prefix=self.prefix, model=model
        )

    def inputs(self, around: Surroundings) -> Any:
        """The files of the models, by their content.

        Raises:
            StorageError: if a model is not there.
        """
        names = sorted({self.model_for(lang).name for lang in self.languages})
        return {name: model_files(find_model(name)) for name in names}

    def before(self, around: Surroundings) -> None:
        """Looks whether every model is there and knows the languages; no weights are read.

        Raises:
            UserError: if not.
        """
        Filter(self.quality).check(self.languages)
        for lang in self.languages:
            settings = self.model_for(lang)
            folder = find_model(settings.name)
            config = read_config(folder)
            if not config.is_encoder_decoder:
                raise SettingsError(f"{settings.name} is no sequence-to-sequence model; translation needs one")
            check_length(settings, config)
            self.frame(load_tokenizer(folder), lang)

    def work(self, around: Surroundings) -> Work:
        """The function that translates one shard; all models stay in memory."""
        models: dict[str, TransformersModel] = {}
        translators: dict[str, Translator] = {}
        for lang in self.languages:
            settings = self.model_for(lang)
            model = models.setdefault(settings.name, models.get(settings.name) or TransformersModel(settings))
            translators[lang] = translator(model, self.frame(model.tokenizer, lang), self.decoding, lang, around.seed)
        judge = Filter(self.quality)
        return lambda part: translate_part(part, self, translators, judge)

    def summary(self, counts: Mapping[str, int]) -> dict[str, Any]:
        """The share of the translations that was filtered, by reason."""
        total = sum(count for key, count in counts.items() if key.startswith("translated/"))
        return {
            key.replace("filtered", "filtered_share"): count / total
            for key, count in counts.items()
            if key.startswith("filtered/")
        }


def translator(model: TextModel, frame: Frame, decoding: Decoding, lang: str, seed: int) -> Translator:
    """Translates texts of any length into one language; long ones in pieces that end with a sentence.

    Args:
        model: a translation model.
        frame: what it is told about the languages.
        decoding: how a translation is read from it.
        lang: the language that it translates into.
        seed: of samples.
    """

    def translate(texts: Sequence[str], ids: Sequence[str]) -> list[str]:
        room = model.room(frame)
        tokens = model.count_tokens(texts)
        pieces = [
            [text] if count <= room else segments(text, room, model.count_tokens)
            for text, count in zip(texts, tokens, strict=True)
        ]
        written = model.generate(
            [piece for row in pieces for piece in row],
            [f"{key}#{place}" for key, row in zip(ids, pieces, strict=True) for place in range(len(row))],
            decoding,
            seed=seed,
            frame=frame,
        )
        texts_of_piece = iter(written)
        return [join([next(texts_of_piece)[0] for _ in row], lang) for row in pieces]

    return translate


def translate_part(part: Part, settings: Translation, translators: Mapping[str, Translator], judge: Filter) -> Made:
    """Translates the pairs of one shard.

    Args:
        part: the shard; pairs whose two texts are in the source language are translated, the others left out.
        settings: what to translate, and into what.
        translators: by target language.
        judge: says which translations are not kept.

    Returns:
        The new pairs and the texts that they refer to. A new text has its parent's group, since a translation says the
        same, its parent's id with ``~{name}-{language}`` at the end, and a title and context translated too; it is
        judged by its text alone. A new pair keeps its explicit negatives where the passage is the parent's, since a
        negative in another language than the positive would teach the language. Counts: ``translated/{language}``
        texts, ``filtered/{reason}`` of these, and ``pairs_without_text``, which are not made because a text of theirs
        was filtered.

    Raises:
        DataError: if a pair refers to a text that is not there.
    """
    query_rows, passage_rows = (
        rows_of(part.pairs, "query_id", part.queries),
        rows_of(part.pairs, "passage_id", part.passages),
    )
    ours = [
        pc.equal(texts.column("lang"), settings.source_language).to_numpy(zero_copy_only=False)[rows]
        for texts, rows in ((part.queries, query_rows), (part.passages, passage_rows))
    ]
    chosen = np.flatnonzero(ours[0] & ours[1])
    parents = part.pairs.take(chosen)
    used = {}
    if settings.side != "passage":
        used["queries"] = part.queries.take(np.unique(query_rows[chosen]))
    if settings.side != "query":
        used["passages"] = part.passages.take(np.unique(passage_rows[chosen]))
    counts: Counter[str] = Counter()
    made: dict[str, list[pa.Table]] = {name: [make_table(name, {})] for name in ("queries", "passages", "pairs")}
    for lang in settings.languages:
        ending = f"~{settings.name}-{lang}"
        pairs = derived_pairs(parents, ending, name=settings.name, side=settings.side)
        kept = {
            name: _translated(texts, name, lang, ending, translators[lang], judge, counts)
            for name, texts in used.items()
        }
        whole = [pc.is_in(pairs.column(_ID[name]), texts.column(_ID[name])) for name, texts in kept.items()]
        pairs = pairs.filter(whole[0] if len(whole) == 1 else pc.and_(*whole))
        counts["pairs_without_text"] += len(parents) - len(pairs)
        made["pairs"].append(pairs)
        for name, texts in kept.items():
            made[name].append(texts.filter(pc.is_in(texts.column(_ID[name]), pairs.column(_ID[name]))))
    tables = {name: pa.concat_tables(parts) for name, parts in made.items()}
    return Made(**tables, counts={key: count for key, count in counts.items() if count})


_ID = {"queries": "query_id", "passages": "passage_id"}


def _translated(
    texts: pa.Table, name: str, lang: str, ending: str, translate: Translator, judge: Filter, counts: Counter[str]
) -> pa.Table:
    """Queries or passages in another language, without those that are at fault; adds to the counts."""
    ids = [f"{value}{ending}" for value in texts.column(0).to_pylist()]
    sources = {c: texts.column(c).to_pylist() for c in ("text", "title", "context") if c in texts.column_names}
    rows = [
        (column, row) for column, values in sources.items() for row, value in enumerate(values) if value is not None
    ]
    written = translate(
        [sources[column][row] for column, row in rows],
        [ids[row] if column == "text" else f"{ids[row]}#{column}" for column, row in rows],
    )
    columns: dict[str, Any] = {column: [None] * len(ids) for column in sources}
    for (column, row), text in zip(rows, written, strict=True):
        columns[column][row] = text
    faults = [judge.fault(new, lang, old) for new, old in zip(columns["text"], sources["text"], strict=True)]
    counts[f"translated/{lang}"] += len(ids)
    counts.update(f"filtered/{fault}" for fault in faults if fault)
    table = make_table(
        name,
        {texts.column_names[0]: ids, "lang": [lang] * len(ids), "group_id": texts.column("group_id"), **columns},
    )
    return table.filter(pa.array([fault is None for fault in faults], pa.bool_()))
