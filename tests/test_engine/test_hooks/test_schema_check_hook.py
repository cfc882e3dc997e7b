# Copyright (c) mmleuk authors. All rights reserved.
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmdet.datasets import ConcatDataset as MMDetConcatDataset
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.dataset import BaseDataset, ConcatDataset, RepeatDataset
from mmengine.hub import get_config
from mmengine.model import BaseModel
from torch import nn

from mmleuk.engine.hooks import SchemaCheckHook
from mmleuk.models.mining import RegionMiner
from mmleuk.models.test_time_augs import AttributeTTAModel
from mmleuk.structures import LLD_ATTRIBUTES
from mmleuk.structures.class_map import ClassMap

CONFIGS = Path(__file__).parents[3] / 'configs'
ATTRIBUTES = [
    dict(name='cytoplasm', values=('scanty', 'abundant')),
    dict(name='vacuoles', values=('absent', 'prominent')),
]
CLASSES = ('blast', 'other', 'none')


class Fields(BaseDataset):
    def __init__(
        self,
        classes=CLASSES,
        attributes=ATTRIBUTES,
        regions=(None,),
        pipeline=(),
    ):
        self.regions = regions
        super().__init__(
            metainfo=dict(classes=classes, attributes=attributes),
            lazy_init=True,
            pipeline=pipeline,
        )

    def load_data_list(self):
        return [
            dict(height=90, width=90, annotated_regions=regions, instances=[])
            for regions in self.regions
        ]


class Detector(BaseModel):
    def forward(self, inputs, data_samples=None, mode='tensor'):
        raise NotImplementedError


def make_model(num_classes=3, attributes=ATTRIBUTES):
    register_all_modules()
    head = dict(type='Shared2FCBBoxHead', in_channels=4, fc_out_channels=4)
    model = Detector()
    model.rpn_head = MODELS.build(dict(type='RPNHead', in_channels=4))
    model.roi_head = nn.Module()
    model.roi_head.bbox_head = MODELS.build(
        dict(head, num_classes=num_classes)
    )
    model.roi_head.attribute_head = MODELS.build(
        dict(type='mmleuk.AttributeHead', attributes=attributes)
    )
    return model


def make_runner(model, train=None, val=None, test=None):
    def loader(dataset):
        return SimpleNamespace(dataset=dataset)

    return SimpleNamespace(
        model=model,
        train_dataloader=loader(train),
        val_dataloader=loader(val),
        test_dataloader=loader(test),
        val_loop=None if val is None else SimpleNamespace(),
    )


@pytest.mark.parametrize(
    'attributes',
    [
        ATTRIBUTES,
        [dict(ATTRIBUTES[0], title='Plasma', json_key='C'), ATTRIBUTES[1]],
        None,
    ],
)
def test_what_fits(attributes):
    """Titles are up to the data, and data without attributes fit."""
    fields = Fields(attributes=attributes)
    runner = make_runner(make_model(), fields, fields, fields)
    hook = SchemaCheckHook()
    hook.before_train(runner)
    hook.before_val(runner)
    hook.before_test(runner)


@pytest.mark.parametrize('num_classes', [2, 5])
@pytest.mark.parametrize('part', ['train', 'val', 'test'])
def test_other_number_of_classes(part, num_classes):
    fields = dict(train=Fields(attributes=None), val=None)
    runner = make_runner(make_model(num_classes), **{**fields, part: Fields()})
    message = (
        f'roi_head.bbox_head of the model has num_classes={num_classes}, '
        f'expected 3, .* of {part}_dataloader: .*Set num_classes=3'
    )
    hook = SchemaCheckHook()
    with pytest.raises(ValueError, match=message):
        getattr(hook, f'before_{part}')(runner)


@pytest.mark.parametrize(
    'classes', [('other', 'blast', 'none'), ('blast', 'other')]
)
def test_other_classes_in_validation_are_found_before_training(classes):
    runner = make_runner(make_model(), Fields(), Fields(classes))
    with pytest.raises(
        ValueError, match='val_dataloader has the classes .*tr'
    ):
        SchemaCheckHook().before_train(runner)


@pytest.mark.parametrize(
    'attributes',
    [
        ATTRIBUTES[::-1],
        ATTRIBUTES[:1],
        LLD_ATTRIBUTES,
        [dict(ATTRIBUTES[0], values=('abundant', 'scanty')), ATTRIBUTES[1]],
    ],
)
@pytest.mark.parametrize('part', ['train', 'test'])
def test_other_attributes(attributes, part):
    """Another order would train and score, and mean something else."""
    runner = make_runner(make_model(attributes=attributes), **{part: Fields()})
    message = 'roi_head.attribute_head has the attributes .*cytoplasm.*same or'
    hook = SchemaCheckHook()
    with pytest.raises(ValueError, match=message):
        getattr(hook, f'before_{part}')(runner)


@pytest.mark.parametrize('part', ['train', 'val', 'test'])
def test_a_metainfo_for_each_of_several_datasets(part):
    """As MMDetection has it; hooks, metrics and checkpoints need one."""
    parts = [Fields(), Fields()]
    for number, fields in enumerate(parts):
        fields._metainfo['palette'] = [(number,) * 3] * 3
    dataset = MMDetConcatDataset(parts, lazy_init=True)
    runner = make_runner(make_model(), **{'train': Fields(), part: dataset})
    message = f"{part}_dataloader .* 2 parts.*\\['palette'\\].*JointDataset"
    with pytest.raises(TypeError, match=message):
        getattr(SchemaCheckHook(), f'before_{part}')(runner)


@pytest.mark.parametrize(
    'wrap',
    [
        lambda fields: RepeatDataset(fields, times=2, lazy_init=True),
        lambda fields: ConcatDataset([fields, fields], lazy_init=True),
    ],
)
def test_inside_wrappers(wrap):
    runner = make_runner(make_model(5), wrap(Fields()))
    with pytest.raises(ValueError, match='expected 3'):
        SchemaCheckHook().before_train(runner)


def test_the_model_that_merges_views():
    model = AttributeTTAModel(
        attributes=LLD_ATTRIBUTES,
        module=make_model(),
        tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=5),
    )
    runner = make_runner(model, test=Fields())
    with pytest.raises(ValueError, match='the model has .*Give tta_model'):
        SchemaCheckHook().before_test(runner)


@pytest.mark.parametrize(
    'miner', [dict(num_classes=5), dict(attributes=ATTRIBUTES)]
)
def test_the_miner(miner):
    name = 'mined-attr-faster-rcnn_lite0_fpn_pbc-fields-sparse.py'
    cfg = Config.fromfile(CONFIGS / 'region_sparse' / name)
    model = nn.Module()
    register_all_modules()
    fields = Fields(tuple('abcdefghijklmn'), LLD_ATTRIBUTES)
    model.miner = MODELS.build(cfg.model.miner)
    SchemaCheckHook().before_train(make_runner(model, fields))
    model.miner = MODELS.build(dict(cfg.model.miner, **miner))
    with pytest.raises(ValueError, match='miner'):
        SchemaCheckHook().before_train(make_runner(model, fields))


@pytest.mark.parametrize('part', ['val', 'test'])
@pytest.mark.parametrize(
    'trained_on',
    [
        dict(classes=['other', 'blast', 'none']),
        dict(classes=CLASSES, attributes=ATTRIBUTES[::-1]),
    ],
)
def test_a_checkpoint_of_other_data(part, trained_on):
    """As many classes, in another order: scores would mean nothing."""
    runner = make_runner(make_model(), Fields(), Fields(), Fields())
    hook = SchemaCheckHook()
    checkpoint = dict(meta=dict(dataset_meta=trained_on))
    hook.after_load_checkpoint(runner, checkpoint)
    with pytest.raises(ValueError, match='the checkpoint was trained on'):
        getattr(hook, f'before_{part}')(runner)
    # It may be fine-tuned.
    hook.before_train(runner)
    getattr(hook, f'before_{part}')(runner)


@pytest.mark.parametrize(
    'meta',
    [
        {},
        dict(dataset_meta=None),
        dict(dataset_meta=dict(classes=list(CLASSES), attributes=ATTRIBUTES)),
    ],
)
def test_a_checkpoint_that_fits_or_says_nothing(meta):
    hook = SchemaCheckHook()
    hook.after_load_checkpoint(None, dict(meta=meta))
    hook.before_test(make_runner(make_model(), test=Fields()))


def choice(transforms):
    return dict(type='RandomChoice', transforms=[transforms, []])


PART = [[0, 0, 40, 90]]


@pytest.mark.parametrize(
    'held_out, miner, fits',
    [
        (dict(share=0.2), dict(share=0.2, seed=0), True),
        (dict(share=0.2, seed=1), dict(share=0.2, seed=1), True),
        (None, None, True),
        (dict(share=0.2), dict(share=0.3), False),
        (dict(share=0.2, seed=1), dict(share=0.2), False),
        # Calibrated on labels that were learned from.
        (None, dict(share=0.2), False),
        # Hidden for nothing.
        (dict(share=0.2), None, False),
    ],
)
@pytest.mark.parametrize('wrap', [list, lambda items: [choice(items)]])
def test_labels_held_out_by_pipeline_and_miner(held_out, miner, fits, wrap):
    pipeline = []
    if held_out is not None:
        pipeline = wrap([dict(type='mmleuk.HoldOutRegions', **held_out)])
    pipeline.append(dict(type='mmleuk.RegionCrop'))
    register_all_modules()
    model = nn.Module()
    model.detector = make_model()
    model.miner = RegionMiner(3, ATTRIBUTES, hold_out=miner)
    fields = Fields(regions=[None, PART], pipeline=pipeline)
    # Fields that are fully annotated hold nothing out.
    dataset = ConcatDataset([Fields(), fields])
    runner = make_runner(model, dataset)
    if fits:
        SchemaCheckHook().before_train(runner)
        return
    message = r'holds out.*model.miner.hold_out.*mined\(_base_, hold_out=...'
    with pytest.raises(ValueError, match=message):
        SchemaCheckHook().before_train(runner)


LOAD = dict(type='mmleuk.LoadLLDAnnotations')
CROP = dict(type='mmleuk.RegionCrop')
BY_MMDET = dict(type='LoadAnnotations', with_bbox=True)


def make_retinanet(assigner):
    register_all_modules()
    cfg = get_config('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py').model
    cfg.train_cfg.assigner.type = assigner
    cfg.bbox_head.num_classes = 3
    with torch.device('meta'):
        return MODELS.build(cfg)


@pytest.mark.parametrize('naive', [False, True])
@pytest.mark.parametrize(
    'regions, assigner, pipeline, message',
    [
        ([PART], 'mmleuk.RegionMaxIoUAssigner', [LOAD], None),
        ([None], 'MaxIoUAssigner', [BY_MMDET], None),
        ([[[0, 0, 90, 90]]], 'MaxIoUAssigner', [LOAD], None),
        ([PART], 'MaxIoUAssigner', [LOAD, CROP], None),
        (
            [PART, None, []],
            'MaxIoUAssigner',
            [LOAD],
            '2 of 3 fields of train_dataloader have.*RetinaNet learns it as.*'
            'bbox_head is RetinaHead with the assigner MaxIoUAssigner.*'
            'RegionAssigner.*RegionCrop.*use_regions=False',
        ),
        # Not every image is cropped.
        (
            [PART],
            'MaxIoUAssigner',
            [LOAD, choice([CROP])],
            'RetinaNet learns it',
        ),
        # The regions get lost on the way.
        (
            [PART],
            'mmleuk.RegionMaxIoUAssigner',
            [BY_MMDET],
            'LoadAnnotations of the pipeline takes it for background.*'
            'LoadLLDAnnotations.*PackLLDInputs.*use_regions=False',
        ),
    ],
)
def test_unannotated_area(regions, assigner, pipeline, message, naive):
    if naive:
        # As `use_regions=False` of a dataset gives them.
        regions, message = [None] * len(regions), None
    fields = Fields(regions=regions, pipeline=pipeline)
    dataset = ConcatDataset([Fields(), fields], lazy_init=True)
    runner = make_runner(make_retinanet(assigner), dataset)
    if message is None:
        SchemaCheckHook().before_train(runner)
        return
    with pytest.raises(ValueError, match=message):
        SchemaCheckHook().before_train(runner)


@pytest.mark.parametrize(
    'train, val, root, fits',
    [
        ({'none': 'ignore'}, {'none': 'ignore'}, 'a', True),
        ({'blast': 'other'}, None, 'a', False),
        (None, {'none': 'ignore'}, 'a', False),
        # `none` is a class: of other data, too, it is mapped elsewhere.
        ({'none': 'ignore'}, None, 'b', False),
        # Names of one of the two data sets alone.
        ({'wbc': 'blast', '*': 'none'}, {'leukocyte': 'other'}, 'b', True),
        ({'wbc': 'blast', '*': 'none'}, {'wbc': 'blast'}, 'a', False),
    ],
)
def test_class_maps_of_training_and_validation(train, val, root, fits):
    datasets = [Fields(), Fields()]
    for dataset, class_map in zip(datasets, (train, val)):
        dataset.class_map = ClassMap(class_map)
        dataset.data_root = 'a'
    datasets[1].data_root = root
    runner = make_runner(make_model(), *datasets)
    # One of several datasets that were trained on is the one to score.
    joined = ConcatDataset([datasets[0], datasets[1]], lazy_init=True)
    SchemaCheckHook().before_train(
        make_runner(make_model(), joined, datasets[1])
    )
    if fits:
        SchemaCheckHook().before_train(runner)
        return
    message = r'make other classes \(train, val\).*same `class_map`'
    with pytest.raises(ValueError, match=message):
        SchemaCheckHook().before_train(runner)
