from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from xlstance.encoders import load_encoder
from xlstance.training.chunks import deal, default_chunk_tokens

LENGTHS = st.lists(st.integers(0, 60), min_size=1, max_size=80)


def cost(lengths, chunk):
    """Tokens of a rank's chunk, padding included."""
    return len(chunk) * lengths[chunk].max()


@given(LENGTHS, st.integers(1, 5), st.integers(1, 200))
def test_every_text_is_encoded_and_found_again(lengths, ranks, chunk_tokens):
    dealt = deal(np.array(lengths), ranks, chunk_tokens)
    gathered = np.concatenate([np.concatenate([chunk[rank] for chunk in dealt.chunks]) for rank in range(ranks)])
    assert gathered[dealt.slots].tolist() == list(range(len(lengths)))
    assert len(gathered) < len(lengths) + ranks  # only the last chunk's gaps are filled


@given(LENGTHS, st.integers(1, 5), st.integers(1, 200))
def test_chunks_are_bounded_and_alike_on_all_ranks(lengths, ranks, chunk_tokens):
    lengths = np.array(lengths)
    for chunk in deal(lengths, ranks, chunk_tokens).chunks:
        assert chunk.shape[0] == ranks
        assert chunk.shape[1] >= 1
        for own in chunk:
            assert cost(lengths, own) <= chunk_tokens or len(own) == 1


def test_ranks_with_rows_of_other_lengths_do_equal_work():
    # Dealt by rows, the second rank would have ten times the tokens of the first.
    random = np.random.default_rng(0)
    lengths = np.concatenate([random.integers(10, 20, 512), random.integers(100, 200, 512)])
    dealt = deal(lengths, 2, 2048)
    first, second = (sum(cost(lengths, chunk[rank]) for chunk in dealt.chunks) for rank in range(2))
    assert abs(first - second) < 0.01 * first
    padded = first + second
    assert padded < 1.05 * lengths.sum()


def test_the_deal_follows_from_the_lengths_alone():
    lengths = np.random.default_rng(1).integers(1, 9, 50)
    first, second = deal(lengths, 3, 32), deal(lengths.copy(), 3, 32)
    assert all(np.array_equal(a, b) for a, b in zip(first.chunks, second.chunks, strict=True))


def test_a_static_encoder_has_larger_chunks(world):
    static = load_encoder(replace(world.settings, kind="static"), tokenizer=world.vocabulary)
    assert default_chunk_tokens(static) > 100 * default_chunk_tokens(world.encoder) > 0
