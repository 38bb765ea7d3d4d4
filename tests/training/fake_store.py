"""A training store in memory, for tests that need negatives, translations and texts of chosen lengths."""

import numpy as np

from xlstance.training.plan import Partition

LANGUAGES = ("aa", "bb", "cc")


class FakeStore:
    """Groups of one query and one passage in each of three languages, every pair of languages being a partition.

    Text r of a kind (query or passage) is of group r // 3 in language r % 3. Every fifth group says what the one before
    it says. Pair i of a partition has i % 4 explicit negatives, which are passages of its own language, and the first
    of some answers the query all the same.

    Args:
        groups: how many.
        lengths: least and greatest number of a text's tokens, by language.
    """

    languages = LANGUAGES

    def __init__(self, groups=40, lengths=((4, 12),) * 3):
        random = np.random.default_rng(0)
        self.groups = groups

        def texts():
            counts = [int(random.integers(*lengths[lang])) for _ in range(groups) for lang in range(3)]
            return [np.concatenate([[2], random.integers(5, 90, n), [3]]).astype(np.int32) for n in counts]

        self._texts = {"query": texts(), "passage": texts()}
        self.partitions = [
            Partition(source="fake", query_lang=query, passage_lang=passage, rows=groups)
            for query in LANGUAGES
            for passage in LANGUAGES
        ]
        self._named = random.integers(0, groups, size=(9, groups, 3))

    def locate(self, partition, row):
        return 3 * row + partition // 3, 3 * row + partition % 3

    def negatives(self, partition, row, count):
        groups = self._named[partition, row]
        groups[:, 0] = np.where(row % 8 == 3, row, groups[:, 0])  # a negative that answers the query
        named = np.where(np.arange(3) < (row % 4)[:, None], 3 * groups + (partition % 3)[:, None], -1)
        return named[:, :count]

    def query_tokens(self, rows):
        return [self._texts["query"][row] for row in rows]

    def passage_tokens(self, rows):
        return [self._texts["passage"][row] for row in rows]

    def query_lengths(self, rows):
        return np.array([len(self._texts["query"][row]) for row in rows], dtype=np.int64)

    def passage_lengths(self, rows):
        return np.array([len(self._texts["passage"][row]) for row in rows], dtype=np.int64)

    def query_languages(self, rows):
        return rows % 3

    def passage_languages(self, rows):
        return rows % 3

    def translations(self, rows):
        return [np.arange(3) + 3 * (row // 3) for row in rows]

    def known_positives(self, queries, passages):
        return self._meaning(queries)[:, None] == self._meaning(passages)[None, :]

    def _meaning(self, rows):
        group = rows // 3
        return np.where(group % 5 == 4, group - 1, group)
