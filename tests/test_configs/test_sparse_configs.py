# Copyright (c) mmleuk authors. All rights reserved.
"""Each method that learns from sparse labels is the same on all data."""

import copy
import math
import re

import pytest
import torch
from mmdet.registry import DATASETS, MODELS, TRANSFORMS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.hub import get_config
from test_configs import CONFIG_DIR, read

from mmleuk import configs
from mmleuk.configs.with_regions import REGION_HEADS
from mmleuk.models import dense_heads
from mmleuk.models.utils import heads_without_regions

# Functions that are no methods for sparse labels.
OTHERS = (
    'attributes',
    'cascade',
    'mmdet_augmentation',
    'mmdet_detector',
    'mmdet_model',
    'resized',
    'with_regions',
    'without_attributes',
)
METHODS = [
    *(n.replace('_', '-') for n in configs.__all__ if n not in OTHERS),
    'self-training',
]
# Full and sparse labels, number of train fields, size of the stored fields.
DATA = [
    ('pbc-fields', 'pbc-fields-sparse', 87, (720, 726)),
    ('bccd-fields', 'bccd-fields-sparse', 150, (640, 480)),
    ('synthetic', 'synthetic-sparse', 60, (400, 400)),
]
# Annotated rectangles that have the pixels of a field.
CROPS_IN_A_FIELD = 5
EACH_DATA_SET = pytest.mark.parametrize('full, sparse, fields, size', DATA)


def load(method, data):
    (path,) = CONFIG_DIR.glob(
        f'*/{method}-attr-faster-rcnn_lite0_fpn_{data}.py'
    )
    return copy.deepcopy(read(path))


def iter_dicts(node):
    """Go through all dicts in a config."""
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for value in node:
            yield from iter_dicts(value)


def find(cfg, *types):
    names = [f'{scope}{name}' for name in types for scope in ('', 'mmleuk.')]
    return [d for d in iter_dicts(cfg.to_dict()) if d.get('type') in names]


@pytest.mark.parametrize('method', METHODS)
@EACH_DATA_SET
def test_a_method_reads_the_data_of_its_config(
    method, full, sparse, fields, size
):
    """In hooks, wrapped datasets and wrapped detectors, too."""
    cfg = load(method, sparse)
    plain = load('ignore', sparse)
    own = plain.train_dataloader.dataset
    for dataset in find(cfg, 'LLDDataset'):
        for key in ('data_root', 'subset', 'metainfo'):
            assert dataset.get(key) == own.get(key)
        if not dataset.get('test_mode'):
            assert dataset['ann_file'] == 'json_labels/train_sparse.json'
    resizes = find(cfg, 'Resize')
    assert {resize['scale'] for resize in resizes} == {plain.scale}
    heads = find(cfg, 'Shared2FCBBoxHead', 'RegionShared2FCBBoxHead')
    for head in heads + find(cfg, 'RegionMiner'):
        assert head['num_classes'] == plain.num_classes
    for generator in find(cfg, 'AnchorGenerator'):
        assert (
            generator['scales'] == plain.model.rpn_head.anchor_generator.scales
        )


@EACH_DATA_SET
def test_all_methods_see_as_many_pixels(full, sparse, fields, size):
    cfg = load('full', full)
    batch_size = cfg.train_dataloader.batch_size
    epochs = cfg.train_cfg.max_epochs
    for method in METHODS:
        own = load(method, sparse)
        factor = CROPS_IN_A_FIELD if method == 'crop' else 1
        loader = own.train_dataloader
        # Soft Teacher has further images for the teacher.
        labelled = loader.sampler.get('source_ratio', [loader.batch_size])[0]
        assert labelled == batch_size * factor
        assert own.train_cfg.max_epochs == epochs * factor
        last = own.param_scheduler[-1]
        assert last.get('end', epochs * factor) == epochs * factor
        assert last.get('T_max', 0) + last.begin in (0, epochs * factor)
        # The learning rate of a step stays where it is.
        setting = own.auto_scale_lr
        assert setting.base_batch_size * batch_size == (
            cfg.auto_scale_lr.base_batch_size * loader.batch_size
        )

    # A mosaic is as large as a field.
    (resize,) = find(Config(dict(p=cfg.train_pipeline)), 'Resize')
    ratio = min(
        max(resize['scale']) / max(size), min(resize['scale']) / min(size)
    )
    for method in ('mosaic', 'mined'):
        mosaics = find(load(method, sparse), 'CachedRegionMosaic')
        for mosaic in mosaics:
            assert mosaic['img_scale'] == pytest.approx(
                [side * ratio for side in size], abs=4
            )
        assert mosaics


@EACH_DATA_SET
def test_teachers_average_over_as_many_steps(full, sparse, fields, size):
    for method in ('mined', 'soft-teacher'):
        cfg = load(method, sparse)
        steps = math.ceil(fields / 4)
        (hook,) = find(cfg, 'EpochMeanTeacherHook')
        assert 1 / (hook['horizon'] * steps) == pytest.approx(0.05)


def roi_budget(cfg):
    """Numbers an image, and settings, of what the RoI head learns from."""
    model = cfg.model.get('detector', cfg.model)
    proposals = model.train_cfg.rpn_proposal
    sampler = model.train_cfg.rcnn.sampler
    numbers = [proposals.max_per_img, sampler.num]
    if 'attribute_head' in model.roi_head:
        numbers.append(model.roi_head.attribute_max_rois)
    return numbers, [proposals.nms.iou_threshold, sampler.pos_fraction]


@EACH_DATA_SET
def test_all_methods_sample_as_many_rois(full, sparse, fields, size):
    numbers, settings = roi_budget(load('full', full))
    for method in METHODS:
        cfg = load(method, sparse)
        own_numbers, own_settings = roi_budget(cfg)
        assert own_settings == settings
        if method == 'crop':
            assert all(
                own * CROPS_IN_A_FIELD >= number
                for own, number in zip(own_numbers, numbers)
            )
        else:
            assert own_numbers == numbers


@EACH_DATA_SET
def test_labels_are_released_after_calibration(full, sparse, fields, size):
    cfg = load('mined', sparse)
    (hook,) = find(cfg, 'RegionMiningHook')
    assert 0 < hook['release'] < hook['begin'] < cfg.train_cfg.max_epochs
    # The teacher is calibrated before it sees the labels for that.
    released, mining = find(cfg, 'InnerPipelineSwitchHook')
    assert released['switch_epoch'] == hook['release']
    assert mining['switch_epoch'] == hook['begin']
    held_back = 'mmleuk.HoldOutRegions'
    assert held_back in [step['type'] for step in cfg.train_pipeline]
    for switch in (released, mining):
        types = [step['type'] for step in switch['switch_pipeline']]
        assert held_back not in types


@pytest.mark.parametrize('method', METHODS)
def test_no_method_learns_unannotated_area_by_chance(method):
    """Each is told regions, or crops to them; `naive` learns it on purpose."""
    register_all_modules()
    cfg = load(method, 'pbc-fields-sparse')
    if method == 'crop':
        crops = find(cfg, 'RegionCrop')
        assert crops
        assert not TRANSFORMS.build(crops[0]).leaves_unannotated_area
        return
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    assert list(heads_without_regions(model)) == []


@EACH_DATA_SET
def test_the_labeller_learns_from_crops_of_the_same_data(
    full, sparse, fields, size
):
    cfg = load('self-training', sparse)
    path = CONFIG_DIR / 'baselines' / cfg.self_training.labeller
    labeller = read(path)
    assert find(labeller, 'RegionCrop')
    own = cfg.train_dataloader.dataset
    assert labeller.train_dataloader.dataset.data_root == own.data_root


@pytest.fixture
def sparse_fields(tmp_path, lld_files):
    """Six fields of 40x, annotated in the middle, with a cell in and out."""
    folder = tmp_path / 'H_40X_C1'
    images, cells = [], []
    for number in range(6):
        name = f'{number}_1_1_400_ALL.png'
        lld_files.image(folder / 'images' / 'train' / name, (640, 640))
        region = [160, 160, 480, 400]
        images.append(
            dict(
                id=number,
                file_name=name,
                width=640,
                height=640,
                annotated_regions=[region],
            )
        )
        cells.append(lld_files.annotation(number, number, (250, 250, 60, 90)))
    lld_files.json(folder / 'json_labels' / 'train.json', images, cells)
    return tmp_path


@pytest.mark.parametrize('method', ['ignore', 'crop', 'mosaic', 'mined'])
def test_methods_scale_the_fields_of_lld(method, sparse_fields):
    """The random scale moves boxes and regions, and mosaics keep a size."""
    (path,) = CONFIG_DIR.glob(
        f'*/{method}-attr-faster-rcnn_r50_fpn_lld-sparse-h40x-c1.py'
    )
    part = copy.deepcopy(read(path)).train_dataloader.dataset
    part.data_root = str(sparse_fields)
    dataset = DATASETS.build(part)
    sizes, scales = set(), []
    for index in range(len(dataset)):
        item = dataset[index]
        sample = item['data_samples']
        sizes.add(max(item['inputs'].shape))
        boxes = sample.gt_instances.bboxes.tensor
        scales += (boxes[:, 2:] - boxes[:, :2]).prod(1).div(5400).tolist()
        ignored = sample.ignored_instances
        has_area = bool((ignored.labels == -1).any())
        assert has_area == (method != 'crop')
    assert all(0.8 < scale < 1.22 for scale in scales)
    assert max(scales) - min(scales) > 0.02
    if method in ('mosaic', 'mined'):
        assert sizes == {640}
    else:
        largest = 640 if method == 'ignore' else 320
        assert all(0.89 < size / largest < 1.11 for size in sizes)


MMDET = (
    'ddod/ddod_r50_fpn_1x_coco',
    'faster_rcnn/faster-rcnn_r50_fpn_1x_coco',
    'tood/tood_r50_fpn_1x_coco',
    'yolox/yolox_s_8xb8-300e_coco',
)
# Detectors of MMDetection with the head and the number of assigners of ours.
DETECTORS = {
    'retinanet_r50_fpn': ('RetinaHead', 1),
    'atss_r50_fpn': ('ATSSHead', 1),
    'fcos_r50_fpn': ('mmleuk.RegionFCOSHead', 0),
    'rtmdet_s': ('RTMDetSepBNHead', 1),
    'yolox_s': ('mmleuk.RegionYOLOXHead', 1),
    'dino-4scale_r50': ('mmleuk.RegionDINOHead', 1),
}


@pytest.mark.parametrize('name', DETECTORS)
def test_detectors_of_mmdetection_know_regions(name, sparse_fields):
    """Model, data and pipelines: what is un-annotated reaches the loss."""
    register_all_modules()
    cfg = copy.deepcopy(
        read(CONFIG_DIR / f'region_sparse/ignore-{name}_lld-sparse-h40x-c1.py')
    )
    head, num_assigners = DETECTORS[name]
    assert cfg.model.bbox_head.type == head
    assert len(find(cfg, 'RegionAssigner')) == num_assigners
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    assert list(heads_without_regions(model)) == []

    part = cfg.train_dataloader.dataset
    (inner,) = find(cfg.train_dataloader, 'LLDDataset')
    assert inner['data_root'] == 'data/lld_sparse/'
    assert inner['region_order'] == 'auto'
    inner = part.get('dataset', part)
    inner.data_root = str(sparse_fields)
    dataset = DATASETS.build(part)
    for index in range(len(dataset)):
        sample = dataset[index]['data_samples']
        assert (sample.ignored_instances.labels == -1).any()


def test_with_regions_leaves_its_argument_alone():
    for name in ('cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco', *MMDET):
        model = get_config(f'mmdet::{name}.py').model
        before = copy.deepcopy(model)
        ours = configs.with_regions(model, bg_coverage_thr=0.8)
        assert model == before
        assigners = find(Config(dict(model=ours)), 'RegionAssigner')
        assert len(assigners) == len(
            re.findall("assigner'", str(before.get('train_cfg')))
        )
        assert all(a['bg_coverage_thr'] == 0.8 for a in assigners)
        assert 'RegionAssigner' not in str([a['assigner'] for a in assigners])


def test_heads_of_ours_are_named_after_those_of_mmdetection():
    own = {
        name[len('Region') :]
        for name in dense_heads.__all__
        if name.startswith('Region')
    }
    assert own == set(REGION_HEADS)
