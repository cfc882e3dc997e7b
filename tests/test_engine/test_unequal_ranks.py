# Copyright (c) mmleuk authors. All rights reserved.
"""Processes whose images differ in what is annotated and found."""

import math

import pytest
import torch
from mmengine.structures import InstanceData
from run_processes import run_processes
from unequal_ranks import (
    NUM_FIELDS,
    make_sample,
    mine,
    train,
    work_of_engine,
)

pytestmark = pytest.mark.slow

CELL = [10.0, 10, 40, 40]
EVERYWHERE = [-1e6, -1e6, 1e6, 1e6]
RIGHT_HALF = [32.0, 0, 64, 64]


def test_the_bank_has_the_last_pass_everywhere(tmp_path):
    """Three ranks, four fields: two fields are seen by two ranks."""
    ranks = run_processes(mine, 3, tmp_path)
    for mining_pass, results in enumerate(zip(*ranks), start=1):
        scores, states = zip(*results)
        assert len(scores[0]) == NUM_FIELDS
        for found in scores[0].values():
            # Ranks add less than 0.03.
            tenths = {math.floor(score * 10 + 0.01) for score in found}
            assert tenths == {5 + mining_pass}
        for other_scores, other_state in results[1:]:
            assert other_scores == scores[0]
            assert other_state.keys() == states[0].keys()
            for key, value in states[0].items():
                if isinstance(value, torch.Tensor):
                    assert torch.equal(other_state[key], value), key


def check_ranks(ranks):
    """Check that ranks log the same losses and have the same gradients."""
    (losses, gradients), (other_losses, other_gradients) = ranks
    assert {key for key in losses if 'loss' in key} == {
        key for key in other_losses if 'loss' in key
    }
    for name, gradient in gradients.items():
        assert gradient is not None, name
        assert gradient.isfinite().all(), name
        assert torch.equal(gradient, other_gradients[name]), name
    return losses, other_losses


@pytest.mark.parametrize('method', ['faster-rcnn', 'cascade-rcnn'])
def test_nothing_is_annotated_on_a_rank(tmp_path, method):
    samples = [make_sample([CELL], []), make_sample([], [EVERYWHERE])]
    ranks = run_processes(train, 2, tmp_path, method, samples)
    losses, nothing = check_ranks(ranks)
    for key in losses:
        if 'loss' in key:
            assert nothing[key] == 0, key
    assert losses['loss'] > 0
    assert losses['loss_attribute'] > 0


def test_pseudo_labels_on_one_rank(tmp_path):
    found = InstanceData(
        bboxes=torch.tensor([[42.0, 8, 60, 40]]),
        labels=torch.tensor([2]),
        scores=torch.tensor([0.99]),
    )
    samples = [make_sample([CELL], [RIGHT_HALF])] * 2
    ranks = run_processes(
        train, 2, tmp_path, 'sla-det', samples, [found, found[:0]]
    )
    losses, nothing = check_ranks(ranks)
    assert losses['num_pseudo'] == 1
    assert losses['loss_pseudo'] > 0
    assert nothing['num_pseudo'] == 0
    assert nothing['loss_pseudo'] == 0


@pytest.fixture(scope='module')
def engine(tmp_path_factory):
    """What two processes report."""
    nan = float('nan')
    folder = tmp_path_factory.mktemp('engine')
    return run_processes(work_of_engine, 2, folder, [(1.0, nan), (nan, nan)])


def test_images_of_a_bad_loss_on_one_rank_are_named(engine):
    """On both ranks: the log is that of the first."""
    assert engine[0][0] == engine[1][0]
    warning, error = engine[0][0]
    assert 'loss is not finite' in warning
    assert 'process_1_step_0.png' in warning
    assert 'process_0' not in warning
    assert 'process_0_step_1.png, process_1_step_1.png' in error
    assert '2 batches were skipped' in error


def test_all_ranks_resume_or_none(engine):
    for _, same, different in engine:
        assert same is None
        assert 'process 1 loads the checkpoint None, expected epoch_3.pth' in (
            different
        )
