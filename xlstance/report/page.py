"""The report of an experiment: one file that opens offline, from ``results.json`` and the training metrics."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from xlstance.evaluation.results import benchmark_names, caution, is_synthetic, leakage_note, trained_on_leaks
from xlstance.report import palette
from xlstance.report.arms import arm_looks
from xlstance.report.benchmark import benchmark
from xlstance.report.charts.svg import swatch
from xlstance.report.conclusions import claim_counts, claims, compared, leakage
from xlstance.report.examples import examples
from xlstance.report.figures import notes_of
from xlstance.report.mixing import sweep
from xlstance.report.overview import overview
from xlstance.report.section import Section
from xlstance.report.sources import sources
from xlstance.report.training import training
from xlstance.report.verdict import summary, verdicts

_TEMPLATES = Path(__file__).parent / "templates"


def render_report(results: Mapping[str, Any], training_metrics: Sequence[Mapping[str, Any]]) -> str:
    """Renders the report.

    Args:
        results: the content of ``results.json``. Beside what every experiment writes, the page shows ``compared``
            (differences between runs), ``sweep`` (a search over mixing ratios), ``examples`` and ``provenance`` where
            they are there; ``docs/report.md`` gives their shapes.
        training_metrics: rows with ``arm``, ``seed``, ``step``, ``kind`` (of the batch), ``loss`` and, where it was
            measured, ``validation_loss``.

    Returns:
        One HTML page that refers to nothing outside itself, and may load nothing: equal results give equal bytes.
    """
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["swatch"] = swatch
    script = (_TEMPLATES / "script.js").read_text()
    return environment.get_template("page.html").render(
        arms=arm_looks(results),
        palette=palette,
        summary=summary(results),
        verdicts=verdicts(results),
        claims=claim_counts(results),
        synthetic=any(is_synthetic(notes_of(results, name)) for name in benchmark_names(results)),
        caution=caution(results),
        leakage_note=leakage_note(results),
        trained_on_leaks=trained_on_leaks(results),
        sections=_sections(results, training_metrics),
        script=Markup(script),  # noqa: S704 - the package's own file
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _sections(results: Mapping[str, Any], training_metrics: Sequence[Mapping[str, Any]]) -> list[Section]:
    sections = [
        overview(results),
        compared(results),
        sweep(results),
        *(benchmark(results, name, f"benchmark-{n}") for n, name in enumerate(benchmark_names(results), 1)),
        claims(results),
        examples(results),
        training(results, training_metrics),
        leakage(results),
        sources(results),
    ]
    return [section for section in sections if section]
