"""Training's progress for people: bars that follow the metrics which the first worker writes."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from xlstance.progress import progress_bar
from xlstance.training.loop import METRICS, TrainingRun

_SECONDS = 0.5


@contextmanager
def follow(runs: Sequence[TrainingRun]) -> Iterator[None]:
    """Shows a bar per run while the block trains them."""
    over = threading.Event()
    left = [run for run in runs if not run.trained and run.settings.steps]
    thread = threading.Thread(target=_show, args=(left, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _show(runs: Sequence[TrainingRun], over: threading.Event) -> None:
    with progress_bar(total=len(runs), desc="starting the workers", bar_format="{desc} [{elapsed}]") as waiting:
        while not over.wait(_SECONDS) and not any(_last_row(run) for run in runs):
            waiting.update(0)  # redraws when it is time
    for run in runs:
        with progress_bar(total=run.settings.steps, desc=f"training {run.name}", unit="step") as bar:
            finished = False
            while not finished:
                finished = over.wait(_SECONDS) or run.trained
                row = _last_row(run)
                if row:
                    bar.update(int(row["step"]) - bar.n)
                    shown = {name: row[name] for name in ("kind", "loss", "pairs_per_second") if name in row}
                    bar.set_postfix({name: f"{v:.3g}" if isinstance(v, float) else v for name, v in shown.items()})
        if over.is_set() and not run.trained:
            return


def _last_row(run: TrainingRun) -> dict[str, str | float | int]:
    path = Path(run.output) / METRICS
    if not path.exists():
        return {}
    lines = [line for line in path.read_text().splitlines() if line.endswith("}")]
    row: dict[str, str | float | int] = json.loads(lines[-1]) if lines else {}
    return row
