"""Curves over steps of training or over mixing ratios, with a band of uncertainty where there is one."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from xlstance.report.charts.svg import dashes, drawing
from xlstance.report.palette import Ink

Points = Sequence[tuple[float, float]]
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _MARKED = 400, 220, 48, 30, 12


@dataclass(frozen=True, kw_only=True)
class Line:
    """One curve.

    Attributes:
        label: for its tooltip.
        points: (x, y), from left to right.
        ink: how it is drawn.
        band: (x, low, high) of a band around it; empty for none.
    """

    label: str
    points: Points
    ink: Ink
    band: Sequence[tuple[float, float, float]] = ()

    @property
    def marked(self) -> bool:
        """Whether its points are few enough for a mark on each."""
        return len(self.points) <= _MARKED


def line_chart(title: str, lines: Sequence[Line], x_name: str = "step") -> Markup:
    """Curves, the vertical axis from the smallest to the largest value.

    Args:
        title: the accessible name.
        lines: the curves, each with at least one point; short ones get a dot at each point.
        x_name: what the horizontal axis is.
    """
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for y in (*(y for _, y in line.points), *(end for _, *ends in line.band for end in ends))]
    first, last, low, high = min(xs), max(xs), min(ys), max(ys)

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - first) / (last - first) if last > first else 0.5
        up = (y - low) / (high - low) if high > low else 0.5
        return _LEFT + across * (_WIDTH - _LEFT - 10), 10 + (1 - up) * (_HEIGHT - _BOTTOM - 20)

    def path(points: Points) -> str:
        return " ".join("{:.1f},{:.1f}".format(*place(x, y)) for x, y in points)

    parts = []
    for share in (0.0, 0.5, 1.0) if high > low else (0.5,):
        value = low + share * (high - low)
        y = place(first, value)[1]
        parts.append(
            Markup(
                '<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
                '<text class="axis" x="{label}" y="{text:.1f}" text-anchor="end">{value:.3g}</text>'
            ).format(left=_LEFT, right=_WIDTH - 8, y=y, label=_LEFT - 8, text=y + 4, value=value)
        )
    middle = (first + last) / 2
    for x, anchor, name in (
        ((first, "start", f"{x_name} "), (middle, "middle", ""), (last, "end", ""))
        if last > first
        else ((first, "middle", f"{x_name} "),)
    ):
        parts.append(
            Markup('<text class="axis" x="{:.1f}" y="{}" text-anchor="{}">{}{}</text>').format(
                place(x, low)[0], _HEIGHT - 6, anchor, name, f"{x:,.0f}" if x == int(x) else f"{x:g}"
            )
        )
    for line in lines:
        if line.band:
            ends = [(x, top) for x, _, top in line.band] + [(x, bottom) for x, bottom, _ in reversed(line.band)]
            parts.append(Markup('<polygon class="band {}" points="{}"/>').format(line.ink.name, path(ends)))
    for line in lines:
        parts.append(
            Markup('<polyline class="stroke-{}" points="{}"{}><title>{}</title></polyline>').format(
                line.ink.name, path(line.points), dashes(line.ink), line.label
            )
        )
        if line.marked:
            parts += [
                Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="3"><title>{}: {} {:g}, {:.4g}</title></circle>')
                .format(line.ink.name, *place(x, y), line.label, x_name, x, y)
                for x, y in line.points
            ]  # fmt: skip
    return drawing("lines", title, _WIDTH, _HEIGHT, parts)
