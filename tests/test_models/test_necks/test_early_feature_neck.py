# Copyright (c) mmleuk authors. All rights reserved.
import pytest
import torch
from mmdet.utils import register_all_modules

from mmleuk.models.necks import FeaturePyramid
from mmleuk.registry import MODELS

FPN = dict(type='mmdet.FPN', in_channels=[2, 3, 4], out_channels=8, num_outs=4)


def test_neck_outputs_with_backbone_features_beside():
    register_all_modules()
    neck = MODELS.build(dict(type='mmleuk.EarlyFeatureNeck', neck=FPN))
    inputs = tuple(
        torch.rand(1, c, 32 // s, 32 // s) for c, s in ((2, 1), (3, 2), (4, 4))
    )
    outputs = neck(inputs)
    assert isinstance(outputs, FeaturePyramid)
    assert [o.shape[1] for o in outputs] == [8] * 4
    assert [e is i for e, i in zip(outputs.early, inputs)] == [True, True]
    for one, other in zip(outputs, neck.neck(inputs)):
        torch.testing.assert_close(one, other)


def test_slices_are_plain():
    pyramid = FeaturePyramid((1, 2, 3), (4,))
    assert pyramid[:2] == (1, 2)
    assert pyramid == (1, 2, 3)


def test_no_early_feature_is_an_error():
    with pytest.raises(ValueError, match='num_early=0'):
        MODELS.build(
            dict(type='mmleuk.EarlyFeatureNeck', neck=FPN, num_early=0)
        )
