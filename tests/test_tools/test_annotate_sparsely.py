# Copyright (c) mmleuk authors. All rights reserved.
"""docs/annotate_sparsely.md, from an export to a training step."""

import json
import re
import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmdet.registry import DATASETS, MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from PIL import Image

ROOT = Path(__file__).parents[2]
TOOL = ROOT / 'tools/dataset_converters/convert.py'
PAGE = (ROOT / 'docs/annotate_sparsely.md').read_text(encoding='utf-8')
FIELDS = ('1_1_1000_ALL.png', '2_1_1000_ALL.png')
# Width and height of a field, its rectangle and a cell in it: x1, y1, x2, y2.
SIZE = (400, 320)
REGION = (40, 40, 240, 240)
CELL = (100, 80, 180, 150)


def cvat_export():
    box = (
        '<box label="{}" occluded="0" xtl="{}" ytl="{}" xbr="{}" ybr="{}">'
        '{}</box>'
    )
    attribute = '<attribute name="Cell Size">large</attribute>'
    images = [
        box.format('annotated region', *REGION, '')
        + box.format('neutrophil', *CELL, attribute),
        # A rectangle in which there is no cell.
        box.format('annotated region', *REGION, ''),
    ]
    text = '<annotations><version>1.1</version>{}</annotations>'
    return text.format(
        ''.join(
            f'<image id="{i}" name="{name}" width="400" height="320">'
            f'{boxes}</image>'
            for i, (name, boxes) in enumerate(zip(FIELDS, images))
        )
    )


def label_studio_export():
    def rectangle(key, label, box):
        width, height = SIZE
        x1, y1, x2, y2 = box
        value = dict(
            x=100 * x1 / width,
            y=100 * y1 / height,
            width=100 * (x2 - x1) / width,
            height=100 * (y2 - y1) / height,
            rotation=0,
        )
        return dict(
            id=key,
            type='rectanglelabels',
            from_name='label',
            to_name='image',
            original_width=width,
            original_height=height,
            image_rotation=0,
            value=dict(value, rectanglelabels=[label]),
        )

    size = rectangle('cell', 'unused', CELL)
    size.update(type='choices', from_name='cell_size')
    del size['value']['rectanglelabels']
    size['value']['choices'] = ['large']
    region = rectangle('region', 'annotated region', REGION)
    results = [
        [region, rectangle('cell', 'neutrophil', CELL), size],
        [region],
    ]
    return json.dumps(
        [
            dict(
                id=i,
                data=dict(image=f'/data/upload/1/0a1b2c3d-{name}'),
                annotations=[dict(id=i, was_cancelled=False, result=result)],
            )
            for i, (name, result) in enumerate(zip(FIELDS, results))
        ]
    )


EXPORTS = {
    'cvat': ('annotations.xml', cvat_export),
    'label_studio': ('export.json', label_studio_export),
}


@pytest.fixture
def convert(tmp_path, monkeypatch):
    """Run one of the page's commands in a folder with the fields."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'data/lab/images').mkdir(parents=True)
    for name in FIELDS:
        path = tmp_path / 'data/lab/images' / name
        Image.effect_noise(SIZE, 30).convert('RGB').save(path)

    def run(arguments):
        monkeypatch.syspath_prepend(str(TOOL.parent))
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *arguments])
        runpy.run_path(str(TOOL), run_name='__main__')

    return run


def page_config(tmp_path):
    """The first config of the page, with one of ours as base."""
    (block, more) = re.findall(r'```python\n(.*?)```', PAGE, re.DOTALL)
    first = tmp_path / 'lab.py'
    folder = ROOT / 'configs/baselines'
    first.write_text(block.replace("'./", f"'{folder}/"))
    second = tmp_path / 'more.py'
    second.write_text(more)
    return first, second


@pytest.mark.parametrize('source_format', EXPORTS)
def test_from_an_export_to_a_training_step(source_format, convert, tmp_path):
    name, make = EXPORTS[source_format]
    (tmp_path / name).write_text(make(), encoding='utf-8')
    commands = re.findall(
        r'convert.py (labels .*?)\n(?=python|```)',
        PAGE.replace('\\\n', ' '),
        re.DOTALL,
    )
    (command,) = [c for c in commands if f'--from {source_format}' in c]
    convert(command.split())
    (tmp_path / 'data/lab/val.json').write_bytes(
        (tmp_path / 'data/lab/train.json').read_bytes()
    )

    register_all_modules()
    first, second = page_config(tmp_path)
    cfg = Config.fromfile(first)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    assert dataset.issues.lines() == []
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    # The field whose rectangle is empty is a label, too.
    assert [len(info['instances']) for info in infos] == [1, 0]
    for info in infos:
        assert info['annotated_regions'] == [pytest.approx(REGION)]
    (cell,) = infos[0]['instances']
    assert cell['bbox'] == pytest.approx(CELL)
    assert cell['attributes'] == (2, -1, -1, -1, -1, -1, -1)
    assert dataset.metainfo['classes'][cell['bbox_label']] == 'neutrophil'
    assert len(DATASETS.build(cfg.val_dataloader.dataset)) == 2

    cfg.model.backbone.init_cfg = None
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    losses = model.train().train_step(
        pseudo_collate([dataset[0], dataset[1]]), optim_wrapper
    )
    assert losses['loss'].isfinite()
    mosaics = DATASETS.build(Config.fromfile(second).train_dataloader.dataset)
    assert mosaics[0]['data_samples'].gt_instances.bboxes.shape[1] == 4


def test_coco_with_rectangles_as_objects_is_refused(convert, tmp_path, capsys):
    """As the page says: the rectangle does not get lost unnoticed."""
    images = [dict(id=1, file_name=FIELDS[0], width=400, height=320)]
    names = ('neutrophil', 'annotated region')
    annotations = [
        dict(
            id=i,
            image_id=1,
            category_id=i,
            bbox=[box[0], box[1], box[2] - box[0], box[3] - box[1]],
        )
        for i, box in enumerate((CELL, REGION))
    ]
    categories = [dict(id=i, name=name) for i, name in enumerate(names)]
    (tmp_path / 'coco.json').write_text(
        json.dumps(
            dict(images=images, annotations=annotations, categories=categories)
        )
    )
    with pytest.raises(SystemExit) as error:
        convert(
            'labels coco.json data/lab/train.json --from coco --to '
            'sparse_json --images data/lab/images'.split()
        )
    assert error.value.code not in (0, None)
    shown = f'{error.value} {capsys.readouterr().err}'
    assert 'annotated region' in shown
    assert not (tmp_path / 'data/lab/train.json').exists()
