# Copyright (c) mmleuk authors. All rights reserved.
import pytest
import torch
import torch.nn.functional as F

from mmleuk.models.losses import AsymmetricLoss


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 3, generator=generator)
    target = torch.randint(0, 3, (6,), generator=generator)
    return logits, target


def test_asymmetric_without_focus_is_binary_cross_entropy(batch):
    logits, target = batch
    loss = AsymmetricLoss(gamma_neg=0, gamma_pos=0, clip=0)(logits, target)
    one_hot = F.one_hot(target, 3).float()
    expected = F.binary_cross_entropy_with_logits(
        logits, one_hot, reduction='none'
    )
    torch.testing.assert_close(loss, expected.sum(dim=1).mean())


def test_asymmetric_by_hand():
    # One positive at p = .6 and one negative at p = .5, margin .1.
    logits = torch.tensor([[0.6, 0.5]]).logit()
    loss = AsymmetricLoss(gamma_neg=2, gamma_pos=1, clip=0.1)(
        logits, torch.tensor([0])
    )
    positive = 0.4 * torch.tensor(0.6).log()
    negative = 0.4**2 * torch.tensor(1 - 0.4).log()
    torch.testing.assert_close(loss, -(positive + negative))


def test_asymmetric_margin_drops_easy_negatives():
    logits = torch.tensor([[9.0, -6.0]], requires_grad=True)
    loss = AsymmetricLoss(clip=0.08)(logits, torch.tensor([0]))
    loss.backward()
    assert logits.grad[0, 1] == 0


def test_weights_mask_rows(batch):
    logits, target = batch
    weight = torch.tensor([1.0, 1, 0, 0, 1, 0])
    loss = AsymmetricLoss()
    masked = loss(logits, target, weight=weight, avg_factor=weight.sum())
    kept = loss(logits[weight > 0], target[weight > 0])
    torch.testing.assert_close(masked, kept)


def test_probabilities_sum_to_one(batch):
    probs = AsymmetricLoss().get_activation(batch[0])
    torch.testing.assert_close(probs.sum(dim=1), torch.ones(6))
    assert (probs.argmax(dim=1) == batch[0].argmax(dim=1)).all()


def test_extreme_logits_stay_finite():
    logits = torch.tensor([[1e4, -1e4], [-1e4, 1e4]], requires_grad=True)
    loss = AsymmetricLoss()(logits, torch.tensor([1, 1]))
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()
