# Copyright (c) mmleuk authors. All rights reserved.
"""Whole trainings in two processes, one of them often without labels."""

import pytest
import torch
from distributed_training import (
    EPOCHS,
    METHODS,
    NUM_STEPS,
    work,
    write_files,
)
from run_processes import run_processes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope='module')
def ranks(tmp_path_factory):
    """What both processes return."""
    folder = tmp_path_factory.mktemp('fields')
    write_files(folder)
    return run_processes(
        work, 2, tmp_path_factory.mktemp('group'), folder, timeout=900
    )


def check_equal(one, other):
    """Check that two trainings ended with equal weights and banks."""
    assert one['bank'] == other['bank']
    assert one['state'].keys() == other['state'].keys()
    for name, value in one['state'].items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, other['state'][name]), name


@pytest.mark.parametrize('method', METHODS)
def test_processes_end_with_the_same_weights(ranks, method):
    trainings = [rank[method] for rank in ranks]
    for one, other in zip(*trainings):
        check_equal(one, other)
        # The case that is tested: one process alone has labels.
        assert any(
            bool(own) != bool(others)
            for own, others in zip(one['num_cells'], other['num_cells'])
        )


@pytest.mark.parametrize('method', METHODS)
def test_a_resumed_training_ends_as_an_uninterrupted_one(ranks, method):
    whole, resumed = ranks[0][method]
    max_epochs, interrupted = EPOCHS[method]
    assert len(whole['num_cells']) == NUM_STEPS * max_epochs
    assert len(resumed['num_cells']) == NUM_STEPS * (max_epochs - interrupted)
    check_equal(whole, resumed)


def test_the_methods_do_what_is_special_of_them(ranks):
    mined, resumed = ranks[0]['mined']
    assert len(mined['bank']) == 6
    assert mined['scalars']['mining/mined'][-1] > 0
    assert len(mined['scalars']['mining/mined']) == 3
    for training in ranks[0]['sla_det']:
        assert sum(training['scalars']['train/num_pseudo']) > 0
    assert 'train/s2.loss_cls' in ranks[0]['cascade'][0]['scalars']
