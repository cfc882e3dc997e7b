# Copyright (c) mmleuk authors. All rights reserved.
import re
from dataclasses import replace
from pathlib import Path

import pytest
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmleuk.datasets.naming import LLD_SUBSETS
from mmleuk.datasets.synthetic import PRESETS, write_films

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / 'configs/_base_/datasets'
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


@pytest.fixture(autouse=True)
def _in_root(monkeypatch):
    # Configs name data relative to the repository.
    monkeypatch.chdir(ROOT)


def load(name):
    init_default_scope('mmdet')
    return Config.fromfile(CONFIGS / f'{name}.py')


@pytest.mark.parametrize('subset', LLD_SUBSETS)
def test_a_child_chooses_any_subset(subset, tmp_path):
    """As docs/dataset.md says."""
    text = (ROOT / 'docs/dataset.md').read_text()
    (block,) = [
        block
        for block in re.findall(r'```python\n(.*?)```', text, re.DOTALL)
        if '_base_' in block and 'subset =' in block
    ]
    folder = ROOT / 'configs' / 'attribute_rcnn'
    child = tmp_path / 'child.py'
    child.write_text(
        block.replace("'./", f"'{folder}/").replace('H_40X_C1', subset)
    )
    init_default_scope('mmdet')
    cfg = Config.fromfile(child)
    assert [cfg[loader].dataset.subset for loader in LOADERS] == [subset] * 3
    assert [cfg[loader].dataset.split for loader in LOADERS] == [
        'train',
        'test',
        'test',
    ]


@pytest.mark.parametrize(
    'name',
    [
        'lld-h100x-c1',
        'lld-100x',
        'lld-h40x-c1',
        'lld-h10x-c1',
        'lld-sparse-h40x-c1',
    ],
)
def test_datasets_are_built_from_files(name, tmp_path, lld_files):
    cfg = load(name)
    subsets = cfg.train_dataloader.dataset.subset
    subsets = [subsets] if isinstance(subsets, str) else subsets
    for subset in subsets:
        for split in ('train', 'test'):
            root = tmp_path / subset
            file_name = '4_1_1000_ALL.png'
            lld_files.image(root / 'images' / split / file_name, (640, 640))
            lld_files.json(
                root / 'json_labels' / f'{split}.json',
                [dict(id=0, file_name=file_name, width=640, height=640)],
                [lld_files.annotation(0, 0, (300, 200, 80, 90))],
            )
    for loader in LOADERS:
        dataset_cfg = cfg[loader].dataset
        dataset_cfg.data_root = str(tmp_path)
        dataset = DATASETS.build(dataset_cfg)
        assert len(dataset) == len(subsets)
        sample = dataset[0]['data_samples']
        assert sample.gt_instances.bboxes.shape == (1, 4)
        assert sample.gt_instances.attributes.tolist() == [
            [0, 1, 0, 1, 0, 1, 0]
        ]
        assert sample.subset == dataset.get_data_info(0)['subset']


@pytest.mark.skipif(
    not (ROOT / 'data/pbc_fields').exists(),
    reason='data/pbc_fields is not there',
)
@pytest.mark.parametrize(
    'name, images', [('pbc-fields', 87), ('pbc-fields-sparse', 87)]
)
def test_pbc_fields(name, images):
    cfg = load(name)
    train = DATASETS.build(cfg.train_dataloader.dataset)
    assert len(train) == images
    assert max(train[0]['inputs'].shape) == 400
    val = DATASETS.build(cfg.val_dataloader.dataset)
    assert len(val) == 25
    info, sample = val.get_data_info(3), val[3]['data_samples']
    # The metric's ground truth is untouched by the resize.
    assert sample.instances == info['instances']
    assert sample.annotated_regions is None
    assert sample.img_id == info['img_id']
    assert sample.ori_shape == (info['height'], info['width'])


@pytest.mark.skipif(
    not (ROOT / 'data/bccd_fields').exists(),
    reason='data/bccd_fields is not there',
)
@pytest.mark.parametrize('name', ['bccd-fields', 'bccd-fields-sparse'])
def test_bccd_fields(name):
    cfg = load(name)
    train = DATASETS.build(cfg.train_dataloader.dataset)
    val = DATASETS.build(cfg.val_dataloader.dataset)
    assert (len(train), len(val)) == (150, 44)
    assert len(train.metainfo['classes']) == 3
    assert train.metainfo['classes'] == val.metainfo['classes']
    packed = train[0]
    # Fields are transposed at random.
    assert sorted(packed['inputs'].shape) == [3, 360, 480]
    assert packed['data_samples'].gt_instances.attributes.eq(-1).all()


@pytest.mark.parametrize('name', ['synthetic-40x', 'synthetic-40x-sparse'])
def test_synthetic_films(name, tmp_path):
    plan = replace(PRESETS['sparse40x'], train_fields=2, test_fields=1)
    write_films(tmp_path, plan)
    cfg = load(name)
    for loader, fields in zip(LOADERS, (2, 1, 1)):
        dataset_cfg = cfg[loader].dataset
        assert dataset_cfg.data_root == 'data/synthetic_sparse/'
        dataset_cfg.data_root = str(tmp_path)
        dataset = DATASETS.build(dataset_cfg)
        assert len(dataset) == fields
        assert dataset[0]['inputs'].shape == (3, 400, 400)
        regions = dataset.get_data_info(0)['annotated_regions']
        is_sparse = 'sparse' in name and loader == 'train_dataloader'
        assert (regions is not None) == is_sparse
