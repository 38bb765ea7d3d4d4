"""Test sets are for looking at once: which they are, and how many models were scored on each in an output root."""

import json
from collections.abc import Mapping
from typing import Any, Literal

import pyarrow.fs as pafs

from xlstance.storage import Folder

LOOKS = "looks"
Role = Literal["test", "development"]

# The splits that a format's benchmarks are chosen by; those of any other are test sets. None: whatever the split.
# Of the sets in TREC files MIRACL's dev split is what the field tests on.
_DEVELOPMENT: Mapping[str, frozenset[str] | None] = {
    "squad": None,
    "xl-stance": frozenset({"valid"}),
    "xstance": frozenset({"train", "valid"}),
    "trec": frozenset({"train"}),
    **dict.fromkeys(
        ("beir", "columns", "tevatron", "flagembedding", "huggingface"),
        frozenset({"train", "dev", "valid", "validation"}),
    ),
}


def role_of(source: Mapping[str, Any]) -> Role:
    """Whether a benchmark is a test set or one to choose by.

    Args:
        source: its settings, as in ``results.json``: ``format`` and ``split``.
    """
    splits = _DEVELOPMENT.get(source["format"], frozenset())
    return "development" if splits is None or source["split"] in splits else "test"


def note_look(root: Folder, benchmark: str, benchmark_stamp: str, model: str, model_stamp: str) -> None:
    """Notes that a model was scored on a benchmark.

    Each look is a file of its own, named by the benchmark and both fingerprints: scoring the same again adds none, and
    runs that go on side by side lose none. What stands in it is for people.

    Args:
        root: the output root, or a folder that several share.
        benchmark: its name.
        benchmark_stamp: fingerprint of its tables.
        model: the run's name.
        model_stamp: fingerprint of its vectors for the benchmark.
    """
    folder, name = root / LOOKS, f"{benchmark}.{benchmark_stamp}-{model_stamp}.json"
    if not folder.exists(name):
        folder.write(name, json.dumps({"benchmark": benchmark, "model": model}).encode())


def count_looks(root: Folder, roles: Mapping[str, Role], *more: Folder) -> dict[str, dict[str, Any]]:
    """How many models were ever scored on each benchmark.

    Args:
        root: where ``note_look`` noted them.
        roles: whether a benchmark is a test set.
        more: further roots; what was noted in several counts once.

    Returns:
        By benchmark its ``role`` and the number of ``models``.
    """
    found = set[str]()
    for folder in (one / LOOKS for one in (root, *more)):
        files = folder.filesystem.get_file_info(pafs.FileSelector(folder.path, allow_not_found=True))
        found.update(info.base_name for info in files)
    names = [name.removesuffix(".json").rpartition(".")[0] for name in found]
    return {benchmark: {"role": role, "models": names.count(benchmark)} for benchmark, role in roles.items()}
