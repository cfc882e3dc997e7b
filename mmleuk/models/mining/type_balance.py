# Copyright (c) mmleuk authors. All rights reserved.
import torch
from torch import Tensor


def balance_types(probs: Tensor, counts: Tensor, std: float) -> Tensor:
    """Estimate how much a teacher prefers each type, as offsets of log-odds.

    The cells labelled in the annotated regions tell how frequent the types
    are. A teacher that learned a type from few cells predicts another one in
    its place, everywhere and with high scores. The offsets make the resulting
    frequencies outside the regions agree with the labelled counts. They
    maximise

        sum_t counts[t] * log(mean prob of t) - sum_t offset[t]^2 / (2 std^2)

    so that few labelled cells correct little. This is the correction for a
    shift of class frequencies (Saerens et al., 2002, Neural Computation 14,
    section 2.2) with an uncertain target.

    Args:
        probs (Tensor): Probabilities of the types of each detection, shape
            (n, T). A row sums to its presence probability.
        counts (Tensor): Labelled cells of each type, shape (T, ).
        std (float): Standard deviation of the prior of an offset, above 0.

    Returns:
        Tensor: Offsets, shape (T, ), float64. 0 where there is no evidence.
    """
    probs, counts = probs.double(), counts.double()
    mass = probs.sum(dim=1, keepdim=True)
    probs, mass = probs[mass[:, 0] > 0], mass[mass > 0]
    # Types never predicted or never labelled are no evidence.
    is_known = (probs.sum(dim=0) > 0) & (counts > 0)
    offsets = torch.zeros_like(counts)
    if is_known.sum() < 2:
        return offsets
    shares = probs / probs.sum(dim=1, keepdim=True)

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

    # The miner runs without gradients.
    with torch.enable_grad():
        optimizer.step(energy)
    return offsets.masked_scatter(is_known, free.detach())


def apply_offsets(probs: Tensor, offsets: Tensor) -> Tensor:
    """Shift probabilities of types, (n, T), by offsets of log-odds, (T, ).

    The sum of each row, its presence probability, stays.
    """
    shifted = probs * offsets.to(probs).exp()
    total = shifted.sum(dim=1, keepdim=True).clamp(min=1e-12)
    return shifted / total * probs.sum(dim=1, keepdim=True)
