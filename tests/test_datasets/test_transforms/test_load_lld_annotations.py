# Copyright (c) mmleuk authors. All rights reserved.
import copy

import numpy as np
import pytest
import torch

from mmleuk.datasets.transforms import LoadLLDAnnotations, PackLLDInputs
from mmleuk.structures import RegionBoxes, cover_rectangles, unpack_labels

CODES = [(0, 1, -1, 1, 0, 0, 1), (2, 0, 0, -1, -1, 1, 0)]
RESULTS = dict(
    img_path='a/4_15_1000_ALL.png',
    height=30,
    width=40,
    instances=[
        dict(
            bbox=[1.5, 2, 11, 12],
            bbox_label=3,
            ignore_flag=0,
            attributes=CODES[0],
        ),
        dict(
            bbox=[5.0, 6, 17, 18],
            bbox_label=13,
            ignore_flag=1,
            attributes=CODES[1],
        ),
    ],
)


def load(loader=None, **changes):
    results = copy.deepcopy(dict(RESULTS, **changes))
    return (loader or LoadLLDAnnotations())(results)


def test_annotations():
    results = load()
    boxes = results['gt_bboxes']
    assert type(boxes) is RegionBoxes
    assert boxes.dtype == torch.float32
    assert boxes.tensor.tolist() == [[1.5, 2, 11, 12], [5, 6, 17, 18]]
    assert results['gt_ignore_flags'].tolist() == [False, True]
    assert results['num_attributes'] == 7
    labels, attributes = unpack_labels(results['gt_bboxes_labels'], 7)
    assert labels.tolist() == [3, 13]
    assert [tuple(row) for row in attributes.tolist()] == CODES


@pytest.mark.parametrize(
    'regions, expected',
    [
        (None, []),
        ([], [[0, 0, 40, 30]]),
        ([[0, 0, 40, 30]], []),
        ([[-5, -5, 20, 99]], [[20, 0, 40, 30]]),
        ([[0, 0, 20, 30], [15, 0, 30, 30]], [[30, 0, 40, 30]]),
        (np.array([[0, 0, 20, 30]]), [[20, 0, 40, 30]]),
        ([[100, 100, 120, 120]], [[0, 0, 40, 30]]),
    ],
)
def test_regions(regions, expected):
    boxes = load(annotated_regions=regions)['gt_bboxes']
    assert cover_rectangles(boxes.unannotated).tolist() == expected
    assert boxes.is_cut


def test_absent_regions_mean_all():
    assert 'annotated_regions' not in RESULTS
    assert load()['gt_bboxes'].unannotated is None


def test_the_loaded_image_is_the_frame():
    # The annotation file states another size than the image has.
    boxes = load(annotated_regions=[], ori_shape=(20, 10))['gt_bboxes']
    assert cover_rectangles(boxes.unannotated).tolist() == [[0, 0, 10, 20]]


def test_after_resize_regions_are_where_the_boxes_are():
    results = load(
        annotated_regions=[[0, 0, 20, 30]],
        ori_shape=(30, 40),
        img_shape=(15, 20),
        scale_factor=(0.5, 0.5),
    )
    boxes = results['gt_bboxes']
    assert boxes.tensor[1].tolist() == [5, 6, 17, 18]
    assert cover_rectangles(boxes.unannotated).tolist() == [[20, 0, 40, 30]]
    packed = PackLLDInputs()(results)
    ignored = packed['data_samples'].ignored_instances
    assert ignored.bboxes.tensor[1].tolist() == [20, 0, 40, 30]


def test_no_instances():
    results = load(instances=[], annotated_regions=[])
    assert results['gt_bboxes'].shape == (0, 4)
    assert results['gt_bboxes_labels'].shape == (0,)
    assert results['gt_bboxes_labels'].dtype == np.int64


def test_instance_without_attributes_misses_all():
    instances = [dict(bbox=[0, 0, 5, 5], bbox_label=2, ignore_flag=0)]
    results = load(instances=instances)
    labels, attributes = unpack_labels(results['gt_bboxes_labels'], 7)
    assert labels.tolist() == [2]
    assert attributes.tolist() == [[-1] * 7]


def test_another_schema():
    instances = [
        dict(
            bbox=[0, 0, 5, 5],
            bbox_label=2,
            ignore_flag=0,
            attributes=(30, -1, 7, 0),
        )
    ]
    results = load(LoadLLDAnnotations(num_attributes=4), instances=instances)
    _, attributes = unpack_labels(results['gt_bboxes_labels'], 4)
    assert attributes.tolist() == [[30, -1, 7, 0]]


def test_the_dataset_states_the_number_of_attributes():
    results = load(instances=[], num_attributes=11)
    assert results['num_attributes'] == 11
    with pytest.raises(ValueError, match='has 11 attributes, .*_attributes=7'):
        load(LoadLLDAnnotations(num_attributes=7), num_attributes=11)


@pytest.mark.parametrize(
    'attributes, message',
    [
        ((0, 1, 0), 'instance 0 has the attributes .* num_attributes'),
        ((0, 1, 0, 0, 0, 0, 63), 'expected each in'),
    ],
)
def test_wrong_attributes_name_the_image(attributes, message):
    instances = [dict(RESULTS['instances'][0], attributes=attributes)]
    with pytest.raises(ValueError, match=f'4_15_1000_ALL.png: .*{message}'):
        load(instances=instances)


def test_wrong_region_names_the_image():
    with pytest.raises(ValueError, match='4_15_1000_ALL.png: annotated regi'):
        load(annotated_regions=[[5, 5, 2, 9]])


@pytest.mark.parametrize(
    'arguments',
    [
        dict(with_bbox=False),
        dict(with_label=False),
        dict(with_mask=True),
        dict(box_type='hbox'),
        dict(box_type=None),
        dict(num_attributes=0),
        dict(num_attributes=44),
    ],
)
def test_arguments_that_lose_something(arguments):
    with pytest.raises(ValueError, match='expected'):
        LoadLLDAnnotations(**arguments)
