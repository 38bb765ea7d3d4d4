"""The quick retrieval: its sample, its figures, and that several processes get those of one."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing

from xlstance.encoders import load_encoder
from xlstance.evaluation.protocol import evaluate
from xlstance.ranking import relevant_ranks
from xlstance.training.batches import BatchReader, validation_sampler
from xlstance.training.engine import join_process_group, make_engine
from xlstance.training.objective import Objective
from xlstance.training.settings import ValidationSettings
from xlstance.training.store import TrainingStore
from xlstance.training.validation import Validation, retrieval_figures, sample_retrieval


@pytest.fixture(scope="module")
def store(world):
    return TrainingStore(world.validation_store)


@pytest.mark.parametrize("size", [1, 12, 45])
def test_the_sample_holds_queries_of_every_language_and_their_answers(store, size):
    sample = sample_retrieval(store, size)
    assert len(sample.queries) == len(set(sample.queries)) == size
    languages = sample.query_table["lang"].to_pylist()
    if size > 1:
        counts = [languages.count(lang) for lang in ("aa", "bb", "cc")]
        assert max(counts) - min(counts) <= size // 3
    # All that the pool holds of answers is known, and each query has one in every language.
    known = store.known_positives(sample.queries, sample.passages)
    assert sample.qrels.num_rows == known.sum()
    passages = np.array(sample.passage_table["lang"].to_pylist())
    assert all(set(passages[own]) == {"aa", "bb", "cc"} for own in known)


def test_the_pool_holds_about_as_many_other_groups_and_their_translations(store):
    sample = sample_retrieval(store, 6)
    groups = {tuple(group) for group in store.translations(sample.passages)}
    assert sorted(row for group in groups for row in group) == sample.passages.tolist()  # whole groups
    answers = {tuple(store.translations(np.array([int(row)]))[0]) for row in sample.qrels["passage_id"].to_pylist()}
    assert len(answers) <= len(groups)
    assert len(groups) >= 10


def test_the_sample_is_the_same_every_time(world, store):
    again = sample_retrieval(TrainingStore(world.validation_store), 30)
    assert again.qrels.equals(sample_retrieval(store, 30).qrels)


def test_a_small_sample_is_part_of_a_larger_one(store):
    small, large = sample_retrieval(store, 10), sample_retrieval(store, 40)
    assert set(small.queries) < set(large.queries)


@pytest.mark.parametrize("seed", range(3))
def test_the_figures_are_those_of_the_evaluation(store, seed):
    sample = sample_retrieval(store, 40)
    rng = np.random.default_rng(seed)
    query_vectors, passage_vectors = (
        vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        for vectors in (
            rng.normal(size=(len(rows), 4)).astype(np.float32) for rows in (sample.queries, sample.passages)
        )
    )
    ranks = relevant_ranks(sample.query_table, sample.passage_table, sample.qrels, query_vectors, passage_vectors)
    found = retrieval_figures(sample.query_table["lang"].to_numpy().astype(str), ranks)
    expected = evaluate(sample.query_table, ranks)
    assert found == pytest.approx({name: expected[name]["map"] for name in ("mono", "cross", "multi")})
    assert len(set(found.values())) == 3


def make_validation(run, rank, world_size):
    encoder = load_encoder(run.encoder, tokenizer=run.tokenizer, seed=run.seed)
    engine = make_engine(encoder, run.settings, world_size)
    store, settings = TrainingStore(Path(run.validation_store)), run.settings
    reader = BatchReader(store, (), validation_sampler(store), settings.batch_size, 0, 0, encoder, rank, world_size)
    return Validation(store, reader, settings, engine, Objective(engine, settings, run.seed, rank)), engine


STAGES = [0, 3]


def one_of_two(rank, folder, runs):
    torch.set_num_threads(1)
    os.environ["LOCAL_RANK"] = str(rank)
    dist.init_process_group("gloo", init_method=f"file://{folder}/group", rank=rank, world_size=2)
    found = [make_validation(run, rank, 2)[0].measure() for run in runs]
    (folder / f"{rank}.json").write_text(json.dumps(found))
    dist.barrier()
    dist.destroy_process_group()


def test_two_processes_measure_what_one_measures(world, tmp_path):
    part = ValidationSettings(every=1, batches=2, queries=30)
    runs = [world.run(tmp_path, validation=part, deepspeed={"zero_stage": stage}) for stage in STAGES]
    torch.multiprocessing.spawn(one_of_two, (tmp_path, runs), nprocs=2)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert first == second  # to the last digit: early stopping must be the same decision
    join_process_group()
    for run, found in zip(runs, first, strict=True):
        assert found == pytest.approx(make_validation(run, 0, 1)[0].measure(), rel=1e-5)
        assert set(found) == {f"validation_{name}" for name in ("loss", "mono_map", "cross_map", "multi_map")}


def test_dropout_changes_nothing(world, tmp_path):
    join_process_group()
    part = ValidationSettings(every=1, batches=1, queries=20)
    run = world.run(tmp_path, validation=part, dropout=0.5)
    validation, engine = make_validation(run, 0, 1)
    assert validation.measure() == validation.measure()
    engine.module.encoder.eval()
    assert make_validation(replace(run, arm="other"), 0, 1)[0].measure() == validation.measure()


@pytest.mark.parametrize(("watch", "expected"), [("loss", -2.0), ("retrieval", 0.3)])
def test_the_watched_figure_is_better_when_higher(world, tmp_path, watch, expected):
    join_process_group()
    run = world.run(tmp_path, validation=ValidationSettings(every=1, watch=watch, queries=5))
    validation, _ = make_validation(run, 0, 1)
    figures = {"validation_loss": 2.0, "validation_mono_map": 0.4, "validation_multi_map": 0.2}
    assert validation.score(figures) == pytest.approx(expected)
