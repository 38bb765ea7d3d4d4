"""Axes with bars, maps and curves: what the pictures for papers are made of."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from xlstance.report.arms import ArmLook
from xlstance.report.charts.heat import Pairs
from xlstance.report.charts.lines import Line

_HATCHES = ("", "////", "....", "xxxx")
_DASHES = ("-", "--", ":", "-.")
_DARK = 0.55  # luma below which a cell's text is white
Interval = tuple[float, float] | None


def grid(count: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of so many panels, each of this size in inches."""
    columns = 2 if count == 4 else min(count, 3)
    rows = -(-count // columns)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    return figure, [figure.add_subplot(rows, columns, number + 1) for number in range(count)]


def draw_bars(
    axes: Axes,
    looks: Mapping[str, ArmLook],
    groups: Mapping[str, Mapping[str, float | None]],
    intervals: Mapping[str, Mapping[str, Interval]] | None = None,
) -> None:
    """Bars of every arm in groups, with a legend beside the axes.

    Args:
        axes: where to.
        looks: the arms.
        groups: a value of each arm, None where there is none, by the group's label.
        intervals: the ends of the values' intervals, in the same way.
    """
    width = 0.8 / len(looks)
    for number, (arm, look) in enumerate(looks.items()):
        places, values, errors = [], [], []
        for place, (label, row) in enumerate(groups.items()):
            value = row.get(arm)
            if value is not None:
                low, high = ((intervals or {}).get(label, {}).get(arm)) or (value, value)
                places.append(place - 0.4 + width * (number + 0.5))
                values.append(value)
                errors.append((max(0.0, value - low), max(0.0, high - value)))
        axes.bar(
            places,
            values,
            0.9 * width,
            color=look.ink.colour,
            hatch=_HATCHES[look.ink.pattern],
            edgecolor="white",
            linewidth=0,
            label=arm,
            yerr=np.array(errors).reshape(-1, 2).T if intervals else None,
            error_kw={"elinewidth": 0.8, "ecolor": "#1c1f23"},
        )
    axes.set_xticks(range(len(groups)), list(groups))
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))


def draw_map(
    axes: Axes,
    languages: tuple[Sequence[str], Sequence[str]],
    pairs: Pairs,
    colours: Colormap,
    scale: tuple[float, float],
    text: str,
) -> None:
    """Cells with their values, query languages by passage languages; those without a value stay white.

    Args:
        axes: where to.
        languages: of the queries, and of the passages.
        pairs: a value by (query language, passage language).
        colours: from the smallest value to the largest.
        scale: these values.
        text: the format of a value.
    """
    rows, columns = languages
    values = np.array([[pairs.get((row, column), np.nan) for column in columns] for row in rows])
    axes.imshow(values, cmap=colours, vmin=scale[0], vmax=scale[1])
    for (row, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            red, green, blue, _ = colours((value - scale[0]) / (scale[1] - scale[0]))
            colour = "white" if 0.299 * red + 0.587 * green + 0.114 * blue < _DARK else "black"
            axes.text(column, row, text.format(value), ha="center", va="center", fontsize=6, color=colour)
    axes.set_xticks(range(len(columns)), list(columns), fontsize=7)
    axes.set_yticks(range(len(rows)), list(rows), fontsize=7)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("passages")
    axes.set_ylabel("queries")


def draw_curves(panels: Sequence[tuple[str, Sequence[Line]]], x_name: str) -> Figure:
    """A figure with a panel for each title, and one legend of all lines."""
    figure, all_axes = grid(len(panels), 2.6, 2.1)
    named = set[str]()
    for axes, (title, lines) in zip(all_axes, panels, strict=True):
        for line in lines:
            colour = line.ink.colour
            xs, ys = zip(*line.points, strict=True)
            (drawn,) = axes.plot(xs, ys, color=colour, linestyle=_DASHES[line.ink.pattern], linewidth=1.2)
            if line.marked:
                drawn.set(marker="o", markersize=3)
            if line.band:
                places, low, high = zip(*line.band, strict=True)
                axes.fill_between(places, low, high, color=colour, alpha=0.16, linewidth=0)
            if line.label not in named:
                named.add(line.label)
                drawn.set_label(line.label)
        axes.set_title(title)
        axes.set_xlabel(x_name)
    if len(named) > 1:
        figure.legend(loc="outside right upper")
    return figure
