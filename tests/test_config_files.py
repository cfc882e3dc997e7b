# Copyright (c) mmleuk authors. All rights reserved.
"""Configs of the package are found by name, from any folder."""

import argparse
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config
from mmengine.hub import get_config

from mmleuk.config_files import CONFIGS, config_path

NAME = 'attribute_rcnn/attr-faster-rcnn_lite0_fpn_synthetic.py'
ROOT = Path(__file__).parents[1]


def test_mmengine_finds_a_config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = get_config(f'mmleuk::{NAME}')
    expected = Config.fromfile(ROOT / 'configs' / NAME)
    assert found.pretty_text == expected.pretty_text


def test_a_base_may_be_a_config_of_the_package(tmp_path):
    config = tmp_path / 'mine.py'
    config.write_text(
        "_base_ = 'mmleuk::baselines/"
        "ignore-attr-faster-rcnn_lite0_fpn_synthetic-sparse.py'\n"
        'from mmleuk.configs import mined\n'
        'model, train_dataloader, custom_hooks = mined(_base_)[:3]\n'
    )
    assert Config.fromfile(config).model.type == 'mmleuk.RegionMiningDetector'


@pytest.mark.parametrize('prefix', ['', 'mmleuk::'])
def test_the_name_of_a_config(prefix):
    assert config_path(prefix + NAME) == str(CONFIGS / NAME)


def test_a_path_goes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(NAME).parent.mkdir()
    Path(NAME).touch()
    assert config_path(NAME) == NAME


@pytest.mark.parametrize('name', ['attribute_rcnn', 'joint/metafile.yml', 'x'])
def test_what_is_no_config_is_refused(name):
    with pytest.raises(argparse.ArgumentTypeError, match=f'config {name}, '):
        config_path(name)


def test_the_model_index_lists_every_metafile():
    index = CONFIGS.parent / 'model-index.yml'
    metafiles = [
        f'configs/{path.parent.name}/metafile.yml'
        for path in CONFIGS.glob('*/metafile.yml')
    ]
    listed = yaml.safe_load(index.read_text())['Import']
    assert listed == sorted(metafiles)
