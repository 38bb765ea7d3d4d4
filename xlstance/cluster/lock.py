"""Whether a cluster's nodes were installed from the lock file that lies here."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from xlstance.errors import UserError

LABEL = "xlstance-lock"  # of a node: the first digits of the SHA-256 of the lock file that it was installed from
LOCKS = ("cpu.txt", "gpu.txt")
_DIGITS = 16


def lock_hash(path: Path) -> str:
    """What a node installed from a lock file carries as its label."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:_DIGITS]


def check_locks(nodes: Iterable[Mapping[str, Any]], requirements: Path) -> str:
    """Compares what the nodes say with the lock files.

    Args:
        nodes: as Ray lists them: ``node_id``, ``state``, ``labels``.
        requirements: folder of the lock files.

    Returns:
        A remark if some node does not say what it was installed from, else nothing.

    Raises:
        UserError: if a node was installed from something else.
    """
    ours = {lock_hash(requirements / name): name for name in LOCKS if (requirements / name).exists()}
    silent = 0
    for node in nodes:
        if node.get("state") != "ALIVE":
            continue
        theirs = (node.get("labels") or {}).get(LABEL, "")
        if not theirs:
            silent += 1
        elif theirs not in ours:
            known = " and ".join(f"{name} {digits}" for digits, name in ours.items())
            raise UserError(
                f"node {node['node_id'][:8]} was installed from lock {theirs}, here are {known}: install the cluster "
                "anew from this checkout, or submit with --pip, which installs on every node for this job alone"
            )
    return f"{silent} nodes do not say which lock they were installed from (label {LABEL})" if silent else ""
