# Copyright (c) mmleuk authors. All rights reserved.
"""Python in the documentation works.

A block with ``_base_`` is built as a config, one of assignments only is merged
into a config. The others are run, those of a page one after the other, where
there are a checkpoint, fields and predictions under the names that pages use.
Lines of one of our configs, which may break off, are built with that.
"""

import ast
import re
import shutil
from inspect import signature
from pathlib import Path

import cv2
import numpy as np
import pytest
import pyvips
import torch
from doc_blocks import ROOT, block_id, blocks_in, read
from mmcv import ops
from mmdet.utils import register_all_modules
from mmengine import registry as mmengine_registry
from mmengine.config import Config
from mmengine.registry import Registry

from mmleuk import registry
from mmleuk.apis import LLDInferencer
from mmleuk.registry import MODELS
from mmleuk.structures.metainfo import LLD_METAINFO

CONFIGS = ROOT / 'configs'
# Keys without a base go into this one.
BASE = 'attribute_rcnn/attr-faster-rcnn_r50_fpn_1x_lld-h100x-c1.py'
SMALL = 'attribute_rcnn/attr-faster-rcnn_lite0_fpn_synthetic.py'
CODE = [read(path) for path in CONFIGS.rglob('*.py')]
BLOCKS = [
    block
    for block in blocks_in('python')
    if not any(block.code in code for code in CODE)
]


def has_base(block):
    return re.search(r'^_base_ = ', block.code, re.MULTILINE)


def assigned_names(block):
    """Names that a block assigns, None if it does something else."""
    try:
        nodes = ast.parse(block.code).body
    except SyntaxError:  # Found when the block is run.
        return None
    if all(isinstance(node, ast.Assign) for node in nodes):
        return [node.targets[0].id for node in nodes]
    return None


IN_CONFIGS = [
    block
    for block in BLOCKS
    if block.why_not_run is None and (has_base(block) or assigned_names(block))
]
SCRIPTS = [block for block in BLOCKS if block not in IN_CONFIGS]


def find_type(name):
    for module in (registry, mmengine_registry):
        for value in vars(module).values():
            if isinstance(value, Registry) and value.get(name):
                return value.get(name)
    # Layers of an RoI extractor are no part of a registry.
    assert hasattr(ops, name), f'no registry has {name}'
    return getattr(ops, name)


@pytest.mark.parametrize('block', BLOCKS, ids=block_id)
def test_types_are_registered_and_take_their_arguments(block):
    register_all_modules(init_default_scope=False)
    for node in ast.walk(ast.parse(block.code)):
        if isinstance(node, ast.Call):
            keywords = {item.arg: item.value for item in node.keywords}
            kind = keywords.pop('type', None)
            keywords.pop('_delete_', None)
            if isinstance(kind, ast.Constant):
                signature(find_type(kind.value)).bind_partial(**keywords)


@pytest.mark.parametrize('block', IN_CONFIGS, ids=block_id)
def test_a_config_is_built(block, tmp_path):
    register_all_modules()
    if has_base(block):
        # As if it lay in a folder of configs/.
        code = block.code
        for base in re.findall(r"'(\.\.?/.+\.py)'", code):
            (path,) = CONFIGS.rglob(Path(base).name)
            code = code.replace(base, str(path))
        file = tmp_path / 'config.py'
        file.write_text(code, encoding='utf-8')
        config = Config.fromfile(file)
    else:
        config = Config.fromfile(CONFIGS / BASE)
        names = dict(config)
        exec(compile(block.code, block_id(block), 'exec'), names)
        config.merge_from_dict({k: names[k] for k in assigned_names(block)})
    MODELS.build(config.model)


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """A folder with the files that pages name."""
    folder = tmp_path_factory.mktemp('files')
    register_all_modules()
    config = Config.fromfile(CONFIGS / SMALL)
    model = MODELS.build(config.model)
    # Each proposal is a cell of the second type.
    model.roi_head.bbox_head.fc_cls.bias.data[1] = 9
    meta = dict(cfg=config.pretty_text, dataset_meta=LLD_METAINFO)
    checkpoint = dict(state_dict=model.state_dict(), meta=meta)
    for name in ('CHECKPOINT', 'epoch_20.pth'):
        torch.save(checkpoint, folder / name)
    image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    for name in ('FIELDS', 'fields'):
        (folder / name).mkdir()
        cv2.imwrite(str(folder / name / '4_15_1000_ALL.png'), image)
    slide = pyvips.Image.new_from_array(np.tile(image, (8, 8, 1)))
    slide.tiffsave(str(folder / 'slide.svs'), tile=True)
    inferencer = LLDInferencer(weights=folder / 'CHECKPOINT')
    for _ in inferencer.stream(folder / 'FIELDS', out_dir=folder / 'outputs'):
        pass
    return folder


@pytest.fixture(scope='module')
def folder_of(files, tmp_path_factory):
    """Folders of pages: a block may need what one before it has written."""
    folders = {}

    def find(page):
        if page not in folders:
            folders[page] = tmp_path_factory.mktemp(page.stem)
            shutil.copytree(files, folders[page], dirs_exist_ok=True)
        return folders[page]

    return find


@pytest.mark.parametrize('block', SCRIPTS, ids=block_id)
def test_a_script_runs(block, folder_of, monkeypatch):
    code = compile(block.code, block_id(block), 'exec')
    if block.why_not_run is None:
        monkeypatch.chdir(folder_of(block.page))
        exec(code, {})
    else:
        check_names(ast.parse(block.code))


def check_names(tree):
    """What a script imports exists, and takes the keywords it is given."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            exec(ast.unparse(node), names)
    for node in ast.walk(tree):
        # `X(...)` and `x.y` of an imported X and x.
        owner = getattr(node, 'func', getattr(node, 'value', None))
        if not isinstance(owner, ast.Name) or owner.id not in names:
            continue
        if isinstance(node, ast.Call):
            keywords = {item.arg: item.value for item in node.keywords}
            signature(names[owner.id]).bind_partial(**keywords)
        elif isinstance(node, ast.Attribute):
            getattr(names[owner.id], node.attr)


def test_a_wrong_name_or_keyword_is_found():
    for code, error in (
        ('from mmleuk.apis import NoSuch', ImportError),
        ('import cv2\ncv2.no_such', AttributeError),
        ('from mmleuk.apis import Tiling\nTiling(no_such=1)', TypeError),
    ):
        with pytest.raises(error):
            check_names(ast.parse(code))
