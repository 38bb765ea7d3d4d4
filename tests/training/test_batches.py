import numpy as np
import pytest
import torch
from fake_store import FakeStore

from xlstance.training import batches as module
from xlstance.training.batches import BatchReader
from xlstance.training.plan import BatchPlan, SamplerSettings
from xlstance.training.store import TrainingStore

SIZE, SEED = 16, 7
STORE = FakeStore()


def readers(world, ranks, *, store=STORE, crop=0, sampler=None, **options):
    sampler = sampler or SamplerSettings(block=4)
    options = {"negatives": 2, "chunk_tokens": 64, **options}
    return [
        BatchReader(store, (), sampler, SIZE, SEED, crop, world.encoder, rank, ranks, **options)
        for rank in range(ranks)
    ]


def texts(batches):
    """Token ids of all texts of a global batch, in its order, put together from what the ranks encode."""
    gathered = [
        ids.tolist()
        for batch in batches
        for chunk in batch.chunks
        for ids in chunk["input_ids"].tensor_split(chunk["offsets"][1:-1].long())
    ]
    slots = {tuple(batch.slots.tolist()) for batch in batches}
    assert len(slots) == 1
    return [gathered[slot] for slot in slots.pop()]


def located(step, sampler=None):
    """Query rows, passage rows, whose the negatives are, and their rows, found another way."""
    plan = BatchPlan(STORE.partitions, sampler or SamplerSettings(block=4), SIZE, SEED).batch(step)
    queries, passages = STORE.locate(plan.partition, plan.row)
    named = STORE.negatives(plan.partition, plan.row, 2)
    owners = [i for i in range(SIZE) for row in named[i] if row >= 0]
    return queries, passages, owners, [int(row) for rows in named for row in rows if row >= 0]


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("step", [0, 5, 1000])
def test_ranks_encode_one_stream_of_texts(world, ranks, step):
    queries, passages, _, negatives = located(step)
    expected = STORE.query_tokens(queries) + STORE.passage_tokens([*passages, *negatives])
    made = [reader[step] for reader in readers(world, ranks)]
    assert texts(made) == [ids.tolist() for ids in expected]
    assert len({len(batch.chunks) for batch in made}) == 1
    assert len({sum(len(c["offsets"]) - 1 for c in batch.chunks) for batch in made}) == 1
    assert {batch.kind for batch in made} == {made[0].kind}
    assert all(batch.rows == made[0].rows for batch in made)
    assert sum(made[0].rows.values()) == SIZE


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_what_the_rows_look_for(world, ranks):
    queries, passages, owners, negatives = located(5)
    known = STORE.known_positives(queries, np.array([*passages, *negatives]))
    owner = [*range(SIZE), *owners]
    shares = [reader[5].share for reader in readers(world, ranks)]
    assert [share.queries.start for share in shares] == [rank * SIZE // ranks for rank in range(ranks)]
    assert all(share.queries.rows == share.passages.rows == SIZE // ranks for share in shares)
    assert all(share.pairs == SIZE for share in shares)

    def of_all(direction, name):
        return torch.cat([getattr(getattr(share, direction), name) for share in shares]).tolist()

    others = [[i, j] for i in range(SIZE) for j in range(len(owner)) if known[i, j] and owner[j] != i]
    assert of_all("queries", "others") == others
    assert others
    assert of_all("passages", "others") == [[i, j] for i in range(SIZE) for j in range(SIZE) if known[j, i] and i != j]
    explicit = [[i, j] for i in range(SIZE) for j in range(SIZE, len(owner)) if owner[j] == i]
    assert of_all("queries", "explicit") == explicit
    assert any(known[i, j] for i, j in explicit)  # and yet a negative
    assert of_all("passages", "explicit") == []
    assert shares[-1].queries.languages.tolist() == [row % 3 for row in [*passages, *negatives]]
    assert shares[-1].passages.languages.tolist() == [row % 3 for row in queries]


def test_masks_are_the_same_in_blocks(world, monkeypatch):
    whole = readers(world, 2)[1][5].share
    monkeypatch.setattr(module, "_MASK_AT_ONCE", 60)
    blocks = readers(world, 2)[1][5].share
    assert torch.equal(whole.queries.others, blocks.queries.others)
    assert torch.equal(whole.passages.others, blocks.passages.others)


@pytest.mark.parametrize("negatives", [0, 1, 3])
def test_so_many_negatives_are_read(world, negatives):
    batch = readers(world, 1, negatives=negatives)[0][0]
    plan = BatchPlan(STORE.partitions, SamplerSettings(block=4), SIZE, SEED).batch(0)
    assert len(batch.slots) == 2 * SIZE + int(np.minimum(plan.row % 4, negatives).sum())
    assert len(batch.share.queries.explicit) == len(batch.slots) - 2 * SIZE


def test_each_negative_is_replaced_by_a_translation(world):
    sampler = SamplerSettings(kind="mix-passages")
    changed = set()
    for step in range(12):
        queries, _, _, negatives = located(step, sampler)
        one = texts([reader[step] for reader in readers(world, 1, sampler=sampler)])
        two = texts([reader[step] for reader in readers(world, 2, sampler=sampler)])
        assert one == two
        for row, ids in zip(negatives, one[2 * SIZE :], strict=True):
            translations = [STORE.passage_tokens([3 * (row // 3) + lang])[0].tolist() for lang in range(3)]
            changed.add((row % 3, translations.index(ids)))
        assert one[:SIZE] == [ids.tolist() for ids in STORE.query_tokens(queries)]
    assert changed == {(named, taken) for named in range(3) for taken in range(3)}


@pytest.mark.parametrize("ranks", [1, 2])
def test_crops_are_windows_drawn_anew_at_every_step(world, ranks):
    # Few groups, so that the same passages come again.
    store = FakeStore(groups=16, lengths=((20, 30),) * 3)
    sampler = SamplerSettings(kind="x-x-mono")
    cropped = readers(world, ranks, store=store, sampler=sampler, crop=8)
    whole = readers(world, 1, store=store, sampler=sampler)
    starts = set()
    for step in range(12):
        windows, passages = texts([reader[step] for reader in cropped]), texts([reader[step] for reader in whole])
        assert windows[:SIZE] == passages[:SIZE]  # queries
        assert len(windows) == len(passages) > 2 * SIZE
        for window, passage in zip(windows[SIZE:], passages[SIZE:], strict=True):
            assert len(window) == 8
            places = [i for i in range(len(passage) - 7) if passage[1:-1][i : i + 6] == window[1:-1]]
            assert places
            assert (window[0], window[-1]) == (passage[0], passage[-1])
            starts.add(places[0])
    assert len(starts) > 10
    assert len(cropped[0][0].chunks) < len(readers(world, ranks, store=store, sampler=sampler)[0][0].chunks)
    if ranks == 2:
        alone = readers(world, 1, store=store, sampler=sampler, crop=8)
        assert texts([alone[0][3]]) == texts([reader[3] for reader in cropped])


def test_only_the_named_sources_are_read(world):
    store = TrainingStore(world.store)
    by_name, all_of_them = (
        BatchReader(store, sources, SamplerSettings(), SIZE, SEED, 0, world.encoder, 0, 1)
        for sources in (("world",), ())
    )
    assert texts([by_name[2]]) == texts([all_of_them[2]])
    with pytest.raises(Exception, match="needs"):
        BatchReader(store, ("other",), SamplerSettings(), SIZE, SEED, 0, world.encoder, 0, 1)
