"""Heat maps: query language by passage language, of one arm or as the difference between two."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import TypeVar

from markupsafe import Markup

from xlstance.report.charts.svg import drawing

Pairs = Mapping[tuple[str, str], float]
Value = TypeVar("Value", float, float | None)
_CELL, _LEFT, _TOP = 36, 44, 22


@dataclass(frozen=True, kw_only=True)
class _Shade:
    """How a cell looks: classes, share of the colour in per cent, the value printed in it and in its tooltip."""

    classes: str
    share: float
    short: str
    full: str


def heat_map(
    title: str, rows: Sequence[str], columns: Sequence[str], values: Pairs, scale: tuple[float, float]
) -> Markup:
    """A table of coloured cells with their values printed.

    Args:
        title: the accessible name.
        rows: query languages.
        columns: passage languages.
        values: a figure by (row, column); missing ones stay blank.
        scale: the values of no colour and of the full colour.
    """

    def shade(value: float) -> _Shade:
        share = (value - scale[0]) / (scale[1] - scale[0])
        tone = "strong" if share > 0.5 else "weak"
        return _Shade(classes=f"cell {tone}", share=100 * share, short=_short(value), full=f"{value:.4f}")

    return _cells("heat", title, rows, columns, values, shade)


def difference_map(
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    values: Mapping[tuple[str, str], float | None],
    maximum: float,
) -> Markup:
    """The same for differences, in points: one colour above 0, another below, none at 0.

    The page's script fills the cells anew for two other arms; ``script.js`` follows the rules that stand here.

    Args:
        title: the accessible name.
        rows: query languages.
        columns: passage languages.
        values: a difference in points by (row, column); None for a cell that only other arms have a value for.
        maximum: the difference of the full colour, on either side.
    """

    def shade(value: float | None) -> _Shade:
        if value is None:
            return _Shade(classes="cell blank", share=0, short="", full="no value")
        share = min(1.0, abs(value) / maximum)
        classes = f"cell {'gain' if value >= 0 else 'loss'} {'strong' if share > 0.5 else 'weak'}"
        return _Shade(classes=classes, share=100 * share, short=signed(value, 0), full=signed(value, 2))

    return _cells("heat difference", title, rows, columns, values, shade)


def signed(value: float, digits: int) -> str:
    """The value with its sign and so many digits, rounded like JavaScript's ``toFixed``; what rounds to 0 has none."""
    rounded = Decimal(abs(value)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return f"{rounded}" if not rounded else f"{'+' if value > 0 else '−'}{rounded}"


def _cells(
    kind: str,
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    values: Mapping[tuple[str, str], Value],
    shade: Callable[[Value], _Shade],
) -> Markup:
    parts = [
        Markup('<text class="axis" x="{:g}" y="15" text-anchor="middle">{}</text>').format(
            _LEFT + _CELL * column + _CELL / 2, name
        )
        for column, name in enumerate(columns)
    ]
    for row, source in enumerate(rows):
        y = _TOP + _CELL * row
        parts.append(
            Markup('<text class="axis" x="{}" y="{}" text-anchor="end">{}</text>').format(_LEFT - 8, y + 22, source)
        )
        for column, target in enumerate(columns):
            if (source, target) not in values:
                continue
            look = shade(values[source, target])
            parts.append(
                Markup(
                    '<g class="{classes}" style="--share:{share:.1f}%" data-pair="{source}->{target}">'
                    "<title>{source} → {target}: {full}</title>"
                    '<rect x="{x}" y="{y}" width="{size}" height="{size}" rx="2"/>'
                    '<text x="{text_x:g}" y="{text_y}" text-anchor="middle">{short}</text></g>'
                ).format(
                    classes=look.classes,
                    share=look.share,
                    source=source,
                    target=target,
                    full=look.full,
                    x=_LEFT + _CELL * column + 1,
                    y=y + 1,
                    size=_CELL - 2,
                    text_x=_LEFT + _CELL * column + _CELL / 2,
                    text_y=y + 22,
                    short=look.short,
                )
            )
    return drawing(kind, title, _LEFT + _CELL * len(columns), _TOP + _CELL * len(rows), parts)


def _short(value: float) -> str:
    """Two digits without the leading zero, as papers print them."""
    text = f"{value:.2f}"
    return text[1:] if text.startswith("0") else text
