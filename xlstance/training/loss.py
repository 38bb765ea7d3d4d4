"""InfoNCE over the texts of a global batch, with known false negatives masked: one rank's share and its gradient.

InfoNCE: van den Oord et al., arXiv 1807.03748, section 2.3; in-batch negatives for retrieval: Karpukhin et al.,
arXiv 2004.04906, section 3.2; Matryoshka dimensions: Kusupati et al., arXiv 2205.13147, section 3.

The gradient is computed here, by its formula, and not by automatic differentiation: scores then exist for one block of
rows at a time, once, so that a batch of many thousand pairs needs memory for its vectors only.

Shapes: n pairs of the global batch; t texts: n queries, n passages and the explicit negatives of all pairs, in this
order; b rows of a share or of a block; c candidates; d dimensions.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from xlstance.training.settings import LossSettings

_BLOCK_ON_CPU = 1 << 20  # scores that exist at once: 4 MB, which caches hold
_BLOCK_ELSEWHERE = 1 << 24


@dataclass(frozen=True)
class Targets:
    """What some rows of a global batch look for among their candidates; row i's own positive is candidate i.

    Attributes:
        start: number of the first row.
        rows: number of rows, b.
        others: ``[k, 2] int64``, (row, candidate), sorted: candidates known to be right for a row besides its own
            positive. The row's explicit negatives are never among them.
        explicit: ``[e, 2] int64``, (row, candidate), sorted: the row's explicit negatives.
        languages: ``[c] int64``, the language of each candidate, as any code.
    """

    start: int
    rows: int
    others: torch.Tensor
    explicit: torch.Tensor
    languages: torch.Tensor

    def blocks(self, size: int) -> Iterator["Targets"]:
        """Cuts the rows into blocks of at most ``size`` rows."""
        for start in range(self.start, self.start + self.rows, size):
            rows = min(size, self.start + self.rows - start)
            yield replace(
                self,
                start=start,
                rows=rows,
                others=_of_rows(self.others, start, rows),
                explicit=_of_rows(self.explicit, start, rows),
            )

    def to(self, device: torch.device) -> "Targets":
        """The same on another device."""
        return replace(
            self,
            others=self.others.to(device),
            explicit=self.explicit.to(device),
            languages=self.languages.to(device),
        )


def _of_rows(places_k2: torch.Tensor, start: int, rows: int) -> torch.Tensor:
    bounds = torch.tensor([start, start + rows], device=places_k2.device)
    first, last = torch.searchsorted(places_k2[:, 0].contiguous(), bounds).tolist()
    return places_k2[first:last]


@dataclass(frozen=True)
class Share:
    """One rank's part of the loss of a global batch.

    Attributes:
        pairs: pairs of the global batch, n.
        queries: what this rank's rows look for among the n passages and the explicit negatives.
        passages: the same rows the other way round: what their passages look for among the n queries.
    """

    pairs: int
    queries: Targets
    passages: Targets

    def to(self, device: torch.device) -> "Share":
        """The same on another device."""
        return replace(self, queries=self.queries.to(device), passages=self.passages.to(device))


def share_of_loss(
    vectors_td: torch.Tensor, share: Share, temperature: float, settings: LossSettings
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """This share's part of the loss of the global batch, and its gradient.

    Summed over all ranks, these are the loss (the mean over pairs, directions and dimensions) and its gradient.

    Args:
        vectors_td: ``[t, d]``, vectors of length 1 of all texts of the batch.
        share: this rank's rows.
        temperature: divides the cosines.
        settings: of the loss; its own temperature is not looked at.

    Returns:
        The loss, ``[] float64``; its gradient in the vectors, ``[t, d]`` of their type; its derivative in the logarithm
        of the temperature, ``[] float64``.
    """
    n, sizes = share.pairs, sorted({vectors_td.shape[1], *settings.matryoshka})
    directions = [(share.queries, slice(0, n), slice(n, None))]
    if settings.symmetric:
        directions.append((share.passages, slice(n, 2 * n), slice(0, n)))
    gradient_td = torch.zeros_like(vectors_td)
    loss, slope = (torch.zeros((), dtype=torch.float64, device=vectors_td.device) for _ in range(2))
    for size in sizes:
        units_td, inner_td = vectors_td, gradient_td
        if size < vectors_td.shape[1]:
            lengths_t1 = vectors_td[:, :size].norm(dim=1, keepdim=True).clamp(min=1e-12)
            units_td = vectors_td[:, :size] / lengths_t1
            inner_td = torch.zeros_like(units_td)
        for targets, rows, candidates in directions:
            part, its_slope = _one_direction(units_td, inner_td, rows, candidates, targets, temperature, settings)
            loss, slope = loss + part, slope + its_slope
        if size < vectors_td.shape[1]:  # back through the scaling to length 1
            along_t1 = (inner_td * units_td).sum(1, keepdim=True)
            gradient_td[:, :size] += (inner_td - along_t1 * units_td) / lengths_t1
    count = n * len(directions) * len(sizes)
    return loss / count, gradient_td.div_(count), slope / count


def _one_direction(
    vectors_td: torch.Tensor,
    gradient_td: torch.Tensor,
    rows: slice,
    candidates: slice,
    targets: Targets,
    temperature: float,
    settings: LossSettings,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The sum of the loss over rows and its slope; adds the gradient in the vectors to ``gradient_td``."""
    candidates_cd, towards_cd = vectors_td[candidates], gradient_td[candidates]
    limit = _BLOCK_ON_CPU if vectors_td.device.type == "cpu" else _BLOCK_ELSEWHERE
    loss, slope = (torch.zeros((), dtype=torch.float64, device=vectors_td.device) for _ in range(2))
    for block in targets.blocks(max(1, limit // len(candidates_cd))):
        here = slice(rows.start + block.start, rows.start + block.start + block.rows)
        scores_bc = vectors_td[here] @ candidates_cd.T / temperature
        loss += info_nce_(scores_bc, block, settings)
        of_rows_bd = scores_bc @ candidates_cd / temperature
        gradient_td[here] += of_rows_bd
        towards_cd.addmm_(scores_bc.T, vectors_td[here], alpha=1 / temperature)
        # A score is a product over the temperature: its slope in the temperature's logarithm is minus itself.
        slope -= (of_rows_bd * vectors_td[here]).sum(dtype=torch.float64)
    return loss, slope


def info_nce_(scores_bc: torch.Tensor, targets: Targets, settings: LossSettings) -> torch.Tensor:
    """The sum over rows of the loss of scores, which are overwritten by its gradient.

    For a row with positives P and negatives N the loss is the mean over p in P of
    -log(exp(s_p) / (exp(s_p) + sum over N of exp(s))): the positives do not compete with one another.

    Args:
        scores_bc: ``[b, c]`` scores of the candidates, divided by the temperature.
        targets: what is right and wrong for these rows.
        settings: which candidates count.

    Returns:
        A scalar, float64.
    """
    own_b = torch.arange(targets.start, targets.start + targets.rows, device=scores_bc.device)
    own_b2 = torch.stack([own_b, own_b], dim=1)
    right_k2 = torch.cat([own_b2, targets.others]) if settings.positives == "all" else own_b2
    row_k, column_k = right_k2[:, 0] - targets.start, right_k2[:, 1]
    right_k = scores_bc[row_k, column_k]
    share_k = (1 / torch.bincount(row_k, minlength=targets.rows).to(scores_bc.dtype))[row_k]
    if settings.negatives_in == "passage-language":
        explicit_row, explicit_column = targets.explicit[:, 0] - targets.start, targets.explicit[:, 1]
        explicit = scores_bc[explicit_row, explicit_column]
        scores_bc.masked_fill_(targets.languages[None, :] != targets.languages[own_b][:, None], -torch.inf)
        scores_bc[explicit_row, explicit_column] = explicit
    scores_bc[own_b - targets.start, own_b] = -torch.inf
    scores_bc[targets.others[:, 0] - targets.start, targets.others[:, 1]] = -torch.inf
    # Only negatives are left. A row may have none: its loss is 0, and no infinity may meet another one.
    against_b = scores_bc.logsumexp(dim=1).clamp(min=torch.finfo(scores_bc.dtype).min)
    gap_k = against_b[row_k] - right_k
    pull_k = torch.sigmoid(gap_k) * share_k
    push_b = torch.zeros_like(against_b).index_add_(0, row_k, pull_k)
    scores_bc.sub_(against_b[:, None]).exp_().mul_(push_b[:, None])
    scores_bc[row_k, column_k] = -pull_k
    return (torch.logaddexp(gap_k, torch.zeros_like(gap_k)) * share_k).sum(dtype=torch.float64)
