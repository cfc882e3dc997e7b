# Copyright (c) mmleuk authors. All rights reserved.
import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

from mmleuk.engine import load_checkpoints_safely
from mmleuk.engine.hooks import EpochMeanTeacherHook


class Student(BaseModel):
    def __init__(self):
        super().__init__()
        self.student = nn.Linear(1, 1)
        self.teacher = nn.Linear(1, 1)

    def forward(self, inputs, mode='loss'):
        return dict(loss=self.student(torch.stack(inputs)).sum())


def train(work_dir, num_images, horizon=0.5, resume=False, **train_cfg):
    """Train on batches of two; return the momentum and the model."""
    load_checkpoints_safely()
    hook = EpochMeanTeacherHook(horizon)
    runner = Runner(
        Student(),
        work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=2,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=[dict(inputs=torch.ones(1)) for _ in range(num_images)],
        ),
        train_cfg=train_cfg or dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        custom_hooks=[hook],
        resume=resume,
        experiment_name=f'{work_dir.name}_{num_images}_{resume}',
    )
    model = runner.train()
    return hook.momentum, model


@pytest.mark.parametrize(
    'num_images, horizon, momentum',
    [(16, 0.5, 1 / 4), (32, 0.5, 1 / 8), (8, 0.25, 1), (8, 0.1, 1)],
)
def test_momentum_follows_the_steps(tmp_path, num_images, horizon, momentum):
    assert train(tmp_path, num_images, horizon)[0] == momentum


def test_a_resumed_run_keeps_the_teacher(tmp_path):
    _, before = train(tmp_path, 16)
    teacher = before.teacher.weight.clone()
    # No step is left: the teacher must not become the student again. On half
    # as many steps an epoch the average is over as many epochs.
    momentum, after = train(tmp_path, 8, resume=True)
    assert momentum == 1 / 2
    torch.testing.assert_close(after.teacher.weight, teacher)
    assert (after.teacher.weight != after.student.weight).all()


def test_epochs_of_a_training_in_iterations(tmp_path):
    with pytest.raises(ValueError, match='counts epochs, but .*IterBased'):
        train(tmp_path, 8, by_epoch=False, max_iters=2)


def test_no_epochs():
    with pytest.raises(ValueError, match='horizon=0, expected'):
        EpochMeanTeacherHook(0)
