import threading
import time

import pytest

from xlstance.training.prefetch import Prefetcher


class Batches:
    """Stands for a reader; it notes which thread made which batch."""

    def __init__(self, seconds=0.0, broken=None):
        self._seconds, self._broken, self.made = seconds, broken, []

    def __getitem__(self, step):
        time.sleep(self._seconds)
        self.made.append((step, threading.current_thread() is threading.main_thread()))
        if step == self._broken:
            raise OSError("broken")
        return f"batch {step}"


def test_batches_come_in_order_from_another_thread_and_none_beyond_the_end():
    batches = Batches()
    prefetcher = Prefetcher(batches, 5)
    assert [prefetcher.get(step) for step in range(2, 5)] == ["batch 2", "batch 3", "batch 4"]
    time.sleep(0.05)  # what is being made is done
    prefetcher.close()
    assert batches.made == [(2, False), (3, False), (4, False)]


def test_a_batch_is_made_while_the_one_before_is_used():
    batches = Batches(seconds=0.1)
    prefetcher = Prefetcher(batches, 3)
    prefetcher.get(0)
    assert prefetcher.waited >= 0.09
    for step in (1, 2):
        time.sleep(0.2)  # the step
        prefetcher.get(step)
        assert prefetcher.waited < 0.02
    prefetcher.close()


def test_a_step_out_of_turn_is_right_too():
    prefetcher = Prefetcher(Batches(), 10)
    assert [prefetcher.get(step) for step in (0, 7, 8, 3)] == ["batch 0", "batch 7", "batch 8", "batch 3"]
    prefetcher.close()


def test_an_error_is_raised_at_its_step():
    prefetcher = Prefetcher(Batches(broken=1), 3)
    prefetcher.get(0)
    with pytest.raises(OSError, match="broken"):
        prefetcher.get(1)
    prefetcher.close()
