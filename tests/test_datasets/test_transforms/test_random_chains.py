# Copyright (c) mmleuk authors. All rights reserved.
"""Attributes and regions after random chains of MMDetection's transforms.

Three oracles know nothing of how we carry them.

- Pixels: the image that goes through the chain is painted. Channel 0 shows
  un-annotated area, channel 1 annotated area, and fill shows neither. What
  comes out says which pixel is what.
- Instances: MMDetection's own loader and packer, with a unique id as the
  label, run the same chain with the same random numbers.
- Places: each pixel of the image states where it was, by which the matrix
  from the stored image to the view is tested.
"""

import copy
import logging

import cv2
import mmdet.datasets.transforms  # noqa: F401  (registers the transforms)
import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from mmdet.datasets.transforms import PhotoMetricDistortion
from mmengine.registry import TRANSFORMS, DefaultScope
from mmengine.runner import set_random_seed

from mmleuk.structures import UNANNOTATED, split_ignored

RUN = dict(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
        HealthCheck.data_too_large,
    ],
)
NUM_ATTRIBUTES = 7
# Enough samples in a row for the caches of CachedMosaic and CachedMixUp.
NUM_SAMPLES = 6
MIXING = ('Mosaic', 'CachedMosaic', 'MixUp', 'CachedMixUp')


@TRANSFORMS.register_module()
class DrawWithoutDistortion(PhotoMetricDistortion):
    """Draws PhotoMetricDistortion's random numbers, leaves the paint."""

    def transform(self, results):
        self._random_flags()
        return results


@pytest.fixture(scope='module', autouse=True)
def _mmdet_scope():
    # Mosaic and MixUp log their size each time one is made.
    logging.disable(logging.INFO)
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield
    logging.disable(logging.NOTSET)


# ---------------------------------------------------------------- the scenes


def attributes_of(identity):
    """The id in base 4, as seven codes from -1 to 2."""
    return tuple((identity >> 2 * i) % 4 - 1 for i in range(NUM_ATTRIBUTES))


def identity_of(attributes):
    return sum((int(code) + 1) << 2 * i for i, code in enumerate(attributes))


def label_of(identity):
    return identity * 5 % 14


@st.composite
def boxes_in(draw, width, height, smallest):
    x1 = draw(st.integers(0, width - smallest))
    y1 = draw(st.integers(0, height - smallest))
    x2 = draw(st.integers(x1 + smallest, width))
    y2 = draw(st.integers(y1 + smallest, height))
    return [x1, y1, x2, y2]


@st.composite
def scenes(draw, regions=('whole', 'none', 'one', 'many'), most_cells=3):
    """Size, annotated regions and cells of one image."""
    width, height = draw(st.integers(40, 96)), draw(st.integers(40, 96))
    kind = draw(st.sampled_from(regions))
    count = dict(whole=None, none=0, one=1, many=3)[kind]
    areas = None
    if count is not None:
        areas = [draw(boxes_in(width, height, 12)) for _ in range(count)]
    cells = [
        draw(boxes_in(width, height, 4))
        for _ in range(draw(st.sampled_from(range(most_cells + 1))))
    ]
    return dict(width=width, height=height, regions=areas, cells=cells)


def paint(scene, index):
    """Image of the un-annotated (channel 0) and annotated (1) pixels.

    Channel 2 is noise, by which images differ.
    """
    shape = (scene['height'], scene['width'])
    image = np.zeros((*shape, 3), np.uint8)
    image[..., 0 if scene['regions'] is not None else 1] = 255
    for x1, y1, x2, y2 in scene['regions'] or []:
        image[y1:y2, x1:x2] = (0, 255, 0)
    image[..., 2] = np.random.default_rng(index).integers(0, 255, shape)
    return image


def paint_places(scene, index):
    """Image whose pixels are twice their x and y, and 255."""
    y, x = np.mgrid[: scene['height'], : scene['width']]
    return np.stack([2 * x, 2 * y, np.full_like(x, 255)], 2).astype(np.uint8)


def load(scene, index, plain, painter):
    """One image as the dataset gives it, through the loader."""
    identities = [100 * (index + 1) + i for i in range(len(scene['cells']))]
    shape = (scene['height'], scene['width'])
    results = dict(
        img=painter(scene, index),
        img_id=index,
        img_path=f'{index}.png',
        ori_shape=shape,
        img_shape=shape,
        height=shape[0],
        width=shape[1],
        annotated_regions=scene['regions'],
        instances=[
            dict(
                bbox=[float(value) for value in cell],
                bbox_label=identity if plain else label_of(identity),
                ignore_flag=int(identity % 3 == 2),
                attributes=attributes_of(identity),
            )
            for identity, cell in zip(identities, scene['cells'])
        ],
    )
    if plain:
        loader = dict(type='LoadAnnotations', with_bbox=True)
    else:
        loader = dict(type='mmleuk.LoadLLDAnnotations')
    return TRANSFORMS.build(loader)(results)


# ---------------------------------------------------------------- the chains

FLAGS = st.booleans()
SIZES = st.tuples(st.integers(32, 110), st.integers(32, 110))
BLACK = dict(border_val=(0, 0, 0))


def configs(*types, **arguments):
    """Configs of transforms, arguments fixed or drawn."""
    return st.fixed_dictionaries(
        {
            key: value
            if isinstance(value, st.SearchStrategy)
            else st.just(value)
            for key, value in dict(
                type=st.sampled_from(types), **arguments
            ).items()
        }
    )


CROPS = st.one_of(
    configs(
        'RandomCrop',
        crop_size=SIZES,
        allow_negative_crop=FLAGS,
        bbox_clip_border=FLAGS,
    ),
    configs(
        'RandomCrop',
        crop_type='relative_range',
        crop_size=(0.4, 0.4),
        allow_negative_crop=True,
    ),
    configs('MinIoURandomCrop', min_ious=(0.1, 0.3), bbox_clip_border=FLAGS),
)
MIXES = st.one_of(
    configs(
        'Mosaic',
        'CachedMosaic',
        img_scale=SIZES,
        pad_val=0,
        bbox_clip_border=FLAGS,
    ),
    configs(
        'MixUp',
        'CachedMixUp',
        img_scale=SIZES,
        ratio_range=(0.6, 1.4),
        pad_val=0,
        bbox_clip_border=FLAGS,
    ),
)
# Transforms of one image that keep axes upright.
ALONE = st.one_of(
    st.one_of(
        configs(
            'Resize',
            scale=SIZES,
            keep_ratio=FLAGS,
            clip_object_border=FLAGS,
        ),
        configs('Resize', scale_factor=st.floats(0.5, 1.8), keep_ratio=FLAGS),
        configs(
            'RandomResize',
            scale=SIZES,
            ratio_range=(0.6, 1.5),
            keep_ratio=FLAGS,
        ),
    ),
    CROPS,
    st.one_of(
        configs(
            'RandomFlip',
            prob=0.9,
            direction=st.sampled_from(
                [
                    'horizontal',
                    'vertical',
                    'diagonal',
                    ['horizontal', 'vertical', 'diagonal'],
                ]
            ),
        ),
        configs(
            'RandomAffine',
            max_rotate_degree=0.0,
            max_shear_degree=0.0,
            border=st.sampled_from([(0, 0), (8, -6)]),
            bbox_clip_border=FLAGS,
            **BLACK,
        ),
        configs('Pad', size_divisor=st.sampled_from([16, 32])),
        configs('FilterAnnotations', min_gt_bbox_wh=(8, 8), keep_empty=FLAGS),
        configs('PhotoMetricDistortion'),
        configs('Expand', ratio_range=(1, 2), prob=0.7),
        configs('RandomShift', prob=0.8, max_shift_px=20),
        configs('TranslateX', prob=0.8, level=6, img_border_value=0.0),
    ),
)
UPRIGHT = st.one_of(ALONE, ALONE, MIXES)
SLANTING = st.one_of(
    configs(
        'RandomAffine',
        max_rotate_degree=st.sampled_from([10.0, 60.0]),
        max_shear_degree=5.0,
        bbox_clip_border=FLAGS,
        **BLACK,
    ),
    configs('Rotate', 'ShearY', prob=0.9, img_border_value=0.0),
)
# RandomChoice cannot hold a transform that asks for other images.
CHOICES = st.builds(
    lambda one, other: dict(type='RandomChoice', transforms=[[one], [other]]),
    ALONE,
    ALONE,
)


def chains(transforms=UPRIGHT, longest=4):
    return st.lists(
        st.one_of(transforms, transforms, transforms, CHOICES),
        min_size=1,
        max_size=longest,
    )


def flat(chain):
    for cfg in chain:
        if cfg['type'] == 'RandomChoice':
            yield from (inner for (inner,) in cfg['transforms'])
        else:
            yield cfg


def built(chain, distort):
    """Transforms of a chain, with or without changes of colour."""
    chain = copy.deepcopy(chain)
    for cfg in flat(chain):
        if cfg['type'] == 'PhotoMetricDistortion' and not distort:
            cfg['type'] = 'DrawWithoutDistortion'
    return [TRANSFORMS.build(cfg) for cfg in chain]


def run(chain, pool, seed, plain=False, distort=False, painter=paint):
    """Run samples one after another, as a worker of a data loader does.

    Returns:
        list[tuple[dict, ndarray, float] | None]: Packed sample, its image
        and how far in pixels resampling may have blurred or MMDetection's
        rounding shifted it. None where a transform dropped the sample.
    """
    transforms = built(chain, distort)
    if plain:
        packer = TRANSFORMS.build(dict(type='PackDetInputs'))
    else:
        packer = TRANSFORMS.build(dict(type='mmleuk.PackLLDInputs'))
    loaded = [load(scene, i, plain, painter) for i, scene in enumerate(pool)]
    tolerances = [0.0] * len(chain)
    samples = []
    for index in range(NUM_SAMPLES):
        results = copy.deepcopy(loaded[index % len(loaded)])
        blur = 0.0
        for stage, transform in enumerate(transforms):
            set_random_seed(seed + 101 * index + stage)
            if hasattr(transform, 'get_indexes'):
                indexes = transform.get_indexes(loaded)
                indexes = indexes if isinstance(indexes, list) else [indexes]
                results['mix_results'] = [
                    copy.deepcopy(loaded[i]) for i in indexes
                ]
            before = results['img'].shape[:2]
            results = transform(results)
            if results is None:
                break
            # A cached image is as blurred as any that came by here.
            blur = max(blur, tolerances[stage])
            tolerances[stage] = blur
            blur = blurred(blur, chain[stage], before, results, loaded)
        if results is None:
            samples.append(None)
        else:
            samples.append((packer(results), results['img'], blur))
    return samples


def blurred(blur, cfg, before, results, loaded):
    """Tolerance after a transform: what it blurs, shifts and enlarges."""
    if cfg['type'] == 'RandomChoice':
        return max(
            blurred(blur, inner, before, results, loaded)
            for (inner,) in cfg['transforms']
        )
    after = results['img'].shape[:2]
    if 'Resize' in cfg['type']:
        scale, shift = max(a / b for a, b in zip(after, before)), 0.0
    elif cfg['type'] in ('RandomAffine', 'Rotate', 'ShearY', 'TranslateX'):
        # They map centres of pixels, but corners of boxes.
        scale, shift = 1.6, 0.8
    elif cfg['type'] in MIXING:
        # They cut the size of the resized image to whole pixels, that of the
        # boxes not; MixUp does so twice and enlarges in between.
        sizes = [before] + [item['img'].shape[:2] for item in loaded]
        scale = max(cfg['img_scale']) / min(map(min, sizes))
        shift = 1.0
        if 'MixUp' in cfg['type']:
            scale, shift = scale * 1.4, 2.4
        scale = max(scale, 1.0)
    else:
        return blur
    return scale * (blur + 0.5) + 0.5 + shift


# --------------------------------------------------------------- the oracles


def covered_pixels(rectangles, shape):
    """Pixels whose centre lies in a rectangle."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    covered = np.zeros(shape, bool)
    for x1, y1, x2, y2 in rectangles.tolist():
        covered |= (x1 <= x) & (x < x2) & (y1 <= y) & (y < y2)
    return covered


def deep(mask, margin):
    """Pixels of a mask farther than the margin from what is not in it.

    What lies outside of the image is unknown, so not in it.
    """
    size = 2 * int(np.ceil(margin)) + 1
    eroded = cv2.erode(
        mask.astype(np.uint8),
        np.ones((size, size)),
        borderType=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    return eroded > 0


def thick(mask, margin):
    """Without strips so thin that resampling may have filled them or let
    them vanish from the paint."""
    return deep(mask, np.ceil(margin / 2))


def check_pixels(sample, chain):
    packed, image, margin = sample
    data_sample = packed['data_samples']
    _, rectangles = split_ignored(data_sample.ignored_instances)
    assert image.shape[:2] == data_sample.img_shape
    covered = covered_pixels(rectangles, image.shape[:2])
    unannotated = image[..., 0] > 0
    annotated = image[..., 1] > 0
    missed = deep(unannotated, margin) & ~covered
    assert not thick(missed, margin).any(), 'called annotated, and is not'
    if lossless(chain):
        lost = deep(~unannotated, margin) & annotated & covered
        assert not thick(lost, margin).any(), 'called un-annotated, and is'
    check_rectangles(rectangles, image.shape[:2])


def check_rectangles(rectangles, shape):
    rows = rectangles.double()
    size = rows[:, 2:] - rows[:, :2]
    assert (size > 0).all()
    assert (rows[:, :2] >= 0).all(), 'over the edge of the image'
    assert (rows[:, 2] <= shape[1]).all(), 'over the edge of the image'
    assert (rows[:, 3] <= shape[0]).all(), 'over the edge of the image'
    overlap = (
        rows[:, None, 2:].minimum(rows[None, :, 2:])
        - rows[:, None, :2].maximum(rows[None, :, :2])
    ).clamp(min=0)
    overlap = overlap.prod(-1)
    overlap.fill_diagonal_(0)
    assert overlap.max() <= 1e-9 if len(rows) else True


def check_places(sample, chain):
    """The matrix maps each pixel to its place, or there is none."""
    packed, image, tolerance = sample
    data_sample = packed['data_samples']
    if data_sample.field_matrix is None:
        event('no matrix')
        is_empty = not (
            len(data_sample.gt_instances) or len(data_sample.ignored_instances)
        )
        assert is_empty or {cfg['type'] for cfg in chain} & set(MIXING)
        return
    event('matrix')
    height, width = data_sample.img_shape
    matrix = np.diag([width, height, 1]) @ data_sample.field_matrix
    y, x = (image[..., 2] == 255).nonzero()
    stored = image[y, x, :2] / 2 + 0.5
    mapped = stored @ matrix[:2, :2].T + matrix[:2, 2]
    errors = mapped - np.column_stack([x, y]) - 0.5
    assert np.abs(errors).max(initial=0) <= tolerance + 1e-3


def instances_of(sample):
    """(id, ignored, box) of every packed cell, ids from the attributes."""
    data_sample = sample[0]['data_samples']
    found = []
    for instances, ignored in (
        (data_sample.gt_instances, False),
        (data_sample.ignored_instances, True),
    ):
        rows = zip(
            instances.bboxes.tensor.tolist(),
            instances.labels.tolist(),
            instances.attributes.tolist(),
        )
        for box, label, attributes in rows:
            if label == UNANNOTATED:
                assert ignored
                assert set(attributes) == {-1}
                continue
            identity = identity_of(attributes)
            assert label == label_of(identity), 'class of another cell'
            assert ignored == (identity % 3 == 2)
            found.append((identity, ignored, box))
    return found


def plain_instances_of(sample):
    data_sample = sample[0]['data_samples']
    return [
        (identity, ignored, box)
        for instances, ignored in (
            (data_sample.gt_instances, False),
            (data_sample.ignored_instances, True),
        )
        for box, identity in zip(
            instances.bboxes.tensor.tolist(), instances.labels.tolist()
        )
    ]


def lossless(chain):
    """Whether no annotated area may be lost."""
    types = [cfg['type'] for cfg in flat(chain)]
    if {'Rotate', 'ShearY'} & set(types):
        return False
    for cfg in flat(chain):
        if cfg['type'] == 'RandomAffine' and cfg['max_rotate_degree'] > 0:
            return False
        # This one tells nobody the frame of the crop. What the area then
        # covers beyond the frame may lie on a neighbour in a mosaic.
        if (
            cfg['type'] == 'MinIoURandomCrop'
            and not cfg['bbox_clip_border']
            and set(MIXING) & set(types)
        ):
            return False
    return True


def check_chain(chain, pool, seed):
    ours = run(chain, pool, seed)
    theirs = run(chain, pool, seed, plain=True)
    distorted = ours
    if any(cfg['type'] == 'PhotoMetricDistortion' for cfg in flat(chain)):
        distorted = run(chain, pool, seed, distort=True)
    may_differ = any(
        cfg['type'] in ('MinIoURandomCrop', 'MixUp', 'CachedMixUp')
        for cfg in flat(chain)
    )
    assert len(ours) == len(theirs) == NUM_SAMPLES
    for sample, plain, other in zip(ours, theirs, distorted):
        assert (sample is None) == (other is None)
        if sample is None:
            event('dropped')
            assert plain is None or may_differ
            continue
        check_pixels(sample, chain)
        cells = instances_of(sample)
        assert cells == instances_of(other)
        assert np.array_equal(
            sample[0]['data_samples'].ignored_instances.bboxes.numpy(),
            other[0]['data_samples'].ignored_instances.bboxes.numpy(),
        )
        if plain is not None and np.array_equal(sample[1], plain[1]):
            event('compared with mmdet')
            assert cells == plain_instances_of(plain)
        else:
            # These treat an image with un-annotated area and no box
            # differently, on purpose.
            assert may_differ
            event('not compared with mmdet')
        event(f'{min(len(cells), 3)} cells')


POOLS = st.lists(scenes(), min_size=2, max_size=4)
SEEDS = st.integers(0, 2**20)


@settings(max_examples=90, **RUN)
@given(chains(), POOLS, SEEDS)
def test_chains_along_axes(chain, pool, seed):
    check_chain(chain, pool, seed)


@settings(max_examples=45, **RUN)
@given(
    chains(longest=2),
    SLANTING,
    chains(longest=2),
    POOLS,
    SEEDS,
)
def test_chains_with_rotation(before, slanting, after, pool, seed):
    check_chain([*before, slanting, *after], pool, seed)


@settings(max_examples=45, **RUN)
@given(CROPS, MIXES, POOLS, SEEDS)
def test_crops_that_are_mixed(crop, mix, pool, seed):
    """What was cut off must not come back on a neighbour."""
    check_chain([crop, mix], pool, seed)


@settings(max_examples=60, **RUN)
@given(st.one_of(UPRIGHT, SLANTING), POOLS, SEEDS)
def test_single_transforms(transform, pool, seed):
    """Here the tolerance of the pixels is at its tightest."""
    check_chain([transform], pool, seed)


@settings(max_examples=60, **RUN)
@given(chains(st.one_of(UPRIGHT, SLANTING)), POOLS, SEEDS)
def test_matrix_of_chains(chain, pool, seed):
    for sample in run(chain, pool, seed, painter=paint_places):
        if sample is not None:
            check_places(sample, chain)


@settings(max_examples=60, **RUN)
@given(
    chains(st.one_of(UPRIGHT, SLANTING)),
    st.lists(scenes(regions=('whole',)), min_size=2, max_size=4),
    SEEDS,
)
def test_wholly_annotated_is_plain_mmdet(chain, pool, seed):
    ours = run(chain, pool, seed, distort=True)
    theirs = run(chain, pool, seed, plain=True, distort=True)
    for sample, plain in zip(ours, theirs):
        assert (sample is None) == (plain is None)
        if sample is None:
            continue
        assert np.array_equal(
            sample[0]['inputs'].numpy(), plain[0]['inputs'].numpy()
        )
        assert instances_of(sample) == plain_instances_of(plain)
        _, rectangles = split_ignored(
            sample[0]['data_samples'].ignored_instances
        )
        assert len(rectangles) == 0
        metainfo = plain[0]['data_samples'].metainfo
        ours_metainfo = sample[0]['data_samples'].metainfo
        assert metainfo == {key: ours_metainfo[key] for key in metainfo}


@settings(max_examples=80, **RUN)
@given(
    chains(),
    st.lists(scenes(most_cells=0), min_size=2, max_size=4),
    SEEDS,
)
def test_images_without_cells(chain, pool, seed):
    """The area moves although there is no box to move."""
    for sample in run(chain, pool, seed):
        if sample is not None:
            check_pixels(sample, chain)
            assert instances_of(sample) == []
