# Copyright (c) mmleuk authors. All rights reserved.
"""Detectors of MMDetection are unaltered, and learn from our labels."""

import re

import pytest
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import init_default_scope
from test_configs import CONFIG_DIR

from mmleuk.configs.parts import inner_dataset

FOLDER = CONFIG_DIR / 'mmdet'
NAMES = sorted(path.name for path in FOLDER.glob('*.py'))
OWN_PIPELINES = ['rtmdet_s_lld-h100x-c1.py', 'yolox_s_lld-h100x-c1.py']


def source_of(name):
    """The config of MMDetection that a config of ours names."""
    text = (FOLDER / name.replace('h40x', 'h100x')).read_text()
    (source,) = re.findall(r"'(mmdet::.*?)'", text)
    return get_config(source)


@pytest.mark.parametrize('name', NAMES)
def test_all_but_length_and_classes_are_those_of_mmdet(name):
    cfg, source = Config.fromfile(FOLDER / name), source_of(name)
    text = str(source.model.to_dict())
    expected = re.sub("'num_classes': 80", "'num_classes': 14", text)
    assert expected != text
    assert str(cfg.model.to_dict()) == expected
    for key in ('optimizer', 'paramwise_cfg', 'clip_grad'):
        assert cfg.optim_wrapper.get(key) == source.optim_wrapper.get(key)
    types = [[s.type for s in c.param_scheduler] for c in (cfg, source)]
    assert types[0] == types[1]
    # Nothing depends on the number of steps or on the batch size.
    assert cfg.auto_scale_lr.enable
    for scheduler in cfg.param_scheduler:
        assert scheduler.by_epoch
        assert 'eta_min' not in scheduler
    assert max(s.end for s in cfg.param_scheduler) == cfg.train_cfg.max_epochs


@pytest.fixture
def root(tmp_path, lld_files):
    """Twelve fields of one cell each: of type 1 + n, with n % 2 as codes."""
    for split in ('train', 'test'):
        names = [f'{n}_1_1000_ALL.png' for n in range(12)]
        for name in names:
            lld_files.image(
                tmp_path / 'H_100X_C1' / 'images' / split / name, (640, 640)
            )
        lld_files.json(
            tmp_path / 'H_100X_C1' / 'json_labels' / f'{split}.json',
            [
                dict(id=n, file_name=name, width=640, height=640)
                for n, name in enumerate(names)
            ],
            [
                lld_files.annotation(
                    n, n, (280, 260, 80, 120), 1 + n, [n % 2] * 7
                )
                for n in range(12)
            ],
        )
    return tmp_path


def check_cells(dataset, count=24):
    """Cells keep their attributes through mosaics and blends."""
    labels = []
    for index in range(count):
        sample = dataset[index % len(dataset)]['data_samples']
        cells = sample.gt_instances
        codes = (cells.labels + 1) % 2
        assert (cells.attributes == codes[:, None]).all()
        labels += cells.labels.tolist()
    assert set(labels) <= set(range(1, 13))
    assert len(set(labels)) > 3
    return len(labels)


@pytest.mark.parametrize('name', OWN_PIPELINES)
def test_their_pipelines_keep_our_labels(name, root):
    init_default_scope('mmdet')
    cfg = Config.fromfile(FOLDER / name)
    part = cfg.train_dataloader.dataset
    inner = inner_dataset(part)
    inner.data_root = str(root)
    dataset = DATASETS.build(part)
    # A mosaic has the cells of several fields.
    assert check_cells(dataset) > 24
    for hook in cfg.custom_hooks:
        if 'switch_pipeline' in hook:
            inner.pipeline = hook.switch_pipeline
            check_cells(DATASETS.build(part))
    if part is not inner:
        dataset.update_skip_type_keys(['Mosaic', 'RandomAffine', 'MixUp'])
        assert check_cells(dataset) == 24
