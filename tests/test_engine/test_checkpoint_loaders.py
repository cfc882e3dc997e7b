# Copyright (c) mmleuk authors. All rights reserved.
import json
import os
import pickle

import pytest
import torch
from hostile_checkpoints import serve_folder
from mmengine.runner import CheckpointLoader

import mmleuk.engine.checkpoint_loaders as loaders
from mmleuk.engine import load_checkpoints_safely
from mmleuk.engine.checkpoint_loaders import load_weights_only

pytestmark = pytest.mark.skipif(
    not hasattr(torch.serialization, 'safe_globals'),
    reason='torch before 2.5 can not be told what a checkpoint may hold',
)


@pytest.fixture(autouse=True)
def safe_loaders(restored_loaders):
    load_checkpoints_safely()


class Marking:
    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.fixture
def mark(tmp_path):
    return tmp_path / 'ran'


@pytest.fixture
def hostile(tmp_path, mark):
    torch.save(dict(state_dict=Marking(mark)), tmp_path / 'hostile.pth')
    return tmp_path / 'hostile.pth'


@pytest.fixture
def good(tmp_path):
    weights = dict(
        state_dict={'backbone.a': torch.ones(2), 'b': torch.ones(1)}
    )
    torch.save(weights, tmp_path / 'good.pth')
    return tmp_path / 'good.pth'


@pytest.fixture
def address(tmp_path, monkeypatch):
    """Serves the folder and keeps downloads in another."""
    monkeypatch.setattr(torch.hub, '_hub_dir', str(tmp_path / 'hub'))
    with serve_folder(tmp_path) as address:
        yield address


def refuses(name, mark):
    with pytest.raises(pickle.UnpicklingError, match='may run any code') as e:
        CheckpointLoader.load_checkpoint(name, 'cpu', logger='silent')
    assert not mark.exists()
    # torch advises to load the file without a check.
    assert 'weights_only' not in str(e.value)
    return str(e.value)


def loads(name):
    return CheckpointLoader.load_checkpoint(name, 'cpu', logger='silent')


def test_a_local_file(good, hostile, mark):
    assert loads(str(good))['state_dict']['b'] == 1
    assert str(hostile) in refuses(str(hostile), mark)
    with pytest.raises(FileNotFoundError, match='no-such.pth'):
        loads(str(good.with_name('no-such.pth')))


def test_an_address(address, good, hostile, mark):
    assert loads(f'{address}/good.pth')['state_dict']['b'] == 1
    message = refuses(f'{address}/hostile.pth', mark)
    assert f'{address}/hostile.pth' in message
    # Its file is there now, and still refused.
    refuses(f'{address}/hostile.pth', mark)


@pytest.mark.parametrize(
    'scheme, models',
    [
        ('torchvision', 'get_torchvision_models'),
        ('open-mmlab', 'get_external_models'),
        ('openmmlab', 'get_external_models'),
        ('mmcls', 'get_mmcls_models'),
    ],
)
def test_a_model_zoo(
    address, good, hostile, mark, monkeypatch, scheme, models
):
    places = {name: f'{address}/{name}.pth' for name in ('good', 'hostile')}
    monkeypatch.setattr(loaders, models, lambda: places)
    weights = loads(f'{scheme}://good')['state_dict']
    if scheme == 'mmcls':
        assert list(weights) == ['a']
    else:
        assert list(weights) == ['backbone.a', 'b']
    refuses(f'{scheme}://hostile', mark)
    with pytest.raises(ValueError, match=f'{scheme}://r50 is unknown'):
        loads(f'{scheme}://r50')


def test_a_file_of_the_users_own_zoo(
    tmp_path, good, hostile, mark, monkeypatch
):
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path))
    names = dict(mine='good.pth', worse='hostile.pth')
    (tmp_path / 'open_mmlab.json').write_text(json.dumps(names))
    assert loads('open-mmlab://mine')['state_dict']['b'] == 1
    refuses('open-mmlab://worse', mark)


def test_an_object_of_s3(good, hostile, mark, monkeypatch):
    files = {'s3://b/good': good, 'work:s3://b/hostile': hostile}
    monkeypatch.setattr(loaders, 'get', lambda name: files[name].read_bytes())
    assert loads('s3://b/good')['state_dict']['b'] == 1
    assert 's3://b/hostile' in refuses('work:s3://b/hostile', mark)


def test_what_can_not_be_checked_is_refused():
    with pytest.raises(ValueError, match='pavi://x can not be loaded'):
        loads('pavi://x')


def test_schemes_of_others_stay_theirs():
    CheckpointLoader.register_scheme('mine://', lambda name, place: name)
    load_checkpoints_safely()
    assert CheckpointLoader._schemes['mine://']('a', None) == 'a'
    # Longer ones come first: '' matches everything.
    assert list(CheckpointLoader._schemes)[-1] == ''


def test_old_formats_load(tmp_path):
    path = tmp_path / 'old.pth'
    torch.save(
        dict(weight=torch.ones(2)), path, _use_new_zipfile_serialization=False
    )
    assert loads(str(path))['weight'].sum() == 2


@pytest.mark.parametrize('content', [b'', b'PK\3\4', b'\x80\x02', b'text'])
def test_no_checkpoint_is_named(tmp_path, content):
    path = tmp_path / 'broken.pth'
    path.write_bytes(content)
    with pytest.raises((ValueError, pickle.UnpicklingError), match='broken'):
        load_weights_only(path)


def test_a_file_cut_short_is_named(good):
    good.write_bytes(good.read_bytes()[:-50])
    with pytest.raises(ValueError, match='good.pth is no checkpoint, or is c'):
        load_weights_only(good)


def test_old_torch_says_that_it_checks_nothing(monkeypatch):
    before = dict(CheckpointLoader._schemes)
    said = []
    monkeypatch.setattr(loaders, 'print_log', lambda *a, **kw: said.append(a))
    monkeypatch.delattr(torch.serialization, 'safe_globals')
    load_checkpoints_safely()
    assert dict(CheckpointLoader._schemes) == before
    assert 'load only files whose makers you trust' in said[0][0]
