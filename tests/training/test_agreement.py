import json

import pytest
import torch.distributed as dist
import torch.multiprocessing

from xlstance.errors import SettingsError, StorageError
from xlstance.training.agreement import from_first_rank, gather_text, together
from xlstance.training.engine import join_process_group


def attempt(error):
    """What a process meets in a block that raises ``error`` there."""
    try:
        with together("the file cannot be written"):
            if error is not None:
                raise error
    except Exception as caught:
        return [type(caught).__name__, str(caught)]
    return None


def one_of_two(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/group", rank=rank, world_size=2)
    found = {
        "texts": gather_text(["zwei ü", ""][rank]),
        "none": gather_text(""),
        "numbers": from_first_rank([0.1 + rank, rank]),
        "well": attempt(None),
        "one": attempt(SettingsError("rank 1 is wrong") if rank == 1 else None),
        "disk": attempt(OSError(28, "No space left on device") if rank == 1 else None),
        "all": attempt(SettingsError("all are wrong")),
    }
    (folder / f"{rank}.json").write_text(json.dumps(found))
    dist.barrier()
    dist.destroy_process_group()


def test_what_one_process_meets_all_raise(tmp_path):
    torch.multiprocessing.spawn(one_of_two, (tmp_path,), nprocs=2)
    found = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    for own in found:
        assert own["texts"] == ["zwei ü", ""]
        assert own["none"] == ["", ""]
        assert own["numbers"] == [0.1, 0.0]
        assert own["well"] is None
        assert own["disk"] == ["StorageError", "the file cannot be written: [Errno 28] No space left on device"]
        assert own["all"] == ["SettingsError", "all are wrong"]
    assert [own["one"] for own in found] == [["StorageError", "rank 1 is wrong"], ["SettingsError", "rank 1 is wrong"]]


def test_a_process_alone_raises_its_own_error():
    join_process_group()
    assert gather_text("ü") == ["ü"]
    assert from_first_rank([1.5]) == [1.5]
    with pytest.raises(SettingsError, match=r"^wrong$"), together("this"):
        raise SettingsError("wrong")
    with pytest.raises(StorageError, match=r"^this: \[Errno 28\] full$"), together("this"):
        raise OSError(28, "full")
    with pytest.raises(ZeroDivisionError), together("this"):  # a fault of the program is no message
        _ = 1 / 0
