# Copyright (c) mmleuk authors. All rights reserved.
import sys

import mmcv
import numpy as np
import pytest
import torch
from tiny_detectors import CLASSES, SCHEMA, make_batch

from mmleuk.deployment import OnnxDetector
from mmleuk.evaluation import LLDMetric

pytestmark = pytest.mark.slow


def test_an_image_is_resized_as_in_testing(exported):
    image = np.random.default_rng(0).integers(
        0, 256, (256, 200, 3), dtype=np.uint8
    )
    image = mmcv.imresize(image[::20, ::20], (200, 256))
    found = exported[False](image)
    assert found.ori_shape == (256, 200)
    assert found.img_shape == (160, 125)
    resized = mmcv.imrescale(image, (160, 128))
    batch = make_batch(160, 125, (0.625, 0.625))
    batch['inputs'] = [torch.from_numpy(resized.transpose(2, 0, 1).copy())]
    expected = exported[False].test_step(batch)[0].pred_instances
    assert len(expected) > 5
    for name, values in expected.items():
        torch.testing.assert_close(found.pred_instances[name], values)
    assert (found.pred_instances.bboxes[:, 3] <= 256).all()


def test_its_cells_can_be_scored(exported):
    """Of the truth that it found itself it misses nothing."""
    sample = exported[True].test_step(make_batch(100, 130))[0]
    cells = sample.pred_instances
    sample.set_metainfo(
        dict(
            img_id=0,
            annotated_regions=None,
            instances=[
                dict(
                    bbox=box,
                    bbox_label=label,
                    ignore_flag=0,
                    attributes=codes,
                )
                for box, label, codes in zip(
                    cells.bboxes.tolist(),
                    cells.labels.tolist(),
                    cells.attribute_labels.tolist(),
                )
            ],
        )
    )
    metric = LLDMetric()
    metric.dataset_meta = dict(classes=CLASSES, attributes=SCHEMA)
    metric.process({}, [sample.to_dict()])
    scores = metric.evaluate(1)
    assert scores['lld/bbox_mAP'] == 1
    assert scores['lld/attr_macro_f1'] == 1


def test_bad_images_are_named(exported):
    batch = make_batch(100, 130)
    batch['inputs'] = [batch['inputs'][0].float()]
    with pytest.raises(TypeError, match='float32, expected uint8'):
        exported[False].test_step(batch)
    with pytest.raises(ValueError, match=r'130 x 95 pixels.*expected 96'):
        exported[False].test_step(make_batch(95, 130))
    with pytest.raises(ValueError, match=r'shape \(96, 96\), expected'):
        exported[False](np.zeros((96, 96), dtype=np.uint8))


def test_foreign_files_are_named(tmp_path):
    onnx = pytest.importorskip('onnx', reason='onnx is not there')
    pytest.importorskip('onnxruntime', reason='onnxruntime is not there')
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 18]>'
        'foreign (float[1] x) => (float[1] y) { y = Neg (x) }'
    )
    onnx.save(model, tmp_path / 'foreign.onnx')
    with pytest.raises(ValueError, match=r"foreign.onnx says nothing of \['a"):
        OnnxDetector(tmp_path / 'foreign.onnx')


def test_missing_onnxruntime_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(ImportError, match=r'mmleuk\[onnx\]'):
        OnnxDetector('detector.onnx')
