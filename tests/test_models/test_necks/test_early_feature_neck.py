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


def test_fine_features_can_pass_the_neck_by():
    register_all_modules()
    neck = MODELS.build(
        dict(
            type='mmleuk.EarlyFeatureNeck',
            num_early=1,
            start_level=1,
            neck=dict(FPN, in_channels=[3, 4]),
        )
    )
    inputs = tuple(
        torch.rand(1, c, 32 // s, 32 // s) for c, s in ((2, 1), (3, 2), (4, 4))
    )
    outputs = neck(inputs)
    assert outputs.early[0] is inputs[0]
    assert outputs[0].shape[-1] == 16


def test_weights_of_the_plain_neck_and_its_own_are_loaded():
    register_all_modules()
    plain = MODELS.build(FPN)
    cfg = dict(type='mmleuk.EarlyFeatureNeck', neck=FPN)
    neck = MODELS.build(cfg)
    neck.load_state_dict(plain.state_dict(), strict=True)
    again = MODELS.build(cfg)
    again.load_state_dict(neck.state_dict(), strict=True)
    for key, value in plain.state_dict().items():
        assert torch.equal(again.state_dict()[f'neck.{key}'], value)
    state = plain.state_dict()
    state.pop('lateral_convs.0.conv.weight')
    with pytest.raises(RuntimeError, match='lateral_convs.0.conv.weight'):
        MODELS.build(cfg).load_state_dict(state, strict=True)
