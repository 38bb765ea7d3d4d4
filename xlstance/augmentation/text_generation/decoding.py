"""Choosing the next token row by row, so that a row's text does not depend on the rows beside it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import LogitsProcessor, StoppingCriteria

from xlstance.augmentation.text_generation.text_models import Decoding
from xlstance.tables import hash_ids


def draws(ids: Sequence[str], decoding: Decoding, seed: int) -> torch.Tensor:
    """A number in [0, 1) for each sample and step, from the seed and the id alone.

    Args:
        ids: of the rows.
        decoding: how many samples, and steps at most.
        seed: of the draws.

    Returns:
        ``[rows * number, steps] float64``, the samples of a row together. More steps or samples do not change those
        before them.
    """
    rows = [
        np.random.default_rng([seed, key, sample]).random(decoding.max_tokens)
        for key in hash_ids(list(ids)).tolist()
        for sample in range(decoding.number)
    ]
    return torch.from_numpy(np.array(rows))


class Sampler(LogitsProcessor):  # type: ignore[misc]
    """Leaves in each row the one token that a number drawn beforehand points to.

    This is sampling by the inverse of the cumulative distribution, over the tokens in the order of their ids.

    Args:
        draws: ``[rows, steps] float64`` in [0, 1).
        decoding: temperature, top_k (Fan et al. 2018) and top_p (Holtzman et al. 2020).
    """

    def __init__(self, draws: torch.Tensor, decoding: Decoding) -> None:
        self._draws, self._decoding, self._step = draws, decoding, 0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores, ``[rows, tokens] float``, to scores that are 0 for the token drawn and minus infinity elsewhere."""
        logits = scores.double() / self._decoding.temperature
        tokens = None
        if self._decoding.top_k:
            logits, tokens = logits.topk(min(self._decoding.top_k, logits.shape[1]))
            tokens, order = tokens.sort()
            logits = logits.gather(1, order)
        probabilities = logits.softmax(-1)
        if self._decoding.top_p < 1:
            ranked, order = probabilities.sort(descending=True, stable=True)
            beyond = ranked.cumsum(-1) - ranked >= self._decoding.top_p
            probabilities = probabilities.masked_fill(torch.zeros_like(beyond).scatter(1, order, beyond), 0.0)
        sums = probabilities.cumsum(-1)
        # Scaled by the sum: top_p leaves less than 1. The last token that has a share is the limit, since a sum of
        # floats may end below the number drawn.
        target = self._draws[:, self._step, None] * sums[:, -1:]
        last = (sums < sums[:, -1:]).sum(-1, keepdim=True)
        place = torch.minimum((sums <= target).sum(-1, keepdim=True), last)
        self._step += 1
        token = place if tokens is None else tokens.gather(1, place)
        return torch.full_like(scores, -torch.inf).scatter(1, token, 0.0)


class RowLimits(LogitsProcessor):  # type: ignore[misc]
    """Ends each row at its own limit.

    Args:
        limits: tokens that each row writes at most, the ending token not counted; ``[rows] int64``.
        end: the token that ends a text.
    """

    def __init__(self, limits: torch.Tensor, end: int) -> None:
        self._limits, self._end, self._step = limits, end, 0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores, ``[rows, tokens] float``, with nothing but the end left in the rows at their limit."""
        self._step += 1
        over = self._limits < self._step
        if not over.any():
            return scores
        ended = torch.full_like(scores, -torch.inf)
        ended[:, self._end] = scores[:, self._end].clamp(min=torch.finfo(scores.dtype).min)
        return torch.where(over[:, None], ended, scores)


class LineEnd(StoppingCriteria):  # type: ignore[misc]
    """Stops each row at the end of its first line that holds something.

    Args:
        breaks: whether a token holds a line break; ``[tokens] bool``.
        blank: whether it holds nothing but white space.
    """

    def __init__(self, breaks: torch.Tensor, blank: torch.Tensor) -> None:
        self._breaks, self._blank = breaks, blank
        self._begun: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        """Whether each row is done; ``[rows] bool``."""
        last = input_ids[:, -1]
        if self._begun is None:
            self._begun = torch.zeros_like(last, dtype=torch.bool)
        self._begun = self._begun | ~self._blank[last]
        return self._begun & self._breaks[last]
