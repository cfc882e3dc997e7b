# Copyright (c) mmleuk authors. All rights reserved.
"""Detectors without a RoI head, from data to results."""

import json
import pickle

import cv2
import numpy as np
import pytest
import torch
from mmdet.evaluation import DumpDetResults
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner
from tiny_dense_detectors import attribute_cfg, build

from mmleuk.apis import LLDInferencer
from mmleuk.engine.hooks import SchemaCheckHook
from mmleuk.structures import LLD_ATTRIBUTES, AttributeSchema

NUM_VALUES = AttributeSchema(LLD_ATTRIBUTES).num_values
CLASSES = ('neutrophil', 'lymphocyte')
DATA = """
_base_ = ['mmdet::_base_/default_runtime.py']
test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmleuk.LLDDataset',
        metainfo=dict(classes=('neutrophil', 'lymphocyte')),
        ann_file='{folder}/test.json',
        data_prefix=dict(img='{folder}/images/'),
        test_mode=True,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(96, 96), keep_ratio=True),
            dict(type='mmleuk.LoadLLDAnnotations', with_bbox=True),
            dict(type='mmleuk.PackLLDInputs', meta_keys=(
                'img_id', 'img_path', 'ori_shape', 'img_shape',
                'scale_factor', 'instances', 'annotated_regions'))]))
test_evaluator = dict(type='mmleuk.LLDMetric')
test_cfg = dict(type='TestLoop')
visualizer = dict(type='mmleuk.LLDLocalVisualizer')
"""


def model_cfg(name):
    cfg = attribute_cfg(name, schema=LLD_ATTRIBUTES)
    cfg.bbox_head.num_classes = len(CLASSES)
    cfg.test_cfg.update(score_thr=0.0, max_per_img=5)
    return cfg


@pytest.fixture(params=['RTMDet', 'DINO'])
def trained(request, tmp_path, tiny, lld_files):
    """Config of a detector, its checkpoint, and labelled fields."""
    model = model_cfg(request.param)
    text = DATA.replace('{folder}', tmp_path.as_posix())
    text += f'model = {model.to_dict()!r}\n'
    cfg = Config.fromstring(text, '.py')
    weights = tmp_path / 'tiny.pth'
    torch.save(
        dict(
            state_dict=build(model).state_dict(),
            meta=dict(
                cfg=cfg.pretty_text,
                experiment_name='tiny',
                dataset_meta=dict(classes=CLASSES, attributes=LLD_ATTRIBUTES),
            ),
        ),
        weights,
    )
    (tmp_path / 'images').symlink_to(tiny.folder / 'images')
    images = [
        dict(id=i, file_name=name, width=120, height=96)
        for i, name in enumerate(tiny.names)
    ]
    cell = lld_files.annotation(0, 0, (12, 22, 36, 36))
    categories = [dict(id=i, name=name) for i, name in enumerate(CLASSES)]
    (tmp_path / 'test.json').write_text(
        json.dumps(
            dict(
                images=images,
                annotations=[cell],
                categories=categories,
            )
        )
    )
    cfg.work_dir = str(tmp_path / 'work')
    cfg.load_from = str(weights)
    return cfg, weights, tiny.names


def test_dumps_and_metric_and_inferencer(trained, tmp_path):
    cfg, weights, names = trained
    runner = Runner.from_cfg(cfg)
    runner.test_evaluator.metrics.append(
        DumpDetResults(out_file_path=str(tmp_path / 'out.pkl'))
    )
    metrics = runner.test()
    assert any('cell_size' in name for name in metrics), sorted(metrics)
    with open(tmp_path / 'out.pkl', 'rb') as stream:
        dumped = [item['pred_instances'] for item in pickle.load(stream)]
    assert all(
        item['attribute_probs'].shape[1] == NUM_VALUES for item in dumped
    )

    inferencer = LLDInferencer(
        weights=weights, device='cpu', show_progress=False
    )
    outputs = inferencer(
        str(tmp_path / 'images'),
        score_thr=0,
        show_dir=str(tmp_path / 'drawn'),
    )
    for expected, field, name in zip(dumped, outputs['predictions'], names):
        assert len(field.cells) == len(expected['scores']) > 0
        rows = [
            [p for a in cell.attributes.values() for p in a.probs]
            for cell in field.cells
        ]
        np.testing.assert_allclose(
            rows, expected['attribute_probs'], atol=1e-5
        )
        drawn = cv2.imread(str(tmp_path / 'drawn' / f'{name}.jpg'))
        assert drawn is not None


@pytest.mark.parametrize('name', ['RTMDet', 'DINO'])
@torch.no_grad()
def test_views_are_merged_with_their_attributes(name):
    model = build(model_cfg(name)).eval()
    tta = MODELS.build(
        ConfigDict(
            type='mmleuk.AttributeTTAModel',
            module=model,
            tta_cfg=dict(
                nms=dict(type='nms', iou_threshold=0.5), max_per_img=5
            ),
        )
    )
    image = torch.randint(0, 255, (3, 96, 96), dtype=torch.uint8)
    views = []
    for flip in (False, True):
        sample = DetDataSample(
            metainfo=dict(
                img_shape=(96, 96),
                ori_shape=(192, 192),
                scale_factor=(0.5, 0.5),
                flip=flip,
                flip_direction='horizontal' if flip else None,
            )
        )
        views.append((image.flip(2) if flip else image, sample))
    data = dict(
        inputs=[[view] for view, _ in views],
        data_samples=[[sample] for _, sample in views],
    )
    (merged,) = tta.test_step(data)
    found = merged.pred_instances
    assert len(found) > 0
    assert found.attribute_probs.shape == (len(found), NUM_VALUES)
    assert found.attribute_labels.shape == (len(found), len(LLD_ATTRIBUTES))


@pytest.mark.parametrize('part', ['classes', 'attributes'])
def test_another_schema_is_named_before_the_first_step(trained, part):
    cfg, _, _ = trained
    if part == 'classes':
        cfg.model.bbox_head.num_classes = 5
        message = 'bbox_head of the model has num_classes=5, expected 2'
    else:
        cfg.model.attribute_head.attributes = LLD_ATTRIBUTES[:3]
        message = 'attribute_head has the attributes .* expected those of the'
    cfg.load_from = None
    runner = Runner.from_cfg(cfg)
    with pytest.raises(ValueError, match=message):
        SchemaCheckHook().before_test(runner)
