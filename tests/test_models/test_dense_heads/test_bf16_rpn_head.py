# Copyright (c) mmleuk authors. All rights reserved.
import pytest
import torch
from mmdet.models.dense_heads import RPNHead
from mmdet.utils import register_all_modules
from mmengine.config import ConfigDict

from mmleuk.models.dense_heads import BF16RPNHead

TEST_CFG = ConfigDict(
    nms_pre=50,
    max_per_img=20,
    nms=dict(type='nms', iou_threshold=0.7),
    min_bbox_size=0,
)


def build(head_type):
    register_all_modules()
    torch.manual_seed(0)
    return head_type(
        in_channels=4,
        feat_channels=4,
        anchor_generator=dict(
            type='AnchorGenerator', scales=[8], ratios=[1.0], strides=[8]
        ),
        test_cfg=TEST_CFG,
    ).eval()


def predict(head, dtype):
    feats = (torch.rand(1, 4, 8, 8).to(dtype),)
    metas = [dict(img_shape=(64, 64), scale_factor=(1, 1))]
    autocast = torch.autocast(
        'cpu', torch.bfloat16, enabled=dtype == torch.bfloat16
    )
    with torch.no_grad(), autocast:
        return head.predict_by_feat(*head(feats), batch_img_metas=metas)[0]


def test_proposals_under_bfloat16():
    """The parent fails here, in NMS; if it stops to, drop our subclass."""
    assert predict(build(BF16RPNHead), torch.bfloat16).bboxes.isfinite().all()
    with pytest.raises(RuntimeError, match='BFloat16'):
        predict(build(RPNHead), torch.bfloat16)


def test_same_as_parent_in_float32():
    results = []
    for head_type in (BF16RPNHead, RPNHead):
        head = build(head_type)
        torch.manual_seed(1)
        results.append(predict(head, torch.float32))
    assert torch.equal(results[0].bboxes, results[1].bboxes)
    assert torch.equal(results[0].scores, results[1].scores)
