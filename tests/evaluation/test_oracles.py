"""Every retrieval figure against other people's programs: trec_eval (pytrec_eval), ir_measures and ranx.

The worlds are small and mean: integer vectors whose scores tie all the time, a query that ties with everything, one
without a relevant passage, one with all passages relevant, one that is judged and has gain 0 only, duplicate texts with
duplicate vectors, gains of 1 to 3, pools smaller than a cutoff.
"""

import ir_measures
import numpy as np
import pytest
import pytrec_eval
from ir_measures import AP, RR, R, Success, nDCG

from xlstance.evaluation.per_query import RETRIEVAL, figures_by_query
from xlstance.evaluation.protocol import evaluate
from xlstance.ranking import relevant_ranks
from xlstance.tables import hash_ids, make_table

LANGUAGES = ("de", "en", "zh")
POOL = 45
GAINS = {1: 1, 2: 3, 3: 7}  # 2^gain - 1
TREC_EVAL = {
    **{"map": "map", "map@20": "map_cut_20", "ndcg@10": "ndcg_cut_10", "success@10": "success_10"},
    **{f"recall@{k}": f"recall_{k}" for k in (1, 10, 100)},
}
IR_MEASURES = {
    **{"map": AP, "map@20": AP @ 20, "ndcg@10": nDCG @ 10, "mrr@10": RR @ 10, "success@10": Success @ 10},
    **{f"recall@{k}": R @ k for k in (1, 10, 100)},
    "ndcg_exponential@10": nDCG(gains=GAINS) @ 10,
}
RANX = {
    **{"map": "map", "map@20": "map@20", "ndcg@10": "ndcg@10", "mrr@10": "mrr@10", "success@10": "hit_rate@10"},
    **{f"recall@{k}": f"recall@{k}" for k in (1, 10, 100)},
    "ndcg_exponential@10": "ndcg_burges@10",
}


class World:
    """Judgements, and the ranked list of every query in every pool, made by sorting."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.languages = rng.choice(LANGUAGES, POOL).tolist()
        self.asked = rng.choice(LANGUAGES, 12).tolist()
        self.passages, self.queries = [f"p{n}" for n in range(POOL)], [f"q{n}" for n in range(12)]
        gains = rng.choice([0, 1, 2, 3], (12, POOL), p=[0.6, 0.2, 0.1, 0.1])
        gains[0], gains[1], gains[2] = 0, rng.integers(1, 4, POOL), 0  # none, all, one that is judged 0
        judged = (gains > 0) | (rng.random(gains.shape) < 0.05)
        judged[0], judged[2, 0] = False, True
        self.qrels = {
            query: {self.passages[n]: int(gains[row, n]) for n in np.flatnonzero(judged[row])}
            for row, query in enumerate(self.queries)
            if judged[row].any()
        }
        # More passages than vectors, so that some are duplicates; the fourth query ties all passages.
        self.vectors = rng.integers(-1, 2, (12, 3)), rng.integers(-1, 2, (POOL, 3))
        self.vectors[0][3] = 0
        order = dict(zip(self.passages, hash_ids(self.passages).tolist(), strict=True))
        scores = self.vectors[0] @ self.vectors[1].T
        self.ranked = {
            query: sorted(self.passages, key=lambda p, row=row: (-scores[row, int(p[1:])], order[p], p))
            for row, query in enumerate(self.queries)
        }

    def tables(self):
        def texts(name, key, ids, langs):
            return make_table(name, {key: ids, "lang": langs, "text": ["same"] * len(ids), "group_id": ids})

        rows = [(query, p, gain) for query, judged in self.qrels.items() for p, gain in judged.items()]
        return (
            texts("queries", "query_id", self.queries, self.asked),
            texts("passages", "passage_id", self.passages, self.languages),
            make_table("qrels", dict(zip(("query_id", "passage_id", "gain"), zip(*rows, strict=True), strict=True))),
        )

    def ranks(self):
        return relevant_ranks(*self.tables(), *(part.astype(np.float32) for part in self.vectors))

    def run(self, language=None):
        """Judgements and run of a pool, in the form the programs take: scores fall by 1."""
        inside = {p for p, lang in zip(self.passages, self.languages, strict=True) if language in (None, lang)}
        run = {q: [p for p in ranked if p in inside] for q, ranked in self.ranked.items()}
        scored = {q: {p: float(len(ranked) - n) for n, p in enumerate(ranked)} for q, ranked in run.items()}
        return {q: {p: g for p, g in judged.items() if p in inside} for q, judged in self.qrels.items()}, scored


@pytest.fixture(params=range(5), scope="module")
def world(request):
    return World(request.param)


def ours(world, language=None):
    """Figures by query id and name, queries without an answer as zero."""
    figures = figures_by_query(world.tables()[0], world.ranks(), without_answer="zero")
    frame = figures.multi if language is None else figures.one_target
    rows = frame if language is None else frame[frame["passage_lang"] == language]
    return {world.queries[row["query_index"]]: row for row in rows.to_dict("records")}


def compare(found, expected, names):
    """The given values by query and name; a query that the program does not know must have 0."""
    for query, values in found.items():
        for name in names:
            value = expected.get(query, {}).get(name, 0.0)
            assert values[name] == pytest.approx(value, abs=1e-9), (query, name)


@pytest.mark.parametrize("language", [None, *LANGUAGES])
def test_trec_eval_agrees(world, language):
    qrels, run = world.run(language)
    evaluator = pytrec_eval.RelevanceEvaluator(
        qrels, {"map", "map_cut.20", "ndcg_cut.10", "recall.1,10,100", "success.10"}
    )
    told = {
        query: {name: values[theirs] for name, theirs in TREC_EVAL.items()}
        for query, values in evaluator.evaluate(run).items()
    }
    top = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"}).evaluate(
        {query: dict(list(scored.items())[:10]) for query, scored in run.items()}
    )
    for query, values in top.items():
        told[query]["mrr@10"] = values["recip_rank"]
    compare(ours(world, language), told, [*TREC_EVAL, "mrr@10"])


@pytest.mark.parametrize("language", [None, *LANGUAGES])
def test_ir_measures_agree(world, language):
    qrels, run = world.run(language)
    names = {str(measure): name for name, measure in IR_MEASURES.items()}
    told: dict = {}
    # One by one: in one call it may apply the gains of the one nDCG to the other.
    for measure in IR_MEASURES.values():
        for metric in ir_measures.iter_calc([measure], qrels, run):
            told.setdefault(metric.query_id, {})[names[str(measure)]] = metric.value
    assert set(IR_MEASURES) == set(RETRIEVAL)
    compare(ours(world, language), told, IR_MEASURES)


def test_means_agree_where_queries_are_missing(world):
    """A run that lacks a judged query, as one that found nothing for it, gets 0 there from ir_measures."""
    qrels, run = world.run()
    without = {query: scored for query, scored in run.items() if query != "q2"}
    judged = evaluate(world.tables()[0].slice(1), relevant_of(world, 1), without_answer="zero")
    for name, measure in IR_MEASURES.items():
        for scored in (run, without):
            told = ir_measures.calc_aggregate([measure], qrels, scored)[measure]
            assert judged["multi"][f"{name}_micro"] == pytest.approx(told, abs=1e-9)
    assert judged["multi"]["runs_without_answer"] == 1


def relevant_of(world, first):
    """The ranks without the first queries."""
    queries, passages, qrels = world.tables()
    asking, answering = (part.astype(np.float32) for part in world.vectors)
    return relevant_ranks(queries.slice(first), passages, qrels, asking[first:], answering)


@pytest.mark.slow  # numba compiles what it measures with
@pytest.mark.parametrize("language", [None, *LANGUAGES])
def test_ranx_agrees(world, language):
    ranx = pytest.importorskip("ranx", reason="needs ranx, of the extra dev")
    qrels, run = world.run(language)
    # It knows no gain of 0, and drops a query that has no other.
    relevant = {q: kept for q, judged in qrels.items() if (kept := {p: g for p, g in judged.items() if g})}
    scored = ranx.Run({q: run[q] for q in relevant})
    ranx.evaluate(ranx.Qrels(relevant), scored, list(RANX.values()))
    told = {query: {name: float(scored.scores[theirs][query]) for name, theirs in RANX.items()} for query in relevant}
    compare(ours(world, language), told, RANX)
