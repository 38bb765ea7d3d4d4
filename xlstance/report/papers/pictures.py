"""Pictures for papers as SVG, PNG and PDF, in the page's colours; equal results give equal bytes."""

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from xlstance.evaluation.certainty import interval_of
from xlstance.evaluation.results import MAPS, benchmark_names
from xlstance.report.arms import arm_looks
from xlstance.report.charts.heat import Pairs
from xlstance.report.figures import known, language_maps, pair_maps, values_of
from xlstance.report.heat_maps import compared_arms, difference_of, heat_scale, languages_of
from xlstance.report.mixing import alpha_panels, sweep_panels
from xlstance.report.palette import HEAT, LOSS_AND_GAIN
from xlstance.report.papers.drawing import draw_bars, draw_curves, draw_map, grid
from xlstance.report.training import training_panels

# Neither dates nor versions: a picture changes when its figures do.
_METADATA: Mapping[str, dict[str, None]] = {
    "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
}
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so it is the same everywhere
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "legend.frameon": False,
    "hatch.linewidth": 0.6,
    "svg.hashsalt": "xlstance",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,  # TrueType, which publishers ask for
    "savefig.dpi": 200,
    "text.parse_math": False,  # a name with two dollar signs is a name
}


def render_pictures(
    results: Mapping[str, Any], training_metrics: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, bytes]]:
    """Draws every picture that the results have figures for, in three formats.

    Args:
        results: the content of ``results.json``.
        training_metrics: as for ``render_report``.

    Yields:
        File names and bytes. Of each benchmark ``-settings`` (mAP with intervals), ``-languages``, ``-heat`` and
        ``-difference`` (query by passage language) and ``-alpha``; ``mixing`` of a sweep, and ``training``.
    """
    with mpl.rc_context():
        mpl.rcdefaults()  # whatever a user's own settings are
        mpl.rcParams.update(_STYLE)
        for name, figure in _pictures(results, training_metrics):
            for kind, metadata in _METADATA.items():
                file = io.BytesIO()
                figure.savefig(file, format=kind, metadata=metadata, bbox_inches="tight")
                yield f"{name}.{kind}", file.getvalue()


def _pictures(
    results: Mapping[str, Any], training_metrics: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, Figure]]:
    for benchmark in benchmark_names(results):
        if any(known(values_of(results, benchmark, column)) for column in MAPS):
            yield f"{benchmark}-settings", _settings(results, benchmark)
        if by_language := language_maps(results, benchmark, "multi"):
            yield f"{benchmark}-languages", _languages(results, by_language)
        maps = pair_maps(results, benchmark)
        if maps:
            yield f"{benchmark}-heat", _heat(maps)
        if len(maps) > 1:
            yield f"{benchmark}-difference", _difference(results, benchmark, maps)
        if panels := alpha_panels(results, benchmark):
            yield f"{benchmark}-alpha", draw_curves(panels, "alpha")
    if panels := sweep_panels((results.get("sweep") or {}).get("curves", ())):
        yield "mixing", draw_curves(panels, "alpha")
    if panels := training_panels(results, training_metrics):
        yield "training", draw_curves(panels, "step")


def _settings(results: Mapping[str, Any], benchmark: str) -> Figure:
    """The mAP of every arm in each setting, with its interval where there is one."""
    figure, (axes,) = grid(1, 5.5, 2.4)
    looks = arm_looks(results)
    draw_bars(
        axes,
        looks,
        {column.setting: values_of(results, benchmark, column) for column in MAPS},
        {column.setting: {arm: interval_of(results, benchmark, column, arm) for arm in looks} for column in MAPS},
    )
    axes.set_ylabel("mAP")
    axes.set_title(benchmark)
    return figure


def _languages(results: Mapping[str, Any], by_language: Mapping[str, Mapping[str, float | None]]) -> Figure:
    """The mAP of every arm in the pool of all languages, by query language."""
    looks = arm_looks(results)
    figure, (axes,) = grid(1, 2.5 + 0.1 * len(looks) * len(by_language), 2.4)
    draw_bars(axes, looks, by_language)
    axes.set_xlabel("query language")
    axes.set_ylabel("mAP, all languages")
    return figure


def _heat(maps: Mapping[str, Pairs]) -> Figure:
    """The map of every arm in one colour scale."""
    languages, scale = languages_of(maps), heat_scale(maps)
    figure, all_axes = grid(len(maps), *_size(languages))
    colours = LinearSegmentedColormap.from_list("heat", HEAT)
    for axes, (arm, pairs) in zip(all_axes, maps.items(), strict=True):
        draw_map(axes, languages, pairs, colours, scale, "{:.2f}")
        axes.set_title(arm)
    return figure


def _difference(results: Mapping[str, Any], benchmark: str, maps: Mapping[str, Pairs]) -> Figure:
    """The difference that the page shows first."""
    languages = languages_of(maps)
    one, other = compared_arms(results, benchmark, maps)
    values, maximum = difference_of(maps[one], maps[other])
    figure, (axes,) = grid(1, *_size(languages))
    colours = LinearSegmentedColormap.from_list("difference", LOSS_AND_GAIN)
    draw_map(axes, languages, values, colours, (-maximum, maximum), "{:+.0f}")
    axes.set_title(f"{one} minus {other}, mAP points")
    return figure


def _size(languages: tuple[Sequence[str], Sequence[str]]) -> tuple[float, float]:
    """Width and height of a map in inches; narrow ones need room for their title."""
    rows, columns = languages
    return max(2.4, 0.33 * len(columns) + 0.7), 0.33 * len(rows) + 0.9
