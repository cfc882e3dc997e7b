# Copyright (c) mmleuk authors. All rights reserved.
"""Another attribute schema by config alone: WBCAtt's eleven attributes."""

import json
import re
from collections import Counter

import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.structures import InstanceData
from test_configs import CONFIG_DIR, load
from torch.nn.functional import one_hot

from mmleuk.apis import LLDInferencer
from mmleuk.evaluation import LLDMetric
from mmleuk.evaluation.functional import fit_calibration, match_results
from mmleuk.io.predictions import PredictionReader
from mmleuk.reports import write_reports
from mmleuk.structures import AttributeSchema
from mmleuk.visualization import LLDLocalVisualizer

NAME = 'attribute_rcnn/attr-faster-rcnn_lite0_fpn_wbcatt-fields.py'
DATA = CONFIG_DIR.parent / 'data/wbcatt_fields'
NAMES = [
    'cell_size',
    'cell_shape',
    'nucleus_shape',
    'nuclear_cytoplasmic_ratio',
    'chromatin_density',
    'cytoplasm_vacuole',
    'cytoplasm_texture',
    'cytoplasm_colour',
    'granule_type',
    'granule_colour',
    'granularity',
]
SIZES = (2, 2, 6, 2, 2, 2, 2, 3, 4, 4, 2)

needs_data = pytest.mark.skipif(
    not DATA.exists(), reason='data/wbcatt_fields is not there'
)


def build_dataset(part):
    cfg = load(NAME)[f'{part}_dataloader'].dataset
    cfg.data_root = f'{DATA}/'
    return DATASETS.build(cfg)


def test_the_schema_is_stated_once():
    cfg = load(NAME)
    schema = AttributeSchema(cfg.attributes)
    assert list(schema.names) == NAMES
    assert schema.sizes == SIZES
    assert [item.json_key for item in schema] == [
        f'wbcatt_{name}' for name in NAMES
    ]
    for part in ('train', 'val', 'test'):
        metainfo = cfg[f'{part}_dataloader'].dataset.metainfo
        assert metainfo.attributes == cfg.attributes
    assert cfg.model.roi_head.attribute_head.attributes == cfg.attributes
    assert cfg.tta_model.attributes == cfg.attributes


def test_the_page_shows_what_the_configs_say():
    """docs/new_schema.md, line by line."""
    page = (CONFIG_DIR.parent / 'docs/new_schema.md').read_text()
    blocks = re.findall(r'```python\n(.*?)```', page, re.DOTALL)
    files = ('_base_/schemas/wbcatt.py', '_base_/datasets/wbcatt-fields.py')
    assert len(blocks) == 3
    for block, file in zip(blocks, (*files, NAME)):
        lines = (CONFIG_DIR / file).read_text().splitlines()
        assert [x for x in block.splitlines() if x not in lines] == []


def test_every_attribute_is_calibrated():
    """A temperature for each of eleven, and confidences by it."""
    schema = AttributeSchema(load(NAME).attributes)
    rng = np.random.default_rng(0)
    results = []
    for index in range(200):
        codes = [int(rng.integers(size)) for size in SIZES]
        probs = []
        for size, code in zip(SIZES, codes):
            # Overconfident: nine of ten are right, at .99 and more.
            said = code if rng.random() < 0.9 else (code + 1) % size
            scores = np.full(size, 0.002)
            scores[said] = 1 - 0.002 * (size - 1)
            probs.append(scores)
        box = [10.0, 10, 60, 60]
        results.append(
            dict(
                name=f'{index:03d}.png',
                image_shape=(100, 100),
                instances=[
                    dict(
                        bbox=box,
                        bbox_label=0,
                        ignore_flag=0,
                        attributes=tuple(codes),
                    )
                ],
                annotated_regions=None,
                bboxes=np.array([box]),
                scores=np.array([0.9]),
                labels=np.array([0]),
                attribute_labels=np.array([[x.argmax() for x in probs]]),
                attribute_probs=np.concatenate(probs)[None],
            )
        )
    matched = match_results(results, 1, schema)
    calibration, fits = fit_calibration(matched, schema, 'made up')
    assert list(calibration.attribute_temperatures) == NAMES
    assert len(fits) == 1 + len(NAMES)
    for fit in fits[1:]:
        assert fit.temperature > 1, fit.title
        assert fit.ece_after < fit.ece_before, fit.title
    for index, name in enumerate(NAMES):
        probs, _, _ = matched.stated_attribute(schema, index)
        confidences = calibration.calibrate_attributes(name, probs).max(axis=1)
        assert (confidences < probs.max(axis=1)).all()


# What the README of the data says: fields, cells, ignored cells, cells with
# attributes, and cells of types.
STATED = {
    'train': (
        1779,
        {0: 7116, 1: 2},
        5827,
        dict(
            neutrophil=1909,
            eosinophil=1765,
            monocyte=788,
            lymphocyte=710,
            myelocyte=683,
            basophil=655,
            metamyelocyte=606,
        ),
    ),
    'val': (
        325,
        {0: 1300},
        979,
        dict(
            neutrophil=324,
            eosinophil=300,
            monocyte=141,
            lymphocyte=107,
            myelocyte=181,
            basophil=107,
            metamyelocyte=140,
        ),
    ),
}


@needs_data
@pytest.mark.parametrize('part', ['train', 'val'])
def test_all_fields_are_read_without_a_fault(part):
    dataset = build_dataset(part)
    assert dataset.issues.lines() == []
    fields, flags, described, types = STATED[part]
    assert len(dataset) == fields
    cells = [
        cell
        for index in range(len(dataset))
        for cell in dataset.get_data_info(index)['instances']
    ]
    assert Counter(cell['ignore_flag'] for cell in cells) == flags
    # A cell has all eleven attributes or none.
    missing = Counter(cell['attributes'].count(-1) for cell in cells)
    assert missing == {0: described, 11: len(cells) - described}
    classes = dataset.metainfo['classes']
    assert types == Counter(
        classes[cell['bbox_label']]
        for cell in cells
        if not cell['ignore_flag']
    )
    # Code by code as the file states them, read by other means.
    content = json.loads((DATA / f'json_labels/{part}.json').read_text())
    for column, name in enumerate(NAMES):
        stated = Counter(
            cell[f'wbcatt_{name}'] for cell in content['annotations']
        )
        stated[-1] = stated.pop(99)
        assert stated == Counter(cell['attributes'][column] for cell in cells)


@needs_data
def test_it_learns_scores_draws_and_reports(tmp_path, monkeypatch):
    cfg = load(NAME)
    dataset = build_dataset('val')
    meta = dataset.metainfo
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    batch = pseudo_collate([dataset[0], dataset[1]])
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    losses = model.train().train_step(batch, optim_wrapper)
    assert losses['loss'].isfinite()
    assert losses['loss_attribute'] > 0

    model.eval()
    with torch.no_grad():
        samples = model.test_step(pseudo_collate([dataset[0]]))
    sample = samples[0]
    # Whatever the network has learned in a step: the labels as predictions.
    truth = sample.gt_instances
    assert truth.attributes.shape[1] == 11
    pred = InstanceData()
    pred.bboxes = torch.tensor([cell['bbox'] for cell in sample.instances])
    pred.labels = truth.labels
    pred.scores = torch.ones(len(truth))
    pred.attribute_labels = truth.attributes
    pred.attribute_scores = torch.ones(len(truth), 11)
    pred.attribute_probs = torch.cat(
        [
            one_hot(column, size).float()
            for column, size in zip(truth.attributes.T, SIZES)
        ],
        dim=1,
    )
    sample.pred_instances = pred

    metric = LLDMetric()
    metric.dataset_meta = meta
    metric.process({}, [sample.to_dict()])
    scores = metric.evaluate(1)
    for name in NAMES:
        assert any(f'attr_{name}_' in key for key in scores), name

    texts = []
    monkeypatch.setattr(
        'mmleuk.visualization.pen.Pen.write',
        lambda self, x, top, text, size, *args: texts.append(text),
    )
    visualizer = LLDLocalVisualizer(attributes='words')
    visualizer.dataset_meta = meta
    image = batch['inputs'][0].permute(1, 2, 0).contiguous().numpy()
    visualizer.add_datasample('a', image, sample)
    drawn = ' '.join(texts)
    for attribute in AttributeSchema(cfg.attributes):
        assert attribute.title in drawn

    weights = tmp_path / 'model.pth'
    torch.save(
        dict(
            state_dict=model.state_dict(),
            meta=dict(cfg=cfg.pretty_text, dataset_meta=dict(meta)),
        ),
        weights,
    )
    inferencer = LLDInferencer(weights=str(weights), device='cpu')
    field = dataset.get_data_info(0)['img_path']
    found = list(
        inferencer.stream([field], score_thr=0, out_dir=str(tmp_path / 'out'))
    )
    assert list(found[0].cells[0].attributes) == NAMES
    reader = PredictionReader(tmp_path / 'out' / 'predictions.json')
    write_reports(reader, tmp_path / 'report')
    (page,) = (
        path
        for path in (tmp_path / 'report').glob('*.html')
        if path.name != 'index.html'
    )
    text = page.read_text()
    for attribute in AttributeSchema(cfg.attributes):
        assert attribute.title in text
