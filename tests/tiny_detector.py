# Copyright (c) mmleuk authors. All rights reserved.
# The smallest detector with attributes, of two types, for fields of any size:
# the text of a config, to which tests add their data.
TINY_DETECTOR = """
_base_ = [
    'mmdet::_base_/models/faster-rcnn_r50_fpn.py',
    'mmdet::_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        depth=18, base_channels=8, norm_eval=False, frozen_stages=-1,
        init_cfg=None),
    neck=dict(in_channels=[8, 16, 32, 64], out_channels=16),
    rpn_head=dict(in_channels=16, feat_channels=16),
    roi_head=dict(
        type='mmleuk.AttributeRoIHead',
        bbox_roi_extractor=dict(out_channels=16),
        bbox_head=dict(in_channels=16, fc_out_channels=16, num_classes=2),
        attribute_head=dict(type='mmleuk.AttributeHead', in_channels=16)),
    test_cfg=dict(
        rpn=dict(max_per_img=20), rcnn=dict(score_thr=0.0, max_per_img=5)))
"""
