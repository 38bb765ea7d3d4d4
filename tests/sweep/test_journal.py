"""The journal: what is read back is what was noted, whenever the process that wrote it was killed."""

import pytest

from xlstance.storage import Folder
from xlstance.sweep.journal import JOURNAL, Journal


@pytest.fixture
def journal(tmp_path):
    journal = Journal(Folder(tmp_path / "new"))
    for seed in range(4):
        journal.begin(f"a-{seed}", {"x": 0.5}, seed)
    journal.score("a-0", 2, 0.1)
    journal.score("a-0", 4, 0.2)
    journal.score("a-0", 2, 0.9)  # done again after a checkpoint
    journal.finish("a-0", {"mono": 0.7, "steps": 6})
    journal.score("a-1", 2, 0.1)
    journal.end("a-1", "stopped", "it fell behind")
    journal.end("a-2", "failed", "no such thing")
    journal.end("a-3", "lost", "a worker died")
    return journal


def test_a_journal_reads_back_what_it_noted(journal, tmp_path):
    again = Journal(Folder(tmp_path / "new"))
    assert again.trials == journal.trials
    first, second, third, fourth = again.trials.values()
    assert (first.state, first.scores, first.figures["mono"], first.steps) == ("finished", {2: 0.1, 4: 0.2}, 0.7, 6)
    assert (second.state, second.steps, second.reason) == ("stopped", 2, "it fell behind")
    assert (third.state, third.reason) == ("failed", "no such thing")
    assert fourth.ended
    again.begin("a-3", {"x": 0.5}, 3)
    assert (fourth.state, fourth.reason, fourth.ended) == ("begun", "", False)


def test_at_every_byte_a_kill_leaves_a_journal_that_goes_on(journal, tmp_path):
    whole = (tmp_path / "new" / JOURNAL).read_bytes()
    ends = [place + 1 for place, byte in enumerate(whole) if byte == ord("\n")]
    known = 0
    for cut in range(len(whole) + 1):
        path = tmp_path / "cut" / JOURNAL
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(whole[:cut])
        if cut in ends:
            known = cut
        found = Journal(Folder(path.parent))
        assert path.read_bytes() == whole[:known]
        if cut % 40 == 0:
            found.begin("new-0", {"x": 1}, 0)
            assert list(Journal(Folder(path.parent)).trials)[-1] == "new-0"
