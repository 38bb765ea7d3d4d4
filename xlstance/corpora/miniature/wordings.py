"""How stance data are worded in the invented languages: templates for queries and comments of either side.

They are made of the words for judging, which the stance benchmark uses too, but of their other synonyms, and in the
comments of nouns: an encoder learns from questions and passages that the synonyms mean the same. No word of a template
stands in a query of the benchmark.
"""

from collections.abc import Sequence

from xlstance.corpora.miniature.language import Language
from xlstance.corpora.miniature.settings import MiniatureSettings
from xlstance.corpora.miniature.world import FAVORS, OPPOSES, make_languages, random_stream, with_value
from xlstance.stance_templates import SIDES, Templates, Wordings

_JUDGEMENTS = dict(zip(SIDES, (FAVORS, OPPOSES), strict=True))
_SAYINGS = 4  # of a side; each is said before a text or after it
_SYNONYM = 1  # the queries of the benchmark have number 0


def stance_wordings(settings: MiniatureSettings) -> Templates:
    """The templates of every language of the world, for stance augmentation.

    Returns:
        By language and side four templates for a question, two for a claim and eight frames. The languages say the
        same: who is in favour favors good things, who is against opposes bad ones.
    """
    drawn = random_stream(settings, "wordings").choice(settings.concepts // 2, 2 * _SAYINGS, replace=False)
    good = [with_value(2 * int(number), good=True) for number in drawn[:_SAYINGS]]
    bad = [with_value(2 * int(number), good=False) for number in drawn[_SAYINGS:]]
    things = dict(zip(SIDES, (good, bad), strict=True))
    return {
        language.code: {side: _wordings(language, _JUDGEMENTS[side], things[side]) for side in SIDES}
        for language in make_languages(settings)
    }


def _wordings(language: Language, judgement: int, things: Sequence[int]) -> Wordings:
    asked = language.verb(judgement, _SYNONYM, "question")
    reasons = language.mark("because", asked)
    verb = language.verb(judgement, _SYNONYM, "statement")
    said = [f"{language.clause('', verb, language.noun(thing, _SYNONYM, 'object'))}." for thing in things]
    return Wordings(
        question=tuple(
            text for words in (asked, reasons) for text in (f"{words}: {{question}}", f"{{question}} {words}")
        ),
        claim=(f"{asked}: {{claim}}", f"{{claim}} {asked}"),
        frame=(*(f"{words} {{text}}" for words in said), *(f"{{text}} {words}" for words in said)),
    )
