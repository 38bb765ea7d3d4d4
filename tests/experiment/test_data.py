"""What training reads beside the corpora: the sample that vocabulary and rarities come from."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from xlstance.experiment.data import _sample
from xlstance.storage import Folder, write_table
from xlstance.tables import hash_ids, make_table
from xlstance.training_data import TrainingData, published

SIZES = {"en": 300, "de": 120, "fi": 10}


def texts_of(lang: str) -> list[str]:
    return [f"{lang} {number}" for number in range(SIZES[lang])]


def publish(folder: Path, shards: int, langs: tuple[str, ...]) -> TrainingData:
    """Every text is a query and a passage, and stands twice among the queries."""
    texts = [(lang, text) for lang in langs for text in texts_of(lang)]
    for table, name, rows in (("queries", "query_id", texts + texts), ("passages", "passage_id", texts)):
        ids = [str(number) for number in range(len(rows))]
        columns = {name: ids, "lang": [lang for lang, _ in rows], "text": [text for _, text in rows], "group_id": ids}
        write_table(Folder(folder) / table, table, make_table(table, columns), "stamp", shards=shards)
    nothing = {"pair_id": [], "query_id": [], "passage_id": [], "source": []}
    write_table(Folder(folder) / "pairs", "pairs", make_table("pairs", nothing), "stamp", shards=shards)
    return published(Folder(folder), "world")


def expected(size: int) -> list[str]:
    share = -(-size // len(SIZES))
    sample = []
    for lang in sorted(SIZES):
        texts = np.array(texts_of(lang))
        sample += texts[np.argsort(hash_ids(texts.tolist()))][:share].tolist()
    return sample


@pytest.mark.parametrize("size", [30, 90, 10_000])
def test_a_sample_is_the_same_however_texts_are_cut_and_ordered(tmp_path: Path, size: int) -> None:
    whole = publish(tmp_path / "whole", 1, ("en", "de", "fi"))
    cut = publish(tmp_path / "cut", 5, ("fi", "de", "en"))
    parts = [publish(tmp_path / lang, 2, (lang,)) for lang in ("en", "fi", "de")]
    assert _sample([whole], size) == _sample([cut], size) == _sample(parts, size) == expected(size)


def test_every_language_has_the_same_share_as_far_as_it_has_texts(tmp_path: Path) -> None:
    sample = _sample([publish(tmp_path / "world", 3, ("en", "de", "fi"))], 90)
    assert Counter(text.split()[0] for text in sample) == {"en": 30, "de": 30, "fi": 10}
    assert len(set(sample)) == len(sample)


def test_no_texts_give_no_sample(tmp_path: Path) -> None:
    assert _sample([publish(tmp_path / "world", 2, ())], 10) == []
