"""The stance part: issues, and arguments for and against them, parallel in every language.

An issue is a thing at a place. An argument says that the thing brings something good or prevents something bad (for),
or the other way round (against), and half of the arguments also say the side outright. Its words occur in the questions
and passages of the training split, its sentences do not.
"""

from dataclasses import dataclass

from xlstance.collection import Benchmark
from xlstance.corpora.miniature.language import SYNONYMS, Language
from xlstance.corpora.miniature.questions import NOTE, columns
from xlstance.corpora.miniature.settings import CONCEPTS_PER_TOPIC, MiniatureSettings
from xlstance.corpora.miniature.world import (
    BRINGS,
    FAVORS,
    OPPOSES,
    PLAIN,
    PREVENTS,
    RELATIONS,
    make_languages,
    make_names,
    random_stream,
    with_value,
)
from xlstance.tables import make_table

SIDES = {"for": FAVORS, "against": OPPOSES}
_EXPLICIT = 0.5  # share of arguments that say their side outright
_SOURCE = "miniature-stance"


@dataclass(frozen=True)
class Issue:
    """What is argued about: a thing at a place, two concepts."""

    thing: int
    place: int


@dataclass(frozen=True)
class Argument:
    """An argument: who judges the thing and how (or nobody), what it does to what, and what goes on at the place."""

    speaker: str
    judgement: int
    effect: int
    consequence: int
    detail: int
    synonyms: tuple[int, ...]


def make_issue(settings: MiniatureSettings, number: int) -> Issue:
    """The issue of a number; no two of them are about the same thing."""
    thing = int(random_stream(settings, "issues").permutation(settings.concepts)[number])
    topic = thing - thing % CONCEPTS_PER_TOPIC
    step = int(random_stream(settings, "issues", 1 + number).integers(1, CONCEPTS_PER_TOPIC))
    return Issue(thing, topic + (thing - topic + step) % CONCEPTS_PER_TOPIC)


def make_argument(settings: MiniatureSettings, issue: int, judgement: int, number: int) -> Argument:
    """One of the arguments on an issue.

    Args:
        settings: the world.
        issue: number of the issue.
        judgement: the side, ``FAVORS`` or ``OPPOSES``.
        number: of the argument on that side.
    """
    rng = random_stream(settings, "arguments", issue, judgement, number)
    names = make_names(settings)
    effect = (BRINGS, PREVENTS)[rng.integers(2)]
    good = (effect == BRINGS) == (judgement == FAVORS)
    return Argument(
        speaker=names[rng.integers(len(names))] if rng.random() < _EXPLICIT else "",
        judgement=judgement,
        effect=effect,
        consequence=with_value(int(rng.integers(settings.concepts)), good=good),
        detail=int(rng.integers(PLAIN, RELATIONS)),
        synonyms=tuple(int(synonym) for synonym in rng.integers(SYNONYMS, size=7)),
    )


def tell_argument(language: Language, issue: Issue, argument: Argument) -> str:
    """The text of an argument: its side if it says so, the reason, and a sentence on the place."""
    s = argument.synonyms
    sentences = []
    if argument.speaker:
        verb = language.verb(argument.judgement, s[0], "statement")
        sentences.append(language.clause(argument.speaker, verb, language.noun(issue.thing, s[1], "object")))
    reason = language.clause(
        language.noun(issue.thing, s[2], "subject"),
        language.verb(argument.effect, s[3], "statement"),
        language.noun(argument.consequence, s[4], "object"),
    )
    sentences.append(language.mark("because", reason))
    detail = language.verb(argument.detail, s[5], "statement")
    sentences.append(language.clause("", detail, language.noun(issue.place, s[6], "object")))
    return ". ".join(sentences) + "."


def ask_for_side(language: Language, issue: Issue, judgement: int) -> str:
    """The query for one side of an issue: which reasons favor, or oppose, the thing at the place?"""
    verb = language.verb(judgement, 0, "question")
    place = language.mark("in", language.noun(issue.place, 0, "oblique"))
    thing = f"{language.noun(issue.thing, 0, 'oblique')} {place}"
    return language.mark("which", language.clause(language.particles["reason"], verb, thing)) + "?"


def stance_benchmark(settings: MiniatureSettings) -> Benchmark:
    """Issues as queries, one for each side, and arguments as passages, all of them in every language.

    Returns:
        Queries whose group is (issue, side); passages whose group is one argument. An argument on the issue has gain 1
        if it is on the side that the query asks for and gain 0 if it is on the other, in every language; arguments on
        other issues have no row.
    """
    languages = make_languages(settings)
    passages, queries, qrels = [], [], []
    for number in range(settings.issues):
        issue = make_issue(settings, number)
        arguments = {
            f"{_SOURCE}-{number}-{side}-{index}": (side, make_argument(settings, number, judgement, index))
            for side, judgement in SIDES.items()
            for index in range(settings.arguments)
        }
        for language in languages:
            passages += [
                (f"{group}-{language.code}", language.code, tell_argument(language, issue, argument), group)
                for group, (_, argument) in arguments.items()
            ]
            for asked, judgement in SIDES.items():
                group = f"{_SOURCE}-{number}-{asked}"
                query_id = f"{group}-{language.code}"
                queries.append((query_id, language.code, ask_for_side(language, issue, judgement), group))
                qrels += [
                    (query_id, f"{argument}-{other.code}", int(side == asked))
                    for argument, (side, _) in arguments.items()
                    for other in languages
                ]
    return Benchmark(
        passages=make_table("passages", columns(("passage_id", "lang", "text", "group_id"), passages)),
        queries=make_table("queries", columns(("query_id", "lang", "text", "group_id"), queries)),
        qrels=make_table("qrels", columns(("query_id", "passage_id", "gain"), qrels)),
        notes=(NOTE,),
        # Both sides of an issue, in all languages, are asked about the same arguments.
        info={
            "units": {
                f"{_SOURCE}-{number}-{side}": f"{_SOURCE}-{number}"
                for number in range(settings.issues)
                for side in SIDES
            }
        },
    )
