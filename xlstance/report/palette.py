"""The colours of arms and maps, the same on the page and in pictures for papers.

Six hues of Okabe and Ito (Color Universal Design, 2008) can be told apart with every common colour vision. The seventh
arm has the first hue again with another pattern: stripes on bars, dashes on lines. Baselines are grey, by pattern too.
"""

from dataclasses import dataclass

HUES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
HUES_ON_DARK = ("#3f9ad6", "#ee7a2b", "#22b98f", "#dc95bb", "#efb234", "#86cdf5")
GREY = "#868c93"
GREY_ON_DARK = "#8f969e"
HEAT = ("#f1f5f9", "#0d3b66")
HEAT_ON_DARK = ("#22272d", "#8fd0ff")
LOSS_AND_GAIN = ("#b34700", "#f6f5f2", "#005b96")
LOSS_AND_GAIN_ON_DARK = ("#ff9d5c", "#26292e", "#6cc1ff")
PATTERNS = 4
"""Solid, and three that are broken in different ways."""


@dataclass(frozen=True, kw_only=True)
class Ink:
    """How an arm is drawn.

    Attributes:
        hue: number of its hue; None for the grey of baselines.
        pattern: number of its pattern; 0 is solid.
    """

    hue: int | None
    pattern: int = 0

    @property
    def name(self) -> str:
        """The ending of its classes in the style sheet."""
        return "grey" if self.hue is None else f"hue{self.hue}"

    @property
    def colour(self) -> str:
        """On white, as in pictures."""
        return GREY if self.hue is None else HUES[self.hue]


def ink(number: int, *, baseline: bool = False) -> Ink:
    """The ink of the arm of this number, counted among the trained arms or among the baselines."""
    if baseline:
        return Ink(hue=None, pattern=number % PATTERNS)
    return Ink(hue=number % len(HUES), pattern=number // len(HUES) % PATTERNS)
