# Copyright (c) mmleuk authors. All rights reserved.
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS as MMDET_MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.structures import InstanceData
from tiny_detector import TINY_DETECTOR

from mmleuk.models.utils import attribute_fields
from mmleuk.registry import MODELS
from mmleuk.structures import LLD_ATTRIBUTES, AttributeSchema

CLASSES = ('neutrophil', 'lymphocyte')
SCHEMA = AttributeSchema(LLD_ATTRIBUTES)
FILM = (230, 225, 235)
# Colours in which BlobDetector sees the two types.
COLOURS = ((160, 40, 90), (90, 40, 160))

TINY = (
    TINY_DETECTOR
    + """
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(96, 96), keep_ratio=True),
    dict(type='mmleuk.LoadLLDAnnotations', with_bbox=True),
    dict(type='mmleuk.PackLLDInputs', meta_keys=(
        'img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor',
        'instances', 'annotated_regions')),
]
test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmleuk.LLDDataset',
        metainfo=dict(classes=('neutrophil', 'lymphocyte')),
        ann_file='{folder}/test.json',
        data_prefix=dict(img='{folder}/images/'),
        test_mode=True,
        pipeline=test_pipeline))
test_evaluator = dict(type='mmleuk.LLDMetric')
test_cfg = dict(type='TestLoop')
"""
)

# What finds blobs of colour, exactly and wherever they are.
BLOBS = """
default_scope = 'mmdet'
model = dict(type='mmleuk.BlobDetector')
test_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale_factor=1.0, keep_ratio=True),
    dict(type='mmleuk.LoadLLDAnnotations', with_bbox=True),
    dict(type='mmleuk.PackLLDInputs', meta_keys=(
        'img_path', 'ori_shape', 'img_shape', 'scale_factor'))]))
visualizer = dict(type='DetLocalVisualizer', name='visualizer')
train_dataloader = dict(dataset=dict(
    dataset=dict(data_root='data/films/', ann_file='train.json')))
"""


@MODELS.register_module()
class BlobDetector(BaseModel):
    """Finds blobs by their colour: what is cut off it does not see.

    A larger part of a blob scores higher, and the attributes of a blob
    follow from its colour.
    """

    def __init__(self):
        super().__init__()
        head = dict(type='mmleuk.AttributeHead', in_channels=4)
        self.attribute_head = MODELS.build(head)
        self.batch_sizes = []

    def forward(self, inputs, data_samples=None, mode='predict'):
        assert mode == 'predict'
        self.batch_sizes.append(len(inputs))
        return [
            self.find(image, sample)
            for image, sample in zip(inputs, data_samples)
        ]

    def find(self, image, sample):
        image = image.permute(1, 2, 0).numpy()
        boxes, labels, scores, probs = [], [], [], []
        for label, colour in enumerate(COLOURS):
            is_blob = (np.abs(image - np.array(colour)) < 30).all(axis=2)
            _, _, stats, _ = cv2.connectedComponentsWithStats(
                is_blob.astype(np.uint8)
            )
            for x, y, width, height, area in stats[1:].tolist():
                boxes.append([x, y, x + width, y + height])
                labels.append(label)
                scores.append(min(0.99, 0.5 + area / 20000))
                probs.append(branches(image[y + height // 2, x + width // 2]))
        probs = torch.tensor(np.array(probs), dtype=torch.float32)
        sample = sample or DetDataSample()
        sample.pred_instances = InstanceData(
            bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            scores=torch.tensor(scores, dtype=torch.float32),
            labels=torch.tensor(labels, dtype=torch.long),
            **attribute_fields(
                probs.reshape(-1, SCHEMA.num_values), SCHEMA.sizes
            ),
        )
        return sample


def branches(colour):
    """Probabilities that tell blobs of slightly different colours apart."""
    logits = np.outer(colour.astype(float), np.arange(1, 20)).ravel()
    logits = np.cos(logits[: SCHEMA.num_values])
    parts = np.split(np.exp(logits), np.cumsum(SCHEMA.sizes)[:-1])
    return np.concatenate([part / part.sum() for part in parts])


def paint_film(width, height, cells):
    """A film with cells, each (x, y, diameter, type, shade)."""
    film = np.full((height, width, 3), FILM, np.uint8)
    for x, y, diameter, label, shade in cells:
        colour = tuple(int(c) + shade for c in COLOURS[label])
        cv2.circle(film, (x, y), diameter // 2, colour, -1)
    return film


@pytest.fixture
def make_film():
    return paint_film


def save_checkpoint(path, text, model=None, meta=None, state=None):
    """Save what MMEngine's runner would."""
    register_all_modules()
    if model is None:
        torch.manual_seed(0)
        model = MMDET_MODELS.build(Config.fromstring(text, '.py').model)
        model.init_weights()
    classes = dict(classes=CLASSES, attributes=LLD_ATTRIBUTES)
    torch.save(
        dict(
            state_dict=model.state_dict() if state is None else state,
            meta=dict(
                cfg=Config.fromstring(text, '.py').pretty_text,
                experiment_name='blobs_20260131_120000',
                dataset_meta=classes,
                **(meta or {}),
            ),
        ),
        path,
    )
    return model


@pytest.fixture(scope='session')
def blob_weights(tmp_path_factory):
    """Path of a checkpoint of the BlobDetector."""
    path = tmp_path_factory.mktemp('blobs') / 'blobs.pth'
    save_checkpoint(path, BLOBS)
    return path


@pytest.fixture
def make_weights(tmp_path):
    """Save a checkpoint of the BlobDetector, with something more or else."""

    def make(text=BLOBS, **kwargs):
        path = tmp_path / 'made.pth'
        save_checkpoint(path, text, **kwargs)
        return path

    return make


@pytest.fixture(scope='session')
def tiny(tmp_path_factory):
    """A folder with a tiny detector's config and checkpoint, and fields."""
    folder = tmp_path_factory.mktemp('tiny')
    text = TINY.replace('{folder}', folder.as_posix())
    (folder / 'tiny.py').write_text(text)
    model = save_checkpoint(folder / 'tiny.pth', text)
    rng = np.random.default_rng(0)
    (folder / 'images').mkdir()
    names = []
    for number in range(3):
        names.append(f'{number}_1_1000_ALL.png')
        film = paint_film(120, 96, [(30, 40, 36, 0, 0), (80, 50, 40, 1, 5)])
        noise = rng.integers(-9, 9, film.shape)
        film = (film.astype(int) + noise).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / 'images' / names[-1]), film)
    return SimpleNamespace(
        folder=folder,
        config=folder / 'tiny.py',
        weights=folder / 'tiny.pth',
        model=model,
        names=names,
    )
