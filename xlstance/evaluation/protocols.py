"""The protocols that published figures follow, as data: which figures, over which pools, averaged how, and from where.

Every benchmark is measured in full; a protocol names those of its figures that may stand beside published ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xlstance.evaluation.per_query import WithoutAnswer


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How a paper or a benchmark measures.

    Attributes:
        name: how it is called in results.
        figures: (setting, figure) in what ``protocol.evaluate`` gives; a name that ends in ``_micro`` is a mean over
            all queries, any other a mean over languages, or ordered pairs of them.
        source: where it is defined.
        about: the pool, the mean and what is special, in a sentence.
        without_answer: what it does with a query that has no relevant passage in a pool.
    """

    name: str
    figures: tuple[tuple[str, str], ...]
    source: str
    about: str
    without_answer: WithoutAnswer = "excluded"


LAREQA = Protocol(
    name="LAReQA",
    figures=(("multi", "map_micro"),),
    source="Roy et al. 2020, arXiv 2004.05484, section 3; its program's mean over all questions",
    about="A question in any language, one pool of the candidate sentences of all languages; mean over questions.",
)
HYBRID = Protocol(
    name="hybrid batch training",
    figures=(
        *(("mono", "map"), ("cross", "map"), ("multi", "map")),
        *(("mono", "recall@1"), ("cross", "recall@1"), ("multi", "recall@10"), ("multi", "rank_distance")),
    ),
    source="Elmahdy et al. 2024, arXiv 2408.10536, section 4",
    about="Pools of one language and of all; means over languages (mono, multi) or ordered pairs of them (cross).",
)
XTREME_R = Protocol(
    name="XTREME-R",
    figures=(("multi", "map@20"),),
    source="Ruder et al. 2021, arXiv 2104.07412; mAP@20 on LAReQA's XQuAD-R",
    about="LAReQA's pool of all languages, cut at rank 20; mean over languages of the question.",
)
MIRACL = Protocol(
    name="MIRACL",
    figures=(("mono", "ndcg@10"), ("mono", "recall@100")),
    source="Zhang et al. 2022, arXiv 2210.09984",
    about="Each language's questions over its own Wikipedia; mean over languages.",
)
BEIR = Protocol(
    name="BEIR",
    figures=(("multi", "ndcg@10_micro"), ("multi", "recall@100_micro")),
    source="Thakur et al. 2021, arXiv 2104.08663",
    about="One corpus, whatever its languages; mean over queries; gains as they are.",
)
TREC = Protocol(
    name="TREC",
    figures=tuple(("multi", f"{name}_micro") for name in ("map", "ndcg@10", "mrr@10", "recall@100", "success@10")),
    source="trec_eval (NIST): map, ndcg_cut_10, recip_rank within 10, recall_100, success_10",
    about="One corpus; mean over topics, a topic without a relevant document counts 0.",
    without_answer="zero",
)
TOPICAL = Protocol(
    name="XL-Stance, topical",
    figures=tuple((setting, figure) for figure in ("map", "ndcg@10") for setting in ("mono", "cross", "multi")),
    source="this project, docs/xl_stance.md",
    about="The comments on a question are relevant, whatever their side; means over languages or pairs of them.",
)
STANCE = Protocol(
    name="XL-Stance, stance",
    figures=tuple(
        (setting, figure)
        for figure in ("map", "auc", "ndcg@10", "ndcg@10_blind")
        for setting in ("mono", "cross", "multi")
    ),
    source="this project, docs/xl_stance.md",
    about="The comments on the asked side are relevant: mAP of that side, AUC of the sides among the comments on the "
    "question, and nDCG@10 with gains 2, 1, 0 beside what a ranking blind to sides gets; means as in the topical task.",
)

# By the format of a benchmark, or its format and task.
_OF_FORMAT: Mapping[str, tuple[Protocol, ...]] = {
    "lareqa": (LAREQA, HYBRID, XTREME_R),
    "trec": (MIRACL, TREC),
    "beir": (BEIR, TREC),
    "xl-stance topical": (TOPICAL,),
    "xl-stance stance": (STANCE,),
}
PROTOCOLS = (LAREQA, HYBRID, XTREME_R, MIRACL, BEIR, TREC, TOPICAL, STANCE)


def protocols_of(benchmark_format: str, task: str = "") -> tuple[Protocol, ...]:
    """The protocols that a benchmark's figures can follow; none for a format that has no published one.

    Args:
        benchmark_format: as in ``BenchmarkSource.format``.
        task: as in ``BenchmarkSource.task``; counts for ``xl-stance`` alone.
    """
    return _OF_FORMAT.get(benchmark_format, ()) or _OF_FORMAT.get(f"{benchmark_format} {task}", ())


def by_protocol(protocols: tuple[Protocol, ...], figures: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The figures of a benchmark by protocol.

    Args:
        protocols: those to show.
        figures: as ``protocol.evaluate`` gives them.

    Returns:
        By the protocol's name its ``source``, ``about``, the ``figures`` by ``setting figure`` (None where there is
        none), and ``as_published``: false if runs without an answer were treated in another way than the protocol's.
    """
    return {
        protocol.name: {
            "source": protocol.source,
            "about": protocol.about,
            "figures": {f"{setting} {name}": figures[setting].get(name) for setting, name in protocol.figures},
            "as_published": protocol.without_answer == figures["without_answer"]
            or not any(figures[setting]["runs_without_answer"] for setting, _ in protocol.figures),
        }
        for protocol in protocols
    }
