"""Bars: one figure of every arm, or one figure of every arm for each language."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from xlstance.report.charts.svg import block, drawing
from xlstance.report.palette import Ink

_WIDTH = 340
_ROW = 40
_THIN = 13


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar: its label, its value (None where there is none), the value as text, and its ink."""

    label: str
    value: float | None
    text: str
    ink: Ink


def bar_chart(title: str, bars: Sequence[Bar], maximum: float, reference: tuple[str, float] | None = None) -> Markup:
    """Horizontal bars, each under its label and value.

    Args:
        title: the accessible name.
        bars: the bars from top to bottom.
        maximum: the value that fills the width.
        reference: label and value of a mark on every bar.
    """
    height = _ROW * len(bars) + (12 if reference else -8)
    parts = []
    for row, bar in enumerate(bars):
        top = row * _ROW
        parts.append(
            Markup(
                '<g><title>{label}: {text}</title><text x="0" y="{y}">{label}</text>'
                '<text class="value" x="{right}" y="{y}">{text}</text>'
                '<rect class="track" x="0" y="{bar}" width="{right}" height="8" rx="2"/>{block}</g>'
            ).format(
                label=bar.label,
                text=bar.text,
                y=top + 13,
                right=_WIDTH,
                bar=top + 19,
                block=block(bar.ink, 0, top + 19, _share(bar.value, maximum) * _WIDTH, 8),
            )
        )
    if reference:
        label, value = reference
        x = _WIDTH * _share(value, maximum)
        parts += [
            Markup('<line class="reference" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>').format(
                x=x, top=_ROW * row + 17, bottom=_ROW * row + 29
            )
            for row in range(len(bars))
        ]
        parts.append(
            Markup('<text class="note" x="{:.1f}" y="{}" text-anchor="{}">{}</text>').format(
                x, height - 2, "end" if x > _WIDTH / 2 else "start", label
            )
        )
    return drawing("bars", title, _WIDTH, height, parts)


def grouped_bars(title: str, groups: Mapping[str, Sequence[Bar]], maximum: float) -> Markup:
    """Thin horizontal bars in groups, each group beside its label.

    Args:
        title: the accessible name.
        groups: the bars by the label of their group, from top to bottom.
        maximum: the value that fills the width.
    """
    left, right, gap = 44, 38, 10
    room = _WIDTH - left - right
    parts, top = [], 0.0
    for label, bars in groups.items():
        middle = top + _THIN * len(bars) / 2 + 4
        parts.append(
            Markup('<text class="axis" x="{}" y="{:g}" text-anchor="end">{}</text>').format(left - 8, middle, label)
        )
        for bar in bars:
            width = _share(bar.value, maximum) * room
            parts.append(
                Markup(
                    '<g><title>{group}, {label}: {text}</title>{block}<text class="small" x="{x:.1f}" y="{y:g}">{text}'
                    "</text></g>"
                ).format(
                    group=label,
                    label=bar.label,
                    text=bar.text,
                    block=block(bar.ink, left, top + 2, width, 9),
                    x=left + width + 5,
                    y=top + 10,
                )
            )
            top += _THIN
        top += gap
    return drawing("bars", title, _WIDTH, max(top - gap, 0), parts)


def _share(value: float | None, maximum: float) -> float:
    return min(1.0, max(0.0, (value or 0.0) / maximum))
