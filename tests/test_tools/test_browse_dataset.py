# Copyright (c) mmleuk authors. All rights reserved.
import json
import os.path as osp
import runpy
import sys

import cv2
import numpy as np
import pytest

TOOL = osp.abspath(
    osp.join(
        osp.dirname(__file__), '../../tools/analysis_tools/browse_dataset.py'
    )
)
CONFIG = """
default_scope = 'mmdet'
dataset = dict(
    type='mmleuk.LLDDataset',
    data_root='{root}',
    ann_file='{labels}',
    data_prefix=dict(img='images/'))
load = [
    dict(type='LoadImageFromFile'),
    dict(type='mmleuk.LoadLLDAnnotations'),
]
train_dataloader = dict(dataset=dict(
    pipeline=[
        *load,
        dict(type='RandomFlip', prob=0.5),
        dict(type='mmleuk.CachedRegionMosaic', img_scale=(64, 64)),
        dict(type='mmleuk.PackLLDInputs'),
    ], **dataset))
val_dataloader = dict(dataset=dict(
    test_mode=True, pipeline=[*load, dict(type='mmleuk.PackLLDInputs')],
    **dataset))
# As test pipelines do, which keep boxes in pixels of the image as read.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(128, 128)),
    dict(type='mmleuk.LoadLLDAnnotations'),
    dict(type='mmleuk.PackLLDInputs'),
]
test_dataloader = dict(
    dataset=dict(test_mode=True, pipeline=test_pipeline, **dataset))
"""
SEMI = """
branches = ['sup', 'unsup_teacher', 'unsup_student']
train_dataloader = dict(dataset=dict(
    _delete_=True,
    type='ConcatDataset',
    datasets=[
        dict(pipeline=[
            *_base_.load,
            dict(type='MultiBranch', branch_field=branches,
                 sup=dict(type='mmleuk.PackLLDInputs')),
        ], **_base_.dataset),
        dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadEmptyAnnotations'),
            dict(type='MultiBranch', branch_field=branches,
                 unsup_teacher=dict(type='PackDetInputs'),
                 unsup_student=[
                     dict(type='RandomFlip', prob=1.0),
                     dict(type='PackDetInputs')]),
        ], **_base_.dataset),
    ]))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two folders with two fields each, of the same two names."""
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for image_id in range(4):
        name = f'{"ab"[image_id // 2]}/{image_id % 2}_1_400_ALL.png'
        field = rng.integers(200, 255, (64, 64, 3)).astype(np.uint8)
        # Blue in a cell's place, in the order of OpenCV.
        field[20:44, 4:28] = (200, 60, 60)
        path = tmp_path / 'images' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), field)
        images.append(
            dict(
                id=image_id,
                file_name=name,
                width=64,
                height=64,
                annotated_regions=[[0, 0, 40, 64]],
            )
        )
        annotations.append(
            dict(
                id=image_id,
                image_id=image_id,
                category_id=image_id % 2,
                bbox=[4, 20, 24, 24],
                area=576,
                iscrowd=0,
                cell_size=image_id % 3,
            )
        )
    categories = [
        dict(id=0, name='neutrophil'),
        dict(id=1, name='lymphocyte'),
    ]
    (tmp_path / 'sparse.json').write_text(
        json.dumps(
            dict(images=images, annotations=annotations, categories=categories)
        )
    )
    config = CONFIG.replace('{root}', tmp_path.as_posix())
    config = config.replace('{labels}', 'sparse.json')
    (tmp_path / 'sparse.py').write_text(config)
    (tmp_path / 'semi.py').write_text("_base_ = './sparse.py'\n" + SEMI)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def browse(monkeypatch):

    def run(*args):
        monkeypatch.setattr(sys, 'argv', [TOOL, *map(str, args)])
        runpy.run_path(TOOL, run_name='__main__')

    return run


def pictures(folder):
    return sorted(str(f.relative_to(folder)) for f in folder.rglob('*.png'))


def test_fields_of_all_folders_are_drawn_as_read(folder, browse, capsys):
    browse('sparse.py', '--mode', 'original', '--out', 'out')
    assert pictures(folder / 'out') == [
        'a/0_1_400_ALL.png',
        'a/1_1_400_ALL.png',
        'b/0_1_400_ALL.png',
        'b/1_1_400_ALL.png',
    ]
    assert 'Drawn: 4 images of train to out' in capsys.readouterr().out
    drawn = cv2.imread(str(folder / 'out/a/0_1_400_ALL.png'))
    # Enlarged to 900 px below a caption, and above the legend.
    assert drawn.shape[1] == 900
    top = next(row for row in range(100) if drawn[row, 20].min() < 255 - 3)
    scale = 900 / 64
    y = int(top + 32 * scale)
    # Blue stays blue, un-annotated area is dimmed.
    np.testing.assert_allclose(
        drawn[y, int(16 * scale)], (200, 60, 60), atol=3
    )
    dimmed = drawn[top + 10 : top + 890, int(44 * scale) : 890]
    shown = drawn[top + 10 : top + 200, 10 : int(38 * scale)]
    assert dimmed.mean() < 0.75 * shown.mean()


def test_the_pipeline_is_drawn_and_follows_the_seed(folder, browse):
    for out, seed in (('first', 0), ('second', 0), ('third', 1)):
        browse('sparse.py', '--out', out, '--seed', seed)
    first, second, third = (
        [(folder / out / name).read_bytes() for name in pictures(folder / out)]
        for out in ('first', 'second', 'third')
    )
    assert len(first) == 4
    assert first == second
    assert first != third


def test_branches_of_semi_supervised_training_are_drawn(folder, browse):
    browse('semi.py', '--out', 'out', '--number', 4)
    # Two of the labelled images, two of the others in two views.
    endings = [name.split('ALL_')[1] for name in pictures(folder / 'out')]
    assert sorted(endings) == [
        '0000_sup.png',
        '0002_sup.png',
        '0004_unsup_student.png',
        '0004_unsup_teacher.png',
        '0006_unsup_student.png',
        '0006_unsup_teacher.png',
    ]


def test_a_contact_sheet_is_drawn(folder, browse, capsys):
    for out in ('first', 'second'):
        browse('sparse.py', '--mode', 'contact-sheet', '--out', out)
    assert 'contact_sheet.png' in capsys.readouterr().out
    first, second = (
        cv2.imread(str(folder / out / 'contact_sheet.png'))
        for out in ('first', 'second')
    )
    np.testing.assert_array_equal(first, second)
    # Four cells in "all cells", four more by size, 24 of 28 px each.
    blue = (np.abs(first.astype(int) - (200, 60, 60)) <= 60).all(axis=-1)
    assert blue.sum() == pytest.approx(8 * (56 * 24 / 29) ** 2, rel=0.1)


def test_another_split_is_drawn_without_augmentation(folder, browse):
    browse('sparse.py', '--split', 'val', '--out', 'val', '--number', 1)
    browse('sparse.py', '--mode', 'original', '--out', 'out', '--number', 1)
    first, second = (
        cv2.imread(str(folder / name))
        for name in ('val/a/0_1_400_ALL_0000.png', 'out/a/0_1_400_ALL.png')
    )
    np.testing.assert_array_equal(first, second)


def test_boxes_follow_an_image_that_was_resized_before(folder, browse):
    browse('sparse.py', '--split', 'test', '--out', 'test', '--number', 1)
    browse('sparse.py', '--split', 'val', '--out', 'val', '--number', 1)
    name = 'a/0_1_400_ALL_0000.png'
    first, second = (
        cv2.imread(str(folder / out / name)) for out in ('test', 'val')
    )
    # The same picture but for interpolation, boxes and regions included.
    assert first.shape == second.shape
    assert np.abs(first.astype(int) - second).mean() < 4


def test_without_a_folder_pictures_are_shown(folder, browse, monkeypatch):
    shown = []
    monkeypatch.setattr(
        'mmengine.visualization.Visualizer.show',
        lambda self, image, win_name, wait_time: shown.append(win_name),
    )
    browse('sparse.py', '--number', 2)
    browse('sparse.py', '--mode', 'contact-sheet')
    assert len(shown) == 3
    assert shown[-1] == 'contact sheet'


@pytest.mark.parametrize(
    'args, message',
    [
        (['absent.py'], 'there is no config absent.py'),
        (['sparse.py', '--number', '0'], '--number is 0, expected 1 or more'),
        (['sparse.py', '--cell-size', '0'], '--cell-size is 0'),
    ],
)
def test_a_wrong_command_line_is_named(folder, browse, capsys, args, message):
    with pytest.raises(SystemExit):
        browse(*args)
    assert message in capsys.readouterr().err
