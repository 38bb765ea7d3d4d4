"""Processes that a local cluster started: known again by a mark, a session or an ancestor, and by nothing else."""

import os
import signal
import subprocess
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MARK = "XLSTANCE_CLUSTER"  # in the environment of every process of a cluster: its identity, a slash, the node's name
_PROC = Path("/proc")


@dataclass(frozen=True)
class Leader:
    """The first process of a node, in a session of its own.

    Attributes:
        pid: its process id, and its session's.
        started: when the kernel started it, in clock ticks: with the id it names one process for ever.
    """

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        """Whether it runs; a dead one that its parent has not asked after does not."""
        found = _stat(self.pid)
        return found is not None and found.started == self.started and found.state != "Z"


@dataclass(frozen=True)
class _Stat:
    state: str
    parent: int
    session: int
    started: int


def start_leader(command: Sequence[str], environment: Mapping[str, str], mark: str, log: Path) -> Leader:
    """Starts a process in a session of its own.

    Args:
        command: what it runs.
        environment: its whole environment, the mark aside.
        mark: what it and its descendants are known by.
        log: file that its output is added to.
    """
    with log.open("ab") as file:
        process = subprocess.Popen(  # noqa: S603 - the command is ours
            command,
            env={**environment, MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    found = _stat(process.pid)
    return Leader(process.pid, found.started if found else 0)


def stop(leaders: Collection[Leader], mark: str, patience: float = 15) -> None:
    """Ends the leaders, first in peace, then all that is left of what they started.

    Args:
        leaders: of the nodes to stop.
        mark: the beginning of their processes' marks.
        patience: seconds that they may take before they are killed.
    """
    # Those that leave the session, or write their title over their environment, are known by their ancestor only, and
    # only as long as that lives.
    known = members(leaders, mark)
    for leader in leaders:
        if leader.alive:
            _signal(leader.pid, signal.SIGTERM)
    until = time.monotonic() + patience
    while time.monotonic() < until and any(leader.alive for leader in leaders):
        time.sleep(0.1)
    for _ in range(50):
        left = {pid for pid, started in known.items() if _is(pid, started)} | set(members(leaders, mark))
        if not left:
            return
        for pid in left:
            _signal(pid, signal.SIGKILL)
        time.sleep(0.1)


def members(leaders: Collection[Leader], mark: str) -> dict[int, int]:
    """The processes of nodes: those in their leaders' sessions, descendants of these, and those that carry the mark.

    Returns:
        When each was started, by process id; the dead that wait for their parent are left out.
    """
    pids = (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())
    stats = {pid: stat for pid in pids if (stat := _stat(pid))}
    sessions = {leader.pid for leader in leaders if leader.alive or _orphans_of(leader, stats)}
    found = {pid for pid, stat in stats.items() if stat.session in sessions or _mark_of(pid).startswith(mark)}
    grown = -1
    while grown != len(found):
        grown = len(found)
        found |= {pid for pid, stat in stats.items() if stat.parent in found}
    return {pid: stats[pid].started for pid in found - {os.getpid()} if stats[pid].state != "Z"}


def _orphans_of(leader: Leader, stats: Mapping[int, _Stat]) -> bool:
    """Whether a dead leader's session is still its own: a session's id is not given out while a process is in it."""
    now = stats.get(leader.pid)
    return now is None or now.started == leader.started


def _is(pid: int, started: int) -> bool:
    found = _stat(pid)
    return found is not None and found.started == started and found.state != "Z"


def _stat(pid: int) -> _Stat | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
    return _Stat(state=fields[0], parent=int(fields[1]), session=int(fields[3]), started=int(fields[19]))


def _mark_of(pid: int) -> str:
    try:
        entries = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:  # gone, or another user's
        return ""
    own = f"{MARK}=".encode()
    return next((entry[len(own) :].decode(errors="replace") for entry in entries if entry.startswith(own)), "")


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
