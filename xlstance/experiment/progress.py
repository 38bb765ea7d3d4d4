"""Training's progress for people: bars that follow the metrics which the first worker writes."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

from xlstance.progress import progress_bar
from xlstance.training.run import TrainingRun
from xlstance.training.tracking import METRICS

_SECONDS = 0.5
SLOW_POLL_SECONDS = 5
"""Between two looks at a file in a bucket, which changes a few times a minute."""
_SHOWN = {  # by the name in the metrics; the rate of all that training does is the bar's own
    "kind": "{}",
    "loss": "loss {:.3g}",
    "step_pairs_per_second": "{:,.0f} pairs/s in steps",
    "pairs_per_second": "{:,.0f} in all",
    "validation_loss": "validation loss {:.3g}",
    "validation_multi_map": "multi mAP {:.3f}",
}


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


def describe(metrics: Mapping[str, Any]) -> str:
    """What the newest metrics say, in a few words: kind of batch, loss, pairs per second, last validation."""
    return ", ".join(form.format(metrics[name]) for name, form in _SHOWN.items() if metrics.get(name) is not None)


class NewestMetrics:
    """The newest value of every figure of a run; only what was added to its file since is read.

    Args:
        run: what is trained, here or on another machine.
    """

    def __init__(self, run: TrainingRun) -> None:
        self._place, self._read, self._found = run.place, 0, dict[str, Any]()

    def get(self) -> dict[str, Any]:
        """The figures by name; none before the first line."""
        size = self._place.size(METRICS)
        if size < self._read:  # a worker died: the lines of steps that are done again are gone
            self._read, self._found = 0, {}
        if size > self._read:
            for line in self._place.read(METRICS, self._read).splitlines(keepends=True):
                if line.endswith(b"\n"):
                    self._read += len(line)
                    self._found |= json.loads(line)
        return self._found


def _show(runs: Sequence[TrainingRun], over: threading.Event) -> None:
    newest = [NewestMetrics(run) for run in runs]
    seconds = SLOW_POLL_SECONDS if any(run.place.is_copy for run in runs) else _SECONDS
    with progress_bar(total=len(runs), desc="starting the workers", bar_format="{desc} [{elapsed}]") as waiting:
        while not over.wait(seconds) and not any(metrics.get() for metrics in newest):
            waiting.update(0)  # redraws when it is time
    for run, metrics in zip(runs, newest, strict=True):
        # What an earlier start of the run did took none of this one's time: the remaining time follows from the rest.
        done = int(metrics.get().get("step", 0))
        with progress_bar(total=run.settings.steps, initial=done, desc=f"training {run.name}", unit="step") as bar:
            finished = False
            while not finished:
                finished = over.wait(seconds) or run.trained
                _draw(bar, metrics.get())
        if over.is_set() and not run.trained:
            return


def _draw(bar: "tqdm[Any]", metrics: Mapping[str, Any]) -> None:
    step = int(metrics.get("step", 0))
    if step < bar.n:  # some are done again
        bar.n = step
    bar.set_postfix_str(describe(metrics), refresh=False)
    bar.update(step - bar.n)
