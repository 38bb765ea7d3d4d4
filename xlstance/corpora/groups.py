"""Which texts say the same in several languages: groups from the keys (question ids, English sentences) they share.

The input is one row per (text, key) as integer codes from 0. Two rules serve two kinds of text:

- ``connected``: texts that share a key, over any number of steps, are one group. Right where the units are the same in
  every language, such as paragraphs and whole sentence pairs.
- ``smallest_key``: a text's group is its smallest key. Right for sentences cut out of paragraphs, which are cut
  differently in each language: connecting them would chain neighbouring sentences into one group (on XQuAD-R half
  of the components hold two or more sentences of one language). As a key stands in one text of a language, a group
  has at most one text of each.
"""

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int64]


def smallest_key(texts: Codes, keys: Codes) -> Codes:
    """The smallest key code of each row's text.

    Args:
        texts: text code of each row, ``[rows] int64``.
        keys: key code of each row, ``[rows] int64``.

    Returns:
        ``[rows] int64``, equal for rows of one text.
    """
    smallest = np.full(texts.max(initial=-1) + 1, np.iinfo(np.int64).max)
    np.minimum.at(smallest, texts, keys)
    return smallest[texts]


def connected(texts: Codes, keys: Codes) -> Codes:
    """The smallest key code of each row's connected component in the graph of texts and keys.

    Args:
        texts: text code of each row, ``[rows] int64``.
        keys: key code of each row, ``[rows] int64``.

    Returns:
        ``[rows] int64``, equal for rows of one component.
    """
    labels = keys
    while True:  # labels only fall; each round carries them one text and one key further
        spread = smallest_key(keys, smallest_key(texts, labels))
        if np.array_equal(spread, labels):
            return labels
        labels = spread
