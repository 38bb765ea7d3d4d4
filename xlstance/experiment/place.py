"""The output folder of a job: which settings it belongs to, and how long its stages took."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from xlstance.errors import StorageError
from xlstance.evaluation.results import SETTINGS
from xlstance.storage import Folder

_EVENTS = "events.jsonl"


def open_root(root: Folder, deciding: Mapping[str, Any], what: str) -> Folder:
    """Makes the output folder.

    Args:
        root: the folder.
        deciding: the settings that decide what is published, as plain JSON.
        what: the job, for the message: ``an experiment``.

    Raises:
        StorageError: if the folder holds a job of other settings.
    """
    if root.exists(SETTINGS):
        found = json.loads(root.read(SETTINGS))
        changed = sorted(name for name in deciding if found.get(name) != deciding[name])
        if changed:
            raise StorageError(
                f"{root} holds {what} of other settings ({', '.join(changed)}); choose another --output, "
                "or remove that folder"
            )
    root.make()
    return root


def claim_root(root: Folder, deciding: Mapping[str, Any]) -> None:
    """Notes the settings, once the corpora are read: till then a mistake in them can be mended in place."""
    if not root.exists(SETTINGS):
        root.write(SETTINGS, json.dumps(deciding, indent=1).encode())


@contextmanager
def stage(root: Folder, name: str) -> Iterator[None]:
    """Notes a stage's duration in ``events.jsonl``."""
    started, began, state = time.time(), time.monotonic(), "failed"
    try:
        yield
        state = "done"
    finally:
        seconds = round(time.monotonic() - began, 3)
        event = {"stage": name, "state": state, "started": round(started, 3), "seconds": seconds}
        before = root.read(_EVENTS) if root.exists(_EVENTS) else b""  # in a bucket nothing can be added to a file
        root.write(_EVENTS, before + json.dumps(event).encode() + b"\n")
