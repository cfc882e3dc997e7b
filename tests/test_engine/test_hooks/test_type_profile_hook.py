# Copyright (c) mmleuk authors. All rights reserved.
from types import SimpleNamespace

import pytest
import torch
from mmengine.dataset import BaseDataset, ConcatDataset, RepeatDataset
from mmengine.evaluator import Evaluator

from mmleuk.engine.hooks import TypeProfileHook
from mmleuk.evaluation import LLDMetric
from mmleuk.models.roi_heads import AttributeHead
from mmleuk.structures import TypeProfile

ATTRIBUTES = [dict(name='cytoplasm', values=('scanty', 'abundant'))]


class Fields(BaseDataset):
    METAINFO = dict(classes=('blast', 'other'), attributes=ATTRIBUTES)

    def load_data_list(self):
        def cell(label, code, ignored=0):
            return dict(
                bbox_label=label, attributes=(code,), ignore_flag=ignored
            )

        return [
            dict(img_path='1.png', instances=[cell(0, 1), cell(0, -1)]),
            dict(img_path='2.png', instances=[cell(1, 0), cell(0, 1, 1)]),
        ]


class Plain(Fields):
    METAINFO = dict(classes=('blast', 'other'))


def save(dataset):
    hook = TypeProfileHook(min_cells=5)
    hook.before_train(
        SimpleNamespace(
            train_dataloader=SimpleNamespace(dataset=dataset),
            model=torch.nn.Identity(),
        )
    )
    checkpoint = dict(meta={})
    hook.before_save_checkpoint(None, checkpoint)
    return checkpoint


def test_counts_labels_into_the_checkpoint(tmp_path):
    torch.save(save(Fields()), tmp_path / 'weights.pth')
    meta = torch.load(tmp_path / 'weights.pth', weights_only=True)['meta']
    profile = TypeProfile.from_dict(meta['mmleuk_type_profile'])
    assert profile.counts['cytoplasm'].tolist() == [[0, 1], [1, 0]]
    assert profile.min_cells == 5


@pytest.mark.parametrize(
    'wrapped',
    [ConcatDataset([Fields(), Fields()]), RepeatDataset(Fields(), times=3)],
)
def test_counts_an_image_once_inside_wrappers(wrapped):
    assert save(wrapped) == save(Fields())


def test_metrics_get_the_profile_of_the_training():
    hook = TypeProfileHook()
    evaluator = Evaluator([LLDMetric()])
    evaluator.dataset_meta = Fields.METAINFO
    runner = SimpleNamespace(
        model=torch.nn.Identity(),
        train_dataloader=SimpleNamespace(dataset=Fields()),
        val_evaluator=evaluator,
        test_evaluator=evaluator,
    )
    # What a training starts from is of other data.
    stored = dict(meta=dict(mmleuk_type_profile='of the checkpoint'))
    hook.after_load_checkpoint(runner, stored)
    hook.before_test(runner)
    meta = evaluator.metrics[0].dataset_meta
    assert meta == dict(Fields.METAINFO, type_profile='of the checkpoint')
    hook.before_train(runner)
    hook.before_val(runner)
    profile = evaluator.metrics[0].dataset_meta['type_profile']
    assert profile['counts'] == dict(cytoplasm=[[0, 1], [1, 0]])
    runner.train_dataloader.dataset = Plain()
    hook.before_train(runner)
    hook.before_val(runner)
    assert evaluator.metrics[0].dataset_meta['type_profile'] is None
    assert 'type_profile' not in Fields.METAINFO


def test_attribute_heads_get_the_counts_of_values():
    head = AttributeHead(
        ATTRIBUTES,
        in_channels=4,
        long_tail=dict(type='mmleuk.LogitAdjustment'),
    )
    runner = SimpleNamespace(
        train_dataloader=SimpleNamespace(dataset=Fields()),
        model=torch.nn.ModuleDict(dict(roi_head=head)),
    )
    TypeProfileHook().before_train(runner)
    # One of the cells is ignored, of another nobody knows the value.
    assert head.value_counts.tolist() == [1, 1]


def test_data_without_attributes_give_no_profile():
    assert save(Plain()) == dict(meta={})
