# Copyright (c) mmleuk authors. All rights reserved.
"""Where a pixel of a field lies in a view, by the pixels themselves.

Each pixel of a painted field states its place. So any view of it tells the
truth about the matrix, whatever was done to the field.
"""

import copy

import mmdet.datasets.transforms  # noqa: F401  (registers the transforms)
import numpy as np
import pytest
from mmdet.models import DetDataPreprocessor
from mmengine.logging import MessageHub
from mmengine.registry import TRANSFORMS, DefaultScope
from mmengine.runner import set_random_seed
from small_fields import HEIGHT, WIDTH, make_field

from mmleuk.datasets.transforms import PackLLDInputs

# Marks the pixels of a field; those of fill and of its edge have less.
PAINT = 255
REGION = [20, 10, 70, 60]
BOXES = [[25, 20, 45, 40], [50, 30, 65, 55]]
# Tolerance in pixels of transforms that copy pixels and of those that
# resample. The paint has steps of one pixel, and MMDetection itself warps the
# centres of pixels by matrices for their corners.
COPIED, RESAMPLED = 1e-3, 1.6
BLACK = dict(border_val=(0, 0, 0))
CROP = dict(crop_size=(60, 50), allow_negative_crop=True)
ALONE = [
    (COPIED, dict(type='RandomFlip', prob=1.0)),
    (COPIED, dict(type='RandomFlip', prob=1.0, direction='vertical')),
    (COPIED, dict(type='RandomFlip', prob=1.0, direction='diagonal')),
    (COPIED, dict(type='RandomCrop', **CROP)),
    (COPIED, dict(type='RandomCrop', bbox_clip_border=False, **CROP)),
    (COPIED, dict(type='MinIoURandomCrop', min_ious=(0.1,))),
    (
        COPIED,
        dict(type='MinIoURandomCrop', min_ious=(0.1,), bbox_clip_border=False),
    ),
    (COPIED, dict(type='Expand', ratio_range=(1, 3), prob=1.0)),
    (COPIED, dict(type='RandomShift', prob=1.0, max_shift_px=20)),
    (COPIED, dict(type='Pad', size_divisor=64)),
    (COPIED, dict(type='mmleuk.RandomTranspose', prob=1.0)),
    (COPIED, dict(type='mmleuk.RegionCrop')),
    (
        COPIED,
        dict(
            type='mmleuk.CachedRegionMosaic', img_scale=(70, 60), grid=(1, 1)
        ),
    ),
    (RESAMPLED, dict(type='Resize', scale=(130, 90), keep_ratio=False)),
    (RESAMPLED, dict(type='Resize', scale=(70, 70), keep_ratio=True)),
    (RESAMPLED, dict(type='Rotate', prob=1.0)),
    (RESAMPLED, dict(type='ShearX', prob=1.0)),
    (RESAMPLED, dict(type='ShearY', prob=1.0)),
    (RESAMPLED, dict(type='TranslateX', prob=1.0)),
    (RESAMPLED, dict(type='TranslateY', prob=1.0)),
    (RESAMPLED, dict(type='RandomAffine', **BLACK)),
    (RESAMPLED, dict(type='RandomAffine', bbox_clip_border=False, **BLACK)),
    (RESAMPLED, dict(type='RandomAffine', border=(-8, 6), **BLACK)),
]
AROUND_CELLS = dict(
    type='RandomCenterCropPad',
    crop_size=(60, 50),
    ratios=(0.8, 1.2),
    border=20,
    mean=(0, 0, 0),
    std=(1, 1, 1),
    to_rgb=True,
    test_pad_mode=None,
)


@pytest.fixture(scope='module', autouse=True)
def _mmdet_scope():
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


def painted(regions=(REGION,), boxes=BOXES):
    regions = None if regions is None else list(regions)
    return make_field(regions, boxes, number=PAINT)


def errors_in(image, sample):
    """How far the matrix is off in pixels, at each pixel of the field."""
    height, width = sample.img_shape
    matrix = np.diag([width, height, 1]) @ sample.field_matrix
    y, x = (image[..., 2] > PAINT - 0.5).nonzero()
    stored = image[y, x, :2].astype(float) + 0.5
    mapped = np.column_stack([stored, np.ones(len(stored))]) @ matrix.T
    mapped = mapped[:, :2] / mapped[:, 2:]
    return np.abs(mapped - np.column_stack([x, y]) - 0.5)


def run(results, *transforms):
    """Image and packed sample of a view; transforms may have a memory."""
    for transform in transforms:
        results = transform(results)
    return results['img'], PackLLDInputs()(results)['data_samples']


@pytest.mark.parametrize(
    'regions, boxes',
    [((REGION,), BOXES), ((REGION,), []), ((), []), (None, BOXES)],
)
@pytest.mark.parametrize('tolerance, config', ALONE)
def test_single_transforms(tolerance, config, regions, boxes):
    if regions == () and config['type'] in (
        'mmleuk.RegionCrop',
        'mmleuk.CachedRegionMosaic',
    ):
        # There is no annotated region to show.
        assert TRANSFORMS.build(config)(painted(regions, boxes)) is None
        return
    for seed in range(6):
        set_random_seed(seed)
        image, sample = run(painted(regions, boxes), TRANSFORMS.build(config))
        if len(sample.gt_instances) + len(sample.ignored_instances) == 0:
            # What a crop leaves of it.
            assert sample.field_matrix is None
            continue
        errors = errors_in(image, sample)
        assert len(errors) > 100
        assert errors.max() <= tolerance


def test_crops_around_cells():
    for seed in range(6):
        set_random_seed(seed)
        field = painted()
        field['img'] = field['img'].astype(np.float32)
        image, sample = run(field, TRANSFORMS.build(AROUND_CELLS))
        errors = errors_in(image, sample)
        assert len(errors) > 100
        assert errors.max() <= COPIED


def test_a_chain_of_those_that_mmdet_records_wrongly():
    chain = [
        dict(type='Expand', ratio_range=(1.5, 2), prob=1.0),
        dict(type='RandomAffine', **BLACK),
        dict(type='RandomShift', prob=1.0, max_shift_px=20),
        dict(type='MinIoURandomCrop', min_ious=(0.1,)),
        dict(type='mmleuk.RandomTranspose', prob=1.0),
    ]
    for seed in range(6):
        set_random_seed(seed)
        image, sample = run(painted(), *map(TRANSFORMS.build, chain))
        errors = errors_in(image, sample)
        assert len(errors) > 100
        assert errors.max() <= RESAMPLED


@pytest.mark.parametrize('bbox_clip_border', [True, False])
@pytest.mark.parametrize(
    'config, num_others',
    [
        (dict(type='Mosaic', img_scale=(90, 90), pad_val=0), 3),
        (dict(type='MixUp', img_scale=(90, 90), pad_val=0), 1),
    ],
)
def test_mixed_images_have_none(config, num_others, bbox_clip_border):
    mix = TRANSFORMS.build(dict(config, bbox_clip_border=bbox_clip_border))
    field = painted()
    field['mix_results'] = [painted() for _ in range(num_others)]
    assert run(field, mix)[1].field_matrix is None


@pytest.mark.parametrize('boxes', [BOXES, []])
@pytest.mark.parametrize(
    'config, num_alone',
    [
        (dict(type='CachedMosaic', img_scale=(90, 90), pad_val=0), 4),
        (dict(type='CachedMixUp', img_scale=(90, 90), pad_val=0), 1),
        (dict(type='mmleuk.CachedRegionMosaic', img_scale=(90, 90)), 0),
    ],
)
def test_images_mixed_by_a_cache_have_none(config, num_alone, boxes):
    """Until it is full they are alone, and MixUp leaves out empty ones."""
    mix = TRANSFORMS.build(config)
    if config['type'] == 'CachedMixUp' and not boxes:
        num_alone = 8
    for number in range(8):
        image, sample = run(painted(boxes=boxes), mix)
        if number >= num_alone:
            assert sample.field_matrix is None
        else:
            assert errors_in(image, sample).max() <= COPIED


def test_an_image_with_neither_area_nor_box_has_none():
    """RandomAffine does not tell its boxes that it warps the image."""
    affine = TRANSFORMS.build(dict(type='RandomAffine', **BLACK))
    assert run(painted(None, []), affine)[1].field_matrix is None


def test_a_batch_that_is_resized():
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
    flip = TRANSFORMS.build(dict(type='RandomFlip', prob=1.0))
    packed = PackLLDInputs()(flip(painted()))
    batch = {key: [value] for key, value in packed.items()}
    sizes = set()
    for seed in range(5):
        set_random_seed(seed)
        done = preprocessor(copy.deepcopy(batch), training=True)
        (image,), (sample,) = done['inputs'], done['data_samples']
        errors = errors_in(image.permute(1, 2, 0).numpy(), sample)
        assert len(errors) > 100
        assert errors.max() <= RESAMPLED
        sizes.add(sample.img_shape)
    assert (HEIGHT, WIDTH) in sizes
    assert len(sizes) > 1
