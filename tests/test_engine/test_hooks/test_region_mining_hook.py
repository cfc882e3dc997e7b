# Copyright (c) mmleuk authors. All rights reserved.
import logging
from types import SimpleNamespace

import pytest
import torch
from mmdet.registry import HOOKS
from mmdet.structures import DetDataSample
from mmengine.dataset import InfiniteSampler
from mmengine.logging import MessageHub
from mmengine.structures import InstanceData
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset

from mmleuk.engine.hooks import RegionMiningHook
from mmleuk.models.mining import RegionMiner
from mmleuk.structures import is_held_out

NUM_FIELDS = 6


def make_sample(number):
    box = [10.0, 10, 30, 30]
    return DetDataSample(
        metainfo=dict(
            img_path=f'images/{number}.png',
            ori_shape=(100, 100),
            img_shape=(100, 100),
            scale_factor=(1.0, 1.0),
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


class FakeFields(Dataset):
    def __init__(self, num_fields=NUM_FIELDS):
        self.num_fields = num_fields

    def __len__(self):
        return self.num_fields

    def __getitem__(self, index):
        return make_sample(index)

    def get_data_info(self, index):
        return dict(
            img_path=f'images/{index}.png', annotated_regions=[[0, 0, 9, 9]]
        )


def build_dataloader(cfg, seed):
    assert cfg['a'] == 1
    return DataLoader(
        cfg.get('dataset', FakeFields()),
        batch_size=2,
        collate_fn=lambda samples: dict(
            inputs=torch.zeros(len(samples), 3, 100, 100), data_samples=samples
        ),
    )


@pytest.fixture
def runner():
    model = SimpleNamespace(
        data_preprocessor=lambda batch, training: batch,
        teacher=FakeTeacher(),
        miner=RegionMiner(num_classes=3, hold_out=dict(share=0.5)),
    )
    return SimpleNamespace(
        model=model,
        train_loop=None,
        train_dataloader=DataLoader(FakeFields()),
        seed=0,
        epoch=0,
        iter=0,
        logger=logging.getLogger('test_region_mining_hook'),
        message_hub=MessageHub.get_instance('test_region_mining_hook'),
        build_dataloader=build_dataloader,
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
        assert found.is_calibrating.any() == found.held_out
        assert 'confidences' in found
    num_held_out = sum(found.held_out for _, found in miner.bank.items())
    assert 0 < num_held_out < NUM_FIELDS
    assert miner.calibrators['cell_type'].counts.sum() == num_held_out
    assert 'estimated_precision' in caplog.text
    logged = runner.message_hub.get_scalar('mining/held_out_cell_type')
    assert logged.current() == num_held_out


@pytest.mark.parametrize('target, is_warned', [(0.1, False), (0.999, True)])
def test_warns_where_nothing_is_mined(runner, target, is_warned, caplog):
    runner.model.miner = RegionMiner(
        num_classes=3,
        hold_out=dict(share=0.5),
        target_precision=target,
        min_probability=target,
    )
    hook = RegionMiningHook(dict(a=1), begin=0)
    hook.before_train(runner)
    hook.before_train_epoch(runner)
    assert ('nothing is mined' in caplog.text) == is_warned


def test_released_labels_calibrate_no_more(runner):
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
    calibrated, mined = [], []
    for runner.epoch in range(7):
        miner.bank.clear()
        counts = miner.calibrators['cell_type'].counts.sum()
        hook.before_train_epoch(runner)
        if miner.calibrators['cell_type'].counts.sum() > counts:
            calibrated.append(runner.epoch)
        if len(miner.bank):
            mined.append(runner.epoch)
            assert not any(found.held_out for _, found in miner.bank.items())
    assert calibrated == [1]
    assert mined == [4, 6]


def test_calibration_alone_reads_held_out_fields_alone(runner):
    hook = RegionMiningHook(dict(a=1), begin=4, release=1)
    hook.before_train(runner)
    miner = runner.model.miner
    names = [f'images/{number}.png' for number in range(NUM_FIELDS)]
    held_out = [name for name in names if is_held_out(name, share=0.5)]
    runner.epoch = 1
    hook.before_train_epoch(runner)
    assert runner.model.teacher.num_images == len(held_out) < NUM_FIELDS
    # So far it is not good enough to be believed.
    assert not len(miner.bank)
    assert miner.calibrators['cell_type'].counts.sum() == len(held_out)


@pytest.mark.parametrize(
    'hold_out, is_warned', [(dict(share=1e-6), True), (None, False)]
)
def test_no_field_is_held_out(runner, hold_out, is_warned, caplog):
    hook = RegionMiningHook(dict(a=1), begin=4, release=1)
    hook.before_train(runner)
    runner.model.miner = RegionMiner(num_classes=3, hold_out=hold_out)
    runner.epoch = 1
    hook.before_train_epoch(runner)
    assert not len(runner.model.miner.bank)
    warnings = [r for r in caplog.records if r.levelname == 'WARNING']
    assert bool(warnings) == is_warned
    runner.epoch = 4
    hook.before_train_epoch(runner)
    assert len(runner.model.miner.bank) == NUM_FIELDS


def test_looks_in_several_orientations(runner):
    class Looking(FakeTeacher):
        def predict(self, inputs, data_samples, rescale):
            return super().predict(inputs, data_samples, rescale=True)

    runner.model.teacher = Looking()
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


def test_fields_that_are_not_mined(runner):
    """Mined cells of other fields than those of the training are lost."""
    runner.train_dataloader = DataLoader(FakeFields(NUM_FIELDS + 2))
    hook = RegionMiningHook(dict(a=1), begin=0)
    with pytest.raises(ValueError, match=r'2 training fields.*images/6\.png'):
        hook.before_train(runner)
    # Nothing is mined on a field that is fully annotated.
    runner.train_dataloader.dataset.get_data_info = lambda index: dict(
        img_path=f'{index}.png', annotated_regions=None
    )
    hook.before_train(runner)


@pytest.mark.parametrize(
    'wrap',
    [
        lambda fields: Subset(fields, range(NUM_FIELDS)),
        lambda fields: ConcatDataset([fields, fields]),
    ],
)
def test_fields_inside_of_wrappers_are_mined(runner, wrap):
    hook = RegionMiningHook(dict(a=1, dataset=wrap(FakeFields())), 1, 1, 0)
    hook.before_train(runner)
    miner = runner.model.miner
    names = [f'images/{number}.png' for number in range(NUM_FIELDS)]
    num_held_out = sum(is_held_out(name, share=0.5) for name in names)
    hook.before_train_epoch(runner)
    assert miner.calibrators['cell_type'].counts.sum() == num_held_out
    runner.epoch = 1
    hook.before_train_epoch(runner)
    assert len(miner.bank) == NUM_FIELDS


def test_a_training_without_epochs_is_refused(runner):
    sampler = InfiniteSampler(FakeFields())
    runner.train_dataloader = DataLoader(FakeFields(), sampler=sampler)
    hook = RegionMiningHook(dict(a=1), begin=0)
    with pytest.raises(ValueError, match='RegionMiningHook.begin counts epoc'):
        hook.before_train(runner)
    RegionMiningHook(dict(a=1), 0, by_epoch=False).before_train(runner)
