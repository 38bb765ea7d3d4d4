"""Better starts for a static encoder from scratch: what word counts and a dictionary tell before any training.

Measured on development data (see ``docs/results.md``): each raises cross-lingual mAP at equal training, and they add
up.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F

from xlstance.encoders.static import StaticEncoder

_OWN = 0.3  # what an aligned token keeps of its own direction, so that synonyms stay apart


@torch.no_grad()
def weigh_by_rarity(encoder: StaticEncoder, texts: Sequence[str]) -> None:
    """Scales each token's vector by its inverse document frequency, so that rare words decide a text's direction.

    The factor is log(n / df) over its mean (Sparck Jones 1972), with df one more than the texts that hold the token.

    Args:
        encoder: changed in place.
        texts: a sample of the training texts.
    """
    counts = np.ones(len(encoder.embedding.weight))
    for ids in encoder.tokenize(texts, "passage"):
        counts[np.unique(ids)] += 1
    rarity = np.maximum(np.log((len(texts) + 1) / counts), 0)
    encoder.embedding.weight.mul_(torch.from_numpy(rarity / rarity.mean()).float()[:, None])


@torch.no_grad()
def align_by_lexicon(encoder: StaticEncoder, entries: Iterable[tuple[str, str]]) -> None:
    """Turns the vectors of words towards their translations'.

    A token that is a whole word with translations in the lexicon takes the mean of their vectors, plus a part of its
    own, at its own length.

    Args:
        encoder: changed in place.
        entries: (word of the source language, its translation).
    """
    words, translations = (list(side) for side in zip(*entries, strict=True))
    weight = encoder.embedding.weight
    sums, counts = torch.zeros_like(weight), torch.zeros(len(weight))
    for source, target in zip(encoder.tokenize(words, "query"), encoder.tokenize(translations, "query"), strict=True):
        if len(target) == 1 and len(source) and not np.array_equal(source, target):
            sums[int(target[0])] += weight[torch.from_numpy(source.astype(np.int64))].mean(0)
            counts[int(target[0])] += 1
    aligned = counts > 0
    length = weight[aligned].norm(dim=1, keepdim=True)
    turned = sums[aligned] / counts[aligned, None] + _OWN * weight[aligned]
    weight[aligned] = F.normalize(turned, dim=1) * length
