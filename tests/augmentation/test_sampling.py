from pathlib import Path

import pytest

from xlstance.augmentation.sampling import Sampling
from xlstance.augmentation.stage import Augmentation, augment
from xlstance.augmentation.way import Surroundings
from xlstance.collection import TrainingSet
from xlstance.errors import SettingsError
from xlstance.storage import Folder, read_table
from xlstance.tables import make_table
from xlstance.training_data import TrainingData, publish_source, published


def world(root: Path, name: str, rows: int, shards: int) -> TrainingData:
    ids = [f"{name}/{row}" for row in range(rows)]
    texts = {"lang": ["en"] * rows, "text": ids, "group_id": ids}
    made = TrainingSet(
        queries=make_table("queries", {"query_id": ids, **texts}),
        passages=make_table("passages", {"passage_id": ids, **texts}),
        pairs=make_table("pairs", {"pair_id": ids, "query_id": ids, "passage_id": ids, "source": [name] * rows}),
    )
    publish_source(Folder(root / name), made.stream, "stamp", shards)
    return published(Folder(root / name), name)


def sampled(root: Path, pairs: int, shards: int = 4, seed: int = 0) -> list[str]:
    parents = tuple(world(root / "sources", name, 300, shards) for name in ("one", "two"))
    around = Surroundings(parents=parents, folder=Folder(root / f"out-{pairs}-{seed}"), seed=seed)
    made = augment(Augmentation(sampling=Sampling(pairs=pairs)), around)
    table = read_table(made.pairs, "pairs").to_pylist()
    assert all(row["pair_id"] == f"{row['parent_pair_id']}~sample" for row in table)
    assert {row["augmentation"] for row in table} <= {"sample"}
    return sorted(row["parent_pair_id"] for row in table)


def test_a_sample_has_its_size_and_is_the_same_for_any_number_of_shards(tmp_path: Path) -> None:
    taken = sampled(tmp_path / "four", 100)
    assert len(set(taken)) == 100
    assert taken == sampled(tmp_path / "one", 100, shards=1)
    assert 30 < sum(name.startswith("one/") for name in taken) < 70


def test_a_smaller_sample_is_part_of_a_larger_one_and_the_seed_draws(tmp_path: Path) -> None:
    taken = [set(sampled(tmp_path, pairs)) for pairs in (50, 100)]
    assert taken[0] < taken[1]
    assert taken[1] != set(sampled(tmp_path, 100, seed=1))


def test_more_than_there_are_takes_all(tmp_path: Path) -> None:
    assert len(sampled(tmp_path, 10_000)) == 600


def test_a_sample_of_none_is_refused() -> None:
    with pytest.raises(SettingsError, match="pairs is 0"):
        Sampling(pairs=0)
