# Copyright (c) mmleuk authors. All rights reserved.
import hashlib
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmleuk.apis.safe_checkpoint import (
    check_names,
    hash_file,
    parse_config,
    read_checkpoint,
    read_config,
)

ROOT = Path(__file__).parents[2]
LITE0 = 'configs/attribute_rcnn/attr-faster-rcnn_lite0_fpn_pbc-fields.py'


@pytest.fixture(scope='module')
def lite0():
    return Config.fromfile(ROOT / LITE0)


def test_a_dumped_config_is_read_as_mmengine_reads_it(lite0):
    text = lite0.pretty_text
    config = parse_config(text, 'a.pth')
    assert config.to_dict() == lite0.to_dict()
    assert isinstance(config.model.backbone.out_indices, tuple)
    check_names(config, 'a.pth')


def test_literals_of_all_kinds_are_read():
    text = "a = dict(b=[1, -2.5, (True, None)], c={'d-e': 'f', 1: dict()})"
    assert parse_config(text, 'a.pth').to_dict() == dict(
        a={'b': [1, -2.5, (True, None)], 'c': {'d-e': 'f', 1: {}}}
    )


@pytest.mark.parametrize(
    'code',
    [
        'import os',
        "a = __import__('os').system('x')",
        'a = open("x")',
        'a = (lambda: 1)()',
        'a = dict(b=print(1))',
        'a = dict(**b)',
        'a = dict([(1, 2)])',
        'a = b',
        'a = [c for c in (1, 2)]',
        "a = f'{1}'",
        'a: int = 1',
        'a.b = 1',
        'a = b = 1',
        'a += 1',
        'def f(): pass',
        'print(1)',
    ],
)
def test_what_is_no_literal_is_refused_and_not_run(code, capsys):
    with pytest.raises(ValueError, match='a.pth: line 2 of its config is'):
        parse_config(f'x = 1\n{code}', 'a.pth')
    assert capsys.readouterr().out == ''


def test_what_is_no_python_is_refused():
    for text in ('a = (', 'a = 1\0', 'a = ' + '(' * 500 + ')' * 500):
        with pytest.raises(ValueError, match='a.pth: its config is no Python'):
            parse_config(text, 'a.pth')


@pytest.mark.parametrize(
    'config',
    [
        dict(type='subprocess.Popen', args=['touch', 'x']),
        dict(model=[dict(nms=dict(type='__import__("os").getcwd()'))]),
        dict(type='NoSuchDetector'),
        dict(type='os.FasterRCNN'),
        dict(type='mmdet.apis.subprocess.Popen'),
        dict(_scope_='os', type='FasterRCNN'),
        dict(warp_mode="__import__('os').getcwd()"),
    ],
)
def test_names_that_would_run_code_are_refused(config):
    with pytest.raises(ValueError, match='a.pth: .*was not run'):
        check_names(config, 'a.pth')


def test_known_names_pass():
    check_names(
        dict(
            model=dict(type='mmdet.FasterRCNN', _scope_='mmdet'),
            path=dict(type='mmdet.models.detectors.FasterRCNN'),
            ours=dict(type='mmleuk.AttributeHead'),
            norm=dict(type='BN'),
            roi_layer=dict(type='RoIAlign'),
            nms=dict(type='nms'),
            attributes=[dict(title='Size(µm)', values=('up to 10 (µm)',))],
            frozen='(1, 2)',
        ),
        'a.pth',
    )


class Malicious:
    def __reduce__(self):
        return print, ('run',)


def test_a_checkpoint_with_code_is_refused_and_not_run(tmp_path, capsys):
    path = tmp_path / 'a.pth'
    torch.save(dict(state_dict={}, meta=Malicious()), path)
    with pytest.raises(ValueError, match='a.pth was not loaded'):
        read_checkpoint(path)
    assert capsys.readouterr().out == ''


def test_broken_checkpoints_are_named(tmp_path):
    path = tmp_path / 'a.pth'
    with pytest.raises(FileNotFoundError, match='no checkpoint .*a.pth'):
        read_checkpoint(path)
    torch.save(dict(state_dict={}), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match='a.pth is no checkpoint'):
        read_checkpoint(path)
    torch.save({'weight': torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="a.pth has no 'state_dict'"):
        read_checkpoint(path)
    with pytest.raises(ValueError, match='a.pth holds no config'):
        read_config(dict(state_dict={}), 'a.pth')


def test_a_file_is_hashed(tmp_path):
    content = bytes(range(256)) * 5000
    (tmp_path / 'a.pth').write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    assert hash_file(tmp_path / 'a.pth') == digest
