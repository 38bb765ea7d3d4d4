"""Progress bars: lively on a terminal, a line now and then in a job's log."""

import sys
from typing import Any

from tqdm import tqdm

_LOG_SECONDS = 10.0


def progress_bar(*arguments: Any, **options: Any) -> "tqdm[Any]":
    """A ``tqdm`` bar on standard error; where that is no terminal, it speaks every ten seconds at most."""
    options["mininterval"] = 0.1 if sys.stderr.isatty() else _LOG_SECONDS
    made: tqdm[Any] = tqdm(*arguments, **options)
    return made


def close_bars() -> None:
    """Ends every bar that stands, so that what is said next has a line of its own."""
    for bar in list(getattr(tqdm, "_instances", ())):
        bar.close()
