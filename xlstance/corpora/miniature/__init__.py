"""The miniature world: a small synthetic world told in several invented languages, generated from a seed.

It needs no download and shows every part of the library at work. Its figures are labelled synthetic wherever they
stand.
"""

from xlstance.corpora.miniature.questions import benchmark, groups, lexicon, training_set
from xlstance.corpora.miniature.settings import MiniatureSettings
from xlstance.corpora.miniature.stance import stance_benchmark
from xlstance.corpora.miniature.wordings import stance_wordings

__all__ = ["MiniatureSettings", "benchmark", "groups", "lexicon", "stance_benchmark", "stance_wordings", "training_set"]
