# Copyright (c) mmleuk authors. All rights reserved.
"""Data sets of unlike metainfo are trained and scored as one."""

import pytest
import torch
from mmdet.registry import DATASETS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.runner import Runner
from tiny_detector import TINY_DETECTOR

from mmleuk.structures import LLD_ATTRIBUTES, TypeProfile

CLASSES = ('blast', 'other')
CATEGORIES = [dict(id=i, name=name) for i, name in enumerate(CLASSES)]
SIZE = (96, 96)
FEWER = LLD_ATTRIBUTES[:3]


@pytest.fixture(scope='module')
def root(lld_files, tmp_path_factory):
    """Two fields with attributes; three without, of other class names."""
    folder = tmp_path_factory.mktemp('joint')
    for name, number, keys in (('one', 2, None), ('two', 3, [])):
        images, cells = [], []
        for index in range(number):
            file_name = f'{name}_{index}.png'
            lld_files.image(folder / file_name, SIZE)
            images.append(
                dict(id=index, file_name=file_name, width=96, height=96)
            )
            options = dict(area=1600, iscrowd=0)
            if keys is not None:
                options['keys'] = keys
            cells.append(
                lld_files.annotation(
                    index, index, (20, 20, 40, 40), index % 2, **options
                )
            )
        categories = [
            dict(item, name=f'{name} {item["name"]}') for item in CATEGORIES
        ]
        lld_files.json(folder / f'{name}.json', images, cells, categories)
    return folder


def make_part(root, name, pipeline=(), **metainfo):
    """Config of one of the data sets, mapped to the common classes."""
    return dict(
        type='mmleuk.LLDDataset',
        data_root=f'{root}/',
        ann_file=f'{name}.json',
        metainfo=dict(classes=CLASSES, **metainfo),
        class_map={f'{name} {target}': target for target in CLASSES},
        pipeline=list(pipeline),
    )


def make_coco(root, pipeline=()):
    """Config of a data set of MMDetection, which states no attributes."""
    return dict(
        type='CocoDataset',
        data_root=f'{root}/',
        ann_file='two.json',
        data_prefix=dict(img=''),
        metainfo=dict(classes=('two blast', 'two other')),
        pipeline=list(pipeline),
    )


def build(*parts, joint='mmleuk.JointDataset'):
    register_all_modules()
    return DATASETS.build(dict(type=joint, datasets=list(parts)))


def test_one_metainfo(root):
    palettes = [[(9, 9, 9)] * 2, [(5, 5, 5)] * 2]
    parts = [
        make_part(root, name, palette=palette)
        for name, palette in zip(('one', 'two'), palettes)
    ]
    assert isinstance(build(*parts, joint='ConcatDataset').metainfo, list)
    dataset = build(*parts)
    assert dataset.metainfo['palette'] == palettes[0]
    assert dataset.metainfo['classes'] == CLASSES
    assert dataset.metainfo['cumulative_sizes'] == [2, 5]
    assert [dataset.get_dataset_source(index) for index in (1, 2)] == [0, 1]
    infos = [dataset.get_data_info(index) for index in range(5)]
    labels = [info['instances'][0]['bbox_label'] for info in infos]
    assert labels == [0, 1, 0, 1, 0]


@pytest.mark.parametrize('first', [0, 1])
def test_a_part_without_attributes(root, first):
    """MMDetection stops with a KeyError, or loses them."""
    coco = dict(make_coco(root), metainfo=dict(classes=CLASSES))
    parts = [make_part(root, 'one'), coco]
    dataset = build(parts[first], parts[1 - first])
    assert dataset.metainfo['attributes'] == LLD_ATTRIBUTES


def test_a_small_part_is_weighted(root):
    repeated = dict(
        type='RepeatDataset', times=3, dataset=make_part(root, 'one')
    )
    dataset = build(repeated, make_part(root, 'two'))
    assert dataset.metainfo['cumulative_sizes'] == [6, 9]
    assert len(dataset) == 9


def test_labels_are_loaded_later_if_asked_for(root):
    parts = [dict(make_part(root, n), lazy_init=True) for n in ('one', 'two')]
    dataset = DATASETS.build(
        dict(type='mmleuk.JointDataset', datasets=parts, lazy_init=True)
    )
    assert dataset.metainfo['classes'] == CLASSES
    assert len(dataset) == 5


def test_other_classes(root):
    other = dict(make_part(root, 'two'), class_map={'*': 'blast'})
    other['metainfo'] = dict(classes=('blast',))
    with pytest.raises(ValueError, match=r'classes .*number 2.*a `class_map`'):
        build(make_part(root, 'one'), other)


def test_other_attributes(root):
    other = make_part(root, 'two', attributes=FEWER)
    with pytest.raises(ValueError, match=r'of the attributes .*of the first$'):
        build(make_part(root, 'one'), other)


PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=SIZE, keep_ratio=True),
    dict(type='mmleuk.LoadLLDAnnotations', with_bbox=True),
    dict(
        type='mmleuk.PackLLDInputs',
        meta_keys=(
            *('img_id', 'img_path', 'ori_shape', 'img_shape'),
            *('scale_factor', 'instances', 'annotated_regions'),
        ),
    ),
]


def make_runner(folder, train, val, **settings):
    """A runner of one epoch with our hooks that read the metainfo."""
    register_all_modules()
    (folder / 'tiny.py').write_text(TINY_DETECTOR)
    cfg = Config.fromfile(folder / 'tiny.py')

    def loader(dataset, shuffle):
        return dict(
            batch_size=5,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=shuffle),
            dataset=dataset,
        )

    cfg.merge_from_dict(
        dict(
            work_dir=str(folder),
            train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=1),
            val_cfg=dict(type='ValLoop'),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
            train_dataloader=loader(train, True),
            val_dataloader=loader(val, False),
            default_hooks=dict(
                schema=dict(type='mmleuk.SchemaCheckHook'),
                profile=dict(type='mmleuk.TypeProfileHook'),
                # Reads the metainfo, too.
                classes=dict(type='NumClassCheckHook'),
            ),
            experiment_name=folder.name,
            **settings,
        )
    )
    return Runner.from_cfg(cfg)


@pytest.mark.slow
def test_training(root, tmp_path):
    """One step of all, a profile of what has attributes, scores of each."""
    names = ('one', 'two')
    parts = [
        make_part(root, name, PIPELINE, palette=[(number,) * 3] * 2)
        for number, name in enumerate(names)
    ]
    train = dict(type='mmleuk.JointDataset', datasets=parts)
    val = dict(
        type='mmleuk.JointDataset',
        datasets=[dict(part, test_mode=True) for part in parts],
    )
    runner = make_runner(
        tmp_path,
        train,
        val,
        val_evaluator=dict(
            type='MultiDatasetsEvaluator',
            dataset_prefixes=list(names),
            metrics=[dict(type='mmleuk.LLDMetric')] * 2,
        ),
    )
    runner.train()
    meta = torch.load(tmp_path / 'epoch_1.pth', weights_only=False)['meta']
    assert meta['dataset_meta']['classes'] == CLASSES
    profile = TypeProfile.from_dict(meta['mmleuk_type_profile'])
    # Two cells with attributes, one of each class, of five.
    assert {int(table.sum()) for table in profile.counts.values()} == {2}
    scores = runner.message_hub.log_scalars
    for name in names:
        assert f'val/{name}/lld/bbox_mAP' in scores


@pytest.mark.slow
def test_training_beside_a_dataset_of_mmdetection(root, tmp_path):
    """Its cells have no key of attributes at all."""
    coco = make_coco(root, PIPELINE)
    coco['metainfo'] = dict(classes=('two blast', 'two other'))
    part = make_part(root, 'one', PIPELINE)
    part['class_map'] = {f'one {name}': f'two {name}' for name in CLASSES}
    part['metainfo'] = coco['metainfo']
    joint = dict(type='mmleuk.JointDataset', datasets=[coco, part])
    val = dict(part, test_mode=True)
    runner = make_runner(
        tmp_path, joint, val, val_evaluator=dict(type='mmleuk.LLDMetric')
    )
    runner.train()
    meta = torch.load(tmp_path / 'epoch_1.pth', weights_only=False)['meta']
    counts = TypeProfile.from_dict(meta['mmleuk_type_profile']).counts
    assert {int(table.sum()) for table in counts.values()} == {2}
