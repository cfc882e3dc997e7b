# Copyright (c) mmleuk authors. All rights reserved.
import pytest
import torch
import torch.nn.functional as F

from mmleuk.models.losses import ClassBalancedWeights, LogitAdjustment

COUNTS = torch.tensor([90.0, 10.0, 0.0])


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 3, generator=generator)
    return logits, torch.tensor([0, 0, 1, 2, 1, 0]), torch.ones(6)


def test_logits_get_the_log_frequency(batch):
    logits, _, weight = batch
    adjusted, same = LogitAdjustment(tau=0.5)(*batch, COUNTS)
    # A value without cells counts as one.
    shares = torch.tensor([90.0, 10, 1]) / 101
    torch.testing.assert_close(adjusted, logits + 0.5 * shares.log())
    assert same is weight
    unchanged, _ = LogitAdjustment(tau=0)(*batch, COUNTS)
    torch.testing.assert_close(unchanged, logits)


def test_the_best_adjusted_logits_favour_no_value():
    """Cells that look the same: plain logits learn frequencies, these not."""
    target = torch.tensor([0] * 9 + [1])
    logits = torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.SGD([logits], lr=1.0)
    for _ in range(300):
        rows, _ = LogitAdjustment()(
            logits.expand(10, 2),
            target,
            torch.ones(10),
            torch.tensor([9.0, 1.0]),
        )
        optimizer.zero_grad()
        F.cross_entropy(rows, target).backward()
        optimizer.step()
    assert (logits[0] - logits[1]).abs() < 1e-3


def test_rare_values_weigh_more(batch):
    logits, target, weight = batch
    same, weights = ClassBalancedWeights(beta=0.9)(
        logits, target, weight * 2, COUNTS
    )
    assert same is logits
    effective = [(1 - 0.9**n) / 0.1 for n in (90, 10, 1)]
    expected = torch.tensor([1 / number for number in effective])
    expected = 2 * expected / expected.mean()
    torch.testing.assert_close(weights, expected[target])


def test_the_limits_of_beta(batch):
    counts = torch.tensor([60.0, 30.0, 10.0])
    _, plain = ClassBalancedWeights(beta=0)(*batch, counts)
    torch.testing.assert_close(plain, torch.ones(6))
    _, inverse = ClassBalancedWeights(beta=1 - 1e-9)(*batch, counts)
    expected = 1 / counts / (1 / counts).mean()
    torch.testing.assert_close(inverse, expected[batch[1]], rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    'build, message',
    [
        (lambda: LogitAdjustment(tau=-1), 'tau=-1, expected 0 or more'),
        (lambda: ClassBalancedWeights(beta=1), r'beta=1, .*\[0, 1\)'),
    ],
)
def test_bad_settings_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()
