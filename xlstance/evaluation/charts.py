"""The report's charts as inline SVG; colours come from the page's style sheet, so they follow light and dark.

A user unit is a pixel at full size. Every chart has an accessible name, and every mark a tooltip with its value.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

HUES = 6
_WIDTH = 340
_ROW = 40


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar: its label, its value (None where there is none), the value as text, and the number of its hue."""

    label: str
    value: float | None
    text: str
    hue: int


@dataclass(frozen=True, kw_only=True)
class Line:
    """One curve: its label, its points (x, y) and the number of its hue; numbers above the hues are dashed."""

    label: str
    points: Sequence[tuple[float, float]]
    hue: int


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
                '<rect class="track" x="0" y="{bar}" width="{right}" height="8" rx="2"/>'
                '<rect class="hue{hue}" x="0" y="{bar}" width="{width:.1f}" height="8" rx="2"/></g>'
            ).format(
                label=bar.label,
                text=bar.text,
                y=top + 13,
                right=_WIDTH,
                bar=top + 19,
                hue=bar.hue % HUES,
                width=_WIDTH * min(1.0, max(0.0, (bar.value or 0.0) / maximum)),
            )
        )
    if reference:
        label, value = reference
        x = _WIDTH * min(1.0, value / maximum)
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
    return _svg("bars", title, _WIDTH, height, parts)


def heat_map(
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    values: Mapping[tuple[str, str], float],
    scale: tuple[float, float],
) -> Markup:
    """A table of coloured cells with their values printed.

    Args:
        title: the accessible name.
        rows: query languages.
        columns: passage languages.
        values: a figure by (row, column); missing ones stay blank.
        scale: the values of no colour and of the full colour.
    """
    cell, left, top = 36, 44, 22
    parts = [
        Markup('<text class="axis" x="{}" y="15" text-anchor="middle">{}</text>').format(
            left + cell * column + cell / 2, name
        )
        for column, name in enumerate(columns)
    ]
    for row, source in enumerate(rows):
        y = top + cell * row
        parts.append(
            Markup('<text class="axis" x="{}" y="{}" text-anchor="end">{}</text>').format(left - 8, y + 22, source)
        )
        for column, target in enumerate(columns):
            value = values.get((source, target))
            if value is None:
                continue
            share = (value - scale[0]) / (scale[1] - scale[0])
            parts.append(
                Markup(
                    '<g class="cell {tone}" style="--share:{share:.1f}%">'
                    "<title>{source} → {target}: {value:.4f}</title>"
                    '<rect x="{x}" y="{y}" width="{size}" height="{size}" rx="2"/>'
                    '<text x="{text_x}" y="{text_y}" text-anchor="middle">{short}</text></g>'
                ).format(
                    tone="strong" if share > 0.5 else "weak",
                    share=100 * share,
                    source=source,
                    target=target,
                    value=value,
                    x=left + cell * column + 1,
                    y=y + 1,
                    size=cell - 2,
                    text_x=left + cell * column + cell / 2,
                    text_y=y + 22,
                    short=_short(value),
                )
            )
    return _svg("heat", title, left + cell * len(columns), top + cell * len(rows), parts)


def line_chart(title: str, lines: Sequence[Line]) -> Markup:
    """Curves over training steps, the vertical axis from the smallest to the largest value.

    Args:
        title: the accessible name.
        lines: the curves, each with at least one point.
    """
    width, height, left, bottom = 460, 220, 44, 24
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    low, high = min(ys), max(ys)
    first, last = min(xs), max(xs)

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - first) / (last - first) if last > first else 0.5
        up = (y - low) / (high - low) if high > low else 0.5
        return left + across * (width - left - 8), 10 + (1 - up) * (height - bottom - 20)

    parts = []
    for share in (0.0, 0.5, 1.0):
        value = low + share * (high - low)
        y = place(first, value)[1]
        parts.append(
            Markup(
                '<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
                '<text class="axis" x="{label}" y="{text:.1f}" text-anchor="end">{value:.3g}</text>'
            ).format(left=left, right=width - 8, y=y, label=left - 8, text=y + 4, value=value)
        )
    for x, anchor in ((first, "start"), (last, "end")):
        parts.append(
            Markup('<text class="axis" x="{:.1f}" y="{}" text-anchor="{}">{} {:,.0f}</text>').format(
                place(x, low)[0], height - 4, anchor, "step", x
            )
        )
    for line in lines:
        path = " ".join("{:.1f},{:.1f}".format(*place(x, y)) for x, y in line.points)
        parts.append(
            Markup('<polyline class="stroke{}{}" points="{}"><title>{}</title></polyline>').format(
                line.hue % HUES, " dashed" if line.hue >= HUES else "", path, line.label
            )
        )
    return _svg("lines", title, width, height, parts)


def _short(value: float) -> str:
    """Two digits without the leading zero, as papers print them."""
    text = f"{value:.2f}"
    return text[1:] if text.startswith("0") else text


def _svg(kind: str, title: str, width: float, height: float, parts: Sequence[Markup]) -> Markup:
    return Markup('<svg class="{}" role="img" aria-label="{}" viewBox="0 0 {:g} {:g}" width="{:g}">{}</svg>').format(
        kind, title, width, height, width, Markup("").join(parts)
    )
