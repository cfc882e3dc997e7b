# Copyright (c) mmleuk authors. All rights reserved.
import torch
from torch import Tensor


def balance_types(chances: Tensor, counts: Tensor, std: float) -> Tensor:
    """Find by how much a teacher names each type too often or too rarely.

    What people labelled inside the annotated areas tells how frequent the
    types are; a teacher that learned a type from few cells names another one
    in its place, all over, and with high scores. Here each type gets an
    offset of its log-odds, so that the frequencies that follow for the cells
    outside make the labelled counts likely:

        sum_t counts[t] * log(mean chance of t) - sum_t offset[t]^2 / (2 std^2)

    is at its maximum. The more cells are labelled, the more their counts
    weigh against the prior that holds the offsets at 0, so that few cells
    correct little. It is the correction for a shift of class frequencies
    (Saerens et al., 2002, Neural Computation 14, section 2.2) with an
    uncertain target.

    Args:
        chances (Tensor): Chances of the types of each cell, shape (n, T), at
            least 0. Only their ratios within a row count, times the row's
            sum, which is the chance to be a cell at all.
        counts (Tensor): Labelled cells of each type, shape (T, ).
        std (float): Standard deviation of the prior of an offset, above 0.

    Returns:
        Tensor: Offsets, shape (T, ), float64. 0 where there is no evidence.
    """
    chances, counts = chances.double(), counts.double()
    mass = chances.sum(dim=1, keepdim=True)
    chances, mass = chances[mass[:, 0] > 0], mass[mass > 0]
    # A type that the teacher never names, or nobody labelled, says nothing.
    is_known = (chances.sum(dim=0) > 0) & (counts > 0)
    offsets = torch.zeros_like(counts)
    if is_known.sum() < 2:
        return offsets
    shares = chances / chances.sum(dim=1, keepdim=True)

    free = torch.zeros(
        int(is_known.sum()), dtype=torch.float64, requires_grad=True
    )
    optimizer = torch.optim.LBFGS(
        [free], max_iter=200, line_search_fn='strong_wolfe'
    )

    def energy() -> Tensor:
        optimizer.zero_grad()
        all_offsets = offsets.masked_scatter(is_known, free)
        frequency = mass @ apply_offsets(shares, all_offsets) / mass.sum()
        misfit = -(counts * frequency.clamp(min=1e-9).log())[is_known].sum()
        loss = misfit + free.square().sum() / (2 * std**2)
        loss.backward()
        return loss

    # The miner looks without gradients.
    with torch.enable_grad():
        optimizer.step(energy)
    return offsets.masked_scatter(is_known, free.detach())


def apply_offsets(chances: Tensor, offsets: Tensor) -> Tensor:
    """Shift chances of types; the chance to be any of them stays.

    Args:
        chances (Tensor): Chances of the types, shape (n, T).
        offsets (Tensor): Offsets of the log-odds, shape (T, ).

    Returns:
        Tensor: The shifted chances, shape (n, T).
    """
    shifted = chances * offsets.to(chances).exp()
    total = shifted.sum(dim=1, keepdim=True).clamp(min=1e-12)
    return shifted / total * chances.sum(dim=1, keepdim=True)
