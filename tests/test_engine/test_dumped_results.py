# Copyright (c) mmleuk authors. All rights reserved.
import json
import pickle

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict

from mmleuk.engine.dumped_results import (
    describe_dataset,
    find_lld_metric,
    image_paths,
    read_dumped_results,
)

CATEGORIES = [dict(id=0, name='neutrophil'), dict(id=1, name='lymphocyte')]


@pytest.fixture
def dataset_cfg(tmp_path):
    """Two fields, a cell each."""
    images = [
        dict(id=i, file_name=f'{i}_1_1000_ALL.png', width=90, height=60)
        for i in range(2)
    ]
    annotations = [
        dict(
            id=i,
            image_id=i,
            category_id=i,
            bbox=[10, 10, 20, 20],
            area=400,
            iscrowd=0,
            cell_size=2,
        )
        for i in range(2)
    ]
    images[1]['annotated_regions'] = [[0, 0, 50, 50]]
    (tmp_path / 'images').mkdir()
    for image in images:
        path = tmp_path / 'images' / image['file_name']
        cv2.imwrite(str(path), np.zeros((60, 90, 3), np.uint8))
    (tmp_path / 'val.json').write_text(
        json.dumps(
            dict(images=images, annotations=annotations, categories=CATEGORIES)
        )
    )
    return ConfigDict(
        type='mmleuk.LLDDataset',
        metainfo=dict(classes=('neutrophil', 'lymphocyte')),
        data_root=str(tmp_path),
        ann_file='val.json',
        data_prefix=dict(img='images/'),
        test_mode=True,
        pipeline=[],
    )


def sample(path, count=1, dtype=torch.float32):
    return dict(
        img_path=path,
        ori_shape=(60, 90),
        pred_instances=dict(
            bboxes=torch.ones(count, 4, dtype=dtype),
            scores=torch.full((count,), 0.5, dtype=dtype),
            labels=torch.zeros(count, dtype=torch.int64),
        ),
    )


def dump(content, tmp_path):
    path = tmp_path / 'results.pkl'
    path.write_bytes(pickle.dumps(content))
    return path


def test_puts_labels_beside_predictions(dataset_cfg, tmp_path):
    paths = image_paths(dataset_cfg)
    # Whatever the order, and of half precision, too.
    dumped = [sample(p, dtype=torch.bfloat16) for p in reversed(paths)]
    # What the model's pipeline made of the labels is not the truth.
    dumped[0]['instances'] = []
    results = read_dumped_results(dump(dumped, tmp_path), dataset_cfg)
    assert results.classes == ('neutrophil', 'lymphocyte')
    assert results.schema.names[0] == 'cell_size'
    second, first = results.images
    assert (first['name'], second['name']) == tuple(paths)
    assert first['annotated_regions'] is None
    assert np.array(second['annotated_regions']).tolist() == [[0, 0, 50, 50]]
    assert second['instances'][0]['bbox'] == [10, 10, 30, 30]
    assert second['instances'][0]['attributes'][0] == 2
    assert second['patient'] is not None
    assert first['scores'].dtype == np.float32
    assert first['image_shape'] == (60, 90)
    assert 'attribute_probs' not in first


def test_refuses_results_of_other_images(dataset_cfg, tmp_path):
    paths = image_paths(dataset_cfg)
    for dumped, message in (
        ([sample(paths[0])], '1 images .* expected one for each of the 2'),
        ([sample(p) for p in [*paths, paths[0]]], '3 entries'),
        ([sample(paths[0]), sample('c.png')], '1 images that .* c.png'),
    ):
        with pytest.raises(ValueError, match=message):
            read_dumped_results(dump(dumped, tmp_path), dataset_cfg)


@pytest.mark.parametrize('content', [dict(a=1), [dict(img_path='a.png')]])
def test_refuses_what_is_no_dump(dataset_cfg, tmp_path, content):
    with pytest.raises(ValueError, match='holds no predictions'):
        read_dumped_results(dump(content, tmp_path), dataset_cfg)


def test_refuses_a_dataset_without_attributes(dataset_cfg, tmp_path):
    cfg = ConfigDict(
        type='CocoDataset',
        metainfo=dict(classes=('neutrophil', 'lymphocyte')),
        ann_file=str(tmp_path / 'val.json'),
        data_prefix=dict(img=''),
        test_mode=True,
        pipeline=[],
    )
    with pytest.raises(ValueError, match='val.json has no `metainfo'):
        read_dumped_results(dump([], tmp_path), cfg)


def test_looks_into_wrappers(dataset_cfg):
    inner = image_paths(dataset_cfg)
    wrapped = ConfigDict(
        type='RepeatDataset',
        times=3,
        dataset=dict(type='ConcatDataset', datasets=[dataset_cfg] * 2),
    )
    assert image_paths(wrapped) == inner * 2
    assert describe_dataset(wrapped) == ' + '.join(
        [describe_dataset(dataset_cfg)] * 2
    )


def test_describes_datasets():
    cfg = ConfigDict(data_root='data/pbc_fields/', ann_file='labels/val.json')
    assert describe_dataset(cfg) == 'pbc_fields/labels/val.json'
    cfg = ConfigDict(data_root='data/lld', subset='H_100X_C1', split='test')
    assert describe_dataset(cfg) == 'lld/H_100X_C1/test'
    cfg.subset = ['H_100X_C1', 'L_100X_C2']
    assert describe_dataset(cfg) == 'lld/H_100X_C1+L_100X_C2/test'


def test_takes_the_thresholds_of_the_metric():
    metric = dict(type='mmleuk.LLDMetric', score_thr=0.6)
    evaluator = [dict(type='CocoMetric'), metric]
    cfg = Config(dict(test_evaluator=evaluator))
    assert find_lld_metric(cfg, 'test_evaluator').score_thr == 0.6
    assert find_lld_metric(cfg, 'val_evaluator').score_thr == 0.3
    cfg = Config(dict(test_evaluator=metric))
    assert find_lld_metric(cfg, 'test_evaluator').score_thr == 0.6
