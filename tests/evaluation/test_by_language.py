"""What each language gets in the multilingual pool, against loops over ranked lists."""

from statistics import fmean

import numpy as np
import pyarrow.compute as pc
import pytest

from xlstance.evaluation import bias
from xlstance.evaluation.language_share import top_languages
from xlstance.evaluation.protocol import evaluate
from xlstance.ranking import rank_passages, relevant_ranks, vector_scores
from xlstance.tables import make_table

ASKING = {"de": 8, "en": 5, "it": 4}  # it has no passages
ANSWERING = {"de": 60, "en": 90, "fr": 30, "th": 20}  # th has no relevant ones


def world(seed, relevant=4, dimension=5):
    rng = np.random.default_rng(seed)
    queries = [(f"{lang}-q{n}", lang) for lang, count in ASKING.items() for n in range(count)]
    passages = [(f"{lang}-p{n}", lang) for lang, count in ANSWERING.items() for n in range(count)]
    qrels = [
        (query, f"{lang}-p{n}", int(rng.integers(1, 3)))
        for query, asked in queries[1:]
        for lang in ("de", "en", "fr")
        if (asked, lang) != ("it", "fr")
        for n in rng.choice(ANSWERING[lang], rng.integers(0, relevant), replace=False)
    ]
    tables = []
    for name, key, rows in (("queries", "query_id", queries), ("passages", "passage_id", passages)):
        ids, langs = [row[0] for row in rows], [row[1] for row in rows]
        tables.append(make_table(name, {key: ids, "lang": langs, "text": ids, "group_id": ids}))
    columns = {name: [row[n] for row in qrels] for n, name in enumerate(("query_id", "passage_id", "gain"))}
    vectors = [rng.normal(size=(len(rows), dimension)).astype(np.float32) for rows in (queries, passages)]
    return (*tables, make_table("qrels", columns), *vectors)


def measured(made, **options):
    queries, passages, qrels, asking, answering = made
    scores = vector_scores(queries, passages, asking, answering)
    ranks, best = rank_passages(queries, passages, qrels, scores, top_k=10)
    return evaluate(queries, ranks, top=top_languages(best, passages), **options)


def by_hand(made, relevant_from=1):
    """Recall and share by (query language, passage language), from lists sorted by score."""
    queries, passages, qrels, asking, answering = (
        part.to_pylist() if hasattr(part, "to_pylist") else part.astype(float) for part in made
    )
    gain = {(row["query_id"], row["passage_id"]): row["gain"] for row in qrels}
    recalls: dict = {}
    listed: dict = {}
    for query, vector in zip(queries, asking, strict=True):
        order = [passages[row] for row in np.argsort(-(answering @ vector))]
        wanted = [gain.get((query["query_id"], passage["passage_id"]), 0) >= relevant_from for passage in order]
        if not any(wanted):
            continue
        for passage in order[:10]:
            listed.setdefault(query["lang"], []).append(passage["lang"])
        for lang in ANSWERING:
            own = [
                rank for rank, (p, hit) in enumerate(zip(order, wanted, strict=True), 1) if hit and p["lang"] == lang
            ]
            for k in (10, 100):
                if own:
                    recalls.setdefault((query["lang"], lang, k), []).append(fmean(rank <= k for rank in own))
    return {cell: fmean(values) for cell, values in recalls.items()}, {
        (asked, lang): langs.count(lang) / len(langs) for asked, langs in listed.items() for lang in ANSWERING
    }


@pytest.mark.parametrize(("seed", "relevant_from"), [(0, 1), (1, 1), (2, 2)])
def test_figures_are_those_of_a_second_implementation(seed, relevant_from):
    made = world(seed)
    result = measured(made, relevant_from=relevant_from)
    recalls, shares = by_hand(made, relevant_from)
    pool = {lang: count / 200 for lang, count in ANSWERING.items()}
    assert set(result["per_pair_multi"]) == {f"{a}->{b}" for a in ASKING for b in ANSWERING}
    for asked in ASKING:
        for lang in ANSWERING:
            found = result["per_pair_multi"][f"{asked}->{lang}"]
            assert found["share@10"] == pytest.approx(shares[asked, lang])
            for k in (10, 100):
                assert found[f"recall@{k}"] == pytest.approx(recalls.get((asked, lang, k)))
    divergence = {
        asked: sum(
            shares[asked, lang] * np.log(shares[asked, lang] / pool[lang]) for lang in pool if shares[asked, lang]
        )
        for asked in ASKING
    }
    multi = result["multi"]
    assert multi["language_kl@10"] == pytest.approx(fmean(divergence.values()))
    assert multi["own_language_share@10"] == pytest.approx(fmean([shares["de", "de"], shares["en", "en"]]))
    assert multi["own_language_share@10_chance"] == pytest.approx(fmean([0.3, 0.45]))
    assert result["per_language"]["it"]["multi"]["own_language_share@10"] is None
    for k in (10, 100):
        known = {lang: [r for (_, to, at), r in recalls.items() if (to, at) == (lang, k)] for lang in ANSWERING}
        means = [fmean(values) for values in known.values() if values]
        assert multi[f"recall_gap_overall@{k}"] == pytest.approx(max(means) - min(means))
        gaps = []
        for asked in ASKING:
            own = [r for (a, _, at), r in recalls.items() if (a, at) == (asked, k)]
            figures = result["per_language"][asked]["multi"]
            gaps.append(max(own) - min(own))
            assert figures[f"recall_gap@{k}"] == pytest.approx(gaps[-1])
            assert figures["language_kl@10"] == pytest.approx(divergence[asked])
        assert multi[f"recall_gap@{k}"] == pytest.approx(fmean(gaps))


def test_a_score_that_knows_the_query_language():
    """Every query's own language first: nothing but its own at the top."""
    queries, passages, qrels, *_ = world(0)
    # it shares its direction with th.
    axis = {"de": 0, "en": 1, "fr": 2, "th": 3, "it": 3}
    asking, answering = (
        np.eye(4, dtype=np.float32)[[axis[lang] for lang in t["lang"].to_pylist()]] for t in (queries, passages)
    )
    result = measured((queries, passages, qrels, asking, answering))
    multi = result["multi"]
    assert multi["own_language_share@10"] == 1
    assert multi["language_kl@10"] == pytest.approx(fmean([-np.log(0.3), -np.log(0.45), -np.log(0.1)]))
    assert result["per_language"]["de"]["multi"]["recall_gap@100"] > 0.7
    assert multi["same_language_first"] == 1


def test_a_collapsed_encoder_shows_no_language():
    queries, passages, qrels, asking, answering = world(3)
    asking[:], answering[:] = asking[0], answering[0]
    result = measured((queries, passages, qrels, asking, answering))
    # One list for all queries, a sample of ten of the pool.
    assert result["multi"]["language_kl@10"] < 0.5
    kl = {figures["multi"]["language_kl@10"] for figures in result["per_language"].values()}
    assert len(kl) == 1


@pytest.mark.parametrize("seed", range(3))
def test_without_the_top_the_other_figures_stand(seed):
    made = world(seed)
    whole, part = measured(made), evaluate(made[0], relevant_ranks(*made))
    shares = ("language_kl@10", "own_language_share@10")
    assert {name for name in whole["multi"] if whole["multi"][name] != part["multi"][name]} == set(shares)
    assert all(part["multi"][name] is None for name in shares)
    assert all(pair["share@10"] is None for pair in part["per_pair_multi"].values())
    assert part["per_language"]["de"]["multi"]["language_kl@10"] is None


def test_one_language_or_nothing_relevant():
    queries, passages, qrels, *vectors = world(0)
    nothing = measured((queries, passages, qrels.slice(0, 0), *vectors))
    assert nothing["per_pair_multi"] == {}
    assert {nothing["multi"][name] for name in ("recall_gap@10", "language_kl@10", "peer@20")} == {None}
    rows = np.flatnonzero(pc.equal(passages["lang"], "de"))
    only = passages.take(rows)
    judged = qrels.filter(pc.is_in(qrels["passage_id"], only["passage_id"].combine_chunks()))
    alone = measured((queries, only, judged, vectors[0], vectors[1][rows]))
    assert alone["multi"]["recall_gap@10"] is alone["multi"]["recall_gap_overall@10"] is None
    assert alone["multi"]["own_language_share@10"] == 1 == alone["multi"]["own_language_share@10_chance"]
    assert alone["multi"]["language_kl@10"] == 0
    assert any("PEER is not given" in note for note in alone["notes"])


def test_peer_stands_per_language_and_notes_say_how_many_queries_it_is_over():
    made = world(1)
    result = measured(made)
    assert 0 < result["multi"]["peer@20"] <= 1
    assert result["multi"]["peer@1000"] != result["multi"]["peer@20"]
    means = [figures["multi"]["peer@1000"] for figures in result["per_language"].values()]
    assert result["multi"]["peer@1000"] == pytest.approx(fmean(m for m in means if m is not None))
    (note,) = result["notes"]
    assert f"of {result['multi']['queries']} queries" in note


def test_recall_gap_needs_two_languages():
    recall = np.array([[0.2, np.nan, 0.9], [0.5, np.nan, np.nan], [np.nan] * 3, [0.4, 0.4, 0.4]])
    np.testing.assert_allclose(bias.recall_gap(recall), [0.7, np.nan, np.nan, 0])


def test_rank_distance_by_argument_counts_the_relevant_passages_alone():
    made = world(4)
    argument = np.random.default_rng(5).integers(0, 3, len(made[1]))
    ranks = relevant_ranks(*made)
    found = evaluate(made[0], ranks, relevant_from=2, argument=argument[ranks.passage_index])
    wanted: dict = {}
    for query, passage, gain, rank in zip(
        ranks.query_index, ranks.passage_index, ranks.gain, ranks.in_all, strict=True
    ):
        if gain == 2:
            wanted.setdefault(int(query), {}).setdefault(int(argument[passage]), []).append(int(rank))
    of_lang: dict = {}
    for query, parts in wanted.items():
        distances = [max(places) - min(places) for places in parts.values() if len(places) > 1]
        if distances:
            of_lang.setdefault(made[0]["lang"][query].as_py(), []).append(fmean(distances))
    assert found["multi"]["rank_distance"] == pytest.approx(fmean(map(fmean, of_lang.values())))
