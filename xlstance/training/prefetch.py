"""The next batch is made while the present one is trained on."""

import time
from concurrent.futures import Future, ThreadPoolExecutor

from xlstance.training.batches import BatchReader, RankBatch


class Prefetcher:
    """Reads batches one ahead, in a thread; batch n depends on n alone, so that the order of reading changes nothing.

    Args:
        batches: what to read.
        end: number of batches; none is read beyond.

    Attributes:
        waited: seconds that the last ``get`` had to wait.
    """

    def __init__(self, batches: BatchReader, end: int) -> None:
        self.waited = 0.0
        self._batches, self._end = batches, end
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._next: tuple[int, Future[RankBatch]] | None = None

    def get(self, step: int) -> RankBatch:
        """The batch of a step; the one after it is begun."""
        began = time.perf_counter()
        if self._next is None or self._next[0] != step:
            self._begin(step)
        assert self._next is not None  # noqa: S101 - begun just now
        batch = self._next[1].result()
        self.waited = time.perf_counter() - began
        self._next = None
        if step + 1 < self._end:
            self._begin(step + 1)
        return batch

    def close(self) -> None:
        """Ends the thread, after the batch that it is making."""
        self._thread.shutdown(cancel_futures=True)

    def _begin(self, step: int) -> None:
        self._next = step, self._thread.submit(self._batches.__getitem__, step)
