# Copyright (c) mmleuk authors. All rights reserved.
"""Export to ONNX, run as people run it."""

import importlib
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

ROOT = Path(__file__).parents[2]
TOOL = ROOT / 'tools' / 'deployment' / 'export_onnx.py'
TINY = ROOT / 'tests' / 'test_deployment'

CONFIG = """
default_scope = 'mmdet'
model = {model}
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(128, 128), keep_ratio=True),
    dict(type='mmleuk.LoadLLDAnnotations', with_bbox=True),
    dict(type='mmleuk.PackLLDInputs'),
]
val_dataloader = dict(
    batch_size=2,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmleuk.LLDDataset',
        metainfo=dict(classes={classes}),
        data_root={root!r},
        ann_file='val.json',
        data_prefix=dict(img='images/'),
        test_mode=True,
        pipeline=pipeline))
test_dataloader = val_dataloader
"""


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.syspath_prepend(str(TINY))
    return importlib.import_module('tiny_detectors')


@pytest.fixture
def folder(tiny, tmp_path):
    """A folder with three fields, a config and a checkpoint."""
    (tmp_path / 'images').mkdir()
    images = []
    for number, size in enumerate([(160, 200), (200, 160), (180, 180)]):
        name = f'{number}_1_1000_ALL.png'
        field = tiny.make_batch(*size)['inputs'][0].numpy()
        cv2.imwrite(str(tmp_path / 'images' / name), field.transpose(1, 2, 0))
        images.append(
            dict(id=number, file_name=name, height=size[0], width=size[1])
        )
    cell = dict(id=0, image_id=0, category_id=0, bbox=[9, 9, 40, 40])
    labels = dict(
        images=images,
        annotations=[dict(cell, area=1600, iscrowd=0)],
        categories=[dict(id=i, name=n) for i, n in enumerate(tiny.CLASSES)],
    )
    (tmp_path / 'val.json').write_text(json.dumps(labels))

    model = tiny.detector_cfg()
    detector = tiny.build_detector(model)
    (tmp_path / 'tiny.py').write_text(
        CONFIG.format(
            model=model.to_dict(), classes=tiny.CLASSES, root=str(tmp_path)
        )
    )
    torch.save(
        dict(
            state_dict=detector.state_dict(),
            meta=dict(
                dataset_meta=dict(classes=tiny.CLASSES),
                mmleuk_calibration=dict(type_temperature=1.25),
            ),
        ),
        tmp_path / 'epoch_1.pth',
    )
    return tmp_path


@pytest.mark.slow
def test_export_and_check(folder):
    pytest.importorskip('onnxscript', reason='onnxscript is not there')
    pytest.importorskip('onnxruntime', reason='onnxruntime is not there')
    from mmleuk.deployment import OnnxDetector

    paths = [str(ROOT), os.environ.get('PYTHONPATH', '')]
    done = subprocess.run(
        [
            *(sys.executable, str(TOOL), 'tiny.py', 'epoch_1.pth'),
            *('out/detector.onnx', '--check'),
        ],
        cwd=folder,
        env=dict(
            os.environ,
            PYTHONPATH=os.pathsep.join(filter(None, paths)),
            OMP_NUM_THREADS='1',
        ),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '3 images, ' in done.stdout
    assert ' 0 by one alone. Largest differences: ' in done.stdout
    assert 'Exported: out/detector.onnx' in done.stdout
    assert os.listdir(folder / 'out') == ['detector.onnx']

    detector = OnnxDetector(folder / 'out' / 'detector.onnx')
    metadata = {
        key: json.loads(detector.metadata[key])
        for key in ('mmleuk_calibration', 'resize', 'test_cfg')
    }
    assert metadata['mmleuk_calibration'] == dict(type_temperature=1.25)
    assert metadata['resize'] == dict(
        type='mmdet.Resize', scale=[128, 128], keep_ratio=True
    )
    assert metadata['test_cfg']['rcnn']['score_thr'] == 0.65
    assert detector.metadata['config'] == 'tiny.py'
    assert len(detector.metadata['checkpoint_sha256']) == 64
    image = cv2.imread(str(folder / 'images' / '0_1_1000_ALL.png'))
    assert len(detector(image).pred_instances) > 0


def run_here(monkeypatch, *args):
    """Run the tool in this process, which saves imports."""
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, args)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(TOOL), run_name='__main__')
    return ended.value.code


@pytest.mark.parametrize(
    'args, message',
    [
        (['absent.py', 'x.pth', 'x.onnx'], 'there is no config absent.py'),
        (['x.py', 'absent.pth', 'x.onnx'], 'no checkpoint absent.pth'),
        (['x.py', 'x.pth', 'x.pt'], 'OUT is x.pt, expected a name ending in'),
    ],
)
def test_a_wrong_command_line_is_named(
    tmp_path, monkeypatch, capsys, args, message
):
    pytest.importorskip('onnxscript', reason='onnxscript is not there')
    monkeypatch.chdir(tmp_path)
    for name in ('x.py', 'x.pth'):
        (tmp_path / name).touch()
    assert run_here(monkeypatch, *args) == 2
    assert message in capsys.readouterr().err


def test_a_checkpoint_without_classes_is_named(folder, monkeypatch):
    checkpoint = torch.load(folder / 'epoch_1.pth', weights_only=True)
    del checkpoint['meta']['dataset_meta']
    torch.save(checkpoint, folder / 'weights.pth')
    monkeypatch.chdir(folder)
    message = run_here(monkeypatch, 'tiny.py', 'weights.pth', 'x.onnx')
    assert 'weights.pth does not name its cell types' in message


def test_a_missing_weight_is_an_error(folder, monkeypatch):
    checkpoint = torch.load(folder / 'epoch_1.pth', weights_only=True)
    del checkpoint['state_dict']['rpn_head.rpn_cls.weight']
    torch.save(checkpoint, folder / 'epoch_1.pth')
    tool = runpy.run_path(str(TOOL))
    cfg = tool['Config'].fromfile(folder / 'tiny.py')
    with pytest.raises(RuntimeError, match='rpn_head.rpn_cls.weight'):
        tool['load_detector'](cfg, str(folder / 'epoch_1.pth'))


def test_a_file_that_finds_other_cells_fails(folder, monkeypatch):
    """The check is told of a detector that moves every box a little."""
    tool = runpy.run_path(str(TOOL))
    cfg = tool['Config'].fromfile(folder / 'tiny.py')
    detector, _ = tool['load_detector'](cfg, str(folder / 'epoch_1.pth'))

    class Shifted:
        shift = 0.02

        def __init__(self, file):
            pass

        def test_step(self, batch):
            with torch.no_grad():
                samples = detector.test_step(batch)
            for sample in samples:
                sample.pred_instances.bboxes += self.shift
            return samples

    args = SimpleNamespace(
        check='val', num_images=1, box_tol=0.01, score_tol=1e-4
    )
    check = tool['check']
    monkeypatch.setitem(check.__globals__, 'OnnxDetector', Shifted)
    with pytest.raises(SystemExit, match='boxes differ by 0.02, expected'):
        check(cfg, args, detector, Path('x.unchecked.onnx'))
    monkeypatch.setattr(Shifted, 'shift', 0.0)
    check(cfg, args, detector, Path('x.unchecked.onnx'))
    cfg.model.test_cfg.rcnn.score_thr = 1.0
    detector.roi_head.test_cfg.score_thr = 1.0
    with pytest.raises(SystemExit, match='no cell was found by both'):
        check(cfg, args, detector, Path('x.unchecked.onnx'))


def test_detectors_of_one_stage_have_one_threshold(folder, monkeypatch):
    tool = runpy.run_path(str(TOOL))
    cfg = tool['Config'].fromfile(folder / 'tiny.py')
    cfg.model = dict(test_cfg=dict(score_thr=0.35))
    seen = []

    def compare(detector, exported, batches, score_thr):
        seen.append(score_thr)
        return tool['Agreement'](score_thr, num_cells=1)

    check = tool['check']
    monkeypatch.setitem(check.__globals__, 'compare', compare)
    monkeypatch.setitem(check.__globals__, 'OnnxDetector', lambda file: None)
    args = SimpleNamespace(
        check='val', num_images=1, box_tol=0.01, score_tol=1e-4
    )
    check(cfg, args, None, Path('x.unchecked.onnx'))
    assert seen == [0.35]


def test_resize_is_found_inside_wrappers():
    find_resize = runpy.run_path(str(TOOL))['find_resize']
    resize = dict(type='mmdet.Resize', scale=(8, 8))
    load, pack = dict(type='LoadImageFromFile'), dict(type='mmleuk.PackX')
    inner = dict(pipeline=[load, dict(type='Resize', scale=(8, 8)), pack])
    assert find_resize(ConfigDict(inner)) == resize
    assert find_resize(ConfigDict(dataset=inner)) == resize
    assert find_resize(ConfigDict(pipeline=[load, pack])) is None
    with pytest.raises(SystemExit, match='pipeline has mmdet.Rotate'):
        find_resize(ConfigDict(pipeline=[load, dict(type='mmdet.Rotate')]))
    with pytest.raises(SystemExit, match='resizes 2 times'):
        find_resize(ConfigDict(pipeline=[resize, resize]))


def test_batches_are_compared_image_by_image(tiny):
    """Detectors that add up the images that they see."""
    compare = runpy.run_path(str(TOOL))['compare']

    class Counter:
        def __init__(self, shift):
            self.shift = shift

        def test_step(self, batch):
            samples = []
            for box in batch['boxes']:
                sample = DetDataSample()
                sample.pred_instances = InstanceData(
                    bboxes=box[None] + self.shift,
                    scores=torch.ones(1),
                    labels=torch.zeros(1).long(),
                )
                samples.append(sample)
            return samples

    boxes = torch.from_numpy(np.array([[0.0, 0, 90, 90], [0, 0, 80, 80]]))
    batches = [dict(boxes=boxes), dict(boxes=boxes[:1])]
    agreement = compare(Counter(0.0), Counter(0.5), batches, 0.05)
    assert (agreement.num_images, agreement.num_cells) == (3, 3)
    assert agreement.boxes == 0.5
