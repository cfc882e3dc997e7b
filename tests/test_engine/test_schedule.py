# Copyright (c) mmleuk authors. All rights reserved.
import pytest
from mmengine.config import Config

from mmleuk.engine.schedule import scale_schedule


def make_config(**train_cfg):
    return Config(
        dict(
            train_cfg=train_cfg,
            param_scheduler=[
                dict(type='LinearLR', by_epoch=False, begin=0, end=100),
                dict(type='CosineAnnealingLR', begin=0, end=12, T_max=12),
                dict(type='MultiStepLR', begin=1, milestones=[8, 11]),
            ],
        )
    )


@pytest.mark.parametrize(
    'share, epochs, warm_up, milestones',
    [(1 / 3, 4, 33, [3, 4]), (2 / 3, 8, 67, [5, 7]), (2, 24, 200, [16, 22])],
)
def test_all_times_are_scaled(share, epochs, warm_up, milestones):
    cfg = make_config(max_epochs=12, val_interval=12)
    scale_schedule(cfg, share)
    assert cfg.train_cfg == dict(max_epochs=epochs, val_interval=epochs)
    linear, cosine, steps = cfg.param_scheduler
    assert (linear.begin, linear.end) == (0, warm_up)
    assert (cosine.begin, cosine.end, cosine.T_max) == (0, epochs, epochs)
    assert steps.begin == max(1, round(share))
    assert steps.milestones == milestones


def test_a_lone_scheduler_and_iterations():
    cfg = make_config(max_iters=1000)
    cfg.param_scheduler = dict(type='StepLR', step_size=300)
    scale_schedule(cfg, 0.5)
    assert cfg.train_cfg.max_iters == 500
    assert cfg.param_scheduler.step_size == 150


def test_epochs_alone():
    """Half the steps in an epoch and twice the epochs are as many steps."""
    cfg = make_config(max_epochs=12, val_interval=3)
    scale_schedule(cfg, 2, units=['epochs'])
    assert cfg.train_cfg == dict(max_epochs=24, val_interval=6)
    warm_up, cosine, _ = cfg.param_scheduler
    assert warm_up.end == 100
    assert cosine.T_max == 24
    scale_schedule(cfg, 3, units=['iterations'])
    assert cfg.train_cfg.max_epochs == cosine.end == 24
    assert warm_up.end == 300


def test_no_scheduler():
    cfg = make_config(max_epochs=4)
    cfg.param_scheduler = None
    scale_schedule(cfg, 0.5)
    assert cfg.train_cfg.max_epochs == 2


@pytest.mark.parametrize(
    'train_cfg, share, message',
    [
        (dict(max_epochs=2), 0.1, '0.1 times the 2 of train_cfg.max_epochs'),
        (dict(max_epochs=2), 0, 'the factor is 0'),
        (
            dict(type='Loop'),
            0.5,
            "expected one of .'max_epochs', 'max_iters'.",
        ),
    ],
)
def test_what_can_not_be_scaled_is_named(train_cfg, share, message):
    with pytest.raises(ValueError, match=message):
        scale_schedule(make_config(**train_cfg), share)
