# Copyright (c) mmleuk authors. All rights reserved.
import copy

import numpy as np
import pytest
import torch
from mmdet.datasets import BaseDetDataset, MultiImageMixDataset
from mmdet.models import DetDataPreprocessor
from mmdet.registry import DATASETS
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.logging import MessageHub
from mmengine.registry import TRANSFORMS, DefaultScope
from mmengine.runner import set_random_seed

from mmleuk.datasets.transforms import LoadLLDAnnotations, PackLLDInputs
from mmleuk.structures import UNANNOTATED, split_ignored

HEIGHT, WIDTH = 40, 60
CODES = [(0, 1, -1, 1, 0, 0, 1), (2, 0, 0, -1, -1, 1, 0)]


@pytest.fixture(autouse=True)
def _mmdet_scope():
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


def raw(**changes):
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    return copy.deepcopy(
        dict(
            dict(
                img=image,
                img_id=7,
                img_path='4_15_1000_ALL.png',
                img_shape=(HEIGHT, WIDTH),
                ori_shape=(HEIGHT, WIDTH),
                height=HEIGHT,
                width=WIDTH,
                patient='4',
                field='15',
                magnification='100x',
                diagnosis='ALL',
                subset='H_100X_C1',
                annotated_regions=[[10, 0, 40, 40]],
                instances=[
                    dict(
                        bbox=[12.0, 2, 20, 12],
                        bbox_label=3,
                        ignore_flag=1,
                        attributes=CODES[0],
                    ),
                    dict(
                        bbox=[25.0, 6, 37, 18],
                        bbox_label=13,
                        ignore_flag=0,
                        attributes=CODES[1],
                    ),
                ],
            ),
            **changes,
        )
    )


def pipeline(*transforms, results=None, **packing):
    results = LoadLLDAnnotations()(raw() if results is None else results)
    for transform in transforms:
        results = TRANSFORMS.build(transform)(results)
    return PackLLDInputs(**packing)(results)


def test_sample():
    packed = pipeline()
    assert packed['inputs'].shape == (3, HEIGHT, WIDTH)
    sample = packed['data_samples']
    instances, ignored = sample.gt_instances, sample.ignored_instances
    assert type(instances.bboxes) is HorizontalBoxes
    assert instances.bboxes.tensor.tolist() == [[25, 6, 37, 18]]
    assert instances.labels.tolist() == [13]
    assert instances.attributes.dtype == torch.int64
    assert instances.attributes.tolist() == [list(CODES[1])]
    # The ignored cell comes first, then the area on both sides.
    assert type(ignored.bboxes) is HorizontalBoxes
    assert ignored.labels.tolist() == [3, UNANNOTATED, UNANNOTATED]
    assert ignored.bboxes.tensor.tolist() == [
        [12, 2, 20, 12],
        [0, 0, 10, 40],
        [40, 0, 60, 40],
    ]
    assert ignored.attributes.tolist() == [list(CODES[0])] + [[-1] * 7] * 2
    assert ignored.labels.dtype == ignored.attributes.dtype == torch.int64


def test_meta_keys():
    metainfo = pipeline()['data_samples'].metainfo
    assert metainfo['img_shape'] == (HEIGHT, WIDTH)
    assert metainfo['patient'] == '4'
    assert metainfo['subset'] == 'H_100X_C1'
    assert 'instances' not in metainfo
    metainfo = pipeline(
        dict(type='Resize', scale_factor=2.0),
        meta_keys=('img_id', 'instances', 'annotated_regions', 'absent'),
    )['data_samples'].metainfo
    assert set(metainfo) == {'img_id', 'instances', 'annotated_regions'}
    # As the dataset states them, in the original pixels.
    assert metainfo['instances'] == raw()['instances']
    assert metainfo['annotated_regions'] == [[10, 0, 40, 40]]


@pytest.mark.parametrize(
    'regions, expected',
    [
        (None, []),
        ([], [[0, 0, 60, 40]]),
        ([[0, 0, 60, 40]], []),
        (
            [[0, 0, 30, 20], [30, 20, 60, 40]],
            [[30, 0, 60, 20], [0, 20, 30, 40]],
        ),
    ],
)
@pytest.mark.parametrize('count', [0, 2])
def test_kinds_of_images(regions, expected, count):
    results = raw(annotated_regions=regions)
    del results['instances'][count:]
    sample = pipeline(results=results)['data_samples']
    cells, rectangles = split_ignored(sample.ignored_instances)
    assert rectangles.tolist() == expected
    assert len(cells) == len(sample.gt_instances) == count // 2
    assert sample.gt_instances.attributes.shape == (count // 2, 7)
    assert sample.ignored_instances.attributes.shape == (
        count // 2 + len(expected),
        7,
    )


def test_fractions_of_pixels_stay():
    sample = pipeline(results=raw(annotated_regions=[[10.25, 0, 60, 40]]))[
        'data_samples'
    ]
    _, rectangles = split_ignored(sample.ignored_instances)
    assert rectangles.tolist() == [[0, 0, 10.25, 40]]


def test_without_annotations():
    """As DetInferencer does."""
    results = raw()
    packed = PackLLDInputs()(results)
    assert packed['inputs'].shape == (3, HEIGHT, WIDTH)
    assert len(packed['data_samples'].gt_instances) == 0
    assert packed['data_samples'].img_shape == (HEIGHT, WIDTH)


def test_the_results_are_not_changed():
    results = LoadLLDAnnotations()(raw())
    before = copy.deepcopy(results)
    PackLLDInputs()(results)
    assert results.keys() == before.keys()
    assert results['gt_bboxes_labels'].tolist() == (
        before['gt_bboxes_labels'].tolist()
    )
    assert results['gt_bboxes'].unannotated.equals(
        before['gt_bboxes'].unannotated
    )


def test_lost_regions_are_an_error():
    with pytest.raises(TypeError, match=r'4_15_1000_ALL.png.*RandomErasing'):
        pipeline(dict(type='RandomErasing', n_patches=1, ratio=0.2))


def test_labels_of_another_loader_are_an_error():
    results = TRANSFORMS.build(dict(type='LoadAnnotations', with_bbox=True))(
        raw()
    )
    with pytest.raises(KeyError, match='LoadLLDAnnotations'):
        PackLLDInputs()(results)


def test_cover_step():
    with pytest.raises(ValueError, match='expected a height > 0'):
        PackLLDInputs(cover_step=0)
    rotate = dict(
        type='RandomAffine', max_rotate_degree=30.0, max_translate_ratio=0.0
    )
    counts = []
    for step in (2.0, 16.0):
        set_random_seed(3)
        sample = pipeline(rotate, cover_step=step)['data_samples']
        counts.append(len(split_ignored(sample.ignored_instances)[1]))
    assert counts[0] > 2 * counts[1]


@pytest.mark.parametrize('clip', [True, False])
def test_crop_around_cells(clip):
    """RandomCenterCropPad moves the area with the cells, or says it cannot."""
    crop = dict(
        type='RandomCenterCropPad',
        crop_size=(30, 30),
        ratios=(1.0,),
        border=8,
        mean=(0, 0, 0),
        std=(1, 1, 1),
        to_rgb=True,
        test_pad_mode=None,
        bbox_clip_border=clip,
    )
    set_random_seed(1)
    results = raw(img=np.zeros((HEIGHT, WIDTH, 3), np.float32))
    results['img'][:, 10:40] = 255
    packed = pipeline(crop, results=results)
    image = packed['inputs'][0].numpy() > 0
    _, rectangles = split_ignored(packed['data_samples'].ignored_instances)
    covered = np.zeros_like(image)
    for x1, y1, x2, y2 in rectangles.round().int().tolist():
        covered[y1:y2, x1:x2] = True
    assert covered.any()
    assert image.any()
    assert not (covered & image).any()
    with pytest.raises(NotImplementedError, match='RandomCenterCropPad'):
        pipeline(crop, results=raw(img=results['img'], instances=[]))


def test_unclipped_crop_is_cut_when_packed():
    """MinIoURandomCrop(bbox_clip_border=False) tells nobody its frame."""
    crop = dict(
        type='MinIoURandomCrop', min_ious=(0.1,), bbox_clip_border=False
    )
    shapes = set()
    for seed in range(8):
        set_random_seed(seed)
        packed = pipeline(crop, results=raw(annotated_regions=[]))
        height, width = packed['inputs'].shape[1:]
        shapes.add((height, width))
        _, rectangles = split_ignored(packed['data_samples'].ignored_instances)
        assert rectangles.tolist() == [[0, 0, width, height]]
    assert len(shapes) > 3


def test_batch_sync_random_resize():
    """In a batch of two sizes, padded and resized by the preprocessor."""
    images, batch = [], dict(inputs=[], data_samples=[])
    for height, width, left in ((HEIGHT, WIDTH, 10), (32, 64, 16)):
        results = raw(
            img=np.zeros((height, width, 3), np.uint8),
            img_shape=(height, width),
            ori_shape=(height, width),
            annotated_regions=[[left, 8, 40, 24]],
        )
        # Channel 0 shows what is un-annotated; padding shows nothing.
        results['img'][..., 0] = 200
        results['img'][8:24, left:40, 0] = 0
        results['img'][8:24, left:40, 1] = 200
        images.append(results['img'])
        packed = pipeline(results=results)
        for key, value in packed.items():
            batch[key].append(value)
    preprocessor = DetDataPreprocessor(
        pad_size_divisor=32,
        batch_augments=[
            dict(
                type='BatchSyncRandomResize',
                random_size_range=(96, 160),
                size_divisor=32,
                interval=1,
            )
        ],
    )
    MessageHub.get_current_instance().update_info('iter', 0)
    plain = preprocessor(copy.deepcopy(batch), training=True)
    assert plain['inputs'].shape[-2:] == (64, 64)
    resized = preprocessor(copy.deepcopy(batch), training=True)
    height, width = resized['inputs'].shape[-2:]
    scale = width / 64
    assert height / 64 == scale != 1
    for image, sample in zip(resized['inputs'], resized['data_samples']):
        cells, rectangles = split_ignored(sample.ignored_instances)
        y, x = np.mgrid[:height, :width] + 0.5
        covered = np.zeros((height, width), bool)
        for x1, y1, x2, y2 in rectangles.tolist():
            covered |= (x1 <= x) & (x < x2) & (y1 <= y) & (y < y2)
        # Bilinear resizing mixes across the border; half of the value is it.
        shown = image[0].numpy() >= 100
        assert (shown != covered).mean() < 0.02
        assert covered.mean() > 0.2
        assert cells.tolist() == [[v * scale for v in (12, 2, 20, 12)]]
        boxes = sample.gt_instances.bboxes
        assert boxes.tolist() == [[v * scale for v in (25, 6, 37, 18)]]
        assert sample.gt_instances.attributes.tolist() == [list(CODES[1])]
        assert len(sample.ignored_instances.labels) == 5


@DATASETS.register_module()
class _TwoKindsOfImages(BaseDetDataset):
    """Images 0, 2 wholly annotated; 1, 3 nowhere. Cell i has the class i."""

    METAINFO = dict(classes=tuple('abcd'))

    def load_data_list(self):
        return [
            raw(
                img=np.full((HEIGHT, WIDTH, 3), 1 + index % 2, np.uint8),
                img_id=index,
                annotated_regions=[] if index % 2 else None,
                instances=[
                    dict(
                        bbox=[10.0, 10, 30, 30],
                        bbox_label=index,
                        ignore_flag=0,
                        attributes=[index % 2] * 7,
                    )
                ],
            )
            for index in range(4)
        ]


@pytest.mark.parametrize(
    'mix',
    [
        dict(type='Mosaic', img_scale=(64, 64), pad_val=0),
        dict(type='MixUp', img_scale=(64, 64), pad_val=0),
    ],
)
def test_in_multi_image_mix_dataset(mix):
    dataset = MultiImageMixDataset(
        dataset=dict(
            type='_TwoKindsOfImages',
            pipeline=[dict(type='mmleuk.LoadLLDAnnotations')],
            test_mode=True,
        ),
        pipeline=[
            mix,
            dict(type='RandomFlip', prob=1.0),
            dict(type='mmleuk.PackLLDInputs'),
        ],
    )
    set_random_seed(0)
    seen = set()
    for index in list(range(4)) * 5:
        sample = dataset[index]
        shown = sample['inputs'][0].numpy()
        _, rectangles = split_ignored(sample['data_samples'].ignored_instances)
        covered = np.zeros(shown.shape, bool)
        for x1, y1, x2, y2 in rectangles.round().int().tolist():
            covered[y1:y2, x1:x2] = True
        if mix['type'] == 'Mosaic':
            # Resizing cuts sizes to whole pixels: a row or column may differ.
            assert (covered & (shown == 1)).mean() < 0.03
            assert (~covered & (shown == 2)).mean() < 0.03
        elif index % 2:
            assert covered.all()
        instances = sample['data_samples'].gt_instances
        for label, codes in zip(instances.labels, instances.attributes):
            assert codes.tolist() == [label % 2] * 7
        seen |= set(instances.labels.tolist())
    assert seen == set(range(4))
