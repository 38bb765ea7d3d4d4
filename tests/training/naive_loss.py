"""The contrastive loss once more, from its definition, for tests to compare with."""

import numpy as np
import torch


def naive_row(scores, own, others, excluded, positives):
    """One row's loss, from the definition: positives do not compete with one another, what is excluded is not there."""
    right = [own, *others] if positives == "all" else [own]
    wrong = [j for j in range(len(scores)) if j not in (own, *others) and j not in excluded]
    pushed = sum(torch.exp(scores[j]) for j in wrong)
    return sum(-torch.log(torch.exp(scores[p]) / (torch.exp(scores[p]) + pushed)) for p in right) / len(right)


def naive_loss(vectors, batch, options, temperature):
    """The whole loss, row by row and score by score.

    Args:
        vectors: ``[t, d]`` of queries, passages, explicit negatives; scaled to length 1 here.
        batch: has ``pairs``, ``owners`` (of the negatives), ``known`` (which passage is known to answer which query),
            ``languages`` (of all texts).
        options: ``LossSettings``.
        temperature: divides the cosines.
    """
    n = batch.pairs
    owner = np.concatenate([np.arange(n), batch.owners])
    total = 0.0
    sizes = {*options.matryoshka, vectors.shape[1]}
    for size in sizes:
        units = torch.nn.functional.normalize(vectors[:, :size], dim=1)
        queries, passages = units[:n], units[n:]
        query_languages, passage_languages = batch.languages[:n], batch.languages[n:]
        for i in range(n):
            other = [j for j in range(len(owner)) if batch.known[i, j] and owner[j] != i]
            foreign = [j for j in range(len(owner)) if passage_languages[j] != passage_languages[i] and owner[j] != i]
            excluded = foreign if options.negatives_in == "passage-language" else []
            direction = [naive_row(passages @ queries[i] / temperature, i, other, excluded, options.positives)]
            if options.symmetric:
                other = [j for j in range(n) if batch.known[j, i] and j != i]
                foreign = [j for j in range(n) if query_languages[j] != query_languages[i]]
                excluded = foreign if options.negatives_in == "passage-language" else []
                direction.append(naive_row(queries @ passages[i] / temperature, i, other, excluded, options.positives))
            total = total + sum(direction) / len(direction)
    return total / n / len(sizes)
