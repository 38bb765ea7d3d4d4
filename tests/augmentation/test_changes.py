"""What is done again and what is found: after a changed setting, input or row, and after the death of workers."""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from paired_world import LEXICONS, PAIR, SWITCH, bytes_of, files, publish, rows, run, world, write_lexicons

from xlstance import streams
from xlstance.augmentation import stage
from xlstance.augmentation.pairing import Pairing
from xlstance.augmentation.stage import COUNTS, Augmentation, augment_below
from xlstance.augmentation.way import Surroundings
from xlstance.errors import StorageError, UserError
from xlstance.storage import Folder, ShardFile
from xlstance.streams import BrokenStreamError
from xlstance.training_data import TrainingData, published

BESIDE = Augmentation(of=["world"], pairing=Pairing(name="beside"))
Chain = Callable[..., tuple[dict[str, TrainingData], Counter[str]]]


@pytest.fixture
def lexicons(tmp_path: Path) -> Path:
    return write_lexicons(tmp_path / "lexicons")


@pytest.fixture
def chain(tmp_path: Path, lexicons: Path, monkeypatch: pytest.MonkeyPatch) -> Chain:
    """Code switching, pairing over its result, and pairing beside; gives the shards that were done of each too."""
    done = Counter[str]()
    do = streams._do

    def counted(work: streams.Work, shard: streams.Shard) -> dict[str, ShardFile]:
        done[folder_of(shard.outputs["pairs"].folder).name.rpartition("-")[0]] += 1
        return do(work, shard)

    monkeypatch.setattr(streams, "_do", counted)

    def run_chain(
        root: Path = tmp_path, seed: int = 1, **changes: Augmentation
    ) -> tuple[dict[str, TrainingData], Counter[str]]:
        done.clear()
        data = {"world": published(Folder(root / "source"), "world")}
        for augmentation in (SWITCH, PAIR, BESIDE):
            changed = changes.get(augmentation.name, augmentation)
            data[changed.name] = augment_below(
                changed,
                Surroundings(
                    parents=tuple(data[name] for name in changed.of),
                    folder=Folder(root) / "augmented",
                    data=str(lexicons),
                    seed=seed,
                ),
            )
        return data, Counter(done)

    return run_chain


def folder_of(pairs: Folder) -> Path:
    """The folder of an augmentation's tables."""
    return Path(pairs.path).parent


def p_of(p: float) -> Augmentation:
    return replace(SWITCH, code_switching=replace(SWITCH.code_switching, p=p))


def test_a_changed_row_does_its_shard_again_in_the_same_folders(tmp_path: Path, chain: Chain) -> None:
    source = world()
    publish(tmp_path / "source", source)
    before, done = chain()
    assert done == {"cs": 4, "cross": 4, "beside": 4}
    counts = folder_of(before["cs"].pairs) / COUNTS
    tokens = json.loads(counts.read_text())["counts"]["tokens"]
    old = {name: files(data) for name, data in before.items()}
    shutil.rmtree(tmp_path / "source")
    texts = source.passages["text"].to_pylist()
    assert texts[39] == "the cat 13 sees the dog in en"
    texts[39] = "no such animal"
    passages = source.passages.set_column(2, source.passages.schema.field("text"), pa.array(texts))
    publish(tmp_path / "source", replace(source, passages=passages), stamp="another")
    with pytest.raises(StorageError, match="holds the result of other settings or inputs"):
        chain()
    for manifest in (tmp_path / "augmented").rglob("manifest.json"):
        manifest.unlink()
    after, done = chain()
    assert done == {"cs": 1, "cross": 1, "beside": 1}
    for name in ("cs", "cross", "beside"):
        assert after[name].pairs == before[name].pairs
        assert sum(a != b for a, b in zip(old[name], files(after[name]), strict=True)) == 1
    # Three words for seven, in the German and the Finnish copy.
    assert json.loads(counts.read_text())["counts"]["tokens"] == tokens - 2 * 4


def test_a_changed_setting_makes_anew_what_descends_from_it_and_nothing_else(tmp_path: Path, chain: Chain) -> None:
    publish(tmp_path / "source", world())
    first, _ = chain()
    kept = bytes_of(tmp_path)
    assert chain() == (first, {})
    second, done = chain(cs=p_of(0.3))
    assert done == {"cs": 4, "cross": 4}
    assert second["beside"] == first["beside"]
    # It is what a run of these settings alone makes.
    publish(tmp_path / "alone" / "source", world())
    alone, _ = chain(tmp_path / "alone", cs=p_of(0.3))
    for name in ("cs", "cross"):
        assert second[name].pairs != first[name].pairs
        assert folder_of(second[name].pairs).name == folder_of(alone[name].pairs).name
        assert rows(second[name].pairs, "pairs") == rows(alone[name].pairs, "pairs")
    assert bytes_of(tmp_path).items() >= kept.items()
    # The last of the chain alone, then the first settings again.
    third, done = chain(cross=replace(PAIR, pairing=Pairing(name="cross", per_language_pair=3)))
    assert done == {"cross": 4}
    assert third["cs"] == first["cs"]
    assert chain() == (first, {})
    assert len(list((tmp_path / "augmented").iterdir())) == 2 + 3 + 1


def test_other_inputs_parents_and_seeds_lie_beside_too(tmp_path: Path, lexicons: Path, chain: Chain) -> None:
    publish(tmp_path / "source", world())
    first, _ = chain()
    (lexicons / "en-de.tsv").write_text("the\tder\n", encoding="utf-8")
    words, done = chain()
    assert done == {"cs": 4, "cross": 4}
    assert words["cs"].pairs != first["cs"].pairs
    _, done = chain(cross=replace(PAIR, of=["cs"]))
    assert done == {"cross": 4}
    _, done = chain(seed=2)
    assert done == {"cs": 4, "cross": 4, "beside": 4}
    (lexicons / "en-de.tsv").write_text(LEXICONS["de"], encoding="utf-8")
    assert chain() == (first, {})


class Deaths:
    """Shards are done and workers die in turn, as the pattern says: a letter for each shard that is begun."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, pattern: str) -> None:
        self.left, self._do = list(pattern), stage._ShardWork.__call__
        monkeypatch.setattr(stage._ShardWork, "__call__", lambda work, payload: self.call(work, payload))

    def call(self, work: stage._ShardWork, payload: Mapping[str, Any]) -> dict[str, pa.Table]:
        if self.left.pop(0) == "x":
            raise BrokenStreamError("The actor died")
        return self._do(work, payload)


def test_a_stream_whose_workers_die_is_begun_again_while_it_leads_further(
    tmp_path: Path, lexicons: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = publish(tmp_path / "source", world())
    run(SWITCH, [data], tmp_path / "undisturbed", lexicons)
    deaths = Deaths(monkeypatch, "xx.xx.xx.x.")
    run(SWITCH, [data], tmp_path / "out", lexicons)
    assert not deaths.left
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "undisturbed")


def test_workers_that_die_again_and_again_are_said_in_one_line(
    tmp_path: Path, lexicons: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = publish(tmp_path / "source", world())
    run(SWITCH, [data], tmp_path / "undisturbed", lexicons)
    deaths = Deaths(monkeypatch, ".xxxx...")
    with pytest.raises(UserError, match=r"cs: its workers died 3 times in a row .* \(3 are left: .*\): The actor died"):
        run(SWITCH, [data], tmp_path / "out", lexicons)
    assert "".join(deaths.left) == "..."
    run(SWITCH, [data], tmp_path / "out", lexicons)
    assert not deaths.left
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "undisturbed")
