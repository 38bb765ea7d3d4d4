"""Exact ranks from scores of all passages, with no cutoff: the relevant passages' ranks, and the best of each query."""

from xlstance.ranking.order import TIE, Best, blind_order, descending
from xlstance.ranking.relevant import RelevantRanks, rank_passages, relevant_ranks
from xlstance.ranking.scores import Scores, matrix_of, score_blocks, vector_scores

__all__ = [
    "TIE",
    "Best",
    "RelevantRanks",
    "Scores",
    "blind_order",
    "descending",
    "matrix_of",
    "rank_passages",
    "relevant_ranks",
    "score_blocks",
    "vector_scores",
]
