# Copyright (c) mmleuk authors. All rights reserved.
import pytest
from small_fields import HEIGHT, WIDTH, annotated_mask, make_field

from mmleuk.datasets.transforms import HoldOutRegions, PackLLDInputs
from mmleuk.registry import TRANSFORMS


def test_held_out_field_has_nothing_annotated():
    field = make_field(
        [[0, 0, 50, 50]], [[5, 5, 20, 20], [30, 30, 45, 45]], flags=[0, 1]
    )
    sample = PackLLDInputs()(HoldOutRegions(share=1)(field))['data_samples']
    assert sample.held_out is True
    assert len(sample.gt_instances) == 0
    # Ignored cells are labels as well: only the area is left.
    assert sample.ignored_instances.labels.tolist() == [-1]
    assert sample.ignored_instances.bboxes.tensor.tolist() == [
        [0, 0, WIDTH, HEIGHT]
    ]


def test_other_fields_stay():
    field = make_field([[0, 0, 50, 50]], [[5, 5, 20, 20]])
    results = HoldOutRegions(share=0)(field)
    assert results['held_out'] is False
    assert annotated_mask(results).sum() == 50 * 50
    assert len(results['gt_bboxes_labels']) == 1
    whole = HoldOutRegions(share=1)(make_field(None, [[5, 5, 20, 20]]))
    assert whole['held_out'] is False
    assert len(whole['gt_bboxes_labels']) == 1


def test_share_out_of_range():
    with pytest.raises(ValueError, match=r'expected it in \[0, 1\]'):
        TRANSFORMS.build(dict(type='mmleuk.HoldOutRegions', share=1.5))
