# Copyright (c) mmleuk authors. All rights reserved.
import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from mmleuk.models.mining import ScoreCalibrator
from mmleuk.registry import MODELS

SCORES = torch.tensor([0.05, 0.3, 0.5, 0.7, 0.9, 0.99])


def drawn(rng, count, intercept, slope, offsets):
    """Detections with known truth, of a world in which the model holds."""
    scores = rng.uniform(0.02, 0.98, count)
    groups = rng.integers(0, len(offsets), count)
    logits = intercept + slope * np.log(scores / (1 - scores))
    logits = logits + np.asarray(offsets)[groups]
    right = rng.uniform(size=count) < 1 / (1 + np.exp(-logits))
    return torch.tensor(scores), torch.tensor(groups), torch.tensor(right)


def fitted(data, num_groups, **kwargs):
    calibrator = ScoreCalibrator(num_groups, **kwargs)
    calibrator.start_pass()
    calibrator.observe(*data)
    calibrator.fit()
    return calibrator


def test_scores_are_probabilities_until_something_is_seen():
    for calibrator in (ScoreCalibrator(2), ScoreCalibrator(2)):
        probs = calibrator.probabilities(SCORES, torch.zeros(6).long())
        assert torch.allclose(probs, SCORES, atol=1e-5)
        calibrator.fit()
        probs = calibrator.probabilities(SCORES, torch.ones(6).long())
        assert torch.allclose(probs, SCORES, atol=1e-5)
        # But there is no certainty.
        bound = calibrator.probabilities(SCORES, torch.ones(6).long(), 1.64)
        assert (bound < probs - 0.02).all()


def test_finds_the_truth():
    rng = np.random.default_rng(0)
    data = drawn(rng, 20000, -1.0, 0.6, [0.5, -0.5])
    calibrator = fitted(data, 2, num_bins=128)
    for group, offset in enumerate([0.5, -0.5]):
        expected = torch.sigmoid(-1 + 0.6 * torch.logit(SCORES) + offset)
        groups = torch.full((6,), group)
        probs = calibrator.probabilities(SCORES, groups)
        assert torch.allclose(probs, expected, atol=0.03)
        bound = calibrator.probabilities(SCORES, groups, 1.64)
        assert ((probs - bound) < 0.04).all()


def test_mode_of_the_posterior():
    """Against a general optimiser, on the binned detections."""
    rng = np.random.default_rng(1)
    scores, groups, right = drawn(rng, 60, 0.5, 1.5, [0, 1, -1])
    calibrator = fitted((scores, groups, right), 3)
    bins = ((torch.logit(scores) / 8 + 1) / 2 * 64).long()
    logits = ((bins + 0.5) / 64 * 2 - 1) * 8
    x = np.zeros((60, 5))
    x[:, 0], x[:, 1] = 1, logits
    x[np.arange(60), 2 + groups.numpy()] = 1
    sign = np.where(right, 1, -1)
    prior, std = np.array([0, 1, 0, 0, 0]), np.array([1, 0.5, 0.5, 0.5, 0.5])

    def energy(mean):
        misfit = np.logaddexp(0, -sign * (x @ mean)).sum()
        return misfit + (((mean - prior) / std) ** 2).sum() / 2

    best = minimize(energy, prior, tol=1e-12).x
    assert np.allclose(calibrator.mean.numpy(), best, atol=1e-4)


def test_bound_holds_as_often_as_it_says():
    """In worlds that are drawn from the prior itself."""
    rng = np.random.default_rng(2)
    score, group = torch.tensor([0.9]), torch.tensor([0])
    held = []
    for _ in range(300):
        intercept, slope = rng.normal([0, 1], [1, 0.5])
        offsets = rng.normal(0, 0.5, 2)
        data = drawn(rng, 30, intercept, slope, offsets)
        bound = fitted(data, 2).probabilities(score, group, num_stds=1.28)
        truth = intercept + slope * np.log(9) + offsets[0]
        held.append(1 / (1 + np.exp(-truth)) >= bound.item())
    assert np.mean(held) == pytest.approx(0.9, abs=0.05)


def test_rare_groups_follow_the_others():
    scores = torch.full((201,), 0.9)
    groups = torch.tensor([0] * 200 + [1])
    right = torch.tensor([True, False] * 100 + [True])
    calibrator = fitted((scores, groups, right), 3)
    many, one, none = calibrator.probabilities(
        torch.full((3,), 0.9), torch.arange(3)
    ).tolist()
    assert many == pytest.approx(0.5, abs=0.05)
    # One right detection says little against what is known of the rest, and
    # a group without any has the common curve.
    assert one == pytest.approx(0.55, abs=0.1)
    assert none == pytest.approx(0.5, abs=0.1)


def test_order_is_never_turned_round():
    scores = torch.tensor([0.1, 0.95]).repeat_interleave(500)
    right = torch.tensor([True, False]).repeat_interleave(500)
    calibrator = fitted((scores, torch.zeros(1000).long(), right), 1)
    probs = calibrator.probabilities(SCORES, torch.zeros(6).long())
    assert (probs.diff() >= 0).all()


def test_counts_and_passes():
    calibrator = ScoreCalibrator(2)
    one = (torch.tensor([0.9, 1.0, 0.0]), torch.tensor([0, 1, 1]))
    right = torch.tensor([True, True, False])
    calibrator.observe(*one, right)
    calibrator.observe(*one, right)
    assert calibrator.counts.sum() == 6
    assert calibrator.counts[..., 1].sum(dim=1).tolist() == [2, 2]
    calibrator.start_pass()
    calibrator.observe(*one, right)
    assert calibrator.counts.sum() == 3
    # Detections in any number of calls are the same as in one.
    parts, whole = ScoreCalibrator(2), ScoreCalibrator(2)
    for i in range(3):
        parts.observe(one[0][i : i + 1], one[1][i : i + 1], right[i : i + 1])
    whole.observe(*one, right)
    assert torch.equal(parts.counts, whole.counts)


def test_state_survives_a_checkpoint():
    rng = np.random.default_rng(0)
    calibrator = fitted(drawn(rng, 100, -1, 1.2, [0.0, 1]), 2)
    other = MODELS.build(dict(type='mmleuk.ScoreCalibrator', num_groups=2))
    other.load_state_dict(calibrator.state_dict())
    groups = torch.ones(6).long()
    assert torch.equal(
        other.probabilities(SCORES, groups, 1),
        calibrator.probabilities(SCORES, groups, 1),
    )
    other.fit()
    assert torch.allclose(other.mean, calibrator.mean)


def test_no_detections():
    calibrator = ScoreCalibrator(2)
    calibrator.observe(
        torch.zeros(0), torch.zeros(0).long(), torch.zeros(0).bool()
    )
    calibrator.fit()
    assert (
        calibrator.probabilities(torch.zeros(0), torch.zeros(0).long()).numel()
        == 0
    )
