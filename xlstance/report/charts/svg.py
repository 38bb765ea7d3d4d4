"""What all charts are made of."""

from collections.abc import Iterable

from markupsafe import Markup

from xlstance.report.palette import Ink

_STRIPES = {1: (4, 4), 2: (2, 5), 3: (5, 2)}  # page's colour, own colour
_DASHES = {0: "", 1: "6 3", 2: "2 3", 3: "9 3 2 3"}


def drawing(kind: str, title: str, width: float, height: float, parts: Iterable[Markup]) -> Markup:
    """A chart: its class, its accessible name, its size and what stands in it."""
    return Markup('<svg class="{}" role="img" aria-label="{}" viewBox="0 0 {:g} {:g}" width="{:g}">{}</svg>').format(
        kind, title, width, height, width, Markup("").join(parts)
    )


def block(ink: Ink, x: float, y: float, width: float, height: float) -> Markup:
    """A filled bar; the page's colour runs over it in stripes where the ink has a pattern."""
    made = Markup('<rect class="{}" x="{:g}" y="{:g}" width="{:.1f}" height="{:g}" rx="2"/>').format(
        ink.name, x, y, width, height
    )
    if ink.pattern and width > 0:
        gap, bar = _STRIPES[ink.pattern]
        made += Markup(
            '<line class="stripes" x1="{:g}" x2="{:.1f}" y1="{:g}" y2="{:g}" stroke-width="{:g}" '
            'stroke-dasharray="{}" stroke-dashoffset="{}"/>'
        ).format(x, x + width, y + height / 2, y + height / 2, height, f"{gap} {bar}", gap)
    return made


def dashes(ink: Ink) -> Markup:
    """The attribute of a line drawn with the ink; empty for a solid one."""
    pattern = _DASHES[ink.pattern]
    return Markup(' stroke-dasharray="{}"').format(pattern) if pattern else Markup("")


def swatch(ink: Ink) -> Markup:
    """The small square of a legend."""
    return Markup('<svg class="swatch" aria-hidden="true" viewBox="0 0 12 12" width="12">{}</svg>').format(
        block(ink, 0, 0, 12, 12)
    )
