import numpy as np
import pytest

from xlstance.encoders import EncoderSettings, load_encoder, train_vocabulary
from xlstance.storage import Folder, write_table
from xlstance.tables import make_table
from xlstance.training.store import prepare_store
from xlstance.training_data import published

LANGUAGES = ("aa", "bb", "cc")


def small_world(groups=60, seed=0):
    """Parallel queries and passages in three languages of invented words; every tenth text is a copy of another."""
    rng = np.random.default_rng(seed)
    queries, passages, pairs = [], [], []
    for group in range(groups):
        words = rng.integers(0, 80, size=6)
        if group % 10 == 9:
            words = last
        last = words
        for lang in LANGUAGES:
            text = " ".join(f"{lang}{word}" for word in words)
            queries.append((f"q{group}-{lang}", lang, text[:20], f"qg{group}"))
            passages.append((f"p{group}-{lang}", lang, text, f"pg{group}"))
        for a in LANGUAGES:
            for b in LANGUAGES:
                pairs.append((f"{group}-{a}-{b}", f"q{group}-{a}", f"p{group}-{b}"))
    columns = lambda rows, names: dict(zip(names, zip(*rows, strict=True), strict=True))  # noqa: E731
    text_columns = ("lang", "text", "group_id")
    return (
        make_table("queries", columns(queries, ("query_id", *text_columns))),
        make_table("passages", columns(passages, ("passage_id", *text_columns))),
        make_table("pairs", columns(pairs, ("pair_id", "query_id", "passage_id")) | {"source": ["world"] * len(pairs)}),
    )


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """A small world's store and vocabulary, and the settings of a tiny encoder with dropout."""
    root = tmp_path_factory.mktemp("world")
    tables = dict(zip(("queries", "passages", "pairs"), small_world(), strict=True))
    for name, table in tables.items():
        write_table(Folder(root) / name, name, table, "stamp")
    vocabulary = root / "tokenizer.json"
    train_vocabulary(tables["passages"]["text"].to_pylist(), 400).save(str(vocabulary))
    settings = EncoderSettings(dimension=32, layers=1, heads=2, feed_forward=64, vocabulary_size=400)
    data = published(Folder(root), "world")
    encoder = load_encoder(settings, tokenizer=vocabulary)
    prepare_store([data], encoder, "tokenizer", root / "store", lambda done, total: None)
    return root, settings, encoder
