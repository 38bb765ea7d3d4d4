"""Invented languages: the words, inflection, word order and script of each, drawn from a seed.

Every language says the same things: it has two synonyms for each noun and each verb of the world, three noun cases,
two verb moods, and an order of subject, verb and object of its own. Proper names and numbers are no part of a language:
all languages write them alike, and so they are the one link between languages that no training has to make.
"""

from dataclasses import dataclass
from itertools import permutations, product
from typing import Literal

import numpy as np

Case = Literal["subject", "object", "oblique"]
Mood = Literal["statement", "question"]
CASES: tuple[Case, ...] = ("subject", "object", "oblique")
MOODS: tuple[Mood, ...] = ("statement", "question")
SYNONYMS = 2
PARTICLES = ("is", "and", "in", "which", "because", "reason")

# Consonants and vowels of real alphabets. A language takes the next one; after the last the first comes again, with
# other words. No alphabet here joins letters by combining marks, so that `\w+` finds whole words.
_SCRIPTS = (
    ("bdfgklmnprstvz", "aeiou"),  # Latin
    ("бвгджклмнпрстх", "аеиоу"),  # Cyrillic
    ("βγδθκλμνξπρστφ", "αειου"),  # Greek
    ("բգդզթլկհձմնպրտ", "աեիոօ"),  # Armenian
    ("ბგდვზკლმნპრსტშ", "აეიოუ"),  # Georgian
    ("בגדהזחטכלמנפרש", "אויע"),  # Hebrew
    ("بتجدرزسشفقكلمن", "اوي"),  # Arabic
)
_ORDERS = tuple("".join(order) for order in permutations("SVO"))
_STREAM = 1  # keeps these random numbers apart from the world's


def language_code(index: int) -> str:
    """The code of language number ``index``, from BCP 47's range for private use: ``qaa`` to ``qtz``."""
    return f"q{chr(ord('a') + index // 26)}{chr(ord('a') + index % 26)}"


@dataclass(frozen=True)
class Language:
    """One invented language.

    Attributes:
        code: its BCP 47 code.
        nouns: the synonyms of each concept, without ending.
        verbs: the synonyms of each relation, without ending.
        particles: the word for each of ``PARTICLES``.
        cases: the two endings of each case; a stem that ends in a front vowel takes the first.
        moods: the ending of each mood.
        front: the front vowels.
        order: a permutation of ``SVO``.
        particle_first: whether particles precede what they belong to.
    """

    code: str
    nouns: tuple[tuple[str, ...], ...]
    verbs: tuple[tuple[str, ...], ...]
    particles: dict[str, str]
    cases: dict[Case, tuple[str, str]]
    moods: dict[Mood, str]
    front: str
    order: str
    particle_first: bool

    def noun(self, concept: int, synonym: int, case: Case) -> str:
        """A noun with the ending of its case."""
        stem = self.nouns[concept][synonym]
        return stem + self.cases[case][0 if stem[-1] in self.front else 1]

    def verb(self, relation: int, synonym: int, mood: Mood) -> str:
        """A verb with the ending of its mood."""
        return self.verbs[relation][synonym] + self.moods[mood]

    def clause(self, subject: str, verb: str, object_: str) -> str:
        """Subject, verb and object in the order of the language; an empty one is left out."""
        part = {"S": subject, "V": verb, "O": object_}
        return " ".join(part[slot] for slot in self.order if part[slot])

    def mark(self, particle: str, text: str) -> str:
        """A text with a particle before or after it, as the language has it."""
        word = self.particles[particle]
        return f"{word} {text}" if self.particle_first else f"{text} {word}"

    def join(self, one: str, two: str) -> str:
        """Two texts with "and" between them."""
        return f"{one} {self.particles['and']} {two}"

    def forms(self) -> dict[tuple[str, int, str], tuple[str, ...]]:
        """Every word in every inflected form: (word class, number, ending) to the synonyms."""
        synonyms = range(SYNONYMS)
        found: dict[tuple[str, int, str], tuple[str, ...]] = {}
        for concept, case in product(range(len(self.nouns)), CASES):
            found["noun", concept, case] = tuple(self.noun(concept, synonym, case) for synonym in synonyms)
        for relation, mood in product(range(len(self.verbs)), MOODS):
            found["verb", relation, mood] = tuple(self.verb(relation, synonym, mood) for synonym in synonyms)
        for number, name in enumerate(PARTICLES):
            found["particle", number, ""] = (self.particles[name],)
        return found


def make_language(seed: int, index: int, concepts: int, relations: int) -> Language:
    """Draws a language.

    Args:
        seed: the world's seed.
        index: the language's number, which decides code and script.
        concepts: number of nouns.
        relations: number of verbs.
    """
    rng = np.random.default_rng([seed, _STREAM, index])
    consonants, vowels = _SCRIPTS[index % len(_SCRIPTS)]
    taken: set[str] = set()

    def syllable() -> str:
        return consonants[rng.integers(len(consonants))] + vowels[rng.integers(len(vowels))]

    def word(syllables: int) -> str:
        text = "".join(syllable() for _ in range(syllables))
        text += consonants[rng.integers(len(consonants))] if rng.random() < 0.3 else ""
        while text in taken:  # a longer word is free sooner or later, however large the vocabulary
            text += syllable()
        taken.add(text)
        return text

    def synonyms() -> tuple[str, ...]:
        return tuple(word(int(rng.integers(2, 4))) for _ in range(SYNONYMS))

    return Language(
        code=language_code(index),
        particles={name: word(1) for name in PARTICLES},
        verbs=tuple(synonyms() for _ in range(relations)),
        nouns=tuple(synonyms() for _ in range(concepts)),
        cases={"subject": ("", ""), "object": (syllable(), syllable()), "oblique": (syllable(), syllable())},
        moods={"statement": "", "question": syllable()},
        front=vowels[: len(vowels) // 2],
        order=_ORDERS[rng.integers(len(_ORDERS))],
        particle_first=bool(rng.random() < 0.5),
    )
