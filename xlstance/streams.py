"""The one mechanism of every stage that streams: shard descriptors go through a pool of workers on Ray Data.

A worker reads what a descriptor names, works, writes one file per output table under a name fixed by the fingerprint,
and returns receipts; rows do not pass through the object store. Files that an earlier, killed run wrote whole are kept.
The manifests are written last. Ray is imported where a pool is asked for: with no workers all is done in this process.
"""

import os
import resource
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from typing import Any

import pyarrow as pa

from xlstance.errors import DataError, UserError
from xlstance.placement import await_room, node_labels
from xlstance.progress import progress_bar
from xlstance.storage import Folder, ShardFile, find_shard, is_published, publish, write_shard

Done = tuple[int, dict[str, ShardFile], tuple[str, int]]  # index, receipts, worker
_WAIT = 300  # seconds for an autoscaler to bring the first worker's node
_FRUITLESS = 3  # streams in a row that died before a shard was done
Work = Callable[[Mapping[str, Any]], Mapping[str, pa.Table]]


class BrokenStreamError(Exception):
    """A worker is gone for good, and Ray Data's stream with it."""


@dataclass(frozen=True, kw_only=True)
class Output:
    """A table that a stage writes.

    Attributes:
        folder: where.
        table: the name in ``tables.SCHEMAS``.
    """

    folder: Folder
    table: str


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One unit of work.

    Attributes:
        stamp: fingerprint of the settings and of this shard's input; in the file's name and in the file.
        payload: what the worker needs to do it.
        outputs: the tables it writes, by the names under which the worker returns them.
    """

    stamp: str
    payload: Mapping[str, Any]
    outputs: Mapping[str, Output]

    @property
    def file_name(self) -> str:
        """The name of the shard's file in each of its outputs."""
        return f"{self.stamp}.parquet"

    def receipts(self) -> dict[str, ShardFile] | None:
        """Receipts of all its files, if an earlier run wrote them whole."""
        found = {name: find_shard(out.folder, self.file_name, self.stamp) for name, out in self.outputs.items()}
        whole = {name: receipt for name, receipt in found.items() if receipt}
        return whole if len(whole) == len(found) else None


def run_stream(
    make_work: Callable[[], Work],
    shards: Sequence[Shard],
    stamps: Mapping[str, str],
    *,
    label: str,
    workers: int,
    cpus_per_worker: float = 1,
    gpus_per_worker: float = 0,
    info: Mapping[str, Any] | None = None,
) -> None:
    """Does the shards that are not done yet, then publishes every output table.

    Args:
        make_work: makes the function that does one shard; called once in each worker.
        shards: all the work of the stage.
        stamps: the fingerprint of each output table, by its folder's URI.
        label: the stage's name on the progress bar.
        workers: size of the actor pool; 0 works in this process, without Ray.
        cpus_per_worker: of each actor.
        gpus_per_worker: of each actor. By it they go to the nodes for processors or to those for GPUs, where
            ``placement.placed`` has named some.
        info: facts to keep in every manifest.

    Raises:
        UserError: what a worker's settings or input had wrong, that no node has room for a worker, or that workers were
            killed again and again; the shards done so far stay.
        StorageError: if an output folder holds the result of other settings.
    """
    folders = {output.folder.uri: output for shard in shards for output in shard.outputs.values()}
    done_before = {uri for uri, output in folders.items() if is_published(output.folder, stamps[uri])}
    left = [shard for shard in shards if any(output.folder.uri not in done_before for output in shard.outputs.values())]
    receipts: dict[int, dict[str, ShardFile]] = {}
    for index, shard in enumerate(left):
        found = shard.receipts()
        if found:
            receipts[index] = found
    with progress_bar(total=len(left), initial=len(receipts), desc=label, unit="shard", disable=not left) as bar:
        pending = [index for index in range(len(left)) if index not in receipts]
        pace = _Pace(len(pending), max(workers, 1))
        stream = partial(
            _run, make_work, left, workers=workers, cpus=cpus_per_worker, gpus=gpus_per_worker, label=label
        )
        for index, written, worker in _until_done(stream, left, pending, label):
            receipts[index] = written
            bar.set_postfix_str(pace.after(sum(file.rows for file in written.values()), worker), refresh=False)
            bar.update()
    files: dict[str, list[ShardFile]] = defaultdict(list)
    for index, shard in enumerate(left):
        for name, output in shard.outputs.items():
            files[output.folder.uri].append(receipts[index][name])
    for uri, output in folders.items():
        if uri not in done_before:
            publish(output.folder, output.table, stamps[uri], files[uri], info)


def _until_done(
    stream: Callable[[Sequence[int]], Iterator[Done]], shards: Sequence[Shard], pending: Sequence[int], label: str
) -> Iterator[Done]:
    """Runs a stream, again if it breaks, for as long as that leads further.

    Ray Data replaces a worker whose process or node is lost, but an actor that was killed by name (``ray.kill``) is
    gone for good, and the stream with it; what its workers have written is kept by the next.
    """
    left, fruitless = list(pending), 0
    while left:
        before = len(left)
        try:
            for done in stream(tuple(left)):
                left.remove(done[0])
                yield done
        except BrokenStreamError as error:
            for index in tuple(left):
                if found := shards[index].receipts():
                    left.remove(index)
                    yield index, found, _this_worker()
            fruitless = 0 if len(left) < before else fruitless + 1
            if fruitless == _FRUITLESS:
                raise UserError(
                    f"{label}: its workers died {_FRUITLESS} times in a row before a shard was done "
                    f"({len(left)} are left: the same command goes on with them): {error}"
                ) from error


def _run(
    make_work: Callable[[], Work],
    shards: Sequence[Shard],
    pending: Sequence[int],
    *,
    workers: int,
    cpus: float,
    gpus: float,
    label: str,
) -> Iterator[Done]:
    """Yields what is done as shards are."""
    if workers == 0:
        work = make_work()
        for index in pending:
            yield index, _do(work, shards[index]), _this_worker()
        return
    import ray
    from ray.exceptions import ActorDiedError

    labels = node_labels(gpus)
    await_room({"CPU": cpus, "GPU": gpus}, labels, label, _WAIT)
    dataset = ray.data.from_items([{"index": index} for index in pending], override_num_blocks=len(pending))
    results = dataset.map(
        _Worker,
        fn_constructor_args=(make_work, shards),
        compute=ray.data.ActorPoolStrategy(size=min(workers, len(pending))),
        num_cpus=cpus,
        num_gpus=gpus,
        **({"label_selector": labels} if labels else {}),
    )
    try:
        for row in results.iter_rows():
            if row["error"]:
                raise DataError(row["error"])
            receipts = {name: ShardFile(**receipt) for name, receipt in row["receipts"].items()}
            yield row["index"], receipts, (row["process"], row["memory"])
    except ActorDiedError as error:
        raise BrokenStreamError(str(error).strip().splitlines()[-1]) from error  # the lines before it name the actor


class _Worker:
    """The actor: makes the work once, then does shard after shard."""

    def __init__(self, make_work: Callable[[], Work], shards: Sequence[Shard]) -> None:
        # Made with the first shard and not here: what an actor raises while it starts does not come out as it is.
        self._work, self._shards = cache(make_work), shards

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        index = int(row["index"])
        try:
            receipts = _do(self._work(), self._shards[index])
        except UserError as error:  # said in one line by the driver, and not retried
            return {"index": index, "error": str(error), "receipts": None, "process": "", "memory": 0}
        process, memory = _this_worker()
        written = {name: asdict(receipt) for name, receipt in receipts.items()}
        return {"index": index, "error": "", "receipts": written, "process": process, "memory": memory}


class _Pace:
    """What the progress bar says beside the shards: rows a second, shards in flight, memory of the workers."""

    def __init__(self, shards: int, workers: int) -> None:
        self._left, self._workers = shards, workers
        self._began, self._rows = time.monotonic(), 0
        self._memory: dict[str, int] = {}

    def after(self, rows: int, worker: tuple[str, int]) -> str:
        """Counts one more shard.

        Args:
            rows: written of it.
            worker: which worker did it, and the most memory that it has held, in bytes.
        """
        self._left -= 1
        self._rows += rows
        self._memory[worker[0]] = worker[1]
        seconds = max(time.monotonic() - self._began, 1e-9)
        # A worker that was killed and replaced no longer counts: the last ones to report are those that work.
        memory = sum(list(self._memory.values())[-self._workers :]) / 2**20
        return f"{self._rows / seconds:,.0f} rows/s, {min(self._left, self._workers)} in flight, {memory:,.0f} MiB"


def _this_worker() -> tuple[str, int]:
    """Its host and process, and the most memory it has held, in bytes."""
    return f"{socket.gethostname()}/{os.getpid()}", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _do(work: Work, shard: Shard) -> dict[str, ShardFile]:
    tables = work(shard.payload)
    return {
        name: write_shard(output.folder, shard.file_name, tables[name], shard.stamp)
        for name, output in shard.outputs.items()
    }
