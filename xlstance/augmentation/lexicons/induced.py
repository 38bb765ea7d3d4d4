"""A lexicon induced from an encoder's own vectors of words: the mutual nearest neighbours of two languages.

Nearest by CSLS (Conneau et al. 2018, "Word translation without parallel data", arXiv 1710.04087, section 2.3), which
takes from a similarity how near the two words are to everything: some words are neighbours of all.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xlstance.augmentation.code_points import CHARACTER, Numbers, fold
from xlstance.augmentation.lexicons.lexicon import Lexicon
from xlstance.augmentation.switching.segmentation import split_words
from xlstance.encoders import Encoder, EncoderSettings
from xlstance.errors import SettingsError

NEIGHBOURS = 10  # K of CSLS
Vectors = npt.NDArray[np.float32]

_ROWS = 1024  # of the matrix of similarities that stand in memory
_TEXTS = 1000


@dataclass(frozen=True, kw_only=True)
class InducedLexicon:
    """Settings of a lexicon that is induced from the vectors of an encoder.

    Attributes:
        encoder: a model folder, below the data root or any other, or a hub name.
        words: how many of the most frequent words of each language are paired.
    """

    encoder: str = ""
    words: int = 10_000

    def __post_init__(self) -> None:
        if not self.encoder:
            raise SettingsError("induced: encoder is empty; name the folder or the hub name of a trained encoder")
        if self.words < 1:
            raise SettingsError(f"induced: words is {self.words}; give how many words of each language to pair")

    def located(self, data: str) -> EncoderSettings:
        """The encoder, found below the data root where it lies there."""
        below = Path(data) / self.encoder
        return EncoderSettings(model=str(below) if below.is_dir() else self.encoder)


def frequent_words(texts: Iterable[str], limit: int) -> list[str]:
    """The most frequent words of texts, as they are written most often.

    Characters of scripts without spaces are no words, and are left out.

    Args:
        texts: in one language.
        limit: how many words at most.

    Returns:
        Words whose folds differ, the most frequent first, equally frequent ones in the order of code points.
    """
    written: Counter[str] = Counter()
    for block in _blocks(texts):
        words = split_words(block)
        whole = words.whole.codes.tobytes().decode("utf-32-le")
        rows = np.flatnonzero((words.kinds[words.starts] & CHARACTER) == 0)
        places = zip(words.starts[rows].tolist(), words.ends[rows].tolist(), strict=True)
        written.update([whole[start:end] for start, end in places])
    spellings: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for word, count in written.items():
        spellings[fold(word)].append((-count, word))
    counted = [(sum(count for count, _ in found), min(found, key=_spelling)[1]) for found in spellings.values()]
    return [word for _, word in sorted(counted)[:limit]]


def _spelling(counted: tuple[int, str]) -> tuple[int, str]:
    """The order of spellings: the most frequent first, of equally frequent ones small letters before capitals."""
    return counted[0], counted[1].swapcase()


def induce_lexicon(source: Sequence[str], target: Sequence[str], encoder: Encoder) -> Lexicon:
    """Pairs the words of two languages that are each other's nearest.

    Args:
        source: words of the source language; their folds differ.
        target: words of the target language.
        encoder: gives a word its vector, as a query.

    Returns:
        One translation for each word that has a mutual nearest neighbour other than itself: a word that both
        languages know tells nothing, and stands in the texts of both as a name or a foreign word.
    """
    if not source or not target:
        return {}
    place = {word: row for row, word in enumerate(target)}
    same = np.array([place.get(word, -1) for word in source])
    found = mutual_neighbours(encoder.encode(source, "query"), encoder.encode(target, "query"), same)
    return {fold(source[row]): {target[column]: 1.0} for row, column in found.tolist()}


def mutual_neighbours(source: Vectors, target: Vectors, same: Numbers, neighbours: int = NEIGHBOURS) -> Numbers:
    """Mutual nearest neighbours under CSLS(x, y) = 2 cos(x, y) - r(x) - r(y).

    r(x) is the mean cosine of x with its ``neighbours`` nearest in the other language.

    Args:
        source: ``[sources, dimension] float32``, each of length 1.
        target: ``[targets, dimension] float32``, each of length 1.
        same: ``[sources] int64``, the target that is the same word, -1 for none: it counts as far away.
        neighbours: K.

    Returns:
        ``[pairs, 2] int64``, rows of ``source`` and of ``target``, in the order of the former.
    """
    back = np.full(len(target), -1)
    back[same[same >= 0]] = np.flatnonzero(same >= 0)
    near_source, near_target = _nearness(source, target, same, neighbours), _nearness(target, source, back, neighbours)
    # What is taken from a whole row does not change which of it is largest.
    forth = _nearest(source, target, same, near_target)
    backwards = _nearest(target, source, back, near_source)
    rows = np.flatnonzero(backwards[forth] == np.arange(len(source)))
    return np.stack([rows, forth[rows]], axis=1)


def _nearness(own: Vectors, other: Vectors, same: Numbers, neighbours: int) -> Vectors:
    count = min(neighbours, len(other))
    parts = [np.partition(block, -count, axis=1)[:, -count:].mean(axis=1) for block in _similarities(own, other, same)]
    return np.concatenate(parts)


def _nearest(own: Vectors, other: Vectors, same: Numbers, nearness: Vectors) -> Numbers:
    return np.concatenate([(2 * block - nearness).argmax(axis=1) for block in _similarities(own, other, same)])


def _similarities(own: Vectors, other: Vectors, same: Numbers) -> Iterator[Vectors]:
    for start in range(0, len(own), _ROWS):
        block = own[start : start + _ROWS] @ other.T
        known = np.flatnonzero(same[start : start + _ROWS] >= 0)
        block[known, same[start + known]] = -1.0
        yield block


def _blocks(texts: Iterable[str]) -> Iterator[list[str]]:
    block: list[str] = []
    for text in texts:
        block.append(text)
        if len(block) == _TEXTS:
            yield block
            block = []
    yield block
