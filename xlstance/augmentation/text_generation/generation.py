"""Queries written for passages by a language model: doc2query (Nogueira et al. 2019), for questions and for stances."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import yaml

from xlstance.augmentation.references import rows_of
from xlstance.augmentation.text_generation.quality import Filter, Quality
from xlstance.augmentation.text_generation.text_models import Decoding, ModelSettings, TextModel
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
from xlstance.stance_templates import stance_templates
from xlstance.tables import check_language, hash_ids, make_table

_PROMPTS = Path(__file__).with_name("prompts.yaml")
_PASSAGE = "{passage}"
_FEWEST_TOKENS = 16  # of a passage; less is not worth asking about

Kind = Literal["question", "issue", "favour", "against"]
_KINDS: dict[str, tuple[Kind, ...]] = {"question": ("question",), "stance": ("issue", "favour", "against")}


@dataclass(frozen=True, kw_only=True)
class Generation(Way):
    """Settings of query generation.

    Attributes:
        name: stands in ``pairs.augmentation`` and in the new ids.
        task: ``question`` asks for a question that the passage answers; ``stance`` for the issue that it is about, as a
            question that one can be for or against, and for one to which its author says yes, and no, which become
            queries for the arguments in favour and against.
        language: of the queries, whatever the passage's; empty for the passage's own.
        prompt: in place of the ready prompts, a text with ``{passage}``, and for doc2query models that alone.
        model: which model, causal or encoder-decoder.
        decoding: how a query is read from the model, and how many for each passage and kind of query.
        quality: which queries are kept; lengths are not compared.
    """

    name: str = "generation"
    task: Literal["question", "stance"] = "question"
    language: str = ""
    prompt: str = ""
    model: ModelSettings
    decoding: Decoding = field(default_factory=lambda: Decoding(method="sample", max_tokens=64))
    quality: Quality = field(default_factory=Quality)

    uses_model: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.language:
            check_language(self.language, "generation")
        if self.prompt and (self.task == "stance" or _PASSAGE not in self.prompt):
            raise SettingsError(
                f"generation: prompt is {self.prompt!r}; it needs {_PASSAGE} where the passage comes, and task question"
            )
        if self.language and not self.prompt and self.language not in prompts()[self.task]:
            raise SettingsError(
                f"generation: there is no prompt in {self.language}, only in {', '.join(prompts()[self.task])}; "
                "give a prompt of your own"
            )

    def prompt_for(self, kind: Kind, lang: str) -> str | None:
        """The prompt that asks for a query of a kind in a language; None if there is none."""
        if self.prompt:
            return self.prompt
        ready = prompts()[self.task].get(lang)
        return ready[kind] if isinstance(ready, Mapping) else ready

    def inputs(self, around: Surroundings) -> Any:
        """The model's files and the prompts, by their content.

        Raises:
            StorageError: if the model is not there.
        """
        return [model_files(find_model(self.model.name)), prompts()]

    def before(self, around: Surroundings) -> None:
        """Looks whether the model is there; no weights are read.

        Raises:
            UserError: if not.
        """
        Filter(self.quality).check([self.language] if self.language else [])
        folder = find_model(self.model.name)
        check_length(self.model, read_config(folder))
        load_tokenizer(folder)

    def work(self, around: Surroundings) -> Work:
        """The function that writes the queries of one shard."""
        model, judge, seed = TransformersModel(self.model), Filter(self.quality), around.seed
        return lambda part: generate_part(part, self, model, judge, seed)

    def summary(self, counts: Mapping[str, int]) -> dict[str, Any]:
        """The share of the texts written that was dropped, by reason."""
        dropped = {key: count for key, count in counts.items() if key.startswith("dropped/")}
        return {key.replace("dropped", "dropped_share"): count / counts["written"] for key, count in dropped.items()}


@cache
def prompts() -> dict[str, dict[str, Any]]:
    """The ready prompts of each task, by language; for ``stance`` one for each kind of query."""
    content: dict[str, dict[str, Any]] = yaml.safe_load(_PROMPTS.read_text(encoding="utf-8"))
    return content


def generate_part(part: Part, settings: Generation, model: TextModel, judge: Filter, seed: int) -> Made:
    """Writes queries for the passages of one shard.

    Args:
        part: the shard; each passage that a pair refers to is asked about once.
        settings: what to ask.
        model: the model to ask.
        judge: says which queries are not kept.
        seed: of samples.

    Returns:
        The new queries, and for each a pair with its passage whose parent is the passage's pair of lowest id. A query's
        id is its passage's with ``~{name}-{kind}-{language}-{number}`` at the end, and its group its own: two passages
        that say the same are asked about independently. Counts: ``written`` texts, ``kept/{language}``,
        ``dropped/{reason}`` (reasons of the filter, and ``duplicate``), ``left_out/{language}`` passages for which
        there is no prompt or no identification.

    Raises:
        DataError: if a pair refers to a text that is not there.
        SettingsError: if a prompt leaves no room for the passage.
    """
    by_id = part.pairs.take(np.argsort(np.array(part.pairs.column("pair_id").to_pylist(), dtype=str), kind="stable"))
    rows, first = np.unique(rows_of(by_id, "passage_id", part.passages), return_index=True)
    parents = by_id.take(first)
    counts: Counter[str] = Counter()
    asked: list[tuple[int, Kind, str, str]] = []  # row, kind, language, prompt
    passages = part.passages.take(rows)
    texts = passages.column("text").to_pylist()
    for row, own in enumerate(passages.column("lang").to_pylist()):
        lang = settings.language or own
        found = {kind: settings.prompt_for(kind, lang) for kind in _KINDS[settings.task]}
        if None in found.values() or not judge.knows(lang):
            counts[f"left_out/{own}"] += 1
            continue
        asked += [(row, kind, lang, prompt) for kind, prompt in found.items() if prompt]
    endings = [f"~{settings.name}-{kind}-{lang}" for _, kind, lang, _ in asked]
    ids = [f"{passage}{ending}" for passage, ending in zip(_ids(passages, asked), endings, strict=True)]
    sources = _filled([prompt for *_, prompt in asked], [texts[row] for row, *_ in asked], model)
    written = model.generate(sources, ids, settings.decoding, seed=seed, one_line=True)

    made: list[dict[str, Any]] = []
    pairs: list[tuple[int, str]] = []  # row, ending
    for (row, kind, lang, _), ending, key, answers in zip(asked, endings, ids, written, strict=True):
        seen: set[str] = set()
        for number, answer in enumerate(answers):
            text = first_line(answer)
            counts["written"] += 1
            fault = "duplicate" if text.casefold() in seen else judge.fault(text, lang)
            seen.add(text.casefold())
            if fault:
                counts[f"dropped/{fault}"] += 1
                continue
            counts[f"kept/{lang}"] += 1
            query = f"{key}-{number}"
            made.append(
                {"query_id": query, "lang": lang, "text": worded(text, kind, lang, query, seed), "group_id": query}
            )
            pairs.append((row, f"{ending}-{number}"))
    return Made(
        pairs=_new_pairs(parents, pairs, [query["query_id"] for query in made], settings.name),
        queries=make_table("queries", {name: [row[name] for row in made] for name in _QUERY}),
        passages=make_table("passages", {}),
        counts=dict(counts),
    )


_QUERY = ("query_id", "lang", "text", "group_id")


def _ids(passages: pa.Table, asked: list[tuple[int, Kind, str, str]]) -> list[str]:
    ids = passages.column("passage_id").to_pylist()
    return [ids[row] for row, *_ in asked]


def _filled(templates: list[str], texts: list[str], model: TextModel) -> list[str]:
    """Prompts with their passages in, which are cut at the end so that the whole of the prompt is read."""
    frames = {template: template.replace(_PASSAGE, "") for template in templates}
    room = {}
    for template, frame in frames.items():
        room[template] = model.room() - model.count_tokens([frame])[0]
        if room[template] < _FEWEST_TOKENS:
            raise SettingsError(
                f"generation: the prompt {template!r} leaves {max(0, room[template])} tokens for the passage; "
                "raise model.max_source_tokens"
            )
    return [
        template.replace(_PASSAGE, model.cut(text, room[template]))
        for template, text in zip(templates, texts, strict=True)
    ]


def first_line(answer: str) -> str:
    """The first line of an answer that holds something, without white space around it."""
    return next((line.strip() for line in answer.splitlines() if line.strip()), "")


def worded(question: str, kind: Kind, lang: str, key: str, seed: int) -> str:
    """The query that a generated question becomes.

    Args:
        question: the question.
        kind: what was asked for.
        lang: the question's language.
        key: the query's id, which with the seed draws the wording.
        seed: of the draw.

    Returns:
        The question itself, or a search for the arguments of one side.
    """
    if kind in ("question", "issue"):
        return question
    wordings = stance_templates()[lang][kind].queries(question)
    draw = int(hash_ids([f"{seed}:{key}"])[0])
    return wordings[draw % len(wordings)]


def _new_pairs(parents: pa.Table, made: list[tuple[int, str]], queries: list[str], name: str) -> pa.Table:
    own = parents.take(np.array([row for row, _ in made], dtype=np.int64))
    pair_ids = own.column("pair_id").to_pylist()
    return make_table(
        "pairs",
        {
            "pair_id": [f"{pair}{ending}" for pair, (_, ending) in zip(pair_ids, made, strict=True)],
            "query_id": queries,
            "passage_id": own.column("passage_id"),
            "source": own.column("source"),
            "augmentation": [name] * len(made),
            "parent_pair_id": pair_ids,
        },
    )
