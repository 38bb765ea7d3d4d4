"""How large the miniature world is, and what its questions are about."""

from dataclasses import dataclass

from xlstance.corpora.miniature.language import language_code
from xlstance.errors import SettingsError

CONCEPTS_PER_TOPIC = 30
MAX_LANGUAGES = 520  # qaa to qtz


@dataclass(frozen=True, kw_only=True)
class MiniatureSettings:
    """A synthetic world, decided by these numbers alone.

    Attributes:
        languages: number of invented languages, 2 to 520. Their codes are qaa, qab, ... (BCP 47, private use).
        concepts: number of nouns in each language, a multiple of 30 (the size of a topic); more of them are harder to
            learn.
        names: number of proper names, which all languages share.
        facts: facts that a passage tells, 2 to 16.
        train_passages: passages of the training split, in every language.
        dev_passages: passages of the development split, in every language.
        test_passages: passages of the benchmark, in every language.
        questions_per_passage: questions about each passage, in every language.
        name_share: share of questions that give one half of the thing's name, which links the languages.
        year_share: share of questions that give a year, which links them too. The others give words alone.
        issues: issues of the stance benchmark, at most as many as concepts.
        arguments: arguments on each side of an issue, in every language.
        seed: decides words, grammar, things and questions.
    """

    languages: int = 5
    concepts: int = 600
    names: int = 200
    facts: int = 4
    train_passages: int = 4000
    dev_passages: int = 100
    test_passages: int = 300
    questions_per_passage: int = 2
    name_share: float = 0.3
    year_share: float = 0.3
    issues: int = 40
    arguments: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuses a world that cannot be told.

        Raises:
            SettingsError: naming the setting, its value and what is allowed.
        """
        ranges = {
            "languages": (2, MAX_LANGUAGES),
            "concepts": (CONCEPTS_PER_TOPIC, 1_000_000),
            "names": (2, 20_000),
            "facts": (2, 16),
            "train_passages": (1, 2**62),
            "dev_passages": (1, 2**62),
            "test_passages": (1, 2**62),
            "questions_per_passage": (1, 1000),
            "issues": (1, self.concepts),
            "arguments": (1, 1_000_000),
            "seed": (0, 2**32 - 1),
        }
        for name, (least, most) in ranges.items():
            value = getattr(self, name)
            if not least <= value <= most:
                raise SettingsError(f"miniature.{name} is {value}; give a whole number from {least} to {most}")
        if self.concepts % CONCEPTS_PER_TOPIC:
            raise SettingsError(f"miniature.concepts is {self.concepts}; give a multiple of {CONCEPTS_PER_TOPIC}")
        for name in ("name_share", "year_share"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise SettingsError(f"miniature.{name} is {value}; give a share from 0 to 1")
        if self.name_share + self.year_share > 1:
            total = self.name_share + self.year_share
            raise SettingsError(f"miniature.name_share and year_share add up to {total:g}; give at most 1 together")

    @property
    def codes(self) -> list[str]:
        """The codes of the languages, in their order."""
        return [language_code(index) for index in range(self.languages)]
