"""A text cut into pieces that a model can read at once, at the ends of sentences where there are any."""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

UNSPACED = frozenset({"ja", "km", "lo", "my", "th", "zh"})  # languages written without spaces between words

# Where a text may be cut, best first: after sentences, after clauses, between words, between characters.
_CUTS = [
    re.compile(pattern)
    for pattern in (
        r"(?<=[.!?…؟۔।॥။።])[\"'”’»)\]]*(?=\s)|(?<=[。！？])[」』”’）]*(?![」』”’）])|\n+",
        r"(?<=[,;:،؛])(?=\s)|(?<=[，、；：])",
        r"(?=\s)",
        r"(?=.)",
    )
]


def segments(text: str, limit: int, count_tokens: Callable[[Sequence[str]], list[int]]) -> list[str]:
    """Pieces of a text, each of as many whole sentences as fit.

    Args:
        text: the text.
        limit: tokens in a piece at most; a single character may have more.
        count_tokens: tokens of each of several texts.

    Returns:
        The pieces in order, without white space around them; a text that fits is one piece. A sentence that does not
        fit is cut after clauses, then between words, then between characters.
    """
    return _cut(text.strip(), limit, count_tokens, 0) if text.strip() else []


def _cut(text: str, limit: int, count_tokens: Callable[[Sequence[str]], list[int]], level: int) -> list[str]:
    if count_tokens([text])[0] <= limit or level == len(_CUTS):
        return [text]
    units = _units(text, _CUTS[level])
    made: list[str] = []
    packed, used = "", 0
    for unit, tokens in zip(units, count_tokens(units), strict=True):
        # A sum of tokens may be off by one or two at the seam; what is too long is found below and cut again.
        if packed and used + tokens > limit:
            made.append(packed)
            packed, used = "", 0
        packed, used = packed + unit, used + tokens
    made.append(packed)
    pieces = [piece.strip() for piece in made if piece.strip()]
    return [part for piece in pieces for part in _cut(piece, limit, count_tokens, level + 1)]


def _units(text: str, cuts: re.Pattern[str]) -> list[str]:
    ends = [match.end() for match in cuts.finditer(text)]
    bounds = [0, *(end for end in ends if 0 < end < len(text)), len(text)]
    return [text[start:end] for start, end in pairwise(bounds) if end > start]


def join(pieces: Sequence[str], lang: str) -> str:
    """Pieces of a text in one language, put together again."""
    return ("" if lang.partition("-")[0] in UNSPACED else " ").join(pieces)
