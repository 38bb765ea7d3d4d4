"""What an experiment writes of its results beside ``results.json``: the page, tables and pictures."""

from collections.abc import Mapping, Sequence
from typing import Any

from xlstance.evaluation.results import benchmark_names
from xlstance.report.page import render_report
from xlstance.report.papers.tables import latex_table, markdown_table
from xlstance.storage import Folder

REPORT = "report.html"
TABLES = "tables"
PICTURES = "pictures"


def write_report(folder: Folder, results: Mapping[str, Any], training_metrics: Sequence[Mapping[str, Any]]) -> None:
    """Writes ``report.html``, ``tables/BENCHMARK.md`` and ``.tex``, and pictures below ``pictures``.

    Args:
        folder: where to.
        results: the content of ``results.json``.
        training_metrics: as for ``render_report``.

    Raises:
        StorageError: if that is not possible.
    """
    # Matplotlib takes a second to import: only what draws waits for it.
    from xlstance.report.papers.pictures import render_pictures

    folder.write(REPORT, render_report(results, training_metrics).encode())
    for benchmark in benchmark_names(results):
        (folder / TABLES).write(f"{benchmark}.md", markdown_table(results, benchmark).encode())
        (folder / TABLES).write(f"{benchmark}.tex", latex_table(results, benchmark).encode())
    for name, content in render_pictures(results, training_metrics):
        (folder / PICTURES).write(name, content)
