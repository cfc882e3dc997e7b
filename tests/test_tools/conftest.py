# Copyright (c) mmleuk authors. All rights reserved.
import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from tiny_detector import TINY_DETECTOR

from mmleuk.structures import LLD_ATTRIBUTES

TINY = (
    TINY_DETECTOR
    + """
test_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(96, 96), keep_ratio=True),
    dict(type='mmleuk.PackLLDInputs', meta_keys=(
        'img_path', 'ori_shape', 'img_shape', 'scale_factor'))]))
"""
)


@pytest.fixture(scope='session')
def untrained(tmp_path_factory):
    """A folder with a tiny detector, untrained, and two fields.

    ``tiny.py``, ``tiny.pth`` and ``fields/``.
    """
    register_all_modules()
    folder = tmp_path_factory.mktemp('untrained')
    (folder / 'tiny.py').write_text(TINY)
    cfg = Config.fromfile(folder / 'tiny.py')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    classes = ('neutrophil', 'lymphocyte')
    meta = dict(
        cfg=cfg.pretty_text,
        dataset_meta=dict(classes=classes, attributes=LLD_ATTRIBUTES),
    )
    torch.save(
        dict(state_dict=model.state_dict(), meta=meta), folder / 'tiny.pth'
    )
    rng = np.random.default_rng(0)
    (folder / 'fields').mkdir()
    for number in range(2):
        field = rng.integers(0, 255, (120, 150, 3)).astype(np.uint8)
        name = f'{number}_1_1000_ALL.png'
        cv2.imwrite(str(folder / 'fields' / name), field)
    return folder
