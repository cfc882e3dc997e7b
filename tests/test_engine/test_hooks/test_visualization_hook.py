# Copyright (c) mmleuk authors. All rights reserved.
import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmdet.engine.hooks.utils import trigger_visualization_hook
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import VISBACKENDS
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from mmengine.visualization import BaseVisBackend

from mmleuk.engine.hooks import LLDVisualizationHook

FOLDERS = ('H_100X_C1', 'L_100X_C1')


@VISBACKENDS.register_module()
class NamesVisBackend(BaseVisBackend):
    """Stands for TensorBoard: takes pictures and writes no file of them."""

    names = []

    def __init__(self, save_dir='unused'):
        super().__init__(save_dir)

    def _init_env(self):
        pass

    @property
    def experiment(self):
        return self

    def add_image(self, name, image, step=0, **kwargs):
        self.names.append((name, step))


class Oracle(BaseModel):
    """Predicts the annotation."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, inputs, data_samples, mode='predict'):
        for sample in data_samples:
            gt = sample.gt_instances
            sample.pred_instances = InstanceData(
                bboxes=gt.bboxes,
                labels=gt.labels,
                scores=torch.full((len(gt),), 0.9),
                attribute_labels=gt.attributes.clamp(min=0),
                attribute_scores=torch.full(gt.attributes.shape, 0.9),
            )
        return data_samples


@pytest.fixture
def fields(tmp_path):
    """Two fields of one name in two folders, two cells each."""
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for image_id, folder in enumerate(FOLDERS):
        (tmp_path / 'images' / folder).mkdir(parents=True)
        name = f'{folder}/4_15_1000_ALL.png'
        field = rng.integers(200, 255, (64, 64, 3)).astype(np.uint8)
        cv2.imwrite(str(tmp_path / 'images' / name), field)
        images.append(dict(id=image_id, file_name=name, width=64, height=64))
        for x in (4, 34):
            annotations.append(
                dict(
                    id=len(annotations),
                    image_id=image_id,
                    category_id=0,
                    bbox=[x, 20, 24, 24],
                    area=576,
                    iscrowd=0,
                    cell_size=2,
                )
            )
    categories = [dict(id=0, name='neutrophil')]
    (tmp_path / 'all.json').write_text(
        json.dumps(
            dict(images=images, annotations=annotations, categories=categories)
        )
    )
    return tmp_path


def make_config(fields, **hook):
    dataloader = dict(
        batch_size=2,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='pseudo_collate'),
        dataset=dict(
            type='mmleuk.LLDDataset',
            data_root=str(fields),
            ann_file='all.json',
            data_prefix=dict(img='images/'),
            test_mode=True,
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='mmleuk.LoadLLDAnnotations'),
                dict(
                    type='mmleuk.PackLLDInputs',
                    meta_keys=(
                        'img_id',
                        'img_path',
                        'ori_shape',
                        'instances',
                        'annotated_regions',
                    ),
                ),
            ],
        ),
    )
    cfg = dict(
        work_dir=str(fields / 'work'),
        default_scope='mmdet',
        experiment_name=f'{fields.name}_{len(hook)}',
        val_dataloader=dataloader,
        test_dataloader=dataloader,
        val_cfg=dict(),
        test_cfg=dict(),
        val_evaluator=dict(type='mmleuk.LLDMetric'),
        test_evaluator=dict(type='mmleuk.LLDMetric'),
        default_hooks=dict(
            visualization=dict(type='mmleuk.LLDVisualizationHook', **hook)
        ),
        visualizer=dict(
            type='mmleuk.LLDLocalVisualizer',
            name=f'visualizer of {fields} {sorted(hook)}',
            min_side=0,
            vis_backends=[
                dict(type='LocalVisBackend'),
                dict(type='NamesVisBackend'),
            ],
        ),
        log_level='ERROR',
    )
    return Config(cfg)


def build(cfg):
    cfg = dict(cfg, model=Oracle())
    NamesVisBackend.names.clear()
    return Runner(**{k: v for k, v in cfg.items() if v is not None})


def test_show_dir_of_the_test_tool_draws_all_folders(fields):
    cfg = make_config(fields)
    # What tools/test.py does with --show-dir.
    args = SimpleNamespace(show=False, show_dir='drawn', wait_time=0)
    cfg = trigger_visualization_hook(cfg, args)
    runner = build(cfg)
    runner.test()
    out = fields / 'work' / runner.timestamp / 'drawn'
    files = sorted(str(f.relative_to(out)) for f in out.rglob('*.png'))
    assert files == [f'{folder}/4_15_1000_ALL.png' for folder in FOLDERS]
    # Annotation and prediction side by side, of images of 64 px.
    assert cv2.imread(str(out / files[0])).shape[1] > 128
    # The same pictures in the other backend, and no second copy on disk.
    assert NamesVisBackend.names == [
        (f'test_{folder}+4_15_1000_ALL.png', 0) for folder in FOLDERS
    ]
    assert not list((fields / 'work').rglob('vis_image'))


def test_the_validation_draws_into_the_backends(fields):
    runner = build(make_config(fields, draw=True, interval=2))
    runner.val()
    expected = [(f'val_{FOLDERS[0]}+4_15_1000_ALL.png', 0)]
    assert NamesVisBackend.names == expected
    # The same image in the next validation.
    runner.val()
    assert NamesVisBackend.names == expected * 2
    (file,) = (fields / 'work').rglob('vis_image/*')
    assert file.name == f'{expected[0][0]}_0.png'


class FakeVisualizer:
    """Notes what is drawn."""

    def __init__(self):
        self.calls = []

    def add_datasample(self, name, image, **kwargs):
        self.calls.append((name, kwargs))


@pytest.fixture
def hook(monkeypatch):
    fake = FakeVisualizer()
    monkeypatch.setattr(
        'mmengine.visualization.Visualizer.get_current_instance', lambda: fake
    )

    def make(**options):
        hook = LLDVisualizationHook(**options)
        hook.drawn = fake.calls
        return hook

    return make


class FakeDataset(list):
    """Lists images."""

    get_data_info = list.__getitem__


def run_test(hook, paths, work_dir, img_paths=None):
    """Let a hook see a test over images, one a batch."""
    dataset = FakeDataset(
        dict(img_path=str(path)) for path in img_paths or paths
    )
    runner = SimpleNamespace(
        test_dataloader=SimpleNamespace(dataset=dataset),
        work_dir=str(work_dir),
        timestamp='now',
        iter=7,
    )
    hook.before_test_epoch(runner)
    for index, path in enumerate(paths):
        sample = DetDataSample(metainfo=dict(img_path=str(path)))
        hook.after_test_iter(runner, index, {}, [sample])


@pytest.fixture
def images(tmp_path):
    paths = [tmp_path / 'images' / f'{index}.png' for index in range(7)]
    paths[0].parent.mkdir()
    for path in paths:
        cv2.imwrite(str(path), np.zeros((8, 8, 3), np.uint8))
    return paths


def test_every_nth_image_of_the_test_is_drawn(hook, images, tmp_path):
    its = hook(draw=True, test_interval=3, test_out_dir='out')
    run_test(its, images, tmp_path)
    files = [kwargs['out_file'] for _, kwargs in its.drawn]
    # A relative folder is joined to the run's once, not at every image.
    assert files == [str(tmp_path / 'now/out' / f'{i}.png') for i in (0, 3, 6)]


def test_a_name_that_leads_elsewhere_stays_in_the_folder(
    hook, images, tmp_path
):
    (tmp_path / 'a').mkdir()
    hostile = tmp_path / 'a' / '..' / 'images' / '..' / 'images' / '0.png'
    its = hook(draw=True, test_out_dir='out')
    # The dataset does not list the image: no common folder to cut off.
    run_test(its, [hostile], tmp_path, img_paths=[tmp_path / 'x' / 'y.png'])
    ((_, kwargs),) = its.drawn
    assert kwargs['out_file'].startswith(str(tmp_path / 'now/out') + '/')
    assert '..' not in kwargs['out_file']


def test_nothing_is_drawn_unless_asked(hook, images, tmp_path):
    its = hook(draw=False, test_out_dir='out')
    run_test(its, images, tmp_path)
    assert its.drawn == []


def test_a_sample_without_a_path_is_named(hook, tmp_path):
    its = hook(draw=True)
    with pytest.raises(KeyError, match='expected "img_path" among them'):
        its.after_test_iter(
            SimpleNamespace(work_dir=str(tmp_path), timestamp='now'),
            0,
            {},
            [DetDataSample(metainfo=dict(img_id=3))],
        )


@pytest.mark.parametrize('name', ['interval', 'test_interval'])
def test_an_interval_is_at_least_one(hook, name):
    with pytest.raises(ValueError, match=f'^{name} is 0'):
        hook(**{name: 0})
