# Copyright (c) mmleuk authors. All rights reserved.
import logging
from types import SimpleNamespace

import pytest
import torch
from mmdet.registry import HOOKS
from mmdet.structures import DetDataSample
from mmengine.logging import MessageHub
from mmengine.structures import InstanceData

from mmleuk.engine.hooks import RegionMiningHook
from mmleuk.models.mining import DetectionBank, RegionMiner
from mmleuk.structures import is_held_out

NUM_FIELDS = 6


def make_sample(number):
    box = [10.0, 10, 30, 30]
    return DetDataSample(
        metainfo=dict(
            img_path=f'images/{number}.png',
            ori_shape=(100, 100),
            annotated_regions=[[0, 0, 50, 100]],
            instances=[dict(bbox=box, bbox_label=1, ignore_flag=0)],
        )
    )


class FakeTeacher:
    num_images = 0

    def predict(self, inputs, data_samples, rescale):
        assert rescale
        assert not torch.is_grad_enabled()
        self.num_images += len(inputs)
        for sample in data_samples:
            sample.pred_instances = InstanceData(
                bboxes=torch.tensor([[10.0, 10, 30, 30], [60, 60, 80, 80]]),
                labels=torch.tensor([1, 2]),
                scores=torch.tensor([0.9, 0.8]),
            )
        return data_samples


@pytest.fixture
def runner():
    model = SimpleNamespace(
        data_preprocessor=lambda batch, training: batch,
        teacher=FakeTeacher(),
        miner=RegionMiner(num_classes=3, hold_out=dict(share=0.5)),
    )
    loader = [
        dict(
            inputs=[None, None],
            data_samples=[make_sample(i), make_sample(i + 1)],
        )
        for i in range(0, NUM_FIELDS, 2)
    ]
    return SimpleNamespace(
        model=model,
        seed=0,
        epoch=0,
        iter=0,
        logger=logging.getLogger('test_region_mining_hook'),
        message_hub=MessageHub.get_instance('test_region_mining_hook'),
        build_dataloader=lambda cfg, seed: loader if cfg == {'a': 1} else None,
    )


@pytest.mark.parametrize('by_epoch', [True, False])
def test_schedule(runner, by_epoch):
    hook = HOOKS.build(
        dict(
            type='mmleuk.RegionMiningHook',
            dataloader=dict(a=1),
            begin=2,
            interval=3,
            by_epoch=by_epoch,
        )
    )
    hook.before_train(runner)
    passes = []
    for now in range(9):
        if by_epoch:
            runner.epoch = now
            hook.before_train_epoch(runner)
            hook.before_train_iter(runner, 0)
        else:
            runner.iter = now
            hook.before_train_iter(runner, 0)
            if now % 4 == 0:
                hook.before_train_epoch(runner)
        if runner.model.teacher.num_images:
            passes.append(now)
            assert runner.model.teacher.num_images == NUM_FIELDS
            runner.model.teacher.num_images = 0
    assert passes == [2, 5, 8]


def test_pass(runner, caplog):
    hook = RegionMiningHook(dict(a=1), begin=0)
    hook.before_train(runner)
    with caplog.at_level('INFO'):
        hook.before_train_epoch(runner)
    miner = runner.model.miner
    assert len(miner.bank) == NUM_FIELDS
    for path, found in miner.bank.items():
        assert found.held_out == is_held_out(path, share=0.5)
        assert found.is_judged.any() == found.held_out
        assert 'chances' in found
    num_held_out = sum(found.held_out for _, found in miner.bank.items())
    assert 0 < num_held_out < NUM_FIELDS
    assert miner.calibrators['cell_type'].counts.sum() == num_held_out
    assert 'estimated_precision' in caplog.text
    logged = runner.message_hub.get_scalar('mining/judged_cell_type')
    assert logged.current() == num_held_out


def test_released_labels_judge_no_more(runner):
    hook = RegionMiningHook(dict(a=1), begin=0, release=1)
    hook.before_train(runner)
    miner = runner.model.miner
    # Before the epoch of their release the loss has not seen them yet.
    for runner.epoch in (0, 1):
        hook.before_train_epoch(runner)
        assert any(found.held_out for _, found in miner.bank.items())
    counts = miner.calibrators['cell_type'].counts.clone()
    assert counts.sum() > 0
    runner.epoch = 2
    hook.before_train_epoch(runner)
    assert not any(found.held_out for _, found in miner.bank.items())
    assert torch.equal(miner.calibrators['cell_type'].counts, counts)


def test_labels_are_released_after_a_pass_of_their_own(runner):
    hook = RegionMiningHook(dict(a=1), begin=4, interval=2, release=1)
    hook.before_train(runner)
    miner = runner.model.miner
    held_out, passes = {}, []
    for runner.epoch in range(7):
        miner.bank = DetectionBank()
        hook.before_train_epoch(runner)
        if len(miner.bank):
            passes.append(runner.epoch)
            held_out[runner.epoch] = any(
                found.held_out for _, found in miner.bank.items()
            )
    assert passes == [1, 4, 6]
    assert held_out == {1: True, 4: False, 6: False}


def test_looks_in_several_orientations(runner):
    class Looking(FakeTeacher):
        def predict(self, inputs, data_samples, rescale):
            return super().predict(inputs, data_samples, rescale=True)

    runner.model.teacher = Looking()
    for batch in runner.build_dataloader({'a': 1}, 0):
        batch['inputs'] = torch.zeros(2, 3, 100, 100)
        for sample in batch['data_samples']:
            sample.set_metainfo(
                dict(img_shape=(100, 100), scale_factor=(1.0, 1.0))
            )
    hook = RegionMiningHook(dict(a=1), begin=0, num_orientations=2)
    hook.before_train(runner)
    hook.before_train_epoch(runner)
    assert runner.model.teacher.num_images == 2 * NUM_FIELDS
    # It says the same of an image that is turned, so that all is seen twice.
    found = runner.model.miner.bank.get('images/0.png')
    assert sorted(found.bboxes[:, 0].tolist()) == [10, 20, 60, 70]
    assert found.scores.max() == pytest.approx(0.45)


@pytest.mark.parametrize('number', [0, 9])
def test_bad_number_of_orientations(number):
    with pytest.raises(ValueError, match='expected 1 to 8'):
        RegionMiningHook({}, 0, num_orientations=number)


@pytest.mark.parametrize('begin, interval', [(-1, 1), (0, 0)])
def test_bad_schedule(begin, interval):
    with pytest.raises(ValueError, match='expected begin >= 0'):
        RegionMiningHook({}, begin, interval)
