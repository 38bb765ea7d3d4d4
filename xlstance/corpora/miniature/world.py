"""The world: things with facts about them, told in every language as a passage and asked for in questions.

A thing and its questions are a pure function of (settings, split, number), so any range of a world of any size can be
made alone. A question gives one or two of the facts, in words that are synonyms of the passage's half of the time, with
other endings: an untrained encoder finds few passages, a trained one must learn synonyms within a language and
translations across.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from xlstance.corpora.miniature.language import SYNONYMS, Language, make_language
from xlstance.corpora.miniature.settings import CONCEPTS_PER_TOPIC, MiniatureSettings

Split = Literal["train", "dev", "test"]
Form = Literal["words", "name", "year"]

# Relations that carry a judgement: good things are favored and brought, bad ones opposed and prevented. The stance
# part builds on them, so that an encoder trained on questions and passages has seen its words. The others are plain.
FAVORS, OPPOSES, BRINGS, PREVENTS = range(4)
PLAIN = 4
RELATIONS = 24

_STREAMS = {"names": 2, "train": 3, "dev": 4, "test": 5, "issues": 6, "arguments": 7, "wordings": 8}
_IN_TOPIC = 0.7  # a thing's concepts mostly come from one topic: near misses in every pool, as in real text
_YEARS = (1400, 2000)


@dataclass(frozen=True)
class Fact:
    """What a thing does (a relation), to what (a concept)."""

    relation: int
    value: int


@dataclass(frozen=True)
class Thing:
    """What a passage describes: two names, the concept it is an instance of, a year and facts."""

    names: tuple[str, str]
    kind: int
    year: int
    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class Question:
    """What is asked about a thing: by which words, the two facts that it gives, and the synonyms that it uses."""

    form: Form
    facts: tuple[Fact, Fact]
    synonyms: tuple[int, ...]


def random_stream(settings: MiniatureSettings, stream: str, *number: int) -> np.random.Generator:
    """The random numbers of one item: a pure function of the seed, the kind of item and its number."""
    return np.random.default_rng([settings.seed, _STREAMS[stream], *number])


@lru_cache(maxsize=8)
def make_languages(settings: MiniatureSettings) -> tuple[Language, ...]:
    """The world's languages."""
    return tuple(
        make_language(settings.seed, index, settings.concepts, RELATIONS) for index in range(settings.languages)
    )


@lru_cache(maxsize=8)
def make_names(settings: MiniatureSettings) -> tuple[str, ...]:
    """The world's proper names, written alike in every language."""
    rng = random_stream(settings, "names")
    names: dict[str, None] = {}
    while len(names) < settings.names:
        syllables = [f"{'bdfgklmnrstvz'[rng.integers(13)]}{'aeiou'[rng.integers(5)]}" for _ in range(3)]
        names["".join(syllables).capitalize() + "nrsx"[rng.integers(4)]] = None
    return tuple(names)


def make_thing(settings: MiniatureSettings, split: Split, number: int) -> tuple[Thing, tuple[Question, ...]]:
    """The thing of a number, and the questions about it.

    Args:
        settings: the world.
        split: things of different splits have nothing but the vocabulary in common.
        number: of the thing within the split.
    """
    rng = random_stream(settings, split, number)
    names = make_names(settings)
    first, last = rng.integers(len(names), size=2)
    kind, *values = draw_concepts(settings, rng, settings.facts + 1)
    relations = rng.choice(RELATIONS, size=settings.facts, replace=False)
    facts = tuple(_make_fact(int(relation), value) for relation, value in zip(relations, values, strict=True))
    thing = Thing((names[first], names[last]), kind, int(rng.integers(*_YEARS)), facts)
    return thing, tuple(_make_question(settings, rng, thing) for _ in range(settings.questions_per_passage))


def _make_fact(relation: int, value: int) -> Fact:
    if relation in (FAVORS, BRINGS):
        value = with_value(value, good=True)
    elif relation in (OPPOSES, PREVENTS):
        value = with_value(value, good=False)
    return Fact(relation, value)


def with_value(concept: int, *, good: bool) -> int:
    """The concept or its neighbour, whichever is good or bad: even ones are good things, odd ones are bad."""
    return concept - concept % 2 + (0 if good else 1)


def draw_concepts(settings: MiniatureSettings, rng: np.random.Generator, count: int) -> list[int]:
    """Different concepts, most of them of one topic."""
    topic = CONCEPTS_PER_TOPIC * int(rng.integers(settings.concepts // CONCEPTS_PER_TOPIC))
    found: dict[int, None] = {}
    while len(found) < count:
        in_topic = rng.random() < _IN_TOPIC
        found[topic + int(rng.integers(CONCEPTS_PER_TOPIC)) if in_topic else int(rng.integers(settings.concepts))] = (
            None
        )
    return list(found)


def _make_question(settings: MiniatureSettings, rng: np.random.Generator, thing: Thing) -> Question:
    dice = rng.random()
    form: Form = "words"
    if dice < settings.name_share:
        form = "name"
    elif dice < settings.name_share + settings.year_share:
        form = "year"
    one, two = rng.choice(len(thing.facts), size=2, replace=False)
    synonyms = tuple(int(synonym) for synonym in rng.integers(SYNONYMS, size=5))
    return Question(form, (thing.facts[one], thing.facts[two]), synonyms)


def tell(language: Language, thing: Thing) -> str:
    """The passage about a thing: what it is, and one sentence for each fact, the first with the year."""
    kind = language.noun(thing.kind, 0, "object")
    sentences = [language.clause(" ".join(thing.names), language.particles["is"], kind)]
    for fact in thing.facts:
        verb = language.verb(fact.relation, 0, "statement")
        sentences.append(language.clause("", verb, language.noun(fact.value, 0, "object")))
    sentences[1] += f" {language.mark('in', str(thing.year))}"
    return ". ".join(sentences) + "."


def ask(language: Language, thing: Thing, question: Question) -> str:
    """A question about a thing.

    By words: which (kind) does this and that? By year: which (kind) does this in (year)? By name: what does (last name)
    do, and does this? Nouns and verbs have other endings than in the passage.
    """
    one, two = question.facts
    kind = language.noun(thing.kind, question.synonyms[0], "subject")
    verb = language.verb(one.relation, question.synonyms[1], "question")
    value = language.noun(one.value, question.synonyms[2], "oblique")
    other = language.clause(
        "",
        language.verb(two.relation, question.synonyms[3], "question"),
        language.noun(two.value, question.synonyms[4], "oblique"),
    )
    if question.form == "words":
        text = language.join(language.clause(kind, verb, value), other)
    elif question.form == "year":
        text = f"{language.clause(kind, verb, value)} {language.mark('in', str(thing.year))}"
    else:
        text = language.join(language.clause(thing.names[1], verb, ""), other)
    return language.mark("which", text) + "?"
